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

"""What ``/diagnostics`` says, over DDS; test_timing and test_tracked_topics have more of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rig import Rig, frame
from sensor_msgs.msg import CompressedImage
from tf2_msgs.msg import TFMessage

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.compat import optional_module
from sam3d_ros.ros.qos import best_effort
from sam3d_ros.scene.reconstruct import FrameReconstructor

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_each_input_has_a_rate_an_age_and_an_offset_from_the_image(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    rig.send(depth=frame(2)["depth"])
    status = rig.diagnostics("inputs", lambda each: "+0.066" in values_of(each).get("/depth", ""))
    values = values_of(status)
    for topic in ("/image", "/camera_info", "/masks"):
        assert "Hz, newest stamp" in values[topic]
        assert values[topic].endswith("+0.000 s from the image")
    assert values["/points"] == "0.0 Hz"


def test_inputs_that_are_off_and_who_looks_up_transforms_are_told(make_rig: MakeRig) -> None:
    rig = make_rig({"masks.mode": "binary"})
    rig.start()
    values = values_of(rig.diagnostics("inputs", lambda status: len(status.values) > 1))
    has_vision, has_tf2 = (optional_module(name) for name in ("vision_msgs.msg", "tf2_ros"))
    if has_vision is None:
        assert "vision_msgs is not installed" in values["detections"]
    else:
        assert values["/detections"] == "0.0 Hz"
    who = "the node itself" if has_tf2 is None else "tf2_ros"
    assert values["transforms"].startswith(f"looked up by {who}")


@pytest.fixture
def stranger() -> Iterator[Node]:
    """Return a node of another process, as far as DDS can tell."""
    context = Context()
    rclpy.init(context=context)
    node = Node("stranger", namespace="left", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_a_publisher_of_other_messages_is_an_error_that_names_it_and_both_types(
    rig: Rig, stranger: Node
) -> None:
    stranger.create_publisher(CompressedImage, "/masks", best_effort(1))
    rig.start("image", "camera_info", "depth", "depth/camera_info")
    status = rig.diagnostics("inputs", lambda status: status.level == status.ERROR)
    assert "/masks: /left/stranger publishes sensor_msgs/msg/CompressedImage" in status.message
    assert "this node takes sensor_msgs/msg/Image" in status.message


def test_a_publisher_with_policies_that_do_not_fit_is_named(rig: Rig, stranger: Node) -> None:
    stranger.create_publisher(TFMessage, "/tf_static", best_effort(1))
    rig.start()
    named = "/tf_static: the publisher /left/stranger offers"  # its name may come after the rest
    status = rig.diagnostics("inputs", lambda status: named in status.message)
    assert status.level == status.ERROR
    assert "durability VOLATILE, this node asks for TRANSIENT_LOCAL" in status.message
    assert "reliability BEST_EFFORT, this node asks for RELIABLE" in status.message


def test_each_stage_has_percentiles_of_its_time(rig: Rig) -> None:
    rig.start()
    for number in range(2):
        rig.send_frame(number)
        rig.reports(number + 1)
    status = rig.diagnostics("processing", lambda each: values_of(each).get("OK") == "2")
    values = values_of(status)
    for report in rig.reports(2):
        assert {f"{stage.name} p50, p95" for stage in report.stages} <= values.keys()
    p50_ms, p95_ms = (float(each) for each in values["latency p50, p95"].split(" ms")[0].split(","))
    assert 0.0 < p50_ms <= p95_ms <= 1e3 * max(report.latency for report in rig.reports(2)) + 0.1


def test_a_frame_that_takes_longer_than_the_limit_is_a_warning(make_rig: MakeRig) -> None:
    rig = make_rig({"diagnostics.max_latency": 1e-6})
    rig.start()
    rig.send_frame()
    assert rig.report().code == ReportCode.OK
    status = rig.diagnostics("processing", lambda status: status.level == status.WARN)
    assert "more than diagnostics.max_latency (1e-06 s)" in status.message


def test_a_frame_within_the_limit_is_none(rig: Rig) -> None:
    rig.start()
    rig.send_frame()
    rig.report()
    status = rig.diagnostics("processing", lambda each: "last latency" in values_of(each))
    assert (status.level, status.message) == (DiagnosticStatus.OK, "OK")


def test_the_node_says_loading_until_its_backend_is_ready(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FrameReconstructor, "is_ready", False)
    rig.start()
    rig.diagnostics("processing", lambda each: values_of(each).get("state") == "loading")
    monkeypatch.undo()
    rig.diagnostics("processing", lambda each: values_of(each).get("state") == "ready")


def test_memory_threads_and_files_are_told_in_every_state(rig: Rig) -> None:
    rig.start()
    rig.node.trigger_deactivate()
    values = values_of(rig.diagnostics("resources", lambda status: status.values))
    assert float(values["memory of the node"].removesuffix(" MB")) > 10.0
    assert values["memory of the GPU, peak of the last frame"] == "none was used"
    assert int(values["threads"]) > 1
    assert int(values["open files and sockets"]) > 1


@pytest.mark.parametrize(
    ("parameters", "off"),
    [
        ({}, {"~/gaussians": "gaussians.publish", "~/debug/overlay": "debug.overlay"}),
        ({"markers.style": "none"}, {"~/markers": "markers.style"}),
        ({"tf.publish": False}, {"/tf": "tf.publish"}),
    ],
    ids=["defaults", "markers", "tf"],
)
def test_outputs_that_are_off_say_which_parameter_did_that(
    make_rig: MakeRig, parameters: dict[str, Any], off: dict[str, str]
) -> None:
    rig = make_rig(parameters)
    rig.start()
    values = values_of(rig.diagnostics("outputs", lambda _: True))
    for output, parameter in off.items():
        assert values[output].startswith(f"off: {parameter} is")


def test_an_output_that_is_on_is_not_called_off(make_rig: MakeRig) -> None:
    rig = make_rig({"gaussians.publish": True})
    rig.start()
    values = values_of(rig.diagnostics("outputs", lambda _: True))
    assert not {"~/gaussians", "/tf", "~/markers"} & values.keys()


def test_statuses_are_named_after_the_node_and_told_at_the_period_that_is_set(
    make_rig: MakeRig,
) -> None:
    rig = make_rig({"diagnostic_updater.period": 0.2})
    rig.start()
    rig.until(lambda: len(rig.heard["/diagnostics"]) >= 3, "diagnostics")
    first, second = (array.header.stamp for array in rig.heard["/diagnostics"][1:3])
    assert (second.sec - first.sec) + 1e-9 * (second.nanosec - first.nanosec) < 0.9
    names = [status.name for status in rig.heard["/diagnostics"][-1].status]
    parts = ["outputs", "inputs", "processing", "tracking", "resources"]
    assert set(parts) <= {name.split(": ")[1] for name in names}
    assert all(name.split(": ")[0].endswith("sam3d_node") for name in names)


def test_diagnostic_updater_is_used_where_it_is_installed(rig: Rig) -> None:
    package = optional_module("diagnostic_updater")
    if package is None:
        pytest.skip("diagnostic_updater is not installed; ROS 2 from apt or source has it")
    assert isinstance(rig.node._monitor._updater, package.Updater)
