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

"""``sam3d engine`` from captures to a person's choices, and training on real captures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from capture_folders import write_capture

from sam3d_ros.apps.candidate_sheets import body_mesh
from sam3d_ros.apps.main import main
from sam3d_ros.evaluation.solids import is_inside
from sam3d_ros.geometry.measures import volume_m3
from sam3d_ros.objects.files import PROVENANCE_FILE
from sam3d_ros.objects.volume.features import CHANNELS, volume_features
from sam3d_ros.objects.volume.loading import load_nano
from sam3d_ros.objects.volume.random_weights import write_random_nano
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox
from sam3d_ros.training.captures.reading import captures_in
from sam3d_ros.training.captures.source import CaptureSource, capture_set
from sam3d_ros.training.captures.variation import NO_VARIATION
from sam3d_ros.training.curriculum import EXPORT_FOLDER
from sam3d_ros.training.engine import pairs, plan


def test_captures_without_truth_become_answers_pictures_and_choices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_capture(tmp_path / "scenes/one")
    (tmp_path / "scenes/one/gt.json").unlink()
    write_random_nano(tmp_path / "nano")
    output = tmp_path / "answers"
    asked = ["engine", "data", "--init", str(tmp_path / "nano"), "--device", "cpu"]
    asked += ["--captures", str(tmp_path / "scenes"), "-o", str(output), "-n", "2", "--steps", "1"]

    assert main([*asked, "--sheets"]) == 0

    assert "1 cases made, 1 parts" in capsys.readouterr().out
    sheet = cv2.imread(str(output / "sheets/000000-00.png"))
    assert sheet.shape[1] > 3 * 200
    (output / "choices.txt").write_text("000000-00 1 0\n")
    assert main(["engine", "choices", str(output)]) == 0
    assert "1 of 1 cases" in capsys.readouterr().out
    (output / "choices.txt").write_text("000000-00 one 0\n")
    assert main(["engine", "choices", str(output)]) == 1
    assert "choices.txt, line 1: expected a candidate from 0 to 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_loop_learns_from_its_answers_and_asks_again_with_the_new_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pairs, plan):
        monkeypatch.setattr(module, "MIN_SCORE", 0.1)  # untrained, it is never really good
    settings = tmp_path / "short.yaml"
    settings.write_text(
        "{sft: {steps: 2, batch_size: 2}, dpo: {steps: 2, batch_size: 2}, prefetch: 0,"
        " validation: {every: 0}, probe_batches: 0, data: {shape_resolution: 24, shape_groups: 1}}"
    )
    init, output = write_random_nano(tmp_path / "nano"), tmp_path / "loop"
    asked = ["engine", "loop", "--init", str(init), "-o", str(output), "--device", "cpu"]
    asked += ["--preset", "smoke", "--config", str(settings), "--cases", "4", "-n", "2"]

    assert main([*asked, "--steps", "1", "--rounds", "2"]) == 0

    told = capsys.readouterr().out
    assert [f"weights: {output}/round_0{n}/{EXPORT_FOLDER}" in told for n in (0, 1)] == [True] * 2
    history = json.loads((output / "round_01" / EXPORT_FOLDER / PROVENANCE_FILE).read_text())
    names = [stage["name"] for stage in history["stages"]]  # dpo where two answers differ
    assert (names[0], names.count("sft"), {*names} <= {"sft", "dpo"}) == ("sft", 2, True)
    assert {stage["recipe"] for stage in history["stages"]} == {"own data: answers"}
    first, second = (
        load_nano(output / f"round_0{n}" / EXPORT_FOLDER, device="cpu", dtype=torch.float32)
        for n in (0, 1)
    )
    assert not torch.equal(first.stem.out.weight, second.stem.out.weight)


def test_answers_that_teach_nothing_end_a_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pairs, plan):
        monkeypatch.setattr(module, "MIN_SCORE", 2.0)
        monkeypatch.setattr(module, "MIN_MARGIN", 2.0)
    write_capture(tmp_path / "scenes/one")
    init = write_random_nano(tmp_path / "nano")
    asked = ["engine", "loop", "--init", str(init), "-o", str(tmp_path / "loop"), "-n", "2"]
    asked += ["--captures", str(tmp_path / "scenes"), "--steps", "1", "--device", "cpu"]
    assert main(asked) == 1
    assert "train the model further first" in capsys.readouterr().err


def test_captures_cannot_be_judged_by_a_truth_that_they_do_not_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["engine", "data", "--init", str(tmp_path), "-o", str(tmp_path), "--device", "cpu"]

    assert main([*asked, "--captures", str(tmp_path), "--judge", "truth"]) == 1

    assert "judge must be view, got truth" in capsys.readouterr().err


def test_the_mesh_of_a_candidate_stands_in_its_box_and_is_closed_at_its_sides() -> None:
    axis = (torch.arange(16) + 0.5) / 16 - 0.5
    distance = ((0.3 - axis[:, None, None]) / TRUNCATION).expand(16, 16, 16)  # x above 0.3
    box = VolumeBox(
        rotation=torch.eye(3)[None],
        centre_m=torch.tensor([[0.0, 0.0, 1.0]]),
        side_m=torch.tensor([0.2]),
    )

    mesh = body_mesh(distance, box)

    assert mesh is not None
    assert volume_m3(mesh) == pytest.approx(0.2 * 0.2 * 0.2 * 0.2, rel=0.2)
    assert is_inside(mesh, np.array([[0.08, 0.0, 1.0], [0.04, 0.0, 1.0]])).tolist() == [True, False]
    assert body_mesh(torch.ones(8, 8, 8), box) is None


def test_what_real_captures_measured_lies_on_their_true_surfaces(shared_data: Path) -> None:
    captures = capture_set(captures_in(shared_data / "ycb_tabletop" / "frame_04"))
    source = CaptureSource(captures, NO_VARIATION)

    batch = source.batch(0, len(source))

    surface = volume_features(batch.view, batch.box, 64)[:, CHANNELS.index("surface")] > 0.9
    for index in range(len(source)):
        off_voxels = 4 * batch.distance[index][surface[index]].abs().median()
        assert float(off_voxels) < 1.0
