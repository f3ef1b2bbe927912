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

"""Which masks of a frame are people, and why nobody is posed."""

import re
from collections.abc import Iterable

from sam3d_ros.config import BodyConfig
from sam3d_ros.structures import InstanceMask

NO_FOLDER = (
    "people are not reconstructed: weights.body names no folder with the weights of SAM 3D Body; "
    "sam3d check says how to get them, weights.allow_download lets the node fetch them"
)


def is_person(mask: InstanceMask, config: BodyConfig) -> bool:
    """Tell whether a mask shows a person, by its class or its number; nobody where bodies are off.

    Classes are compared without case, surrounding blanks and the number at their end, which masks
    in files have (``person_0``).
    """
    if not config.enabled:
        return False
    if 0 < config.first_label <= mask.instance_id:
        return True
    classes = {name.strip().lower() for name in config.classes.split(",")} - {""}
    return re.sub(r"_\d+$", "", mask.class_id.strip().lower()) in classes


def people_in(masks: Iterable[InstanceMask], config: BodyConfig) -> list[InstanceMask]:
    """Return the masks that are people, in their order."""
    return [mask for mask in masks if is_person(mask, config)]
