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

"""A stand-in for huggingface_hub, which needs no network."""

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


def hub(**functions: Any) -> ModuleType:
    """Return a module with some functions, and the errors of the package."""
    module = ModuleType("huggingface_hub")
    missing = type("LocalEntryNotFoundError", (FileNotFoundError,), {})
    http = type("HTTPError", (Exception,), {})
    absent = type("RepositoryNotFoundError", (http,), {})
    module.errors = SimpleNamespace(  # type: ignore[attr-defined]
        LocalEntryNotFoundError=missing,
        HTTPError=http,
        RepositoryNotFoundError=absent,
        GatedRepoError=type("GatedRepoError", (absent,), {}),
        HFValidationError=type("HFValidationError", (ValueError,), {}),
    )
    for name, function in functions.items():
        setattr(module, name, function)
    return module


class Hub:
    """Has folders under names once they were downloaded, and notes who asked for which."""

    def __init__(self, **folders: Path) -> None:
        self.module = hub(snapshot_download=self._snapshot)
        self.refusal = ""  # the name of an error that every download ends with
        self.asked: list[str] = []
        self.fetched: list[str] = []
        self._folders = folders

    def _snapshot(self, repository: str, *, local_files_only: bool, **_: Any) -> str:
        self.asked.append(repository)
        if local_files_only and repository not in self.fetched:
            raise self.module.errors.LocalEntryNotFoundError("not in the cache")
        if self.refusal:
            raise getattr(self.module.errors, self.refusal)("no")
        if not local_files_only:
            self.fetched.append(repository)
        return str(self._folders[repository.rpartition("-")[2]])
