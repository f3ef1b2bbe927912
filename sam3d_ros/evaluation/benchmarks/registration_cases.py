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


"""Cases of registration with known answers: a mesh, half of it hidden, a pose that is off."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import open3d as o3d
from scipy.spatial import cKDTree

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.files import read_mesh
from sam3d_ros.evaluation.synthetic import looking_at
from sam3d_ros.evaluation.synthetic_objects import CATALOGUE, model
from sam3d_ros.geometry.cameras import camera_from_fov, pixel_rays
from sam3d_ros.geometry.measures import bounds, triangle_areas
from sam3d_ros.geometry.meshes import sample_surface
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Bools, Camera, Floats, Mesh, Similarity

NUM_SAMPLES = 1500  # of a surface, for distances
TABLE_REACH_M = 2.0
BOARD_MARGIN_PX = 30  # that what hides the object reaches beyond it
BOARD_GAP_M = 0.06  # that it is nearer than the object
SYMMETRY_STEPS = 36
SYMMETRY_SHARE = 0.008  # of the diameter: mean distance of a turned surface to itself
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSpec:
    """How far off starts are, and what the camera sees."""

    max_turn_deg: float = 30.0
    max_shift_m: float = 0.03
    max_growth: float = 0.15
    least: float = 0.0  # of these, start errors are at least this share; 1 is at the limits
    noise: float = 0.01  # standard deviation of readings, as share of the depth
    hidden: float = 0.5  # share of the object's pixels
    distance_m: tuple[float, float] = (0.5, 0.9)
    elevation_deg: tuple[float, float] = (20.0, 65.0)

    def reaching(self, times: float) -> "CaseSpec":
        """Return the same cases with starts so many times as far off."""
        return replace(
            self,
            max_turn_deg=times * self.max_turn_deg,
            max_shift_m=times * self.max_shift_m,
            max_growth=times * self.max_growth,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """A mesh and what judging its pose takes."""

    name: str
    mesh: Mesh
    samples: Floats  # (N, 3) on its surface
    diameter_m: float
    symmetries: Floats  # (S, 3, 3) turns about the centre that leave it as it is


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegistrationCase:
    """One object as a depth camera saw it, where it stands, and where it was thought to stand."""

    shape: Shape
    camera: Camera
    points_camera: Floats  # (H, W, 3), NaN where unknown
    mask: Bools  # (H, W)
    truth: Similarity
    start: Similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseErrors:
    """How far a pose is from the true one."""

    add_s: float  # mean distance of surface points to the nearest one, share of the diameter
    turn_deg: float  # modulo the symmetries of the shape
    scale: float  # |ratio - 1|


def shapes(folder: Path | None) -> list[Shape]:
    """Return the shapes of a data folder, where there is one, and the project's own.

    Raises:
        DatasetError: A mesh cannot be read.
    """
    meshes: dict[str, Mesh] = {}
    paths = (
        [] if folder is None else [*folder.glob("*/meshes/*.glb"), *folder.glob("*/meshes/*.ply")]
    )
    for path in sorted(paths):
        if path.stem not in meshes:
            meshes[path.stem] = read_mesh(path)
    meshes |= {f"own_{name}": model(name).mesh() for name in CATALOGUE}
    return [shape_of(name, mesh) for name, mesh in meshes.items()]


def shape_of(name: str, mesh: Mesh) -> Shape:
    """Measure a mesh."""
    samples, _ = sample_surface(mesh, NUM_SAMPLES, np.random.default_rng(0))
    diameter_m = 2.0 * float(np.linalg.norm(samples - _center(mesh), axis=1).max())
    return Shape(
        name=name,
        mesh=mesh,
        samples=samples,
        diameter_m=diameter_m,
        symmetries=_symmetries(mesh, samples, diameter_m),
    )


def cases(all_shapes: Sequence[Shape], num: int, spec: CaseSpec) -> Iterator[RegistrationCase]:
    """Yield seeded cases; the shapes take turns."""
    for number in range(num):
        yield case(all_shapes[number % len(all_shapes)], spec, np.random.default_rng(number))


def case(shape: Shape, spec: CaseSpec, rng: np.random.Generator) -> RegistrationCase:
    """Look at a shape on a table from somewhere, hide part of it, and misplace it."""
    camera = camera_from_fov(640, 480, 55.0)
    truth = _pose(shape, spec, rng)
    depth_m, mask = _seen(shape, truth, camera)
    depth_m, mask = _half_hidden(depth_m, mask, spec.hidden, rng)
    depth_m = depth_m * (1.0 + spec.noise * rng.standard_normal(depth_m.shape))
    return RegistrationCase(
        shape=shape,
        camera=camera,
        points_camera=pixel_rays(camera) * depth_m[..., None],
        mask=mask,
        truth=truth,
        start=misplaced(truth, _center(shape.mesh), spec, rng),
    )


def misplaced(
    truth: Similarity, center: Floats, spec: CaseSpec, rng: np.random.Generator
) -> Similarity:
    """Turn, shift and grow a pose about the centre of its object by up to what the spec says."""
    turn_rad = np.radians(spec.max_turn_deg) * _in_ball(rng, spec.least)
    turn = rotation_from_axis_angle(turn_rad, float(np.linalg.norm(turn_rad)))
    shift_m = spec.max_shift_m * _in_ball(rng, spec.least)
    drawn = rng.uniform(-1.0, 1.0)
    growth = np.copysign(spec.least + (1.0 - spec.least) * abs(drawn), drawn)
    scale = truth.scale * float(np.exp(np.log1p(spec.max_growth) * growth))
    rotation = turn @ truth.rotation
    return Similarity(rotation, truth.apply(center) + shift_m - scale * rotation @ center, scale)


def _in_ball(rng: np.random.Generator, least: float) -> Floats:
    """Draw a point of the unit ball that is not nearer to its centre than this, uniformly."""
    direction = rng.standard_normal(3)
    radius = np.cbrt(least**3 + (1.0 - least**3) * rng.uniform())
    return np.asarray(radius * direction / np.linalg.norm(direction))


def pose_errors(shape: Shape, pose: Similarity, truth: Similarity) -> PoseErrors:
    """Compare a pose with the true one."""
    placed, right = pose.apply(shape.samples), truth.apply(shape.samples)
    distance_m, _ = cKDTree(placed).query(right)
    turns = shape.symmetries @ (truth.rotation.T @ pose.rotation)
    cosines = (np.trace(turns, axis1=1, axis2=2) - 1.0) / 2.0
    return PoseErrors(
        add_s=float(distance_m.mean()) / (shape.diameter_m * truth.scale),
        turn_deg=float(np.degrees(np.arccos(np.clip(cosines.max(), -1.0, 1.0)))),
        scale=abs(pose.scale / truth.scale - 1.0),
    )


def _center(mesh: Mesh) -> Floats:
    center: Floats = bounds(mesh).mean(axis=0)
    return center


def _symmetries(mesh: Mesh, samples: Floats, diameter_m: float) -> Floats:
    """Find the turns about principal axes, and their products, that leave a surface in place."""
    # Triangles by area, not samples: these would tilt the axes by a degree or two.
    places, areas = mesh.vertices[mesh.triangles].mean(axis=1), triangle_areas(mesh)
    middle = areas @ places / areas.sum()
    _, axes = np.linalg.eigh((places - middle).T @ ((places - middle) * areas[:, None]))
    points = samples[::4] - middle
    scene = raycasting_scene([mesh])
    angles = 2.0 * np.pi * np.arange(SYMMETRY_STEPS) / SYMMETRY_STEPS
    found = np.eye(3)[None]
    for axis in axes.T:
        turns = np.stack([rotation_from_axis_angle(axis, float(angle)) for angle in angles])
        turned = (points @ turns.transpose(0, 2, 1) + middle).astype(np.float32)
        distance_m = scene.compute_distance(o3d.core.Tensor(turned), NUM_THREADS).numpy()
        kept = turns[distance_m.mean(axis=1) < SYMMETRY_SHARE * diameter_m]
        found = (found[:, None] @ kept[None]).reshape(-1, 3, 3)
    return found


def _pose(shape: Shape, spec: CaseSpec, rng: np.random.Generator) -> Similarity:
    """Stand the object on a table, turned about the vertical, before the camera."""
    distance_m = rng.uniform(*spec.distance_m)
    elevation = np.radians(rng.uniform(*spec.elevation_deg))
    offset = 0.08 * rng.uniform(-1.0, 1.0, 3)
    eye = distance_m * np.array([0.0, -np.cos(elevation), np.sin(elevation)])
    camera_from_world = looking_at(eye, np.array([offset[0], offset[1], 0.0])).inverse()
    turn = rotation_from_axis_angle(UP, float(rng.uniform(-np.pi, np.pi)))
    center = _center(shape.mesh)
    stand = np.array([center[0], center[1], float(shape.mesh.vertices[:, 2].min())])
    return camera_from_world @ Similarity(turn, -turn @ stand)


def _seen(shape: Shape, truth: Similarity, camera: Camera) -> tuple[Floats, Bools]:
    """Return the depth of the object on its table, and the object's pixels."""
    low = float(shape.mesh.vertices[:, 2].min())
    reach = TABLE_REACH_M
    corners = [
        (-reach, -reach, low),
        (reach, -reach, low),
        (reach, reach, low),
        (-reach, reach, low),
    ]
    table = Mesh(
        vertices=np.array(corners, dtype=np.float32),
        triangles=np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32),
        colors=np.zeros((4, 3), dtype=np.uint8),
        observed=np.ones(4, dtype=np.float32),
    )
    raster = render([shape.mesh.transformed(truth), table.transformed(truth)], camera)
    return raster.depth_m, raster.object_index == 0


def _half_hidden(
    depth_m: Floats, mask: Bools, share: float, rng: np.random.Generator
) -> tuple[Floats, Bools]:
    """Put a board before one side of the object, whichever side a drawn direction says."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise DatasetError("a case must show its object, shows nothing; check the camera")
    angle = rng.uniform(0.0, 2.0 * np.pi)
    v, u = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]]
    along = np.cos(angle) * u + np.sin(angle) * v
    behind = along > np.quantile(along[mask], 1.0 - share)
    margin = BOARD_MARGIN_PX
    behind &= (u >= columns.min() - margin) & (u <= columns.max() + margin)
    behind &= (v >= rows.min() - margin) & (v <= rows.max() + margin)
    board_m = float(np.nanmin(depth_m[mask])) - BOARD_GAP_M
    return np.where(behind, board_m, depth_m), mask & ~behind
