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

"""The options that name the topics of a bag, for every command that reads one."""

import argparse

from sam3d_ros.apps.bags import BagTopics

TOPIC_HELP = {
    "image": "colour image",
    "camera_info": "its intrinsics",
    "masks": "label image, or detections where masks.mode says so",
    "depth": "depth image",
    "depth_info": "its intrinsics",
    "points": "point cloud",
    "detections": "classes of the masks (vision_msgs/Detection2DArray); none unless given",
    "label_info": "names of classes or values (vision_msgs/LabelInfo); none unless given",
}


def add_topic_arguments(group: argparse._ActionsContainer) -> None:
    """Declare an option for each topic of a bag; left out, ``choose_topics`` finds one."""
    for name, text in TOPIC_HELP.items():
        group.add_argument(f"--{name.replace('_', '-')}", default="", metavar="TOPIC", help=text)


def given_topics(arguments: argparse.Namespace) -> BagTopics:
    """Return the topics that these options name."""
    return BagTopics(**{name: getattr(arguments, name) for name in TOPIC_HELP})
