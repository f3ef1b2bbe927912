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

"""The model that is asked: weights of nano, frozen."""

from functools import partial
from pathlib import Path

import torch

from sam3d_ros.nn.weights import fit, read_weights, split
from sam3d_ros.objects.files import NANO_FILE
from sam3d_ros.objects.volume.architecture import VolumeArchitecture
from sam3d_ros.objects.volume.model import NanoModel


def asked_model(folder: Path, architecture: VolumeArchitecture, device: torch.device) -> NanoModel:
    """Load weights of nano in float32, to be asked and not to be trained.

    Raises:
        WeightsError: The file is missing, damaged or of another architecture.
    """
    (part,) = split(read_weights(folder / NANO_FILE), [""])
    return fit(partial(NanoModel, architecture), part).load(device=device, dtype=torch.float32)
