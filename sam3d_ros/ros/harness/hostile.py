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

"""Messages that no node may die of: each is one of a good exposure with something wrong in it.

What is wrong can be told from the messages alone. Lies that are plausible, a focal length that is
off by a fifth or the depth of another scene, are no part of this: nobody could refuse them.
"""

from itertools import chain

from sam3d_ros.ros.harness.attack import Attack
from sam3d_ros.ros.harness.hostile_geometry import (
    camera_attacks,
    cloud_attacks,
    transform_attacks,
)
from sam3d_ros.ros.harness.hostile_images import (
    colour_attacks,
    depth_attacks,
    image_attacks,
    mask_attacks,
)


def attacks() -> list[Attack]:
    """Return all of them."""
    return list(
        chain(
            image_attacks(),
            colour_attacks(),
            depth_attacks(),
            mask_attacks(),
            camera_attacks(),
            cloud_attacks(),
            transform_attacks(),
        )
    )
