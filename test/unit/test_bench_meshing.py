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


"""The benchmark of meshes measures what it says, at any size."""

from dataclasses import replace

import pytest
import torch

from sam3d_ros.evaluation.benchmarks.meshing import (
    FastFigures,
    cubes,
    distance,
    extraction_figures,
    occupancy_logits,
    text,
)
from sam3d_ros.objects.flexicubes import extract_surface

CPU = torch.device("cpu")


def test_cubes_of_the_benchmark_hold_its_surface() -> None:
    coords, features = cubes(32, CPU)
    surface = extract_surface(coords, features, 32)
    outer = surface.vertices[surface.vertices.norm(dim=1) > 0.3]
    assert distance(outer).abs().mean() < 0.1 / 32


def test_occupied_voxels_of_the_benchmark_are_those_that_the_surface_passes_through() -> None:
    occupied = (occupancy_logits(16) > 0).nonzero()
    middles = (occupied + 0.5) / 16 - 0.5
    assert len(occupied) > 100
    assert distance(middles).abs().max() < 1.1 * 3**0.5 / 2 / 16 * 1.5  # half a diagonal, slopes


def test_extraction_is_measured_beside_marching_cubes() -> None:
    figures = [extraction_figures(resolution, CPU) for resolution in (16, 32)]
    fast = FastFigures(
        ms=99.0, triangles=8, fast_from_full=0.01, full_from_fast=0.0,
        fast_from_truth=0.0, full_from_truth=0.0, are_watertight=True,
    )  # fmt: skip
    assert figures[1].ratio == pytest.approx(figures[1].ms / (figures[1].dense_ms or 0.0))
    report = text(figures, fast)
    assert "limit 60 ms: BROKEN" in report
    assert "both watertight: yes" in report
    assert "both watertight: NO" in text(figures, replace(fast, are_watertight=False))
    assert "apart: 0.01000 of the cube, 0.64 voxels" in report
    assert str(figures[1].cubes) in report
