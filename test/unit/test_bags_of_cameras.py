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

"""Bags of cameras whose drivers have their own names, and bags of several cameras."""

from pathlib import Path

import pytest

from sam3d_ros.apps.bags import COMPRESSED, IMAGE, INFO, Bag, BagTopics, choose_topics, sibling_info
from sam3d_ros.ros.camera_presets import load_preset, preset_names

PRESETS = Path(__file__).resolve().parents[2] / "config" / "cameras"
# What else the drivers of the presets publish.
BESIDE = {
    "generic": (),
    "kinect": ("/depth/image_raw", "/rgb_to_depth/image_raw", "/ir/image_raw"),
    "oak": ("/oak/left/image_raw", "/oak/right/image_raw"),
    "realsense": (
        "/camera/camera/depth/image_rect_raw",
        "/camera/camera/infra1/image_rect_raw",
        "/camera/camera/infra2/image_rect_raw",
    ),
    "zed": ("/zed/zed_node/left/gray/rect/image", "/zed/zed_node/right/color/rect/image"),
}


def recorded(*images: str) -> dict[str, str]:
    """Return the topics of a bag with these images, a camera_info beside each but the masks."""
    infos = {sibling_info(name): INFO for name in images if "labels" not in name}
    return dict.fromkeys(images, IMAGE) | infos


@pytest.mark.parametrize("name", preset_names(PRESETS))
@pytest.mark.parametrize("transports", ["raw", "compressed"])
def test_the_topics_of_every_preset_are_found(name: str, transports: str) -> None:
    preset = load_preset(PRESETS / f"{name}.yaml")
    image, depth = (f"/{each.topic.lstrip('/')}" for each in (preset.image, preset.depth))
    infos = sibling_info(image), sibling_info(depth)
    available = recorded(image, depth, *BESIDE[name], "/segmentation/labels")
    if transports == "compressed":
        del available[image], available[depth]
        image, depth = f"{image}/compressed", f"{depth}/compressedDepth"
        beside = [f"{each}/compressed" for each in BESIDE[name]]
        available = {k: v for k, v in available.items() if k not in BESIDE[name]}
        available |= dict.fromkeys((image, depth, *beside), COMPRESSED)

    topics = choose_topics(available, BagTopics())

    assert (topics.image, topics.depth) == (image, depth)
    assert (topics.camera_info, topics.depth_info or topics.camera_info) == infos


TWO = (
    "/left/camera/color/image_raw",
    "/left/camera/depth/image_raw",
    "/right/camera/color/image_raw",
    "/right/camera/depth/image_raw",
)


@pytest.mark.parametrize(
    ("names", "camera"),
    [
        ((*TWO, "/left/labels"), "/left"),
        ((*TWO, "/right/labels"), "/right"),
        ((*TWO, "/segmentation/right/labels"), "/right"),
        ((TWO[0], *TWO[2:], "/right/labels"), "/right"),
        ((TWO[0], *TWO[2:], "/segmentation/labels"), "/right"),  # the one with depth
        ((TWO[0], "/right/image", "/right/depth", "/right/labels"), "/right"),
        ((*TWO[:3], "/right/camera/aligned_depth_to_color/image_raw", "/left/labels"), "/left"),
        (("/cam1/image_raw", "/cam2/image_raw", "/cam2_labels"), "/cam2"),
    ],
)
def test_image_and_depth_are_of_the_camera_that_has_the_masks(
    names: tuple[str, ...], camera: str
) -> None:
    topics = choose_topics(recorded(*names), BagTopics())

    assert topics.image.startswith(camera)
    assert topics.camera_info.startswith(camera)
    assert not topics.depth or topics.depth.startswith(camera)
    assert topics.depth or not any("depth" in name for name in names)


def test_masks_and_depth_follow_the_image_that_is_given() -> None:
    available = recorded(*TWO, "/left/labels", "/right/labels")

    topics = choose_topics(available, BagTopics(image=TWO[2]))

    assert (topics.depth, topics.masks) == (TWO[3], "/right/labels")


@pytest.mark.parametrize(
    "other",
    [
        ("/sam2/labels", "/sam2/drawn"),  # what a segmenter draws is near its masks
        ("/labels", "/sensor/grey"),  # and the grey image of a depth camera near its depth
        ("/sam2/labels", "/camera2/color/image_raw"),
    ],
)
def test_the_colour_image_is_taken_where_another_is_near_only_one(other: tuple[str, str]) -> None:
    available = recorded("/camera/color/image_raw", "/sensor/depth/image_raw", *other)

    assert choose_topics(available, BagTopics()).image == "/camera/color/image_raw"


def test_two_images_below_stereo_are_no_depth() -> None:
    available = recorded("/stereo/left/image_raw", "/stereo/right/image_raw", "/labels")

    topics = choose_topics(available, BagTopics())

    assert (topics.image, topics.depth) == ("/stereo/left/image_raw", "")


@pytest.mark.parametrize(
    ("name", "points"), [("shelf_rgbd", ""), ("synthetic_rgbd_lidar", "/lidar/points")]
)
def test_of_the_shared_bags_the_same_topics_are_taken_as_ever(
    shared_data: Path, name: str, points: str
) -> None:
    with Bag(shared_data / "bags" / name) as bag:
        topics = choose_topics(bag.topics, BagTopics())

    assert topics == BagTopics(
        image="/camera/color/image_raw",
        camera_info="/camera/color/camera_info",
        masks="/segmentation/labels",
        depth="/camera/aligned_depth_to_color/image_raw",
        depth_info="/camera/aligned_depth_to_color/camera_info",
        points=points,
    )
