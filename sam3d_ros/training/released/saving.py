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

"""A weights folder in which only the geometry model is another one."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.errors import TrainingError
from sam3d_ros.nn.weights import read_weights
from sam3d_ros.objects.files import ARCHITECTURE_FILE, GEOMETRY_FILE, weights_path
from sam3d_ros.objects.weights import GENERATOR_PREFIX, RELEASED_FILES


def write_finetuned(source: Path, state: Mapping[str, Tensor], folder: Path) -> Path:
    """Write a folder that loads as the source does; return it.

    Tensors of the geometry model are replaced under their official names, in the precision that
    they are stored in; all others of the file stay. Other files are linked where the disk allows
    it, else copied.

    Args:
        source: Weights folder that the training began with.
        state: State of the geometry model.
        folder: Not the source.

    Raises:
        TrainingError: The folder is the source.
    """
    if folder.resolve() == source.resolve():
        raise TrainingError(f"{folder} holds the weights to begin with; write to another folder")
    folder.mkdir(parents=True, exist_ok=True)
    stored = read_weights(weights_path(source, GEOMETRY_FILE))
    tensors = dict(stored.tensors)
    for name, tensor in state.items():
        key = GENERATOR_PREFIX + name
        tensors[key] = tensor.detach().cpu().to(tensors[key].dtype).contiguous()
    partial = folder / (GEOMETRY_FILE + ".partial")
    torch.save({"state_dict": tensors}, partial)
    partial.replace(folder / GEOMETRY_FILE)
    for name in (*(file.name for file in RELEASED_FILES), ARCHITECTURE_FILE):
        if name != GEOMETRY_FILE:
            _share(source, name, folder)
    return folder


def _share(source: Path, name: str, folder: Path) -> None:
    """Have a file of the source in the folder, too, if there is one."""
    if name == ARCHITECTURE_FILE:
        found = source / name
    else:
        found = next(
            (p for p in (source / "checkpoints" / name, source / name) if p.exists()), source
        )
    target = folder / name
    if not found.is_file() or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(found.resolve(), target)
    except OSError:
        shutil.copy2(found, target)
