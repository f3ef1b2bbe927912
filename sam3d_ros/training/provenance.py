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

"""Where weights come from: what was run, on what, for how long, and how it went."""

import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sam3d_ros.errors import TrainingError
from sam3d_ros.objects.files import PROVENANCE_FILE
from sam3d_ros.training.recipe import TrainingConfig

FORMAT = 1
UNKNOWN = "unknown"
ORIGINS_FILE = "starts.jsonl"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """With what sources and where training began, or went on."""

    step: int
    commit: str
    hardware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """What one stage has done."""

    name: str
    steps: int
    planned_steps: int
    samples: int
    hours: float
    recipe: str  # of the scenes, or a user's own data
    origins: tuple[Origin, ...]  # one for each time that it was started
    validation: dict[str, float]  # the last figures, empty if there were none
    told: dict[str, Any] = field(default_factory=dict)  # seed and settings; not known of old ones


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """A training run so far."""

    preset: str
    seed: int
    stages: tuple[StageRecord, ...]
    versions: dict[str, str]
    config: dict[str, Any]

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All starts, in the order of the stages."""
        return tuple(origin for stage in self.stages for origin in stage.origins)

    def as_json(self) -> dict[str, Any]:
        """Return what ``provenance.json`` holds."""
        hours = sum(stage.hours for stage in self.stages)
        samples = sum(stage.samples for stage in self.stages)
        return {"format": FORMAT, "hours": hours, "samples": samples, **asdict(self)}


def training_record(config: TrainingConfig, stages: tuple[StageRecord, ...]) -> TrainingRecord:
    """Describe a run by its stages so far."""
    return TrainingRecord(
        preset=config.preset,
        seed=config.seed,
        stages=stages,
        versions={"torch": torch.__version__, "python": platform.python_version()},
        config=asdict(config),
    )


def note_origin(folder: Path, origin: Origin) -> None:
    """Add a start to those of a stage's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ORIGINS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(origin)) + "\n")


def read_origins(folder: Path) -> tuple[Origin, ...]:
    """Return the starts of a stage's folder."""
    path = folder / ORIGINS_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return tuple(Origin(**json.loads(line)) for line in lines)


def read_stages(folder: Path) -> tuple[StageRecord, ...]:
    """Return the stages of the provenance in a folder; none where there is none."""
    path = folder / PROVENANCE_FILE
    if not path.exists():
        return ()
    try:
        stages = json.loads(path.read_text(encoding="utf-8")).get("stages", ())
        return tuple(
            StageRecord(**stage | {"origins": tuple(Origin(**each) for each in stage["origins"])})
            for stage in stages
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path} cannot be read as the history of weights: {error!r}; restore it, or remove it "
            "if theirs need not be told"
        ) from error


def commit() -> str:
    """Return the commit of the sources, with ``-dirty`` where they were changed since."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return found.stdout.strip() or UNKNOWN


def hardware(device: torch.device, num_processes: int) -> str:
    """Name the processor that trains, and how much of it."""
    if device.type == "cuda":
        return f"{num_processes} x {torch.cuda.get_device_name(device)}"
    return f"{num_processes * torch.get_num_threads()} cores of {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or UNKNOWN
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
