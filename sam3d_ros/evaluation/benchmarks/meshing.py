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


"""How long meshes take, from cubes and from occupancy, and how far the two are apart.

Needs no ROS and no weights.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from skimage import measure
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.evaluation.benchmarks.measuring import (
    Compute,
    Outputs,
    device_name,
    growth,
    measured,
    peak_bytes,
    usable_device,
    verdict,
)
from sam3d_ros.evaluation.benchmarks.results import write_json
from sam3d_ros.geometry.measures import is_watertight
from sam3d_ros.geometry.meshes import sample_surface, signed_distance
from sam3d_ros.objects.cube_cases import CORNERS
from sam3d_ros.objects.cube_field import NUM_CHANNELS
from sam3d_ros.objects.fast_mesh import fast_mesh
from sam3d_ros.objects.finishing import mesh_from_surface, without_enclosed_parts
from sam3d_ros.objects.flexicubes import extract_surface
from sam3d_ros.structures import Floats, Mesh

VOXELS = 64  # along a side of the occupancy
SUBDIVISION = 4  # cubes along the side of a voxel
RESOLUTIONS = (64, 128, 256)  # cubes along a side; the last is the mesh decoder's
CONFIDENT = 8.0  # logit
FAST_LIMIT_MS = 60.0
NUM_SAMPLES = 20_000
MEGA = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionFigures:
    """What was measured of one extraction."""

    resolution: int
    cubes: int
    triangles: int
    ms: float
    peak_mb: float  # of tensors, beside the features
    dense_ms: float | None  # of marching cubes on the dense grid; none on a GPU

    @property
    def ratio(self) -> float | None:
        """How many times as long as marching cubes it takes."""
        return None if self.dense_ms is None else self.ms / self.dense_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class FastFigures:
    """What was measured of the fast mesh beside the full one, distances in sides of the cube."""

    ms: float
    triangles: int
    fast_from_full: float  # mean distance of points of the full mesh to the fast one
    full_from_fast: float  # and of points of the fast mesh to the full one
    fast_from_truth: float  # mean distance of the fast mesh's vertices to the surface
    full_from_truth: float
    are_watertight: bool  # both


def distance(points: Tensor) -> Tensor:
    """Return about the signed distance of points ``(..., 3)`` to a ball with bumps, ``(...)``."""
    bumps = torch.sin(12 * points[..., 0]) * torch.sin(11 * points[..., 1] + 1)
    return points.norm(dim=-1) - 0.35 - 0.04 * bumps


def occupancy_logits(num: int = VOXELS) -> Tensor:
    """Return logits ``(S, S, S)`` that occupy the voxels which the surface passes through."""
    field = distance(_grid(num * SUBDIVISION))[None, None]
    high, low = (F.max_pool3d(f, SUBDIVISION + 1, SUBDIVISION)[0, 0] for f in (field, -field))
    return torch.where((high > 0) & (low > 0), CONFIDENT, -CONFIDENT)  # low is negated


def cubes(resolution: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cubes as the mesh decoder makes them, indices and features: all of occupied voxels."""
    voxels = (occupancy_logits(resolution // SUBDIVISION) > 0).nonzero()
    axis = torch.arange(SUBDIVISION)
    coords = SUBDIVISION * voxels[:, None] + torch.cartesian_prod(axis, axis, axis)
    coords = coords.reshape(-1, 3)
    features = torch.zeros(len(coords), NUM_CHANNELS)
    for number, corner in enumerate(CORNERS):
        places = (coords + torch.tensor(corner)) / resolution - 0.5
        features[:, number] = distance(places) + 1 / resolution  # which the extraction takes off
    return coords.int().to(device), features.to(device)


def extraction_figures(resolution: int, device: torch.device) -> ExtractionFigures:
    """Measure the extraction of a mesh, on a CPU beside marching cubes on the dense grid."""
    coords, features = cubes(resolution, device)
    surface = extract_surface(coords, features, resolution)

    def compute() -> Outputs:
        found = extract_surface(coords, features, resolution)
        return found.vertices, found.triangles

    (ms, _), *dense = measured([compute, *_dense(resolution, device)], device)
    return ExtractionFigures(
        resolution=resolution,
        cubes=len(coords),
        triangles=len(surface.triangles),
        ms=ms,
        peak_mb=peak_bytes(compute, device) / MEGA,
        dense_ms=dense[0][0] if dense else None,
    )


def fast_figures() -> FastFigures:
    """Measure the fast mesh, and its distance from the full one of the same solid.

    The inner surface of the full mesh's wall is left out: there is none in the fast mesh.
    """
    logits = occupancy_logits().numpy()
    fast, full = fast_mesh(logits), _full_mesh()
    ((ms, _),) = measured([lambda: _no_tensors(fast_mesh(logits))], torch.device("cpu"))
    rng = np.random.default_rng(0)
    on_fast, on_full = (sample_surface(mesh, NUM_SAMPLES, rng)[0] for mesh in (fast, full))
    return FastFigures(
        ms=ms,
        triangles=len(fast.triangles),
        fast_from_full=_mean(signed_distance(fast, on_full)),
        full_from_fast=_mean(signed_distance(full, on_fast)),
        fast_from_truth=_mean(distance(torch.from_numpy(on_fast)).numpy()),
        full_from_truth=_mean(distance(torch.from_numpy(on_full)).numpy()),
        are_watertight=is_watertight(fast) and is_watertight(full),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write mesh.json."""
    parser = argparse.ArgumentParser(
        prog="python -m sam3d_ros.evaluation.benchmarks.meshing", description=__doc__
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/bench"), help="results")
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu", help="torch device")
    arguments = parser.parse_args(argv)
    device = usable_device(arguments.device)
    rows = [extraction_figures(resolution, device) for resolution in RESOLUTIONS]
    fast = fast_figures()
    print(f"{device_name(device)}, torch {torch.__version__}\n\n{text(rows, fast)}")
    values = {"device": device_name(device), "rows": [asdict(r) for r in rows]}
    path = arguments.output / "mesh.json"
    write_json({**values, "fast": asdict(fast)}, path)
    print(f"written: {path}")
    return 0


def text(rows: Sequence[ExtractionFigures], fast: FastFigures) -> str:
    """Lay out the figures."""
    lines = ["   cubes triangles        ms  peak MB  times marching cubes on the dense grid"]
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.1f}"
        lines.append(f"{row.cubes:8} {row.triangles:9} {row.ms:9.1f} {row.peak_mb:8.1f}  {ratio}")
    exponent = growth({row.cubes: row.ms for row in rows})
    apart = max(fast.fast_from_full, fast.full_from_fast)
    voxel = 1 / VOXELS
    return "\n".join(
        (
            *lines,
            f"growth of the time with the cubes: exponent {exponent:.2f}",
            verdict("fast mesh", fast.ms, FAST_LIMIT_MS, "ms") + f", {fast.triangles} triangles",
            f"fast and full mesh apart: {apart:.5f} of the cube, {apart / voxel:.2f} voxels",
            f"both watertight: {'yes' if fast.are_watertight else 'NO'}",
            f"from the surface: fast {fast.fast_from_truth:.5f}, full {fast.full_from_truth:.5f}",
        )
    )


def _grid(num: int) -> Tensor:
    """Return the corners of ``num``^3 cells, ``(num + 1, num + 1, num + 1, 3)``."""
    axis = torch.arange(num + 1) / num - 0.5
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def _dense(resolution: int, device: torch.device) -> list[Compute]:
    if device.type != "cpu":
        return []
    field = distance(_grid(resolution)).numpy()

    def compute() -> Outputs:
        measure.marching_cubes(field, 0.0)
        return ()

    return [compute]


def _full_mesh() -> Mesh:
    resolution = VOXELS * SUBDIVISION
    coords, features = cubes(resolution, torch.device("cpu"))
    return without_enclosed_parts(mesh_from_surface(extract_surface(coords, features, resolution)))


def _no_tensors(_: Mesh) -> Outputs:
    return ()


def _mean(distances: Floats) -> float:
    return float(np.abs(distances).mean())


if __name__ == "__main__":
    raise SystemExit(main())
