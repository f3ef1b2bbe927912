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

"""Checkpoints: safetensors and JSON in a folder per step, complete or not there at all."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam3d_ros.errors import CheckpointError, TrainingError
from sam3d_ros.training.files import digest_of_file

TENSORS_FILE, STATE_FILE = "tensors.safetensors", "state.json"
PREFIX, PARTIAL = "step_", ".partial"
# Of tensors and of what they mean: in format 1 nano's network answered velocities, not the data.
FORMAT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a stage has come."""

    step: int  # done
    seconds: float  # of training, over all runs
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """What a run needs to go on as if it had never stopped."""

    progress: Progress
    tensors: Mapping[str, Tensor]


def save_checkpoint(checkpoint: Checkpoint, folder: Path, keep: int) -> Path:
    """Write a checkpoint, then remove all but the newest ``keep``.

    What is written gets its name only once it is on the disk, so that a killed process leaves the
    checkpoints before, and this one or nothing of it.
    """
    final = folder / f"{PREFIX}{checkpoint.progress.step:08d}"
    partial = final.with_name(final.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    save_file(tensors, partial / TENSORS_FILE)
    state = {
        "format": FORMAT,
        "progress": asdict(checkpoint.progress),
        "sha256": digest_of_file(partial / TENSORS_FILE),
    }
    (partial / STATE_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    for path in (partial / TENSORS_FILE, partial / STATE_FILE, partial):
        _flush(path)
    shutil.rmtree(final, ignore_errors=True)
    partial.replace(final)
    _flush(folder)
    for old in checkpoint_folders(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return the folders of complete checkpoints, oldest first."""
    return sorted(p for p in folder.glob(f"{PREFIX}*") if p.suffix != PARTIAL)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that can be read; None where none was ever written.

    One that is damaged is named in a warning, and the one before it is taken.

    Raises:
        CheckpointError: All of them are damaged.
        TrainingError: It was written by sources whose models are not those of now.
    """
    folders = checkpoint_folders(folder)
    for path in reversed(folders):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            logger.warning("%s; taking the checkpoint before it", error)
    if folders:
        raise CheckpointError(
            f"{folder}: none of {len(folders)} checkpoints can be read; remove the folder to train "
            "from the beginning, or restore it"
        )
    return None


def newest_progress(folder: Path) -> Progress:
    """Return how far the newest checkpoint that says so has come; nowhere where there is none."""
    for path in reversed(checkpoint_folders(folder)):
        try:
            state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
            return Progress(**state["progress"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # named when its weights are asked for
    return Progress(step=0, seconds=0.0, samples=0)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        CheckpointError: It is damaged.
        TrainingError: It was written by sources whose models are not those of now.
    """
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        form, stated = state["format"], state["sha256"]
        progress = Progress(**state["progress"])
        found = digest_of_file(path / TENSORS_FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if form != FORMAT:
        raise TrainingError(
            f"checkpoint {path} is of format {form}, expected {FORMAT}: its weights mean something "
            "else to the model of now; train from the beginning with another -o, or go on with the "
            "sources that wrote it"
        )
    if found != stated:
        raise _damaged(path, f"{TENSORS_FILE} is not what {STATE_FILE} says by its SHA-256")
    try:
        return Checkpoint(progress=progress, tensors=load_file(path / TENSORS_FILE))
    except (OSError, SafetensorError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"checkpoint {path} cannot be read: {reason}")


def _flush(path: Path) -> None:
    """Have the disk, not only its cache, hold a file or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
