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

"""What standard ROS packages do: by them where they are installed, and what stands in for them.

The node needs ``rclpy`` and messages; of what else a ROS installation has, it takes:

* ``tf2_ros``: its buffer answers the node's lookups (``transforms``); else ``tf_buffer`` does, by
  the same rules. That stays beside it: it says what is missing, and a bag is read with it alone.
* ``message_filters``: its subscribers hear the inputs (``inputs``), so others can join.
  Which messages belong together is found here in any case: masks come seconds late.
* ``diagnostic_updater``: publishes ``/diagnostics``, at the period of its parameter (``updater``).
* ``cv_bridge``: reads the colour encodings that ``ros.decode`` does not know (``images``).

Images and clouds are read by ``ros.decode``, with ROS and without, because a bag must give what the
node gives; ``sensor_msgs_py`` reads the same.
"""

from sam3d_ros.ros.compat.packages import (
    MissingPackageError,
    hri_messages,
    optional_module,
    outputs_off,
    tf_message_type,
    vision_messages,
    yolo_messages,
)

__all__ = (
    "MissingPackageError",
    "hri_messages",
    "optional_module",
    "outputs_off",
    "tf_message_type",
    "vision_messages",
    "yolo_messages",
)
