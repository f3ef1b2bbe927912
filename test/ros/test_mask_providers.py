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

"""Masks from detectors, over DDS: boxes, polygons, and what label images show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rig import HEIGHT, WIDTH, Rig, check, frame, image_msg, stamp_ns
from sam3d_ros.msg import Object

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.compat import optional_module, vision_messages, yolo_messages
from sam3d_ros.ros.encode import header_of
from sam3d_ros.ros.qos import best_effort, latched

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros
needs_vision = pytest.mark.skipif(
    vision_messages() is None, reason="vision_msgs is not installed (no wheel of it on PyPI)"
)
needs_yolo = pytest.mark.skipif(
    yolo_messages() is None, reason="yolo_msgs is not installed (no wheel of it on PyPI)"
)
BOXES = {"mug": (40.0, 60.0, 44.0, 44.0), "can": (120.0, 60.0, 44.0, 44.0)}  # around both things


@pytest.mark.parametrize("mode", ["detections", "yolo"])
def test_a_mode_whose_messages_are_not_installed_is_refused_at_configuring(
    make_rig: MakeRig, capfd: pytest.CaptureFixture[str], mode: str
) -> None:
    package = {"detections": "vision_msgs", "yolo": "yolo_msgs"}[mode]
    if optional_module(f"{package}.msg") is not None:
        pytest.skip(f"{package} is installed")
    rig = make_rig({"masks.mode": mode})
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert f"masks.mode is {mode}, and {package} is not installed" in capfd.readouterr().err


def test_diagnostics_say_which_inputs_are_off_and_why(rig: Rig) -> None:
    if vision_messages() is not None:
        pytest.skip("vision_msgs is installed")
    rig.start()
    status = rig.diagnostics("inputs", lambda status: status.values)
    values = {pair.key: pair.value for pair in status.values}
    for name in ("detections", "label_info"):
        assert values[name].startswith("off: vision_msgs is not installed")


@needs_vision
def test_classes_and_scores_come_with_detections(rig: Rig) -> None:
    rig.advertise("/detections", vision().Detection2DArray, best_effort(10))
    rig.start()
    rig.send_frame(detections=detections("mug", "can"))
    check(rig.report(), ReportCode.OK)
    assert list(rig.report().object_ids) == ["sam3d_mug_1", "sam3d_can_2"]
    assert [round(known.score, 3) for known in objects(rig)] == [0.5, 0.6]


@needs_vision
def test_a_mask_waits_for_its_detections_and_is_refused_without(make_rig: MakeRig) -> None:
    rig = make_rig({"sync.timeout": 0.3})
    rig.advertise("/detections", vision().Detection2DArray, best_effort(10))
    rig.start()
    rig.send_frame()
    check(rig.report(), ReportCode.NOT_SYNCED, "nothing came on /detections")


@needs_vision
def test_names_that_were_sent_before_the_node_came_are_those_of_values(rig: Rig) -> None:
    rig.advertise("/label_info", vision().LabelInfo, latched(1))
    rig.send(label_info=names("bottle", "person"))
    rig.start()
    rig.send_frame()
    assert list(rig.report().object_ids) == ["sam3d_bottle_1", "sam3d_person_2"]


@needs_vision
def test_boxes_alone_are_enough_with_depth(make_rig: MakeRig) -> None:
    rig = make_rig({"masks.mode": "detections"})
    rig.advertise("/detections", vision().Detection2DArray, best_effort(10))
    rig.start("image", "camera_info", "depth", "depth/camera_info")
    rig.send_frame(masks=None, detections=detections("mug", "can"))
    report = rig.report()
    assert report.code == ReportCode.OK, report.message
    assert list(report.object_ids) == ["sam3d_mug_1", "sam3d_can_2"]
    positions = [known.pose.pose.position for known in objects(rig)]
    np.testing.assert_allclose([each.x for each in positions], [-0.267, 0.267], atol=0.01)
    np.testing.assert_allclose([each.z for each in positions], 1.0, atol=0.01)


@needs_vision
def test_no_detection_is_an_empty_frame(make_rig: MakeRig) -> None:
    rig = make_rig({"masks.mode": "detections"})
    rig.advertise("/detections", vision().Detection2DArray, best_effort(10))
    rig.start("image", "camera_info", "depth", "depth/camera_info")
    rig.send_frame(masks=None, detections=detections())
    check(rig.report(), ReportCode.MASK_EMPTY)


@needs_yolo
def test_polygons_are_enough(make_rig: MakeRig) -> None:
    yolo = yolo_messages()
    assert yolo is not None
    rig = make_rig({"masks.mode": "yolo"})
    rig.advertise("/detections", yolo.DetectionArray, best_effort(10))
    rig.start("image", "camera_info", "depth", "depth/camera_info")
    detection = yolo.Detection(class_name="mug", score=0.7, id="5")
    detection.mask.width, detection.mask.height = WIDTH, HEIGHT
    corners = ((20.0, 40.0), (59.0, 40.0), (59.0, 79.0), (20.0, 79.0))
    detection.mask.data = [yolo.Point2D(x=x, y=y) for x, y in corners]
    message = yolo.DetectionArray(header=frame()["masks"].header, detections=[detection])
    rig.send_frame(masks=None, detections=message)
    assert list(rig.report().object_ids) == ["sam3d_mug_1"]


def test_a_binary_mask_is_one_object_of_one_id(make_rig: MakeRig) -> None:
    rig = make_rig({"masks.mode": "binary"})
    rig.start()
    pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    pixels[40:80, 20:60] = 255
    rig.send_frame(masks=image_msg(pixels, "mono8"))
    assert list(rig.report().object_ids) == ["sam3d_object_1"]


def test_in_latest_mode_a_mask_with_a_stamp_of_its_own_is_that_of_the_newest_image(
    make_rig: MakeRig,
) -> None:
    rig = make_rig({"sync.mode": "latest"})
    rig.start()
    rig.feed(0)
    rig.feed(10)
    mask = frame()["masks"]
    mask.header = header_of("", 0)
    rig.send(masks=mask)
    report = rig.report()
    assert report.code == ReportCode.OK, report.message
    assert report.header == header_of(frame()["image"].header.frame_id, stamp_ns(10))


def vision() -> Any:
    module = vision_messages()
    assert module is not None
    return module


def detections(*names: str) -> Any:
    """Return a Detection2DArray of the first frame: things in their boxes."""
    messages = []
    for place, name in enumerate(names):
        detection = vision().Detection2D()
        detection.bbox.center.position.x, detection.bbox.center.position.y = BOXES[name][:2]
        detection.bbox.size_x, detection.bbox.size_y = BOXES[name][2:]
        result = vision().ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = name, 0.5 + place / 10
        detection.results = [result]
        messages.append(detection)
    return vision().Detection2DArray(header=frame()["masks"].header, detections=messages)


def names(*classes: str) -> Any:
    """Return a LabelInfo that names 1, 2, 3."""
    return vision().LabelInfo(
        class_map=[
            vision().VisionClass(class_id=number, class_name=name)
            for number, name in enumerate(classes, start=1)
        ]
    )


def objects(rig: Rig) -> list[Object]:
    rig.until(lambda: rig.heard["/objects"], "objects")
    return list(rig.heard["/objects"][-1].objects)
