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

"""The fixture reader: complete, strict where it must be, honest about what is missing."""

from pathlib import Path

import pytest
import torch
from fixtures import DEFAULT_FOLDER, TOLERANCES, Golden, load_golden, load_manifest

EXPECTED = torch.tensor([1.0, torch.nan, torch.inf, -torch.inf])


def recorded(output: torch.Tensor) -> Golden:
    return Golden(name="rotations", config={}, weights={}, inputs={}, outputs={"x": output})


def test_every_fixture_of_the_repository_has_a_tolerance() -> None:
    files = (path.relative_to(DEFAULT_FOLDER) for path in DEFAULT_FOLDER.rglob("*.safetensors"))

    assert {file.with_suffix("").as_posix() for file in files} == set(TOLERANCES)


@pytest.mark.parametrize("name", TOLERANCES)
def test_every_fixture_is_close_to_itself(name: str) -> None:
    fixture = load_golden(name)

    for output, expected in fixture.outputs.items():
        fixture.close(expected.clone(), output)


def test_numbers_within_the_tolerance_are_close() -> None:
    recorded(EXPECTED).close((EXPECTED + 1e-6).numpy(), "x")


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 1.001),
        (0, torch.nan),
        (0, torch.inf),
        (1, 0.0),
        (2, 1e9),
        (2, -torch.inf),
        (3, torch.nan),
    ],
)
def test_another_number_nan_or_infinity_is_not_close(index: int, value: float) -> None:
    actual = EXPECTED.clone()
    actual[index] = value

    with pytest.raises(AssertionError, match="rotations: output 'x'"):
        recorded(EXPECTED).close(actual, "x")


def test_another_shape_is_not_close() -> None:
    with pytest.raises(AssertionError, match="shape"):
        recorded(EXPECTED).close(EXPECTED[None], "x")


def test_integers_are_compared_exactly_whatever_their_width() -> None:
    large = torch.tensor([10_000_000], dtype=torch.int32)

    recorded(large).close(large.long(), "x")
    with pytest.raises(AssertionError, match="differs"):
        recorded(large).close(large + 1, "x")
    with pytest.raises(AssertionError, match="integers"):
        recorded(large).close(large.float(), "x")


def test_a_fixture_missing_in_another_folder_is_skipped_with_the_folder_s_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAM3D_GOLDEN", str(tmp_path))

    with pytest.raises(pytest.skip.Exception, match=str(tmp_path)):
        load_golden("rotations")


def test_a_fixture_missing_in_the_repository_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAM3D_GOLDEN", raising=False)

    with pytest.raises(pytest.fail.Exception, match="nonsense"):
        load_golden("nonsense")


def test_a_manifest_gives_shapes_below_a_prefix() -> None:
    shapes = load_manifest("ss_generator", "_base_models.condition_embedder.")

    assert shapes["idx_emb"] == (3, 1024)
    assert not any(name.startswith("_base_models") for name in shapes)
