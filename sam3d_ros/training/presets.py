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

"""The two training runs with a name: nano, which ships, and smoke, which shows that it works."""

from dataclasses import replace

from sam3d_ros.errors import ConfigError
from sam3d_ros.objects.volume.architecture import (
    NUM_CHANNELS,
    RefinerConfig,
    StemConfig,
    VolumeArchitecture,
    small_architecture,
)
from sam3d_ros.training.recipe import (
    DataConfig,
    LossWeights,
    OptimiserConfig,
    StageConfig,
    TimesConfig,
    TrainingConfig,
    ValidationConfig,
)

PRESETS = ("nano", "smoke")
OWN_DATA_STEPS, OWN_DATA_RATE = 300, 1e-4
MOSTLY_NOISE = TimesConfig(at_noise=0.75)


def preset(name: str) -> TrainingConfig:
    """Return the settings of a training run by its name.

    Raises:
        ConfigError: There is no such run.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    return _nano() if name == "nano" else _smoke()


def for_own_data(config: TrainingConfig, stage: str) -> TrainingConfig:
    """Return the settings with which a stage learns from a user's few captures.

    As many steps, and as large ones, as for procedural scenes would learn them by heart.
    """
    before = config.stage(stage)
    rate = min(OWN_DATA_RATE, before.optimiser.learning_rate)
    gentle = replace(
        before,
        steps=min(OWN_DATA_STEPS, before.steps),
        optimiser=replace(before.optimiser, learning_rate=rate),
    )
    return replace(config, **{stage: gentle})  # type: ignore[arg-type]  # a stage by its name


def _nano() -> TrainingConfig:
    """Return the plan of nano, for two CPU cores and four to five hours.

    The weights that ship had a second ``sft`` and no ``dpo``: their provenance says so. A GPU with
    many times the steps and larger batches goes further.
    """
    begin = OptimiserConfig(learning_rate=1.2e-3, warmup_steps=20, final_share=0.8, max_norm=5.0)
    last = replace(begin, learning_rate=8e-4, warmup_steps=10, final_share=0.02)
    whole = VolumeArchitecture()
    geometry = replace(whole.geometry, num_blocks=4, condition_dim=256, shape_channels=64)
    return TrainingConfig(
        preset="nano",
        architecture=replace(whole, geometry=geometry, refiner=RefinerConfig()),
        data=DataConfig(views=12, codec_samples=128, shape_groups=12),
        pre=StageConfig(steps=240, scenes=("isolated",), times=MOSTLY_NOISE, optimiser=begin),
        mid=StageConfig(
            steps=240,
            scenes=("pasted",),
            times=MOSTLY_NOISE,
            optimiser=replace(begin, learning_rate=1e-3),
        ),
        sft=StageConfig(steps=3000, times=MOSTLY_NOISE, optimiser=last),
        dpo=StageConfig(steps=200, optimiser=OptimiserConfig(learning_rate=1e-5, warmup_steps=20)),
        shortcut=StageConfig(
            steps=250,
            consistency_share=0.25,
            times=MOSTLY_NOISE,
            optimiser=replace(last, learning_rate=1e-4),
        ),
        refine=StageConfig(
            steps=2000,
            weights=LossWeights(overlap=3.0),
            optimiser=replace(last, learning_rate=1.5e-3),
        ),
        log_every=10,
        checkpoint_every=50,  # whole lines of the curves: the ones after a resume are the same
    )


def _smoke() -> TrainingConfig:
    """Return minutes of work on two cores: every stage, at sizes that learn a little."""
    steps = 60
    stem = StemConfig(channels=(16, 32, 32), num_blocks=(1, 1, 1))
    sizes = small_architecture(48, NUM_CHANNELS, stem)
    stage = StageConfig(
        steps=steps,
        batch_size=4,
        times=MOSTLY_NOISE,
        optimiser=OptimiserConfig(learning_rate=2e-3, warmup_steps=5, average_decay=0.9),
    )
    short = StageConfig(
        steps=steps // 2,
        batch_size=4,
        optimiser=OptimiserConfig(learning_rate=5e-4, warmup_steps=5, average_decay=0.9),
        consistency_share=0.25,
    )
    return TrainingConfig(
        preset="smoke",
        architecture=replace(sizes, refiner=RefinerConfig(channels=(16, 32, 32))),
        data=DataConfig(crop_px=64, shape_resolution=40, shape_groups=2, codec_samples=32),
        pre=replace(stage, scenes=("isolated",)),
        mid=replace(stage, scenes=("pasted",)),
        sft=stage,
        dpo=StageConfig(
            steps=steps // 6,
            batch_size=4,
            optimiser=OptimiserConfig(learning_rate=1e-4, warmup_steps=2),
        ),
        shortcut=short,
        refine=stage,
        validation=ValidationConfig(every=steps // 2, size=8, batch_size=4),
        probe_batches=8,
        log_every=5,
        checkpoint_every=20,
        export_every=0,
        # oneDNN's gradients of 3D convolutions in bf16 are wrong where sides are 2 voxels long, as
        # they are here at the coarsest level (torch 2.13; from 4 on, as in nano, they are right).
        precision="fp32",
        prefetch=2,
    )
