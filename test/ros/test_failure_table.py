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

"""What can be wrong, row by row: one report with its code and a sentence that helps, or a flag.

All rows ask one node, which goes on with the next good frame after each. What needs a frame that
stands still is in ``test_failure_table_placed``; what needs other settings, and the variants of
each row, in ``test_inputs`` and ``test_timing``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rig import (
    CAMERA,
    HEIGHT,
    WIDTH,
    Rig,
    check,
    depth_image,
    empty_masks,
    frame,
    image_msg,
    info_msg,
    label_image,
    stamp_ns,
    tf,
)
from running import SETTINGS, Running, seen, started
from sam3d_ros.msg import Object
from tf2_msgs.msg import TFMessage

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import OutOfMemoryError, ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.node import pipeline_in_own_process
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import Mesh

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def node(make_box: Callable[..., Mesh]) -> Iterator[Running]:
    """Return a node that hears every input but points, and saw one good frame."""
    yield from started(Rig(make_box(0.1, 0.1, 0.1), SETTINGS))


def masks_of(labels: Any) -> dict[str, Any]:
    return {"masks": image_msg(np.ascontiguousarray(labels), "mono8")}


def depth_of(pixels: Any, encoding: str) -> dict[str, Any]:
    return {"depth": image_msg(np.ascontiguousarray(pixels), encoding)}


def encoded(topic: str, encoding: str) -> dict[str, Any]:
    message = frame()[topic]
    message.encoding = encoding
    return {topic: message}


def info_with(**fields: Any) -> dict[str, Any]:
    info = info_msg()
    for name, value in fields.items():
        setattr(info, name, value)
    return {"camera_info": info}


ELSEWHERE = image_msg(depth_image(), "16UC1", frame_id="elsewhere")
BEHIND = [-150.0, 0.0, 79.5, 0.0, -150.0, 59.5, 0.0, 0.0, 1.0]
ROWS = {
    "empty mask": (
        lambda: {"masks": empty_masks()},
        ReportCode.MASK_EMPTY,
        ("no pixel above 0",),
    ),
    "small mask": (
        lambda: masks_of(np.pad(np.ones((9, 9), np.uint8), ((0, HEIGHT - 9), (0, WIDTH - 9)))),
        ReportCode.MASK_EMPTY,
        ("at least 400 pixels, has 81", "masks.min_pixels"),
    ),
    "mask of another aspect ratio": (
        lambda: masks_of(label_image()[:-20]),
        ReportCode.MASK_SIZE,
        ("/masks", f"{WIDTH}x100", f"{WIDTH}x{HEIGHT}"),
    ),
    "depth image as mask": (
        lambda: {
            "masks": image_msg(
                np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH), "16UC1"
            )
        },
        ReportCode.ENCODING,
        ("/masks", "at most 255 ids"),
    ),
    "no depth under the masks": (
        lambda: depth_of(np.where(label_image() > 0, 0, 2000).astype(np.uint16), "16UC1"),
        ReportCode.DEPTH_SPARSE,
        ("mask 1", "mask 2", "depth.on_missing"),
    ),
    "millimetres in floats": (
        lambda: depth_of(depth_image().astype(np.float32), "32FC1"),
        ReportCode.DEPTH_UNIT,
        ("/depth", "read as metres, but its median is 2000", "depth.unit to mm"),
    ),
    "metres in integers": (
        lambda: depth_of(depth_image() // 1000, "16UC1"),
        ReportCode.DEPTH_UNIT,
        ("/depth", "read as millimetres, but its median is 2", "depth.unit to m"),
    ),
    "depth encoding": (
        lambda: encoded("depth", "8UC1"),
        ReportCode.ENCODING,
        ("/depth", "8UC1", "one of", "16UC1", "32FC1"),
    ),
    "image encoding": (
        lambda: encoded("image", "32FC1"),
        ReportCode.ENCODING,
        ("/image", "32FC1", "one of", "rgb8"),
    ),
    "mask encoding": (
        lambda: encoded("masks", "rgb8"),
        ReportCode.ENCODING,
        ("/masks", "rgb8", "one of", "mono8"),
    ),
    "depth of an unknown frame": (
        lambda: {"depth": ELSEWHERE},
        ReportCode.DEPTH_ALIGN,
        ("'elsewhere'", f"'{CAMERA}'", "publish that transform"),
    ),
    "camera_info of zeros": (
        lambda: info_with(k=[0.0] * 9),
        ReportCode.NO_INTRINSICS,
        ("/camera_info", "zeros", "camera.fov_fallback_deg"),
    ),
    "negative focal length": (
        lambda: info_with(k=BEHIND),
        ReportCode.NO_INTRINSICS,
        ("/camera_info", "positive focal lengths", "-150"),
    ),
    "camera_info of another size": (
        lambda: {"camera_info": info_msg(scale=2.0)},
        ReportCode.NO_INTRINSICS,
        ("/camera_info", "320x240", f"{WIDTH}x{HEIGHT}"),
    ),
    "unknown lens": (
        lambda: info_with(distortion_model="fancy"),
        ReportCode.DISTORTION,
        ("/camera_info", "fancy", "plumb_bob"),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_cannot_be_used_is_refused_by_name_and_the_next_frame_is_processed(
    node: Running, row: str
) -> None:
    changed, code, parts = ROWS[row]
    check(node.refusal(**changed()), code, *parts)


# Times


def test_a_mask_whose_image_is_not_in_the_cache_is_stale(node: Running) -> None:
    node.ask()
    check(node.refusal(shown_as=node.number - 400), ReportCode.MASK_STALE, "span", "cache_seconds")


def test_a_mask_older_than_masks_may_be_is_stale(node: Running) -> None:
    report = node.refusal(shown_as=node.number - 900)
    check(report, ReportCode.MASK_STALE, "s old, masks.max_age is 20 s", "span")


def test_a_topic_that_lags_is_named(node: Running) -> None:
    report = node.refusal(depth=None)
    check(report, ReportCode.NOT_SYNCED, "/depth lags", "0.330 s older", "sync.slop (0.04 s)")


def test_a_publisher_with_another_qos_is_an_error_with_both_policies(node: Running) -> None:
    other = node.rig.tester.create_publisher(TFMessage, "/tf_static", QoSProfile(depth=1))
    status = node.rig.diagnostics("inputs", lambda status: status.level == status.ERROR)
    assert "/tf_static" in status.message
    assert "VOLATILE" in status.message
    assert "TRANSIENT_LOCAL" in status.message
    node.rig.tester.destroy_publisher(other)


def test_a_clock_that_tells_another_time_than_stamps_is_a_warning(node: Running) -> None:
    node.ask()
    status = node.rig.diagnostics("inputs", lambda status: "CLOCK" in status.message)
    assert status.level >= status.WARN
    assert "behind the node's time; set use_sim_time" in status.message


def test_frames_that_the_queue_has_no_room_for_are_dropped_and_counted(node: Running) -> None:
    rig, heard = node.rig, node.rig.heard["/report"]
    num_before, num_started = len(heard), rig.backend.num_started
    rig.backend.gate.clear()
    numbers = [node.number + STEP for STEP in (10, 20, 30)]
    node.number = numbers[-1]
    rig.send_frame(numbers[0])
    rig.until(lambda: rig.backend.num_started > num_started, "the first reconstruction")
    for number in numbers[1:]:
        rig.feed(number)
        rig.send(masks=frame(number)["masks"])
    rig.until(lambda: len(heard) > num_before, "the report on the second")
    rig.backend.gate.set()
    rig.until(lambda: len(heard) == num_before + 3, "the other reports")
    dropped = heard[num_before]
    assert stamp_ns_from_msg(dropped.header.stamp) == stamp_ns(numbers[1])
    check(dropped, ReportCode.DROPPED, "queue.policy (latest)", "queue.depth")
    assert dropped.dropped >= 1
    status = rig.diagnostics("processing", lambda status: "DROPPED" in values_of(status))
    assert values_of(status)["dropped by queue.policy latest"] == str(dropped.dropped)


def test_time_that_goes_back_is_reported_on_the_masks_that_wait(node: Running) -> None:
    rig, heard = node.rig, node.rig.heard["/report"]
    node.ask()
    num_before, num_masks = len(heard), rig.num_masks
    rig.send(masks=frame(node.number + 1)["masks"])
    rig.until(lambda: rig.num_masks > num_masks, "the mask")
    node.number -= 100
    assert node.ask().code == ReportCode.TIME_JUMP
    check(heard[num_before], ReportCode.TIME_JUMP, "went back by 2.970 s")
    rig.until(lambda: len(heard) == num_before + 2, "the report on the frame after the jump")
    assert heard[-1].code == ReportCode.OK
    first_seen = {stamp_ns_from_msg(known.first_seen) for known in node.objects()}
    assert first_seen == {stamp_ns(node.number)}  # what was known before is forgotten


# Objects


def test_a_mask_on_the_border_is_processed_and_flagged(node: Running) -> None:
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[40:80, :15] = 1
    labels[40:80, 100:140] = 2
    assert node.ask(**masks_of(labels)).code == ReportCode.OK
    flags = sorted(known.flags & Object.TRUNCATED for known in seen(node))
    assert flags == [0, Object.TRUNCATED]


def test_a_mask_of_half_the_size_is_processed_and_flagged(node: Running) -> None:
    assert node.ask(**masks_of(label_image()[::2, ::2])).code == ReportCode.OK
    assert all(known.flags & Object.RESIZED for known in seen(node))
    node.ask()
    assert not any(known.flags & Object.RESIZED for known in seen(node))


def test_what_memory_does_not_suffice_for_fails_alone_and_is_an_error(node: Running) -> None:
    node.rig.backend.error = OutOfMemoryError("cuda:0 has too little memory: peak 9 MB, free 1 MB")
    try:
        check(node.ask(), ReportCode.OUT_OF_MEMORY, "mask 1", "mask 2", "peak 9 MB, free 1 MB")
        status = node.rig.diagnostics(
            "processing", lambda status: "OUT_OF_MEMORY" in status.message
        )
        assert status.level == status.ERROR
        assert "peak 9 MB, free 1 MB" in status.message
    finally:
        node.rig.backend.error = None
    assert node.ask().code == ReportCode.OK


def test_an_image_frame_beside_an_optical_one_is_a_warning(node: Running) -> None:
    node.rig.send(tf_static=tf("camera_frame", CAMERA))
    message = frame()["image"]
    message.header.frame_id = "camera_frame"
    node.ask(image=message)
    status = node.rig.diagnostics("inputs", lambda status: "'camera_frame'" in status.message)
    assert status.level >= status.WARN
    assert f"seems not to look along z (REP-103), as '{CAMERA}' beside it does" in status.message
    assert "camera.frame_is_optical" in status.message


# Weights


class RealRig(Rig):
    """A rig whose node reconstructs as it does outside of tests."""

    def _pipeline(self, config: SceneConfig) -> ScenePipeline:
        return pipeline_in_own_process(config)


def test_without_weights_the_node_stays_unconfigured_and_says_what_to_do(
    make_box: Callable[..., Mesh], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parameters = {"objects.backend": "sam3d", "weights.objects": str(tmp_path)}
    rig = RealRig(make_box(0.1, 0.1, 0.1), parameters)
    try:
        assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert rig.node.session is None
    finally:
        rig.close()
    said = capfd.readouterr().err
    assert str(tmp_path) in said
    assert "ckpoints/" in said  # the first of the files that belong there
    assert f"sam3d check --weights {tmp_path} says how to fetch it" in said


def values_of(status: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}
