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

"""The curves of a run: one JSON object per line of a file, and TensorBoard where installed."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

logger = logging.getLogger(__name__)


class ScalarWriter(Protocol):
    """What is asked of TensorBoard."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add a point to a curve."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class Curves:
    """Writes what a stage measures; opened again at a step, it forgets what came after it."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / METRICS_FILE
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board = _tensorboard(folder / TENSORBOARD_FOLDER, step)

    def __enter__(self) -> Self:
        """Return the curves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def add(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Add one line, of ``kind`` train or validation."""
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)


def read_curves(folder: Path) -> list[dict[str, float | str]]:
    """Return the lines of a stage's file, none where there is no file."""
    return [json.loads(line) for line in _lines(folder / METRICS_FILE)]


def _lines(path: Path) -> list[str]:
    """Return the complete lines; a killed process may leave half of one."""
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()


def _tensorboard(folder: Path, step: int) -> ScalarWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # optional
    except ImportError:
        logger.info("TensorBoard is not installed: curves go to %s alone", METRICS_FILE)
        return None
    writer: ScalarWriter = SummaryWriter(str(folder), purge_step=step + 1)
    return writer
