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

"""Bags as files: what topics they have, which of them the node wants, the messages in order.

Reads rosbag2 (a bag folder, or one ``.mcap`` or ``.db3`` file) with the ``rosbags`` library, so no
ROS installation is needed.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability
from rosbags.typesys import Stores, get_typestore

from sam3d_ros.errors import DatasetError
from sam3d_ros.ros.framing import Input

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
CLOUD = "sensor_msgs/msg/PointCloud2"
MASKS = {  # types that masks may have, by masks.mode
    "label_image": IMAGE,
    "binary": IMAGE,
    "detections": "vision_msgs/msg/Detection2DArray",
    "yolo": "yolo_msgs/msg/DetectionArray",
}
TF_TOPICS = ("/tf", "/tf_static")
BAG_SUFFIXES = (".mcap", ".db3")

MASK_WORDS = ("mask", "label", "segment", "instance")
DEPTH_WORDS = ("depth", "compresseddepth")
# Images that are neither colour nor something to reconstruct from.
OTHER_WORDS = ("infra", "ir", "overlay", "debug", "disparity", "confidence", "annotated")
COLOR_WORDS = ("color", "colour", "rgb", "image")
ALIGNED_WORDS = ("aligned", "registered")
LIDAR_WORDS = ("lidar", "velodyne", "ouster", "livox")
# OAK cameras call their depth stereo; below /stereo itself are the two images of other cameras.
STEREO_DEPTH = re.compile(r"^/.+/stereo/image_(raw|rect)(/compressed)?$")
# These tell streams apart, not cameras.
STREAM_WORDS = frozenset((*COLOR_WORDS, *DEPTH_WORDS, "raw", "rect", "compressed"))

INPUTS = {
    "image": Input.IMAGE,
    "camera_info": Input.CAMERA_INFO,
    "masks": Input.MASKS,
    "depth": Input.DEPTH,
    "depth_info": Input.DEPTH_INFO,
    "points": Input.POINTS,
    "detections": Input.DETECTIONS,
    "label_info": Input.LABEL_INFO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BagTopics:
    """Names of the topics that the node's inputs come from; empty is none."""

    image: str = ""
    camera_info: str = ""
    masks: str = ""
    depth: str = ""
    depth_info: str = ""
    points: str = ""
    # Only where they are named: who else detects things in the same bag may do so at other times.
    detections: str = ""
    label_info: str = ""

    def named(self) -> dict[str, str]:
        """Return the inputs that have a topic."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: topic for name, topic in values.items() if topic}

    def by_input(self) -> dict[Input, str]:
        """Return the topic of each of the node's inputs that has one."""
        return {INPUTS[name]: topic for name, topic in self.named().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMessage:
    """One message of a bag, still serialised."""

    stamp_ns: int  # when it was recorded
    topic: str
    type_name: str
    data: bytes  # CDR


class Bag(AbstractContextManager["Bag"]):
    """One rosbag2, open for reading.

    Raises:
        DatasetError: When the path is no rosbag2 that can be read; says why.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            raise DatasetError(f"bag {path} does not exist")
        try:
            store = get_typestore(Stores.LATEST)
            self._reader = AnyReader([path], default_typestore=store)
            self._reader.open()
        except (AnyReaderError, OSError, ValueError) as error:
            raise DatasetError(
                f"{path} is not a rosbag2 folder, .mcap or .db3 file that can be read: {error}"
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()

    @property
    def topics(self) -> dict[str, str]:
        """Type of each topic that has messages, by name."""
        used = [each for each in self._reader.connections if each.msgcount]
        return {each.topic: each.msgtype for each in sorted(used, key=lambda each: each.topic)}

    @property
    def latched(self) -> frozenset[str]:
        """Topics whose last messages late subscribers get (durability transient local).

        /tf_static is one by definition; not every recorder stores what was offered.
        """
        return frozenset(
            each.topic
            for each in self._reader.connections
            if each.topic == "/tf_static" or _is_latched(each)
        )

    @property
    def duration_ns(self) -> int:
        """Time from the first to the last message."""
        return int(self._reader.duration)

    def count(self, topic: str) -> int:
        """Number of messages on a topic."""
        return sum(each.msgcount for each in self._reader.connections if each.topic == topic)

    def raw_messages(self, topics: Container[str]) -> Iterator[RawMessage]:
        """Yield the messages of some ``topics`` in the order of their recording."""
        for connection, stamp_ns, data in self._records(topics):
            yield RawMessage(
                stamp_ns=stamp_ns,
                topic=connection.topic,
                type_name=connection.msgtype,
                data=data,
            )

    def messages(self, topics: Container[str]) -> Iterator[tuple[int, str, Any]]:
        """Yield (time of recording in ns, topic, message) in the order of their recording."""
        for connection, stamp_ns, data in self._records(topics):
            try:
                message = self._reader.deserialize(data, connection.msgtype)
            except AnyReaderError as error:
                raise DatasetError(
                    f"{self._path}: damaged message on {connection.topic}: {error}"
                ) from error
            yield stamp_ns, connection.topic, message

    def _records(self, topics: Container[str]) -> Iterator[tuple[Connection, int, bytes]]:
        wanted = [each for each in self._reader.connections if each.topic in topics]
        return self._reader.messages(wanted) if wanted else iter(())


def _is_latched(connection: Connection) -> bool:
    return isinstance(connection.ext, ConnectionExtRosbag2) and any(
        qos.durability == QosDurability.TRANSIENT_LOCAL
        for qos in connection.ext.offered_qos_profiles
    )


def is_bag(path: Path) -> bool:
    """Whether a path looks like a rosbag2.

    Raises:
        DatasetError: When there is nothing at that path.
    """
    if not path.exists():
        raise DatasetError(f"expected a scene folder or a rosbag2, {path} does not exist")
    return path.suffix in BAG_SUFFIXES or (path / "metadata.yaml").is_file()


def choose_topics(
    available: Mapping[str, str],
    given: BagTopics,
    *,
    lidar: bool = False,
    masks_mode: str = "label_image",
    optional: Container[str] = (),
) -> BagTopics:
    """Fill what ``given`` leaves open with the most likely topics, by type and name.

    Of several cameras that one is taken whose image shares most of its name with depth and masks.

    Args:
        available: Type of each topic by name.
        given: What the user said; such a topic must be there.
        lidar: Take a point cloud and no depth image.
        masks_mode: What the masks are; see ``masks.mode``.
        optional: What the caller can do without, of image, camera_info, masks and points.

    Raises:
        DatasetError: When a given topic is missing, or no colour image, camera_info, masks or (for
            ``lidar``) point cloud is found that is not ``optional``; lists what there is.
    """
    for role, topic in given.named().items():
        if topic not in available:
            raise DatasetError(f"no messages on {topic}, given as {role}; {_listing(available)}")
    depths = [given.depth] if given.depth else _depth_images(available)
    depths = [] if lidar else depths
    masks = [given.masks] if given.masks else _masks(available, MASKS[masks_mode])
    images = _color_images(available, depths, masks)
    image = given.image or _first(images)
    depth = _first(_of_camera(image, images, depths))
    camera_info = given.camera_info or _info_of(image, available)
    depth_info = _info_of(depth, available) if depth else ""
    chosen = replace(
        given,
        image=image,
        camera_info=camera_info,
        masks=_first(_of_camera(image, images, masks)),
        depth=depth,
        # Depth beside the image's own camera_info is seen by the image's camera.
        depth_info=given.depth_info or ("" if depth_info == camera_info else depth_info),
        points=given.points or _first(_clouds(available)),
    )
    for role in ("image", "camera_info", "masks", *(("points",) if lidar else ())):
        if not getattr(chosen, role) and role not in optional:
            option = role.replace("_", "-")
            raise DatasetError(
                f"no topic looks like {role}; name it with --{option}; {_listing(available)}"
            )
    return chosen


def sibling_info(topic: str) -> str:
    """Return the camera_info beside an image topic, as image_transport names it."""
    base = re.sub(r"/(compressed|compressedDepth)$", "", topic)
    return f"{base.rpartition('/')[0]}/camera_info"


def _color_images(
    available: Mapping[str, str], depths: Sequence[str], masks: Sequence[str]
) -> list[str]:
    taken = MASK_WORDS + OTHER_WORDS
    names = _of_type(available, IMAGE, COMPRESSED)

    def demerits(name: str) -> tuple[int, ...]:
        near = _nearness(name, depths), _nearness(name, masks)
        # Near one of them alone are pictures of a segmenter and grey images of a depth camera.
        wordless = not _has(name, COLOR_WORDS[:3]), not _has(name, COLOR_WORDS)
        return (-min(near), *wordless, -sum(near))

    return _ranked(
        [name for name in names if not _has(name, taken) and not _tells_of_depth(name)],
        demerits,
        available,
    )


def _depth_images(available: Mapping[str, str]) -> list[str]:
    names = [name for name in _of_type(available, IMAGE, COMPRESSED) if _tells_of_depth(name)]
    return _ranked(
        # What is ..._to_depth is a colour image, in the view of the depth camera.
        [name for name in names if not _has(name, MASK_WORDS) and "_to_depth" not in name],
        lambda name: (not _has(name, ALIGNED_WORDS) and "depth_to_" not in name,),
        available,
    )


def _tells_of_depth(name: str) -> bool:
    return _has(name, DEPTH_WORDS) or STEREO_DEPTH.match(name) is not None


def _of_camera(image: str, images: Sequence[str], names: Sequence[str]) -> list[str]:
    """Put what is nearer to the images of other cameras behind what is not."""
    return sorted(
        names, key=lambda name: any(_nearness(name, [image]) < _nearness(name, [i]) for i in images)
    )


def _nearness(name: str, others: Sequence[str]) -> int:
    """Return how many words that may tell cameras apart a name has in common with another."""
    return max((len(_words(name) & _words(other)) for other in others), default=0)


def _words(name: str) -> frozenset[str]:
    # A digit stays with its word: camera2 has nothing in common with sam2.
    return frozenset(re.findall(r"[a-z]+[0-9]*|[0-9]+", name.lower())) - STREAM_WORDS


def _masks(available: Mapping[str, str], masks_type: str) -> list[str]:
    if masks_type != IMAGE:
        return _of_type(available, masks_type)
    names = [name for name in _of_type(available, IMAGE) if _has(name, MASK_WORDS)]
    return _ranked(names, lambda name: (_has(name, OTHER_WORDS),), available)


def _clouds(available: Mapping[str, str]) -> list[str]:
    # A cloud beside a depth image is the same depth once more.
    return _ranked(
        [name for name in _of_type(available, CLOUD) if not _has(name, DEPTH_WORDS)],
        lambda name: (not _has(name, LIDAR_WORDS),),
        available,
    )


def _ranked(
    names: list[str], demerits: Callable[[str], tuple[int, ...]], available: Mapping[str, str]
) -> list[str]:
    """Sort by demerits, then raw before compressed, then the shorter name."""
    return sorted(
        names,
        key=lambda name: (*demerits(name), available[name] == COMPRESSED, len(name), name),
    )


def _info_of(image: str, available: Mapping[str, str]) -> str:
    """Return the camera_info below or beside an image, or the only one that there is."""
    infos = _of_type(available, INFO)
    for wanted in (f"{image}/camera_info", sibling_info(image)):  # the first is our node's own
        if wanted in infos:
            return wanted
    return infos[0] if len(infos) == 1 else ""


def _of_type(available: Mapping[str, str], *types: str) -> list[str]:
    return [name for name, type_name in available.items() if type_name in types]


def _has(topic: str, words: tuple[str, ...]) -> bool:
    """Whether a part of a topic's name is one of some words, or starts with a longer one."""
    parts = re.split(r"[/_\-0-9]+", topic.lower())
    return any(
        part == word or (len(word) > 3 and part.startswith(word))
        for part in parts
        for word in words
    )


def _first(names: list[str]) -> str:
    return names[0] if names else ""


def _listing(available: Mapping[str, str]) -> str:
    if not available:
        return "the bag has no messages"
    return "the bag has " + ", ".join(f"{name} ({kind})" for name, kind in available.items())
