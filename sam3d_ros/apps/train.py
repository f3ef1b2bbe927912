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

"""``sam3d train``: train nano stage by stage, on procedural data, from the beginning or further."""

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

import torch

from sam3d_ros.apps import train_released
from sam3d_ros.apps.settings import changed_by
from sam3d_ros.errors import ConfigError
from sam3d_ros.nn.devices import device_named
from sam3d_ros.objects.architecture_file import stated_sizes
from sam3d_ros.objects.files import NANO_FOLDER
from sam3d_ros.training.curriculum import EXPORT_FOLDER, TrainingRun
from sam3d_ros.training.curves import read_curves
from sam3d_ros.training.presets import PRESETS, for_own_data, preset
from sam3d_ros.training.ranks import joined_ranks
from sam3d_ros.training.recipe import TrainingConfig
from sam3d_ros.training.released.parts import PARTS
from sam3d_ros.training.released.tuning import is_released
from sam3d_ros.training.stages import STAGE_BUILDERS

ALL = "all"
OWN_DATA_STAGES = ("sft", "dpo", "refine")
DESCRIPTION = """\
Train the small model of backend nano. Every stage begins where the one before it ended, and goes
on from its newest checkpoint when it was interrupted. Checkpoints and curves (metrics.jsonl, and
TensorBoard where it is installed) go to OUTPUT/STAGE, weights that can be used at once to
OUTPUT/latest_export: set weights.nano to that folder, or write them into the package with --ship.

  sam3d train all --preset smoke      all stages in minutes; exit code 1 unless their losses fall
  sam3d train all --preset nano       nano as it is planned; MODEL_CARD.md says how it was made
  torchrun --nproc-per-node 2 -m sam3d_ros.apps train pre      two processes, one model

--config names a YAML file of settings that replace the preset's, such as {pre: {steps: 5000}}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("stage", choices=(*STAGE_BUILDERS, ALL), help="what to train")
    parser.add_argument("--preset", choices=PRESETS, default="nano", help="default: %(default)s")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings over the preset's")
    parser.add_argument("--init", type=Path, metavar="DIR", help="weights to begin with")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="your own captures, for stages sft, dpo, refine"
    )
    parser.add_argument(
        "--learn", choices=PARTS, default="all", help="of SAM 3D Objects' geometry model"
    )
    parser.add_argument("-o", "--output", type=Path, help="default: runs/PRESET")
    parser.add_argument("--device", default="auto", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=0, help="of a CPU; 0 for all of its cores")
    parser.add_argument(
        "--ship",
        action="store_true",
        help="write the weights into the package when done, with a new model card and without "
        "evaluation: then run sam3d bench nano --record, or auto does not take them",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; 1 when a smoke run's losses do not fall."""
    logging.getLogger("sam3d_ros").setLevel(logging.INFO)
    if is_released(arguments.init):
        return train_released.run(arguments)
    if arguments.learn != ALL:
        raise ConfigError(
            f"--learn is for weights of SAM 3D Objects (--init DIR), got {arguments.learn!r}"
        )
    if arguments.data is not None and arguments.stage not in OWN_DATA_STAGES:
        raise ConfigError(
            f"--data is for stages {', '.join(OWN_DATA_STAGES[:-1])} and {OWN_DATA_STAGES[-1]}, "
            f"got {arguments.stage}; the other stages learn from procedural scenes"
        )
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with joined_ranks() as ranks:
        training = TrainingRun(
            config=_config(arguments),
            folder=arguments.output or Path("runs") / arguments.preset,
            device=_device(arguments.device),
            ranks=ranks,
            init=arguments.init,
            data=arguments.data,
        )
        names = tuple(STAGE_BUILDERS) if arguments.stage == ALL else (arguments.stage,)
        for name in names:
            progress = training.train(name)
            training = replace(training, init=None)  # the stage after begins where this one ended
            if ranks.leads:
                print(f"{name}: {progress.step} steps, {progress.samples} views", flush=True)
        if not ranks.leads:
            return 0
        training.export(names[-1], training.folder / EXPORT_FOLDER)
        print(f"weights: {training.folder / EXPORT_FOLDER}")
        if arguments.ship:
            training.export(names[-1], NANO_FOLDER)
            print(f"weights: {NANO_FOLDER}")
    return _verdict(training, names) if arguments.preset == "smoke" else 0


def _config(arguments: argparse.Namespace) -> TrainingConfig:
    """Return the settings of a run; weights to begin with say of which sizes the model is."""
    config = preset(arguments.preset)
    if arguments.data is not None:
        config = for_own_data(config, arguments.stage)
    config = changed_by(arguments.config, config)
    if arguments.init is None:
        return config
    planned = config.architecture
    stated = stated_sizes(arguments.init, planned)  # without second stage: it is yet to come
    return replace(config, architecture=replace(stated, refiner=stated.refiner or planned.refiner))


def _verdict(training: TrainingRun, names: tuple[str, ...]) -> int:
    """Say how the losses of stages went; 1 unless all of them fell."""
    code = 0
    for name in names:
        lines = read_curves(training.folder / name)
        probes = [float(line["loss"]) for line in lines if line["kind"] == "probe"]
        if len(probes) < 2:
            print(f"{name}: its loss was not probed, set probe_batches")
            code = 1
            continue
        first, last = probes[0], probes[-1]
        print(f"{name}: loss {first:.3f} -> {last:.3f}")
        code = max(code, int(not last < first))  # NaN does not fall
    return code


def _device(name: str) -> torch.device:
    """Return the device of this process; torchrun says which of several GPUs."""
    if name == "auto" and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return device_named(f"cuda:{os.environ['LOCAL_RANK']}")
    return device_named(name)
