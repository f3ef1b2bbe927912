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

"""``sam3d replay``: a bag or scene folders as live ROS topics."""

import argparse
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from sam3d_ros.apps.bag_options import add_topic_arguments, given_topics
from sam3d_ros.apps.bags import (
    COMPRESSED,
    INPUTS,
    MASKS,
    Bag,
    BagTopics,
    RawMessage,
    choose_topics,
    is_bag,
)
from sam3d_ros.apps.processes import use_fastdds_profile
from sam3d_ros.apps.settings import masks_mode
from sam3d_ros.apps.trials import ros_required
from sam3d_ros.evaluation.datasets import load_scene, scene_folders
from sam3d_ros.ros.framing import Input

if TYPE_CHECKING:
    from sam3d_ros.ros.recording import Recording

TRANSPORTS = {"image": "/compressed", "depth": "/compressedDepth"}
DESCRIPTION = """\
Publish a recording as ROS topics.

A scene folder, or a folder of them one after the other, appears on the topics that sam3d_node
subscribes: image, camera_info, depth, depth/camera_info, masks, points below --namespace, and the
camera's pose on /tf. A bag appears on the topics on which it was recorded, or with --node-topics on
those of the node, where a compressed one is renamed to image/compressed or depth/compressedDepth:
start the node with image_transport:=compressed or depth_transport:=compressedDepth for it. Masks
may be missing: a segmenter can make them of the image meanwhile.
"""
OF_DETECTIONS = ("detections", "yolo")  # modes in which masks are where detections would be


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", type=Path, help="scene folder, folder of scenes, or rosbag2")
    parser.add_argument("--rate", type=_positive, default=1.0, help="times as fast as recorded")
    parser.add_argument("--hz", type=_positive, default=2.0, help="scenes per second")
    parser.add_argument("--loop", action="store_true", help="start again at the end, until Ctrl-C")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for use_sim_time")
    parser.add_argument(
        "--stamps",
        choices=("auto", "recorded", "now"),
        default="auto",
        help="header stamps; auto: as recorded for bags, now for scene folders",
    )
    parser.add_argument("--namespace", default="sam3d", help="of the node's topics")
    parser.add_argument(
        "--node-topics", action="store_true", help="rename a bag's inputs to the node's topics"
    )
    _add_topic_arguments(parser)
    parser.add_argument("--best-effort", action="store_true", help="QoS of a camera driver")
    parser.add_argument(
        "--wait", type=float, default=5.0, help="seconds to wait for a first subscriber"
    )
    parser.add_argument(
        "--log", type=Path, help="file for topic, stamp and monotonic time (ns) of each message"
    )
    parser.add_argument("--depth-file", help="depth image of a scene folder to publish")
    parser.add_argument("--lidar", action="store_true", help="publish LiDAR points, not depth")


def _add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "inputs of a bag, for --node-topics (found by type and name unless given)"
    )
    add_topic_arguments(group)
    group.add_argument(
        "--keep-given",
        action="store_true",
        help="rename none of those given, in the bag or not: the node listens to them",
    )
    group.add_argument("--masks-mode", choices=sorted(MASKS), help="what the masks are")
    group.add_argument("--params", type=Path, help="parameter file of the node, for its masks.mode")


def run(arguments: argparse.Namespace) -> int:
    """Publish until the end or until interrupted.

    Raises:
        ConfigError: Where ROS is not installed.
        DatasetError: When the input cannot be read.
    """
    with ros_required("replay"):
        from sam3d_ros.ros import replay  # noqa: PLC0415  # this module loads without ROS
    use_fastdds_profile()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        from_bag = is_bag(arguments.input)
        recording = _from_bag(arguments, stack) if from_bag else _from_scenes(arguments)
        options = replay.ReplayOptions(
            rate=arguments.rate,
            loop=arguments.loop,
            clock=arguments.clock,
            stamps_now=arguments.stamps == "now" or (arguments.stamps == "auto" and not from_bag),
            best_effort=arguments.best_effort,
            wait_s=arguments.wait,
            log=arguments.log,
        )
        print(f"publishing {', '.join(sorted(recording.types))}", flush=True)
        print(f"{replay.play(recording, options, stopped)} messages published", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and then launch: no second one counts
        signal.signal(number, signal.SIG_IGN)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was said of a bag's topics, and of those on which the node listens."""

    namespace: str = "sam3d"
    given: BagTopics = field(default_factory=BagTopics)
    kept: bool = False  # the node listens to those that are given
    masks_mode: str = "label_image"


def wanted_of(arguments: argparse.Namespace) -> Wanted:
    """Return what the options say of topics.

    Raises:
        ConfigError: When the parameter file cannot be read.
    """
    mode = arguments.masks_mode or (masks_mode(arguments.params) if arguments.params else "")
    mode = mode or Wanted().masks_mode
    given = given_topics(arguments)
    if mode in OF_DETECTIONS:
        # A node that was told of a topic for masks does not listen to it.
        masks = given.detections or ("" if arguments.keep_given else given.masks)
        given = replace(given, masks=masks, detections="")
    return Wanted(
        namespace=arguments.namespace, given=given, kept=arguments.keep_given, masks_mode=mode
    )


def node_topics(available: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
    """Return the node's topic for each input topic of a bag, compressed ones where it expects them.

    Of two transports of one image ``choose_topics`` takes the raw one.

    Raises:
        DatasetError: When no image or camera_info is found, or a topic is not there that is given
            and not ``kept``.
    """
    kept = wanted.given.named() if wanted.kept else {}
    given = wanted.given
    if wanted.kept:
        # What is not in the bag comes from elsewhere: masks of a segmenter that runs beside it.
        given = BagTopics(**{role: _recorded(role, kept[role], available) for role in kept})
    chosen = choose_topics(
        available, given, masks_mode=wanted.masks_mode, optional={"masks", *kept}
    )
    names = {}
    for role, topic in chosen.named().items():
        if role not in kept:
            name = _input_name(role, wanted.masks_mode) + _transport(role, available[topic])
            names[topic] = f"/{wanted.namespace}/{name}".replace("//", "/")
    return names


def _from_scenes(arguments: argparse.Namespace) -> "Recording":
    from sam3d_ros.ros.recording import recording_from_frames  # noqa: PLC0415  # needs ROS

    frames = [
        load_scene(folder, arguments.depth_file, arguments.lidar, shapes=False).frame
        for folder in scene_folders(arguments.input)
    ]
    return recording_from_frames(frames, arguments.hz, arguments.namespace)


def _from_bag(arguments: argparse.Namespace, stack: ExitStack) -> "Recording":
    from sam3d_ros.ros.recording import Recording  # noqa: PLC0415  # needs ROS

    bag = stack.enter_context(Bag(arguments.input))
    names = {}
    if arguments.node_topics:
        names = node_topics(bag.topics, wanted_of(arguments))
        print(", ".join(f"{topic} as {name}" for topic, name in names.items()))

    def messages() -> Iterator[RawMessage]:
        for message in bag.raw_messages(bag.topics):
            yield replace(message, topic=names.get(message.topic, message.topic))

    return Recording(
        types={names.get(topic, topic): kind for topic, kind in bag.topics.items()},
        latched=frozenset(names.get(topic, topic) for topic in bag.latched),
        duration_ns=bag.duration_ns,
        messages=messages,
    )


def _recorded(role: str, topic: str, available: Mapping[str, str]) -> str:
    """Return a topic or the compressed one of its image, whichever there is; empty is neither."""
    names = topic, topic + TRANSPORTS.get(role, "")
    return next((name for name in names if name in available), "")


def _input_name(role: str, mode: str) -> str:
    """Return the node's own name for an input."""
    return (Input.DETECTIONS if role == "masks" and mode in OF_DETECTIONS else INPUTS[role]).value


def _transport(role: str, type_name: str) -> str:
    """Return what the node adds to the name of a topic for its image_transport."""
    return TRANSPORTS.get(role, "") if type_name == COMPRESSED else ""


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be positive, got {text}")
    return value
