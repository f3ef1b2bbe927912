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

"""``sam3d check --weights`` on folders of SAM 3D Body."""

from pathlib import Path

import pytest
import torch
from releases import line_of

from sam3d_ros.apps.main import main
from sam3d_ros.body.files import CONFIG_FILE, FILES, MODEL_FILE, RIG_FILE, check_body_present
from sam3d_ros.body.random_weights import write_random_body
from sam3d_ros.body.rig_tensors import BLEND, EXPRESSION, SKELETON, TRANSFORM
from sam3d_ros.errors import ReportCode, WeightsMissingError

Captured = pytest.CaptureFixture[str]
BASE_SHAPE, PREROTATIONS = BLEND + "base_shape", SKELETON + "joint_prerotations"
DOWNLOAD = "hf download facebook/sam-3d-body-dinov3 --local-dir"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write_random_body(tmp_path / "body")
    return tmp_path / "body"


def checked(folder: Path) -> int:
    return main(["check", "--weights", str(folder)])


def test_a_complete_release_is_ready_and_says_what_it_holds(
    release: Path, capsys: Captured
) -> None:
    assert checked(release) == 0

    text = capsys.readouterr().out
    assert "describes a model with DINOv3 ViT-H+" in line_of(text, CONFIG_FILE)
    assert "a rig of 98 vertices;" in line_of(text, RIG_FILE)
    assert "tensors of float32, fits: DINOv3 ViT-H+ of 2 layers" in line_of(text, MODEL_FILE)
    assert line_of(text, "sam3d body").endswith("ready")
    assert "hf download" not in text


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_how_to_fetch_it(
    release: Path, capsys: Captured, name: str
) -> None:
    (release / name).unlink()

    assert checked(release) == 1

    text = capsys.readouterr().out
    assert line_of(text, name).endswith("missing")
    assert "NOT ready" in line_of(text, "sam3d body")
    assert f"{DOWNLOAD} {release}" in text


def test_what_does_not_fit_is_said(release: Path, capsys: Captured) -> None:
    content = torch.load(release / MODEL_FILE)
    del content["state_dict"]["prompt_to_token.bias"]
    torch.save(content, release / MODEL_FILE)

    assert checked(release) == 1

    assert "NOT usable" in (line := line_of(capsys.readouterr().out, MODEL_FILE))
    assert "1 missing: prompt_to_token.bias" in line


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({BASE_SHAPE: torch.zeros(97, 3)}, "must have shape (S, 97, 3), got (45, 98, 3)"),
        ({PREROTATIONS: torch.zeros(126, 4)}, "must have shape (127, 4), got (126, 4)"),
        ({TRANSFORM: torch.zeros(889, 203)}, "has 203 parameters, expected 204"),
        ({EXPRESSION: torch.zeros(71, 98, 3)}, "has 45 + 71 blend shapes, expected 45 of the"),
    ],
    ids=["vertices", "joints", "parameters", "expressions"],
)
def test_a_rig_with_wrong_counts_is_said_and_the_other_files_are_still_looked_at(
    release: Path, capsys: Captured, changed: dict[str, torch.Tensor], text: str
) -> None:
    torch.save(torch.load(release / RIG_FILE) | changed, release / RIG_FILE)

    assert checked(release) == 1

    shown = capsys.readouterr().out
    line = line_of(shown, RIG_FILE)
    assert "NOT usable" in line
    assert text in line
    assert "describes a model" in line_of(shown, CONFIG_FILE)
    assert f"NOT ready, needs {RIG_FILE}" in line_of(shown, "sam3d body")


def test_settings_of_another_model_are_said(release: Path, capsys: Captured) -> None:
    path = release / CONFIG_FILE
    path.write_text(path.read_text().replace("POSE_TYPE: mhr", "POSE_TYPE: smpl"))

    assert checked(release) == 1

    line = line_of(capsys.readouterr().out, CONFIG_FILE)
    assert "MODEL.PERSON_HEAD.POSE_TYPE must be 'mhr', got 'smpl'" in line


def test_an_empty_folder_may_be_meant_for_either_model(tmp_path: Path, capsys: Captured) -> None:
    assert checked(tmp_path) == 1

    text = capsys.readouterr().out
    assert "hf download facebook/sam-3d-objects" in text
    assert f"{DOWNLOAD} {tmp_path}" in text


def test_without_a_folder_the_setting_is_named() -> None:
    with pytest.raises(WeightsMissingError, match=r"weights\.body names no folder") as raised:
        check_body_present("")

    assert raised.value.code is ReportCode.NO_WEIGHTS


def test_a_folder_that_lacks_a_file_is_named(release: Path) -> None:
    (release / RIG_FILE).unlink()

    with pytest.raises(WeightsMissingError, match=rf"{release} has no {RIG_FILE}; sam3d check"):
        check_body_present(str(release))
