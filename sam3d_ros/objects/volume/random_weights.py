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

"""Weights of an untrained nano, small enough for tests, which nevertheless sees objects.

Its network adds little to the guess, so that what comes out is what was seen, continued back.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.objects.files import ARCHITECTURE_FILE, NANO_FILE
from sam3d_ros.objects.volume.architecture import StemConfig, VolumeArchitecture, small_architecture
from sam3d_ros.objects.volume.codec import fit_codec
from sam3d_ros.objects.volume.features import voxel_middles
from sam3d_ros.objects.volume.model import NanoModel, untrained
from sam3d_ros.objects.volume.view import TRUNCATION

SPREAD = 0.02  # standard deviation of what the last layers have in place of zeros
NUM_SOLIDS = 24  # that the codec is fitted to


def tiny_volume_architecture() -> VolumeArchitecture:
    """Return nano at sizes that a CPU runs in a moment."""
    return small_architecture(32, 24, StemConfig(channels=(8, 16, 16), num_blocks=(1, 1, 1)))


def random_nano(seed: int = 0, architecture: VolumeArchitecture | None = None) -> NanoModel:
    """Return a model with random weights, ready for inference."""
    architecture = architecture or tiny_volume_architecture()
    model = untrained(seed, architecture)
    generator = torch.Generator().manual_seed(seed)
    fit_codec(model.codec, random_solids(NUM_SOLIDS, architecture.resolution, generator))
    with torch.no_grad():
        for parameter in model.geometry.parameters():
            if not parameter.any():
                parameter.normal_(0.0, SPREAD, generator=generator)
    return model.eval().requires_grad_(False)


def write_random_nano(
    folder: Path, seed: int = 0, architecture: VolumeArchitecture | None = None
) -> Path:
    """Write such a model as ``weights.nano`` names it; return the folder."""
    from safetensors.torch import save_file  # noqa: PLC0415  # has no rosdep key

    model = random_nano(seed, architecture)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: each.contiguous() for name, each in model.state_dict().items()},
              folder / NANO_FILE)  # fmt: skip
    text = json.dumps(asdict(model.architecture), indent=2)
    (folder / ARCHITECTURE_FILE).write_text(text + "\n", encoding="utf-8")
    return folder


def random_solids(num: int, resolution: int, generator: torch.Generator) -> Tensor:
    """Return truncated distances ``(num, R, R, R)`` of rounded boxes in all sizes and places."""
    points = voxel_middles(resolution, generator.device)[None]

    def drawn(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator, device=generator.device)

    half, middle, rounding = (
        0.05 + 0.25 * drawn(num, 1, 3),
        0.3 * drawn(num, 1, 3) - 0.15,
        0.1 * drawn(num, 1),
    )
    beyond = (points - middle).abs() - half
    outside = beyond.clamp(min=0.0).norm(dim=-1)
    distance = outside + beyond.amax(dim=-1).clamp(max=0.0) - rounding
    return (distance / TRUNCATION).clamp(-1.0, 1.0).reshape(num, *(resolution,) * 3)
