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

"""nano's weights: read, checked, and put where they run."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.nn.weights import fit, read_weights, split
from sam3d_ros.objects.architecture_file import stated_sizes
from sam3d_ros.objects.files import NANO_FILE, PROVENANCE_FILE
from sam3d_ros.objects.volume.architecture import VolumeArchitecture
from sam3d_ros.objects.volume.model import NanoModel

FEW_STEPS = 4  # up to so many have a distilled model told their size
DISTILLATION = "shortcut"  # the stage of training after which it understands that
KEEPING = ("dpo", "refine")  # stages that stay close to the flow that they begin with, or leave it


def load_nano(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> NanoModel:
    """Load the networks of a folder, of the sizes that it states; the codec stays in float32.

    Raises:
        WeightsError: A file is missing, cannot be read or does not fit the architecture.
    """
    architecture = stated_sizes(folder, VolumeArchitecture())
    (part,) = split(read_weights(folder / NANO_FILE), [""])
    fitted = fit(partial(NanoModel, architecture), part)
    return fitted.load(device=device, dtype=torch.float32).with_inner_dtype(dtype)


def nano_flow(folder: Path, num_steps: int) -> FlowConfig:
    """Return how to run a flow in so many steps.

    Their size is told to models that have learned to make few steps, and to no others: what they
    would do then is not known.
    """
    if num_steps <= FEW_STEPS and is_distilled(folder):
        return FlowConfig.with_shortcut(num_steps)
    return FlowConfig(num_steps=num_steps, strength=0.0)


def is_distilled(folder: Path) -> bool:
    """Tell whether weights know what the size of a step means."""
    try:
        told = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
        return knows_step_sizes([stage["name"] for stage in told["stages"]])
    except (OSError, ValueError, KeyError, TypeError):
        return False  # weights of one's own need not say where they come from


def knows_step_sizes(stages: Sequence[str]) -> bool:
    """Tell whether a model that went through some stages of training knows them at the end.

    A stage of flow matching after the distillation is told no sizes, and forgets them.
    """
    taught = [name for name in stages if name not in KEEPING]
    return bool(taught) and taught[-1] == DISTILLATION
