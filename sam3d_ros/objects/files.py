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

"""Names of the released weights files, and whether they are there; imports no torch."""

from collections.abc import Iterable
from pathlib import Path

from sam3d_ros.errors import WeightsMissingError

SUBFOLDER = "checkpoints"
GEOMETRY_FILE = "ss_generator.ckpt"
OCCUPANCY_FILE = "ss_decoder.ckpt"
REFINEMENT_FILE = "slat_generator.ckpt"
MESH_FILE = "slat_decoder_mesh.ckpt"
SPLATS_FILE = "slat_decoder_gs.ckpt"
FEW_SPLATS_FILE = "slat_decoder_gs_4.ckpt"
DEPTH_MODEL_FILE = "moge-vitl/model.pt"
ARCHITECTURE_FILE = "architecture.json"  # ours: sizes of a model that is not the released one

FIRST_STAGE = (GEOMETRY_FILE, OCCUPANCY_FILE)
NEEDED = {  # for each objects.mesh_detail
    "fast": FIRST_STAGE,
    "full": (*FIRST_STAGE, REFINEMENT_FILE, MESH_FILE),
}

NANO_FOLDER = Path(__file__).resolve().parents[1] / "weights" / "nano"  # comes with the package
NANO_FILE = "model.safetensors"
PROVENANCE_FILE = "provenance.json"  # where its weights come from, and how good they are


def nano_folder(named: str) -> Path:
    """Return the folder that ``weights.nano`` names, else the one that comes with the package.

    Raises:
        WeightsMissingError: There is no model in it.
    """
    folder = Path(named) if named else NANO_FOLDER
    if not (folder / NANO_FILE).is_file():
        which = "weights.nano names" if named else "the package was installed with"
        raise WeightsMissingError(
            f"backend nano needs weights, {which} {folder}, which has no {NANO_FILE}; train some "
            "with sam3d train, or set objects.backend to lift, which needs none"
        )
    return folder


def weights_path(folder: Path, name: str) -> Path:
    """Return where in a weights folder a file lies.

    Raises:
        WeightsMissingError: Neither there nor in ``checkpoints``.
    """
    # That folder first: it is where a download puts what replaces a damaged file.
    for path in (folder / SUBFOLDER / name, folder / name):
        if path.exists():
            return path
    lacking = "does not exist" if not folder.exists() else f"has no {name}, nor has {SUBFOLDER}/"
    raise WeightsMissingError(
        f"weights folder {folder} {lacking}; sam3d check --weights {folder} says how to fetch it"
    )


def check_present(folder: str, names: Iterable[str]) -> None:
    """Raise unless a weights folder is named and has the files, whatever is in them.

    Raises:
        WeightsMissingError: Says which are missing, and which command says how to get them.
    """
    if not folder:
        raise WeightsMissingError(
            "backend sam3d needs weights, weights.objects names no folder; set it to one, "
            "and see sam3d check --weights FOLDER for what belongs there"
        )
    for name in names:
        weights_path(Path(folder), name)
