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

"""The one place that wires a backend from its configuration."""

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import SceneConfig
from sam3d_ros.protocols import ObjectBackend, OneByOne


def make_object_backend(config: SceneConfig) -> ObjectBackend:
    """Build the backend that ``objects.backend`` names; ``auto`` takes the best one there is.

    ``lift`` needs no weights and is always there, so today it is what ``auto`` takes. The config
    admits no other name.
    """
    return OneByOne(LiftBackend(config.lift, config.objects.seed))
