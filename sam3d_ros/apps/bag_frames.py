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

import math
from dataclasses import dataclass, replace

from sam3d_ros.apps.bags import TF_TOPICS, Bag, BagTopics
from sam3d_ros.apps.sources import bag_source
from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.geometry.rigid import Rigid
from sam3d_ros.ros.assembler import Refusal
from sam3d_ros.ros.compat.tf_buffer import TransformStampedMsg, frame_name
from sam3d_ros.ros.decode import rigid_from_msg

# What differs by less is noise, of an encoder or a localisation.
STILL_M = 1e-3
STILL_RAD = math.radians(0.1)
MAX_LOST = 0.1  # of the masks: what the others gain is worth more


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingRoot:
    """The root of the tree in which a camera moves, and what it costs to place masks in it."""

    name: str
    num_masks: int  # that can be used without it
    lost: tuple[Refusal, ...]  # those of them that cannot be placed in it

    @property
    def is_worth_it(self) -> bool:
        """Whether nearly all masks can be placed in it."""
        return len(self.lost) <= MAX_LOST * self.num_masks


def moving_root(bag: Bag, topics: BagTopics, config: NodeConfig) -> MovingRoot | None:
    """Return the root of the tree in which the camera moves; None where TF shows no motion.

    Which masks it costs is tried, not concluded from stamps: it depends on when transforms were
    recorded, how long masks wait for them, and how long they are remembered.

    Args:
        bag: It is read once for its TF, and where the camera moves as it will be again.
        topics: Of images, masks and what belongs to them.
        config: Without an ``output_frame``.

    Raises:
        DatasetError: A message is damaged.
    """
    chain = _chain(_camera(bag, topics), _edges(bag))
    if not any(edge.moves for edge in chain):
        return None
    root = chain[-1].parent
    refused = _refused(bag, topics, replace(config, output_frame=root))
    without = _refused(bag, topics, config) if refused else []
    lost_anyway = {each.stamp_ns for each in without}
    return MovingRoot(
        name=root,
        num_masks=bag.count(topics.masks) - len(without),
        lost=tuple(each for each in refused if each.stamp_ns not in lost_anyway),
    )


@dataclass(slots=True)
class _Edge:
    """How one frame hangs in another."""

    child: str
    parent: str
    num_samples: int = 0
    first: Rigid | None = None  # parent_from_child
    moves: bool = False

    def add(self, stamped: TransformStampedMsg) -> None:
        """Take in a sample; one that is no transform says nothing of motion."""
        self.num_samples += 1
        if self.moves:
            return
        try:
            sample = rigid_from_msg(stamped.transform)
        except Sam3dError:
            return
        self.first = self.first or sample
        self.moves = _differ(self.first, sample)


def _camera(bag: Bag, topics: BagTopics) -> str:
    """Return the frame of the images; empty where there is none.

    The node may take an optical frame instead (``camera.frame_is_optical``), which moves alike.
    """
    for _, _, image in bag.messages({topics.image}):
        return frame_name(image.header.frame_id)
    return ""


def _edges(bag: Bag) -> list[_Edge]:
    """Return how frames hang in others; a frame with several parents has an edge to each."""
    edges: dict[tuple[str, str], _Edge] = {}
    for _, _, message in bag.messages(TF_TOPICS):
        for each in message.transforms:
            child, parent = frame_name(each.child_frame_id), frame_name(each.header.frame_id)
            if child and parent:
                edges.setdefault((child, parent), _Edge(child, parent)).add(each)
    return list(edges.values())


def _chain(camera: str, edges: list[_Edge]) -> list[_Edge]:
    """Return the edges from a camera to its root: of several parents the one sent most often."""
    chain: list[_Edge] = []
    frames = [camera]
    while above := [
        each for each in edges if each.child == frames[-1] and each.parent not in frames
    ]:
        # Of two as frequent, the later one: it is what the buffer ends with.
        chain.append(max(reversed(above), key=lambda each: each.num_samples))
        frames.append(chain[-1].parent)
    return chain


def _refused(bag: Bag, topics: BagTopics, config: NodeConfig) -> list[Refusal]:
    """Return the masks that become no frame."""
    items = bag_source("", bag, topics, config).items
    return [each for each in items if isinstance(each, Refusal)]


def _differ(first: Rigid, second: Rigid) -> bool:
    """Tell whether two transforms differ by more than noise."""
    _, *axis = (first.inverse() @ second).quat_wxyz
    angle_rad = 2.0 * math.asin(min(math.hypot(*axis), 1.0))
    return math.dist(first.translation_m, second.translation_m) > STILL_M or angle_rad > STILL_RAD
