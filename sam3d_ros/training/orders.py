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

"""What a stage was told, kept in its folder: who goes on from its checkpoints says the same."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam3d_ros.errors import TrainingError
from sam3d_ros.objects.volume.architecture import VolumeArchitecture
from sam3d_ros.training.files import read_object, write_object
from sam3d_ros.training.recipe import DataConfig, StageConfig

ORDER_FILE = "order.json"
ADVICE = "restore or remove it"
OWN_DATA = "own data"  # how the subject of a stage begins that learned from a user's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOrder:
    """All that the weights at the end of a stage follow from, beside the sources."""

    seed: int
    precision: str
    init: str  # folder of weights to begin with; empty: those of the stage before
    data: str  # folder to learn from; empty: procedural scenes
    settings: StageConfig
    sampling: DataConfig
    architecture: VolumeArchitecture

    @property
    def stated(self) -> dict[str, Any]:
        """The order as its file has it."""
        return asdict(self) | {"subject": self.subject}

    @property
    def told(self) -> dict[str, Any]:
        """The order as provenance has it: what is learned from, not where that lies."""
        return _told(self.stated)

    @property
    def subject(self) -> str:
        """What is learned from, in words, without the paths of a machine."""
        return (
            f"{OWN_DATA}: {Path(self.data).name}" if self.data else ", ".join(self.settings.scenes)
        )


def check_order(order: StageOrder, folder: Path) -> None:
    """Compare an order with the one that a stage's folder was begun with, if it was.

    Raises:
        TrainingError: They differ, or the one in the folder cannot be read.
    """
    path = folder / ORDER_FILE
    if not path.exists():
        return
    before = dict(_leaves(read_object(path, ADVICE)))
    said = json.loads(json.dumps(order.stated))  # as it was read: lists, not tuples
    for name, value in _leaves(said):
        if name in before and before[name] != value:
            raise TrainingError(
                f"{folder} was begun with {name} {before[name]!r}, not {value!r}; say the same to "
                "go on, or name another -o (and with --init what to begin with)"
            )


def keep_order(order: StageOrder, folder: Path) -> None:
    """Write an order into a stage's folder, where there is none."""
    path = folder / ORDER_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_object(path, order.stated)


def begins_elsewhere(folder: Path) -> bool:
    """Tell whether a stage began with weights that were named, not with the stage before."""
    path = folder / ORDER_FILE
    return bool(path.exists() and read_object(path, ADVICE).get("init"))


def told_in(folder: Path) -> dict[str, Any]:
    """Return what the stage of a folder was told, as provenance has it; nothing if none says."""
    path = folder / ORDER_FILE
    return _told(read_object(path, ADVICE)) if path.exists() else {}


def _told(order: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name not in ("init", "data")}


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
