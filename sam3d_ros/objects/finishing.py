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


"""From what the mesh decoder extracts to a mesh for robots: in few parts, closed, of a wanted size.

Parts go by area, because it is known of open ones too: floaters have a small share of it.
"""

from dataclasses import dataclass, replace

import numpy as np
import open3d as o3d
import trimesh

from sam3d_ros.errors import ConfigError, ReconstructionError
from sam3d_ros.geometry.measures import bounds, is_closed, is_watertight, triangle_areas, volume_m3
from sam3d_ros.geometry.meshes import decimate, occupancy
from sam3d_ros.objects.colored_points import bytes_from_colors
from sam3d_ros.objects.flexicubes import CubeSurface
from sam3d_ros.structures import Bools, Ints, Mesh

NUM_WITNESSES = 16  # vertices that tell whether a part lies within another one


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishingConfig:
    """What is done to a mesh after its extraction."""

    min_part_share: float = 0.01  # of the largest part's area; smaller parts are dropped
    close_holes: bool = True
    keep_cavities: bool = False  # closed inner surfaces, and what is enclosed by others
    smoothing_rounds: int = 0  # of Taubin's smoothing, which keeps the size
    max_triangles: int = 50_000

    def __post_init__(self) -> None:
        if not (0 <= self.min_part_share < 1 and self.smoothing_rounds >= 0):
            raise ConfigError(
                "min_part_share must be in [0, 1) and smoothing_rounds at least 0, got "
                f"{self.min_part_share} and {self.smoothing_rounds}"
            )
        if self.max_triangles < 4:
            raise ConfigError(f"max_triangles must be at least 4, got {self.max_triangles}")


@dataclass(frozen=True, slots=True, eq=False)
class FinishedMesh:
    """A mesh, and sentences for ``Provenance.notes`` on what was taken away, added or left."""

    mesh: Mesh
    notes: tuple[str, ...] = ()


def mesh_from_surface(surface: CubeSurface) -> Mesh:
    """Return an extracted surface as a mesh of which nothing has been observed."""
    vertices = surface.vertices.detach().cpu().numpy()
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=surface.triangles.cpu().numpy().astype(np.int32),
        colors=bytes_from_colors(surface.colors.detach().float().cpu().numpy()),
        observed=np.zeros(len(vertices), dtype=np.float32),
    )


def finished(mesh: Mesh, config: FinishingConfig) -> FinishedMesh:
    """Drop small parts, close holes if wanted, drop what is enclosed, smooth, decimate.

    A mesh that cannot be closed is returned as far as it could be, with a note that says so.
    """
    notes = []
    kept = without_small_parts(mesh, config.min_part_share)
    closed = with_holes_closed(kept) if config.close_holes else kept
    num_new = len(closed.triangles) - len(kept.triangles)
    if num_new > 0:
        notes.append(f"holes of the mesh were closed with {num_new} triangles")
    if not config.keep_cavities:
        solid = without_enclosed_parts(closed)
        if len(solid.triangles) < len(closed.triangles):
            notes.append("inner surfaces of the mesh were dropped")
        closed = solid
    smaller = decimate(smoothed(closed, config.smoothing_rounds), config.max_triangles)
    if not is_watertight(smaller):
        notes.append("the mesh is not watertight: it has no volume, and physics needs its hull")
    return FinishedMesh(smaller, tuple(notes))


def without_small_parts(mesh: Mesh, min_share: float) -> Mesh:
    """Drop parts with less than ``min_share`` of the largest part's area, and unused vertices."""
    if len(mesh.triangles) == 0:
        raise ReconstructionError("a mesh to finish must have triangles, has none")
    part = _parts(mesh)
    areas = np.bincount(part, triangle_areas(mesh))
    return _with_triangles(mesh, (areas >= min_share * areas.max())[part])


def without_enclosed_parts(mesh: Mesh) -> Mesh:
    """Drop closed parts that face inwards or lie within others: what remains is solid.

    What stands inside out only because all of it does is kept.
    """
    part = _parts(mesh)
    numbers = np.unique(part)
    if len(numbers) == 1:
        return mesh
    areas = np.bincount(part, triangle_areas(mesh))
    kept: list[Mesh] = []
    keep = np.zeros(len(part), dtype=bool)
    for number in numbers[np.argsort(-areas[numbers], kind="stable")]:
        candidate = _with_triangles(mesh, part == number)
        closed = is_closed(candidate.triangles)
        if closed and (volume_m3(candidate) < 0 or any(_encloses(big, candidate) for big in kept)):
            continue
        keep |= part == number
        if closed:
            kept.append(candidate)
    return _with_triangles(mesh, keep) if keep.any() else mesh


def with_holes_closed(mesh: Mesh) -> Mesh:
    """Span every hole by a fan of triangles around a new vertex in its middle.

    Each hole's rim is cut into rings that meet no vertex twice. So a mesh whose triangles agree on
    their winding becomes closed, whatever its holes look like; another one is returned as it is.
    """
    rim = None if is_closed(mesh.triangles) else _rim(mesh.triangles)
    if rim is None:
        return mesh
    rings = _rings(rim)
    num = len(mesh.vertices)
    fans = [
        np.stack((ring, np.roll(ring, -1), np.full(len(ring), num + i)), axis=1)
        for i, ring in enumerate(rings)
    ]
    return Mesh(
        vertices=np.concatenate((mesh.vertices, [mesh.vertices[r].mean(axis=0) for r in rings])),
        triangles=np.concatenate((mesh.triangles, *fans)).astype(np.int32),
        colors=np.concatenate((mesh.colors, [mesh.colors[r].mean(axis=0) for r in rings])).astype(
            np.uint8
        ),
        observed=np.concatenate((mesh.observed, np.zeros(len(rings), dtype=np.float32))),
    )


def smoothed(mesh: Mesh, rounds: int) -> Mesh:
    """Smooth without shrinking (Taubin 1995); triangles, colours and ``observed`` stay."""
    if rounds == 0:
        return mesh
    legacy = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices.astype(np.float64)),
        o3d.utility.Vector3iVector(mesh.triangles.astype(np.int32)),
    )
    legacy = legacy.filter_smooth_taubin(number_of_iterations=rounds)
    return replace(mesh, vertices=np.asarray(legacy.vertices).astype(np.float32))


def _parts(mesh: Mesh) -> Ints:
    """Return the number of the part that each triangle belongs to, ``(F,)``."""
    edges = np.concatenate((mesh.triangles[:, :2], mesh.triangles[:, 1:]))
    labels = trimesh.graph.connected_component_labels(edges, node_count=len(mesh.vertices))
    part: Ints = labels[mesh.triangles[:, 0]]
    return part


def _encloses(big: Mesh, small: Mesh) -> bool:
    (low, high), (small_low, small_high) = bounds(big), bounds(small)
    if not ((low <= small_low) & (small_high <= high)).all():
        return False  # cheaper than asking where its vertices are
    step = max(1, len(small.vertices) // NUM_WITNESSES)
    return bool(occupancy(big, small.vertices[::step]).all())


def _with_triangles(mesh: Mesh, chosen: Bools) -> Mesh:
    """Return some of the triangles with their vertices."""
    used, triangles = np.unique(mesh.triangles[chosen], return_inverse=True)
    return Mesh(
        vertices=mesh.vertices[used],
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        colors=mesh.colors[used],
        observed=mesh.observed[used],
    )


def _rim(triangles: Ints) -> Ints | None:
    """Return the directed edges that lack a triangle, ``(E, 2)``; None if windings disagree."""
    start = triangles.astype(np.int64)
    start, end = start.ravel(), start[:, [1, 2, 0]].ravel()
    num = int(start.max()) + 1
    there, back = start * num + end, end * num + start
    ascending = np.sort(there)
    if (np.diff(ascending) == 0).any():
        return None
    places = np.searchsorted(ascending, back).clip(max=len(ascending) - 1)
    missing = back[ascending[places] != back]
    return np.stack((missing // num, missing % num), axis=1)


def _rings(rim: Ints) -> list[Ints]:
    """Cut directed edges, as many to each vertex as from it, into rings of different vertices."""
    following: dict[int, list[int]] = {}
    for start, end in rim.tolist():
        following.setdefault(start, []).append(end)
    rings = []
    for first in following:
        walk, place = [first], {first: 0}
        while following[walk[-1]]:  # so until the walk is back at its first vertex for good
            vertex = following[walk[-1]].pop()
            if vertex in place:
                begin = place[vertex]
                rings.append(np.array(walk[begin:]))
                for passed in walk[begin + 1 :]:
                    del place[passed]
                del walk[begin + 1 :]
            else:
                place[vertex] = len(walk)
                walk.append(vertex)
    return rings
