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

"""Names of the released files of SAM 3D Body, and where in a folder they lie; imports no torch."""

from pathlib import Path

from sam3d_ros.errors import WeightsMissingError

MODEL_FILE = "model.ckpt"
CONFIG_FILE = "model_config.yaml"
RIG_FILE = "assets/mhr_model.pt"
FILES = (MODEL_FILE, CONFIG_FILE, RIG_FILE)
REPOSITORIES = ("facebook/sam-3d-body-dinov3", "facebook/sam-3d-body-vith")


def body_file(folder: Path, name: str) -> Path:
    """Return where in a weights folder a file lies; settings may lie one folder higher.

    Raises:
        WeightsMissingError: It is not there.
    """
    higher = [folder.resolve().parent / name] if name == CONFIG_FILE else []
    for path in (folder / name, *higher):
        if path.is_file():
            return path
    lacking = f"has no {name}" if folder.is_dir() else "does not exist"
    raise WeightsMissingError(
        f"weights folder {folder} {lacking}; sam3d check --weights {folder} says how to fetch it"
    )


def is_body_folder(folder: Path) -> bool:
    """Whether a folder holds some of the files, so that it is meant for SAM 3D Body."""
    return any((folder / name).exists() for name in FILES)


def check_body_present(folder: str) -> None:
    """Raise unless a weights folder is named and has the files, whatever is in them.

    Raises:
        WeightsMissingError: Says which is missing, and which command says how to get it.
    """
    if not folder:
        raise WeightsMissingError(
            "people need weights, weights.body names no folder; set it to one, "
            "and see sam3d check --weights FOLDER for what belongs there"
        )
    for name in FILES:
        body_file(Path(folder), name)
