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

"""What a backend must be able to do; the makers live in ``completion``, ``objects``, ``body``."""

from typing import Protocol

from sam3d_ros.structures import ObjectReconstruction, Observation


class ObjectBackend(Protocol):
    """Turns one observation into one closed, metric mesh; a function of its input and seed."""

    @property
    def name(self) -> str:
        """Name under which results report this backend."""
        ...

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        """Reconstruct one object.

        Raises:
            Sam3dError: Where this observation allows no reconstruction; says why.
        """
        ...
