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

"""Weights as they ship: a folder that nano loads, with where they come from and a model card."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from sam3d_ros.objects.files import ARCHITECTURE_FILE, NANO_FILE, PROVENANCE_FILE
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.training.curves import read_curves
from sam3d_ros.training.model_card import model_card
from sam3d_ros.training.provenance import TrainingRecord

READABLE = 0o644
CARD_FILE, CURVES_FILE = "MODEL_CARD.md", "curves.csv"
CURVE_COLUMNS = (
    "loss", "distance", "sign", "shape", "known/viou", "known/f1", "known/scale_error",
    "held_out/viou", "held_out/f1", "held_out/scale_error",
)  # fmt: skip


def export_weights(
    model: NanoModel, record: TrainingRecord, stage_folders: list[Path], folder: Path
) -> None:
    """Write a folder that ``weights.nano`` may name, in place of what was there.

    What is there stays until everything new has been written.
    """
    made = folder.with_name(folder.name + ".partial")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    tensors = {name: _stored(name, value) for name, value in model.state_dict().items()}
    save_file(tensors, made / NANO_FILE)
    (made / NANO_FILE).chmod(READABLE)  # safetensors lets no other user read what it writes
    _write_json(asdict(model.architecture), made / ARCHITECTURE_FILE)
    _write_json(record.as_json(), made / PROVENANCE_FILE)
    (made / CURVES_FILE).write_text(curves_csv(stage_folders), encoding="utf-8")
    (made / CARD_FILE).write_text(model_card(record), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)


def curves_csv(stage_folders: list[Path]) -> str:
    """Return the curves of stages in one table; empty cells are what a line does not have."""
    rows = [",".join(("stage", "step", *CURVE_COLUMNS))]
    for folder in stage_folders:
        rows += _inherited(folder / CURVES_FILE, rows[0])
        for line in read_curves(folder):
            cells = [f"{line[name]:.4g}" if name in line else "" for name in CURVE_COLUMNS]
            rows.append(",".join((folder.name, str(line["step"]), *cells)))
    return "\n".join(rows) + "\n"


def _inherited(path: Path, heading: str) -> list[str]:
    """Return the rows of the weights that a stage began with."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return lines[1:] if lines[:1] == [heading] else []


def _stored(name: str, value: torch.Tensor) -> torch.Tensor:
    """Return a tensor as it ships: half the bytes, but for the codec, whose errors add up."""
    keep = name.startswith("codec.") or not value.is_floating_point()
    return value.detach().cpu().to(value.dtype if keep else torch.float16).contiguous()


def _write_json(values: object, path: Path) -> None:
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
