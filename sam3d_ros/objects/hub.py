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

"""Weights by the name of a repository on the Hugging Face hub, instead of a folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from sam3d_ros.errors import WeightsError, WeightsMissingError
from sam3d_ros.objects.files import (
    ARCHITECTURE_FILE,
    DEPTH_MODEL_FILE,
    FEW_SPLATS_FILE,
    NEEDED,
    SPLATS_FILE,
    SUBFOLDER,
)

REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
FILES = (
    *NEEDED["full"],
    *(SPLATS_FILE, FEW_SPLATS_FILE, DEPTH_MODEL_FILE, ARCHITECTURE_FILE),
)
WANTED = (*FILES, *(f"{SUBFOLDER}/{name}" for name in FILES))
HUB = "https://huggingface.co"


def is_repository(source: str) -> bool:
    """Tell whether weights are named by a repository: a folder of the same name goes first."""
    return not Path(source).expanduser().is_dir() and bool(REPOSITORY.fullmatch(source))


def weights_folder(
    source: str | Path, *, allow_download: bool = False, wanted: Sequence[str] = WANTED
) -> Path:
    """Return the folder that a path or a repository's name stands for.

    Args:
        source: A folder, which goes first, or ``owner/name``.
        allow_download: Whether to fetch what is not in the hub's cache on this machine.
        wanted: Which files of a repository, unless those of SAM 3D Objects.

    Raises:
        WeightsMissingError: There is no such folder, or the repository is not at hand.
        WeightsError: The package ``huggingface_hub`` is not installed.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(source, Path) or not REPOSITORY.fullmatch(source):
        raise WeightsMissingError(
            f"weights must be a folder or the owner/name of a repository, got {str(source)!r}, "
            "which is no folder here"
        )
    return _snapshot(source, allow_download, wanted)


def _snapshot(repository: str, allow_download: bool, wanted: Sequence[str]) -> Path:
    try:
        from huggingface_hub import errors, snapshot_download  # noqa: PLC0415  # optional
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{repository} is no folder here; to take it from the hub, "
            "python3 -m pip install huggingface_hub"
        ) from error
    try:
        return Path(
            snapshot_download(
                repository, allow_patterns=[*wanted], local_files_only=not allow_download
            )
        )
    except errors.GatedRepoError as error:
        raise WeightsMissingError(
            f"{repository} is gated: accept the licence and ask for access on {HUB}/{repository}, "
            "then log in with hf auth login, and try again once access is granted"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsMissingError(
            f"{HUB}/{repository} does not exist, or is hidden from whoever is not logged in; "
            "check the name, or hf auth login"
        ) from error
    except errors.HFValidationError as error:
        raise WeightsMissingError(
            f"{repository} is no folder here, nor what a repository can be called; check the name"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise WeightsMissingError(_not_at_hand(repository, allow_download)) from error
    # RuntimeError is what hf_xet, the part of the package that transfers, calls a lost connection.
    except (errors.HTTPError, OSError, RuntimeError) as error:
        raise WeightsMissingError(
            f"{repository} could not be fetched from {HUB}: {error}; check network, access and "
            "free disk, and try again: what was fetched is kept"
        ) from error


def _not_at_hand(repository: str, allow_download: bool) -> str:
    advice = (
        "allow_download=True (weights.allow_download of the node) fetches it, or hf download "
        f"{repository} does"
    )
    if allow_download:
        advice = f"check that this machine reaches {HUB}, and that HF_HUB_OFFLINE is not set"
    return f"{repository} is no folder here, nor in the hub's cache on this machine; {advice}"
