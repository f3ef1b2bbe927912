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

"""3D perception for robots from one camera: object meshes with metric 6-DoF poses."""

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam3d_ros.api import BodyReconstructor as BodyReconstructor
    from sam3d_ros.api import Reconstructor as Reconstructor
    from sam3d_ros.api import compose as compose

API = ("BodyReconstructor", "Reconstructor", "compose")

# The generated messages live in an installed package of the same name.
__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> Any:
    """Import what users of the Python interface need when they ask for it: torch takes seconds."""
    if name in API:
        from sam3d_ros import api  # noqa: PLC0415

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
