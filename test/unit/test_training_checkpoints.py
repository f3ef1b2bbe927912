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

"""Checkpoints: whole or not there, and what happens when one is damaged."""

import json
import logging
from pathlib import Path

import pytest
import torch

from sam3d_ros.errors import CheckpointError, TrainingError
from sam3d_ros.training import checkpoints
from sam3d_ros.training.checkpoints import (
    STATE_FILE,
    TENSORS_FILE,
    Checkpoint,
    Progress,
    checkpoint_folders,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        progress=Progress(step=step, seconds=1.5 * step, samples=8 * step),
        tensors={"model.weight": torch.full((3, 2), float(step)), "step": torch.tensor(step)},
    )


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = checkpoint(7)
    path = save_checkpoint(saved, tmp_path, keep=2)
    loaded = load_checkpoint(path)
    assert loaded.progress == saved.progress
    for name, tensor in saved.tensors.items():
        torch.testing.assert_close(loaded.tensors[name], tensor, atol=0, rtol=0)


def test_the_newest_is_taken_and_no_more_than_wanted_are_kept(tmp_path: Path) -> None:
    for step in (8, 9, 10, 100):
        save_checkpoint(checkpoint(step), tmp_path, keep=2)
    assert [path.name for path in checkpoint_folders(tmp_path)] == [
        "step_00000010",
        "step_00000100",
    ]
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.progress.step == 100


def test_where_nothing_was_written_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "pre") is None


@pytest.mark.parametrize("name", [TENSORS_FILE, STATE_FILE])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    for step in (10, 20):
        save_checkpoint(checkpoint(step), tmp_path, keep=2)
    damaged = tmp_path / "step_00000020" / name
    content = bytearray(damaged.read_bytes())
    if damage == "gone":
        damaged.unlink()
    elif damage == "cut":
        damaged.write_bytes(content[: len(content) // 2])
    else:
        content[-8] ^= 1
        damaged.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.progress.step == 10
    assert f"checkpoint {damaged.parent} cannot be read" in caplog.text
    assert "taking the checkpoint before it" in caplog.text


def test_when_all_are_damaged_training_does_not_begin_again_unasked(tmp_path: Path) -> None:
    path = save_checkpoint(checkpoint(1), tmp_path, keep=2)
    (path / TENSORS_FILE).write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of 1 checkpoints can be read; remove the"):
        newest_checkpoint(tmp_path)


def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(checkpoint(1), tmp_path, keep=1)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "_flush", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(checkpoint(2), tmp_path, keep=1)
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.progress.step == 1
    save_checkpoint(checkpoint(2), tmp_path, keep=1)  # over what the killed one left
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.progress.step == 2


def test_a_checkpoint_of_weights_that_mean_something_else_is_refused(tmp_path: Path) -> None:
    for step in (1, 2):
        path = save_checkpoint(checkpoint(step), tmp_path, keep=2)
    state = json.loads((path / STATE_FILE).read_text())
    state["format"] -= 1
    (path / STATE_FILE).write_text(json.dumps(state))
    with pytest.raises(TrainingError, match=r"is of format 1, expected 2: .* with another -o"):
        newest_checkpoint(tmp_path)


def test_a_checkpoint_of_another_form_is_named(tmp_path: Path) -> None:
    path = save_checkpoint(checkpoint(1), tmp_path, keep=1)
    state = json.loads((path / STATE_FILE).read_text())
    state["progress"]["epoch"] = 3
    (path / STATE_FILE).write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match="epoch"):
        load_checkpoint(path)
