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

"""Where ``sam3d offline`` takes its frames from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sam3d_ros.apps.bags import TF_TOPICS, Bag, BagTopics
from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.evaluation.datasets import DEPTH_FILES, LIDAR_FILE, load_scene
from sam3d_ros.ros.assembler import Assembler, Outcome, Refusal, TimeJump
from sam3d_ros.ros.framing import Bundle, Input, Instant, frame_from_bundle
from sam3d_ros.structures import Frame

Item: TypeAlias = Frame | Refusal | TimeJump


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Frames of one recording, in order, and what hindered others."""

    name: str
    num_frames: int
    items: Iterable[Item]
    note: str = ""  # what a person should know of it


def scene_source(folder: Path, depth_file: str | None, lidar: bool) -> Source:
    """Read one scene folder.

    Raises:
        DatasetError: When it cannot be read.
    """
    scene = load_scene(folder, depth_file, lidar, shapes=False)
    is_blind = scene.frame.depth is None and scene.frame.points is None
    note = _without_depth(folder) if is_blind else ""
    return Source(name=scene.name, num_frames=1, items=[scene.frame], note=note)


def _without_depth(folder: Path) -> str:
    """Say which depth files were looked for, and which there are that nobody asked for."""
    others = ", ".join(sorted(path.name for path in folder.glob("*depth*.*") if path.is_file()))
    return (
        f"no depth: none of {', '.join(DEPTH_FILES)} and {LIDAR_FILE} is in {folder}"
        + (f", but {others}" if others else "")
        + "; --depth-file takes a depth image of another name"
    )


def unread_source(folder: Path, error: Sam3dError) -> Source:
    """Return what stands for a scene folder that cannot be read: one frame that is refused."""
    refusal = Refusal(stamp_ns=0, frame_id="", code=error.code, message=str(error))
    return Source(name=folder.resolve().name, num_frames=1, items=[refusal])


def bag_source(name: str, bag: Bag, topics: BagTopics, config: NodeConfig) -> Source:
    """Assemble the frames of a bag as the node would, at the speed at which they are wanted."""
    return Source(name=name, num_frames=bag.count(topics.masks), items=_items(bag, topics, config))


def _items(bag: Bag, topics: BagTopics, config: NodeConfig) -> Iterator[Item]:
    names = topics.by_input()
    assembler = Assembler(config, names)
    assembler.announce(names)
    at = Instant(clock_ns=0, steady_ns=0)
    inputs = {topic: node_input for node_input, topic in names.items()}
    for stamp_ns, topic, message in bag.messages({*inputs, *TF_TOPICS}):
        at = Instant(clock_ns=stamp_ns, steady_ns=stamp_ns)
        if topic in TF_TOPICS:
            static = topic == "/tf_static"
            outcomes = assembler.add_transforms(message.transforms, at, static=static)
        else:
            outcomes = assembler.add(inputs[topic], message, at)
        for outcome in outcomes:
            yield _item(outcome, config, names)
    for outcome in assembler.flush(at):
        yield _item(outcome, config, names)


def _item(outcome: Outcome, config: NodeConfig, names: Mapping[Input, str]) -> Item:
    """Decode a bundle; what cannot be used becomes a refusal."""
    if not isinstance(outcome, Bundle):
        return outcome
    try:
        return frame_from_bundle(outcome, config, names)
    except Sam3dError as error:
        return Refusal(
            stamp_ns=outcome.stamp_ns,
            frame_id=outcome.frame_id,
            code=error.code,
            message=str(error),
        )
