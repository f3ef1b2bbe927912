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

"""Topics of a replayed bag: which become those of the node, by what was said of either."""

import argparse
from pathlib import Path

import pytest

from sam3d_ros.apps import replay
from sam3d_ros.apps.bags import COMPRESSED, IMAGE, INFO, MASKS
from sam3d_ros.apps.replay import node_topics, wanted_of
from sam3d_ros.errors import ConfigError, DatasetError

CAMERA = {
    "/cam/color/image_raw": IMAGE,
    "/cam/color/camera_info": INFO,
    "/cam/depth/image_raw": IMAGE,
    "/cam/depth/camera_info": INFO,
}
OWN = {
    "/cam/color/image_raw": "/sam3d/image",
    "/cam/color/camera_info": "/sam3d/camera_info",
    "/cam/depth/image_raw": "/sam3d/depth",
    "/cam/depth/camera_info": "/sam3d/depth/camera_info",
}
LABELS = {"/seg/labels": IMAGE}
BOXES = {"/yolo/found": MASKS["detections"]}
ANOTHER = {"/yolo/out": IMAGE}  # whose name says nothing


def renamed(available: dict[str, str], *options: str) -> dict[str, str]:
    """Return the new names of topics, as the command chooses them."""
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    arguments = parser.parse_args(["bag", "--node-topics", *options])
    return node_topics(available, wanted_of(arguments))


def test_a_compressed_input_is_renamed_to_where_the_node_expects_its_transport() -> None:
    available = {
        "/cam/color/image_raw/compressed": COMPRESSED,
        "/cam/color/camera_info": INFO,
        "/cam/depth/image_rect_raw/compressedDepth": COMPRESSED,
        "/cam/depth/camera_info": INFO,
        "/labels": IMAGE,
    }

    assert renamed(available, "--namespace", "/left") == {
        "/cam/color/image_raw/compressed": "/left/image/compressed",
        "/cam/color/camera_info": "/left/camera_info",
        "/cam/depth/image_rect_raw/compressedDepth": "/left/depth/compressedDepth",
        "/cam/depth/camera_info": "/left/depth/camera_info",
        "/labels": "/left/masks",
    }


def test_masks_may_be_missing_for_a_segmenter_beside_the_replay() -> None:
    assert renamed(CAMERA) == OWN
    assert renamed(CAMERA | BOXES) == OWN  # boxes are no masks unless it is said


def test_an_image_may_not_be_missing() -> None:
    without = {name: kind for name, kind in CAMERA.items() if "color" not in name}

    with pytest.raises(DatasetError, match="--image"):
        renamed(without)


@pytest.mark.parametrize("mode", ["detections", "yolo"])
def test_detections_that_are_masks_go_where_the_node_expects_them(mode: str) -> None:
    found = {"/yolo/found": MASKS[mode]}

    names = renamed(CAMERA | found | LABELS, "--masks-mode", mode)

    assert names == OWN | {"/yolo/found": "/sam3d/detections"}


@pytest.mark.parametrize("nodes", ["/**", "sam3d_node"])
def test_the_mode_of_masks_is_that_of_the_parameter_file(tmp_path: Path, nodes: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        f"{nodes}:\n  ros__parameters:\n    masks.mode: detections\n"
        "robot1:\n  segmenter:\n    ros__parameters:\n      model: yolo11n-seg.pt\n"
    )

    names = renamed(CAMERA | BOXES, "--params", str(path))
    overridden = renamed(CAMERA | BOXES, "--params", str(path), "--masks-mode", "label_image")

    assert names["/yolo/found"] == "/sam3d/detections"
    assert overridden == OWN


def test_a_parameter_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("masks:\n  mode: detections\n")

    with pytest.raises(ConfigError, match="ros__parameters"):
        renamed(CAMERA | BOXES, "--params", str(path))


def test_a_topic_whose_name_says_nothing_is_renamed_when_it_is_named() -> None:
    names = renamed(CAMERA | LABELS | ANOTHER, "--masks", "/yolo/out")

    assert names == OWN | {"/yolo/out": "/sam3d/masks"}
    with pytest.raises(DatasetError, match="/elsewhere"):
        renamed(CAMERA, "--masks", "/elsewhere")


@pytest.mark.parametrize("given", ["/seg/labels", "/live/labels"])
def test_where_the_node_listens_to_what_is_given_no_masks_are_renamed(given: str) -> None:
    assert renamed(CAMERA | LABELS, "--keep-given", "--masks", given) == OWN


def test_what_is_not_given_is_renamed_beside_what_is() -> None:
    image = ["--image", "/cam/color/image_raw", "--camera-info", "/cam/color/camera_info"]

    names = renamed(CAMERA | LABELS, "--keep-given", *image)

    assert names == {
        "/cam/depth/image_raw": "/sam3d/depth",
        "/cam/depth/camera_info": "/sam3d/depth/camera_info",
        "/seg/labels": "/sam3d/masks",
    }


def test_of_a_given_image_that_is_only_there_compressed_nothing_is_renamed() -> None:
    available = CAMERA | {"/cam/color/image_raw/compressed": COMPRESSED}
    del available["/cam/color/image_raw"]

    names = renamed(available, "--keep-given", "--image", "/cam/color/image_raw")

    assert "/sam3d/image/compressed" not in names.values()
    assert names["/cam/color/camera_info"] == "/sam3d/camera_info"


def test_given_detections_are_the_masks_where_the_mode_says_so() -> None:
    options = ["--masks-mode", "detections", "--detections", "/yolo/found"]

    assert renamed(CAMERA | BOXES, *options)["/yolo/found"] == "/sam3d/detections"
    assert renamed(CAMERA | BOXES, "--keep-given", *options) == OWN
