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

"""Which topics are listened to, by the settings and what is installed."""

from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed")

from sensor_msgs.msg import CompressedImage, Image

from sam3d_ros.config import MasksConfig, NodeConfig
from sam3d_ros.ros import input_topics
from sam3d_ros.ros.compat import MissingPackageError
from sam3d_ros.ros.framing import Input
from sam3d_ros.ros.input_topics import (
    inputs_off,
    message_types,
    names_to_hear,
    topic_names,
)

VISION = SimpleNamespace(
    Detection2DArray=type("Detection2DArray", (), {}), LabelInfo=type("L", (), {})
)
YOLO = SimpleNamespace(DetectionArray=type("DetectionArray", (), {}))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both packages of detections be there."""
    monkeypatch.setattr(input_topics, "vision_messages", lambda: VISION)
    monkeypatch.setattr(input_topics, "yolo_messages", lambda: YOLO)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither be there."""

    def none() -> ModuleType | None:
        return None

    monkeypatch.setattr(input_topics, "vision_messages", none)
    monkeypatch.setattr(input_topics, "yolo_messages", none)


def of_mode(mode: str) -> NodeConfig:
    return NodeConfig(masks=MasksConfig(mode=mode))


@pytest.mark.usefixtures("installed")
def test_label_images_come_with_detections_and_names() -> None:
    names, types = topic_names(NodeConfig()), message_types(NodeConfig())
    assert names == {each: each.value for each in Input}
    assert types[Input.MASKS] is Image
    assert types[Input.DETECTIONS] is VISION.Detection2DArray
    assert inputs_off(NodeConfig()) == {}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("mode", "mask_type", "named"),
    [("detections", VISION.Detection2DArray, True), ("yolo", YOLO.DetectionArray, False)],
)
def test_masks_that_come_as_detections_are_on_their_topic_alone(
    mode: str, mask_type: type, named: bool
) -> None:
    names = topic_names(of_mode(mode))
    assert names[Input.MASKS] == "detections"
    assert Input.DETECTIONS not in names
    assert (Input.LABEL_INFO in names) == named
    assert message_types(of_mode(mode))[Input.MASKS] is mask_type


@pytest.mark.usefixtures("missing")
def test_without_the_packages_label_images_do_and_what_is_off_is_said() -> None:
    names = topic_names(NodeConfig())
    assert Input.DETECTIONS not in names
    assert Input.LABEL_INFO not in names
    assert set(names) <= set(message_types(NodeConfig()))
    assert set(inputs_off(NodeConfig())) == {"detections", "label_info"}
    assert "vision_msgs is not installed" in inputs_off(NodeConfig())["detections"]


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize(
    ("mode", "package"), [("detections", "vision_msgs"), ("yolo", "yolo_msgs")]
)
def test_a_mode_whose_package_is_missing_is_refused_by_name(mode: str, package: str) -> None:
    with pytest.raises(MissingPackageError, match=f"masks.mode is {mode}, and {package} is not"):
        message_types(of_mode(mode))


def test_transports_choose_topic_and_type() -> None:
    config = NodeConfig(image_transport="compressed", depth_transport="compressedDepth")
    names, types = topic_names(config), message_types(config)
    assert (names[Input.IMAGE], names[Input.DEPTH]) == ("image/compressed", "depth/compressedDepth")
    assert types[Input.IMAGE] is types[Input.DEPTH] is CompressedImage


class Remapped:
    """A node in a namespace, which was told to use other topics."""

    def __init__(self, **told: str) -> None:
        self._told = {f"/sam3d/{name.replace('__', '/')}": topic for name, topic in told.items()}

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        full = topic if topic.startswith("/") else f"/sam3d/{topic}"
        return full if only_expand else self._told.get(full, full)


def infos_of(config: NodeConfig, **told: str) -> tuple[str, str]:
    """Return the topics of the intrinsics of image and depth, as a remapped node hears them."""
    node = Remapped(**told)
    names = names_to_hear(node, config)
    info, depth_info = names[Input.CAMERA_INFO], names[Input.DEPTH_INFO]
    return node.resolve_topic_name(info), node.resolve_topic_name(depth_info)


COLOR, DEPTH = "/cam/color/image_raw", "/cam/depth/image_raw"
OWN = ("/sam3d/camera_info", "/sam3d/depth/camera_info")


@pytest.mark.parametrize(
    ("told", "infos"),
    [
        ({}, OWN),
        ({"image": COLOR}, ("/cam/color/camera_info", OWN[1])),
        ({"depth": DEPTH}, (OWN[0], "/cam/depth/camera_info")),
        ({"image": "/image"}, ("/camera_info", OWN[1])),
        ({"image": COLOR, "camera_info": "/calibrated"}, ("/calibrated", OWN[1])),
        ({"depth": DEPTH, "depth__camera_info": "/other"}, (OWN[0], "/other")),
    ],
)
def test_intrinsics_are_beside_a_remapped_image_unless_remapped_themselves(
    told: dict[str, str], infos: tuple[str, str]
) -> None:
    assert infos_of(NodeConfig(), **told) == infos


def test_intrinsics_are_beside_an_image_and_not_beside_its_transport() -> None:
    config = NodeConfig(image_transport="compressed", depth_transport="compressedDepth")
    told = {
        "image__compressed": f"{COLOR}/compressed",
        "depth__compressedDepth": f"{DEPTH}/compressedDepth",
    }
    assert infos_of(config, **told) == ("/cam/color/camera_info", "/cam/depth/camera_info")
    assert infos_of(config, image__compressed="/photos/small")[0] == "/photos/camera_info"


def test_what_is_heard_is_remapped_only_once() -> None:
    names = names_to_hear(Remapped(image=COLOR), NodeConfig())
    assert names[Input.IMAGE] == "image"
