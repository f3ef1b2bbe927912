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

"""Small files of training: JSON that appears whole, and digests of what must not have changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sam3d_ros.errors import TrainingError


def write_object(path: Path, values: Mapping[str, object]) -> None:
    """Write a JSON file, which is there as a whole or not at all."""
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read_object(path: Path, advice: str) -> dict[str, Any]:
    """Read such a file.

    Raises:
        TrainingError: It cannot be read, or holds no object; says so, and the advice.
    """
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; {advice}") from error
    if not isinstance(stated, dict):
        raise TrainingError(f"{path}: expected a JSON object, got {type(stated).__name__}")
    return stated


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors, whatever device they are on."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(tensors[name].detach().cpu().float().contiguous().numpy().tobytes())
    return sha.hexdigest()
