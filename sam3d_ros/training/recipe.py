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

"""What a training run is told: every setting of every stage, with the defaults of nano."""

from dataclasses import dataclass, field

import torch

from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.devices import PRECISIONS
from sam3d_ros.objects.volume.architecture import VolumeArchitecture
from sam3d_ros.training.scenes.recipes import RECIPES

# In the order of the curriculum; all but the last are of nano's first stage.
STAGES = ("pre", "mid", "sft", "dpo", "shortcut", "refine")
SECOND_STAGE = STAGES[-1]


def _check_positive(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be at least 1, got {getattr(config, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserConfig:
    """AdamW, its learning rate over the steps, and the average of what it finds."""

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.01  # of matrices; biases, gains and embeddings keep what they learn
    warmup_steps: int = 100
    final_share: float = 0.02  # of the learning rate, at the end of the cosine
    max_norm: float = 1.0  # of the gradient
    average_decay: float = 0.998  # of the average over steps, once it is warm

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be > 0, got {self.learning_rate}")
        if not 0 <= self.average_decay < 1:
            raise ConfigError(f"average_decay must be in [0, 1), got {self.average_decay}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesConfig:
    """How the times of the flow are drawn: some at the noise, the others logit-normal.

    From the noise alone one step has to give the whole answer: that share of the samples is the
    regression of the truth from the condition. The others lie towards the noise, where the sampler
    takes most of its steps. Velocities count errors of the data over the square of the time that
    is left: 3 times as much in the mean; drawn evenly about the middle they would 12 times.
    """

    at_noise: float = 0.5
    mean: float = -1.0  # of the logit
    std: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.at_noise <= 1:
            raise ConfigError(f"at_noise must be in [0, 1], got {self.at_noise}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weights of the parts of the loss; those of shape and layout velocities are SAM 3D's."""

    shape: float = 1.0
    rotation: float = 0.1
    translation: float = 1.0
    scale: float = 0.1
    translation_scale: float = 0.1
    distance: float = 8.0  # of decoded distances to the surface, in truncations
    sign: float = 2.0  # of the cross-entropy of inside and outside
    overlap: float = 1.5  # of what lacks to the volume that both have, as a share of either's


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """One stage of the curriculum."""

    steps: int
    batch_size: int = 8  # of one process, at once
    accumulation: int = 1  # batches to a step
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    times: TimesConfig = field(default_factory=TimesConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    consistency_share: float = 0.0  # of samples that learn long steps from two short ones
    scenes: tuple[str, ...] = ("full_sensor",)  # recipes, of which batches come in turn

    def __post_init__(self) -> None:
        unknown = [name for name in self.scenes if name not in RECIPES]
        if unknown or not self.scenes:
            got = ", ".join(repr(name) for name in unknown) or "none"
            raise ConfigError(f"scenes must be some of {', '.join(RECIPES)}, got {got}")
        _check_positive(self, "steps", "batch_size", "accumulation")
        share = self.consistency_share
        num_long = round(share * self.batch_size)
        if share and not 1 <= num_long < self.batch_size:
            raise ConfigError(
                f"consistency_share {share} of batch_size {self.batch_size} is {num_long} samples, "
                f"expected 1 to {self.batch_size - 1}: the others learn the flow itself"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """How much of the procedural data is at hand at once, and how fine it is."""

    crop_px: int = 112
    shape_resolution: int = 80  # of the grids that shapes are sampled on
    shape_groups: int = 8  # of eight shapes each, at hand
    views: int = 6  # of each shape, in expectation
    codec_samples: int = 256  # that the latent code is fitted to

    def __post_init__(self) -> None:
        names = ("crop_px", "shape_resolution", "shape_groups", "views", "codec_samples")
        _check_positive(self, *names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationConfig:
    """What is looked at while training; always the same objects and noise."""

    every: int = 200  # steps; 0 for never
    size: int = 32  # objects of training families, and as many of others
    batch_size: int = 8

    def __post_init__(self) -> None:
        _check_positive(self, "size", "batch_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """A whole training run."""

    preset: str
    seed: int = 0
    architecture: VolumeArchitecture = field(default_factory=VolumeArchitecture)
    data: DataConfig = field(default_factory=DataConfig)
    pre: StageConfig
    mid: StageConfig
    sft: StageConfig
    dpo: StageConfig
    shortcut: StageConfig
    refine: StageConfig
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    probe_batches: int = 0  # whose loss is measured before and after a stage
    log_every: int = 20  # steps
    checkpoint_every: int = 100  # steps: what a killed run loses at most
    keep: int = 2  # checkpoints
    export_every: int = 400  # steps; 0 for the end of a stage alone
    precision: str = "auto"  # of the matrix products: fp32, bf16; auto is bf16
    prefetch: int = 4  # batches made ahead by a process of its own, on a CPU; 0 for none

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"precision must be auto, fp32 or bf16, got {self.precision!r}")
        _check_positive(self, "log_every", "checkpoint_every", "keep")

    def autocast_dtype(self, device: torch.device) -> torch.dtype | None:
        """Return the precision of matrix products; None for that of the weights."""
        if self.precision == "auto":
            return torch.bfloat16  # 1.3 to 1.7 times as fast on a CPU with AVX-512 BF16, too
        return None if self.precision == "fp32" else PRECISIONS[self.precision]

    def stage(self, name: str) -> StageConfig:
        """Return the settings of one stage."""
        if name not in STAGES:
            raise ConfigError(f"stage must be one of {', '.join(STAGES)}, got {name!r}")
        chosen: StageConfig = getattr(self, name)
        return chosen
