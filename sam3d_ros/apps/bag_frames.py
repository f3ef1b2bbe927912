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

"""In which frame of a bag's TF objects stand still while the camera moves."""

from dataclasses import dataclass, field
from typing import Any

from sam3d_ros.apps.bags import TF_TOPICS, Bag, BagTopics

MAX_FRAMES = 64  # from a camera to the root of its tree; more is a loop


@dataclass(slots=True)
class _Edge:
    """How one frame hangs in another."""

    parent: str
    stamps_ns: list[int] = field(default_factory=list)  # where it moves


def moving_root(bag: Bag, topics: BagTopics) -> str:
    """Return the root of the tree in which the camera moves; empty where there is none.

    Nor is there one where the transforms that change do not reach over all masks: a frame that
    some masks cannot be seen in would cost these.
    """
    camera, stamps_ns = _cameras(bag, topics)
    edges = _edges(bag)
    chain: list[_Edge] = []
    name = camera
    while name in edges and len(chain) < MAX_FRAMES:
        chain.append(edges[name])
        name = edges[name].parent
    moving = [each for each in chain if each.stamps_ns]
    if not moving or not stamps_ns or name in edges:
        return ""
    first_ns = max(min(each.stamps_ns) for each in moving)
    last_ns = min(max(each.stamps_ns) for each in moving)
    return name if first_ns <= min(stamps_ns) and max(stamps_ns) <= last_ns else ""


def _cameras(bag: Bag, topics: BagTopics) -> tuple[str, list[int]]:
    """Return the frame of the images, and when masks were taken."""
    camera = ""
    for _, _, info in bag.messages({topics.camera_info}):
        camera = _name(info.header.frame_id)
        break
    stamps_ns = [_ns(message.header.stamp) for _, _, message in bag.messages({topics.masks})]
    return camera, stamps_ns


def _edges(bag: Bag) -> dict[str, _Edge]:
    """Return how each frame hangs in another, by its name."""
    edges: dict[str, _Edge] = {}
    for _, topic, message in bag.messages(TF_TOPICS):
        for each in message.transforms:
            edge = edges.setdefault(_name(each.child_frame_id), _Edge(""))
            edge.parent = _name(each.header.frame_id)
            if topic != "/tf_static":
                edge.stamps_ns.append(_ns(each.header.stamp))
    return edges


def _name(frame_id: str) -> str:
    return frame_id.removeprefix("/")


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
