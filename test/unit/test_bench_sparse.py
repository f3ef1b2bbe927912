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


"""The benchmark of sparse voxels measures everything, anywhere, and compares what it computes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sam3d_ros.evaluation.benchmarks import measuring, sparse
from sam3d_ros.evaluation.benchmarks.sparse_cases import (
    REDUCED,
    Place,
    SparseSizes,
    surface_voxels,
    velocity_case,
    velocity_flop,
)

CPU = Place(device=torch.device("cpu"), dtype=torch.float32)
TINY: SparseSizes = replace(REDUCED, conv_channels=4, window_dim=8, num_condition=30)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure less, once."""
    monkeypatch.setitem(sparse.SIZES, "reduced", TINY)
    monkeypatch.setattr(sparse, "NUMBERS", (100, 300))
    monkeypatch.setattr(measuring, "MIN_ROUNDS", 1)
    monkeypatch.setattr(measuring, "PART_MS", 0.0)


@pytest.mark.usefixtures("quick")
def test_every_operation_is_measured_beside_plain_torch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sparse.main(["--size", "reduced", "--device", "cpu", "-o", str(tmp_path)]) == 0

    written = json.loads((tmp_path / "sparse.json").read_text())
    assert written["dtype"] == "float32"
    rows = written["figures"]
    assert {row["voxels"] for row in rows} == {100, 300}
    ways = {row["way"] for row in rows if row["way"]}
    assert ways == {"dense Conv3d", "torch.sparse", "N x N mask", "on the spot"}
    assert all(row["difference"] <= 1e-4 for row in rows if row["way"])
    assert all(row["peak_mb"] > 0 for row in rows)
    shown = capsys.readouterr().out
    assert "growth from 100 to 300 voxels" in shown
    assert "(limit 0.0001: kept)" in shown
    assert "(limit 45 ms: not judged here)" in shown


def test_what_would_not_fit_is_not_computed() -> None:
    figures = sparse._line(sparse.Figures(case="windows", way="N x N mask", voxels=40_000))

    assert "does not fit" in figures


def test_the_operations_of_a_velocity_are_counted() -> None:
    voxels = surface_voxels(300, CPU.device)
    case = velocity_case(voxels, TINY, CPU)

    plain = sdpa_kernel(SDPBackend.MATH)  # the counter knows no attention of CPUs
    with plain, FlopCounterMode(display=False) as counter, torch.no_grad():
        case.compute()

    expected = velocity_flop(voxels, TINY.refinement, TINY.num_condition)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_memory_is_counted_until_it_is_given_back() -> None:
    x = torch.zeros(1000)  # 4000 bytes, there before

    def compute() -> tuple[torch.Tensor, ...]:
        first = x + 1
        second = first * 2
        del first
        view = second.view(10, 100)
        return (view + 1,)

    assert measuring.peak_bytes(compute, CPU.device) == 8000


def test_growth_is_the_exponent_of_a_power_law() -> None:
    assert measuring.growth({10: 3.0, 20: 12.0, 40: 48.0}) == pytest.approx(2.0)
