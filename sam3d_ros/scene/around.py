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

"""What backends that are made of another one have in common."""

from typing import Generic, TypeVar

from sam3d_ros.protocols import ObjectBackend, portion_of

BackendT = TypeVar("BackendT", bound=ObjectBackend)


class Around(Generic[BackendT]):
    """Bears the name of another backend, and is asked as that one wants it."""

    def __init__(self, backend: BackendT) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        """Name of the other backend."""
        return self._backend.name

    @property
    def wants_warmup(self) -> bool:
        """Whether the other backend wants it."""
        return self._backend.wants_warmup

    @property
    def portion(self) -> int:
        """How many objects the other backend best reconstructs at once; 0 where all are."""
        return portion_of(self._backend)
