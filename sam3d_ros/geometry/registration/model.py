# Copyright 2026 The sam3d_ros Authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.


"""A mesh prepared once, to be registered to any number of views."""

from dataclasses import dataclass, field, replace

import numpy as np
import open3d as o3d
from scipy.spatial import cKDTree

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.raycasting import MeshLike, raycasting_scene
from sam3d_ros.structures import Bools, Floats, Ints

NUM_SAMPLES = 1600  # of the surface, for coarse association
NUM_RIM_POINTS = 4000  # on edges, of which few are on the rim at once
RIM_SPACING = 0.02  # of points on one edge, as share of the diameter
FLAT_COSINE = 0.999999  # edges between coplanar triangles are never on a rim
NUM_DIRECTIONS = 128  # in which a lowest point is looked up
WELD_SHARE = 1e-5  # vertices this near, as share of the diameter, are one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RimCandidates:
    """Points on edges; one is on the rim where the eye sees one of its two triangles only."""

    points: Floats  # (E, 3)
    first: Floats  # (E, 3) unit normal of one triangle
    second: Floats  # (E, 3) of the other one; its opposite where there is no other one
    planes: Floats  # (2, E, 4) float32, of both triangles: normal @ x + offset = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegistrationModel:
    """A surface in the object frame with what registration looks up in it."""

    scene: o3d.t.geometry.RaycastingScene
    samples: Floats  # (M, 3) on the surface, uniform over the area
    normals: Floats  # (M, 3) unit, outwards
    tree: cKDTree  # of the samples
    rims: RimCandidates
    corners: Floats  # (C, 3), vertices among which the lowest one is, whatever is down
    center: Floats  # (3,) of the surface, whatever the axes are
    radius: float  # of the ball about the center
    # (3, 3) what was stretched since ``scene`` was made, which stays; all else is stretched.
    stretch: Floats = field(default_factory=lambda: np.eye(3))


def prepared(mesh_object: MeshLike) -> RegistrationModel:
    """Prepare a mesh for registration.

    Raises:
        ShapeError: The mesh has no area.
    """
    vertices = mesh_object.vertices.astype(np.float64)
    a, b, c = np.moveaxis(vertices[mesh_object.triangles], 1, 0)
    normals = np.cross(b - a, c - a)
    doubled = np.linalg.norm(normals, axis=1)
    if not doubled.sum() > 0:
        raise ShapeError("a mesh to register must have area, got none; check its triangles")
    solid = doubled > 0
    triangles = mesh_object.triangles[solid]
    normals = normals[solid] / doubled[solid, None]
    chosen, samples = _samples(vertices, triangles, doubled[solid])
    center = samples.mean(axis=0)
    radius = float(np.linalg.norm(vertices - center, axis=1).max())
    return RegistrationModel(
        scene=raycasting_scene([mesh_object]),
        samples=samples,
        normals=normals[chosen],
        tree=cKDTree(samples),
        rims=_rim_candidates(vertices, triangles, normals, radius),
        corners=_corners(vertices),
        center=center,
        radius=radius,
    )


def stretched(model: RegistrationModel, linear: Floats) -> RegistrationModel:
    """Return a model under a linear map ``(3, 3)`` without preparing its mesh again."""
    samples, corners, center = (
        points @ linear.T for points in (model.samples, model.corners, model.center)
    )
    return replace(
        model,
        samples=samples,
        normals=_turned(model.normals, linear),
        tree=cKDTree(samples),
        rims=_rims_of(
            model.rims.points @ linear.T,
            _turned(model.rims.first, linear),
            _turned(model.rims.second, linear),
        ),
        corners=corners,
        center=center,
        radius=float(np.linalg.norm(corners - center, axis=1).max()),
        stretch=linear @ model.stretch,
    )


def _turned(normals: Floats, linear: Floats) -> Floats:
    """Map unit normals ``(N, 3)`` as their surface is mapped."""
    turned: Floats = normals @ np.linalg.inv(linear)
    return turned / np.linalg.norm(turned, axis=1, keepdims=True)


def _samples(vertices: Floats, triangles: Ints, doubled: Floats) -> tuple[Ints, Floats]:
    """Draw points uniformly over the area; return their triangles too. Seeded: results repeat."""
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(doubled)
    places = (np.arange(NUM_SAMPLES) + rng.random(NUM_SAMPLES)) / NUM_SAMPLES
    drawn = np.searchsorted(cumulative, places * cumulative[-1])
    chosen = np.minimum(drawn, len(triangles) - 1)
    a, b, c = np.moveaxis(vertices[triangles[chosen]], 1, 0)
    r1, r2 = np.sqrt(rng.random((NUM_SAMPLES, 1))), rng.random((NUM_SAMPLES, 1))
    return chosen, (1 - r1) * a + r1 * (1 - r2) * b + r1 * r2 * c


def _rim_candidates(
    vertices: Floats, triangles: Ints, normals: Floats, radius: float
) -> RimCandidates:
    """Put points on all edges that can be seen as an outline."""
    edges, first, second = _edges(_welded(vertices, triangles, radius), normals)
    bent = (first * second).sum(axis=1) < FLAT_COSINE
    edges, first, second = edges[bent], first[bent], second[bent]
    start, end = vertices[edges[:, 0]], vertices[edges[:, 1]]
    lengths = np.linalg.norm(end - start, axis=1)
    counts = np.ceil(lengths / (2 * RIM_SPACING * radius)).astype(np.int64)
    index = np.repeat(np.arange(len(edges)), counts)
    number = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    fraction = ((number + 0.5) / counts[index])[:, None]
    if len(index) > NUM_RIM_POINTS:
        kept = np.random.default_rng(0).permutation(len(index))[:NUM_RIM_POINTS]
        index, fraction = index[kept], fraction[kept]
    points = start[index] + fraction * (end[index] - start[index])
    return _rims_of(points, first[index], second[index])


def _rims_of(points: Floats, first: Floats, second: Floats) -> RimCandidates:
    offsets = -np.stack([(first * points).sum(axis=1), (second * points).sum(axis=1)])
    planes = np.concatenate((np.stack((first, second)), offsets[..., None]), axis=2)
    return RimCandidates(
        points=points, first=first, second=second, planes=planes.astype(np.float32)
    )


def _welded(vertices: Floats, triangles: Ints, radius: float) -> Ints:
    """Make vertices at one place one: textured meshes repeat them along their seams."""
    cells = np.rint((vertices - vertices.min(axis=0)) / (WELD_SHARE * radius)).astype(np.int64)
    keys = (cells[:, 0] << 42) + (cells[:, 1] << 21) + cells[:, 2]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    welded: Ints = first[place.ravel()][triangles]
    return welded


def _edges(triangles: Ints, normals: Floats) -> tuple[Ints, Floats, Floats]:
    """Return edges ``(E, 2)`` with the normals of their two triangles."""
    ends = np.sort(np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1)
    owner = np.tile(np.arange(len(triangles)), 3)
    keys = ends[:, 0].astype(np.int64) * (int(triangles.max()) + 1) + ends[:, 1]
    order = np.argsort(keys, kind="stable")
    ends, owner, keys = ends[order], owner[order], keys[order]
    is_first = np.append(True, keys[1:] != keys[:-1])
    has_twin = is_first & np.append(~is_first[1:], False)
    start = np.flatnonzero(is_first)
    paired: Bools = has_twin[start]
    first = normals[owner[start]]
    second = np.where(
        paired[:, None], normals[owner[np.minimum(start + 1, len(owner) - 1)]], -first
    )
    return ends[start], first, second


def _corners(vertices: Floats) -> Floats:
    """Return the farthest vertices in many directions: the lowest one is among or near them."""
    index = np.arange(NUM_DIRECTIONS) + 0.5
    height = 1.0 - 2.0 * index / NUM_DIRECTIONS
    angle, flat = np.pi * (1.0 + np.sqrt(5.0)) * index, np.sqrt(1.0 - height**2)
    directions = np.stack((flat * np.cos(angle), flat * np.sin(angle), height), axis=1)
    heights = directions.astype(np.float32) @ vertices.T.astype(np.float32)
    farthest: Floats = vertices[np.unique(heights.argmax(axis=1))]
    return farthest
