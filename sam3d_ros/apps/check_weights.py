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


"""``sam3d check --weights``: which released files are there, whether they fit, how to get them.

Files are compared by names and shapes; their values are not read.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sam3d_ros.errors import WeightsError, WeightsMissingError
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.files import (
    DEPTH_MODEL_FILE,
    FEW_SPLATS_FILE,
    FIRST_STAGE,
    NEEDED,
    REFINEMENT_FILE,
    SPLATS_FILE,
    weights_path,
)
from sam3d_ros.objects.weights import RELEASED_FILES, Fitted, ReleasedFile

HUB = "https://huggingface.co"
# What can be had, and the files that it takes.
RESULTS = (
    ("sam3d, first stage", "coarse shape and pose", FIRST_STAGE),
    ("... full mesh", "the decoder's own surface and colours", NEEDED["full"]),
    ("... splats", "32 of each voxel", (*FIRST_STAGE, REFINEMENT_FILE, SPLATS_FILE)),
    ("... fewer splats", "4 of each voxel", (*FIRST_STAGE, REFINEMENT_FILE, FEW_SPLATS_FILE)),
    ("without depth", "both backends, on estimated points", (DEPTH_MODEL_FILE,)),
)


@dataclass(frozen=True, slots=True, eq=False)
class FileState:
    """What was found of one released file."""

    file: ReleasedFile
    fitted: tuple[Fitted, ...] = ()  # empty where the file is no good
    problem: str = ""
    missing: bool = False


def report_weights(folder: Path, architecture: ObjectsArchitecture | None = None) -> int:
    """Print one line per released file; 0 when all that the first stage needs fits.

    Without an architecture it is the one that the folder states, as for the backend.

    Raises:
        WeightsError: What the folder states is no architecture.
    """
    architecture = architecture or read_architecture(folder)
    print(f"weights in {folder}{'' if folder.is_dir() else ', which is no folder'}")
    states = [_state(folder, file, architecture) for file in RELEASED_FILES]
    for state in states:
        report(state.file.name, _line(folder, state))
    ready = _report_backends(states)
    if wanted := [state for state in states if not state.fitted]:
        _report_downloads(folder, wanted)
    return 0 if ready else 1


def _state(folder: Path, file: ReleasedFile, architecture: ObjectsArchitecture) -> FileState:
    try:
        return FileState(file, file.open(folder, architecture))
    except WeightsMissingError:
        return FileState(file, problem="missing", missing=True)
    except WeightsError as error:
        return FileState(file, problem=str(error))


def _line(folder: Path, state: FileState) -> str:
    if state.missing:
        return f"missing: {state.file.purpose}{'' if state.file.required else ' (optional)'}"
    size = weights_path(folder, state.file.name).stat().st_size
    if state.problem:
        return f"{in_units(size)}, NOT usable: {state.problem}"
    tensors = [tensor for fitted in state.fitted for tensor in fitted.part.tensors.values()]
    stored = " and ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors}))
    return f"{in_units(size)}, {len(tensors)} tensors of {stored}, fits: {state.file.purpose}"


def _report_backends(states: Iterable[FileState]) -> bool:
    """Print what the files make possible; return whether that includes the first stage."""
    useless = [state.file.name for state in states if not state.fitted]
    print("\nbackends")
    report("lift", "ready, needs no weights")
    for name, result, needed in RESULTS:
        report(name, _readiness([file for file in useless if file in needed], result))
    return not set(useless) & set(FIRST_STAGE)


def _readiness(lacking: list[str], result: str) -> str:
    return f"NOT ready, needs {', '.join(lacking)}" if lacking else f"ready: {result}"


def report(name: str, text: str) -> None:
    """Print one line about something that has a name."""
    print(f"  {name:22} {text}")


def _report_downloads(folder: Path, wanted: Iterable[FileState]) -> None:
    print("\nto fetch what is missing or not usable (hf comes with pip install huggingface_hub)")
    for repository, group in groupby(wanted, lambda state: state.file.repository):
        states = list(group)
        if states[0].file.gated:
            print(f"  gated: ask for access on {HUB}/{repository} first, then hf auth login")
        print(f"  {_download(folder, states)}")


def _download(folder: Path, states: list[FileState]) -> str:
    """Return the command that fetches files of one repository."""
    first, paths = states[0].file, [state.file.path for state in states]
    again = [] if all(state.missing for state in states) else ["--force-download"]
    target = ["--local-dir", str(folder / first.target)]
    return shlex.join(["hf", "download", first.repository, *paths, *target, *again])


def in_units(num_bytes: int) -> str:
    """Return a size in the unit that reads best."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes} bytes"
