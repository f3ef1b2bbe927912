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


"""The life of the node: states, parameters, and what is left of it."""

import threading
from collections.abc import Callable

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rig import Rig, frame, stamp_ns
from visualization_msgs.msg import Marker

from sam3d_ros.config import NodeConfig, leaves
from sam3d_ros.errors import ConfigError, ReportCode
from sam3d_ros.ros.compat import packages
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.node import CrashError
from sam3d_ros.ros.parameters import config_from_parameters
from sam3d_ros.scene.pipeline import ScenePipeline

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def num_endpoints(rig: Rig) -> tuple[int, int, int]:
    node = rig.node
    return len(list(node.publishers)), len(list(node.subscriptions)), len(list(node.timers))


def test_without_autostart_the_node_waits_to_be_configured(make_rig: MakeRig) -> None:
    rig = make_rig({"autostart": False})
    rig.node.autostart()
    assert rig.node.session is None
    assert rig.node.trigger_configure() == SUCCESS
    assert rig.node.trigger_activate() == SUCCESS
    assert rig.node.session is not None


def test_configuring_again_after_cleanup_works_and_leaks_nothing(rig: Rig) -> None:
    rig.start()
    endpoints, threads = num_endpoints(rig), threading.active_count()
    for _ in range(3):
        assert rig.node.trigger_deactivate() == SUCCESS
        assert rig.node.trigger_cleanup() == SUCCESS
        assert rig.node.trigger_configure() == SUCCESS
        assert rig.node.trigger_activate() == SUCCESS
    assert num_endpoints(rig) == endpoints
    assert threading.active_count() == threads
    rig.until(rig.is_connected, "connections")
    rig.send_frame()
    assert rig.report().code == ReportCode.OK


def test_each_activation_makes_the_reconstructor_ready_before_the_first_frame(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[ScenePipeline] = []

    def start(self: ScenePipeline) -> None:
        starts.append(self)

    monkeypatch.setattr(ScenePipeline, "start", start)
    rig.start()
    assert starts
    rig.node.trigger_deactivate()
    starts.clear()
    rig.node.trigger_activate()
    assert starts


def test_an_inactive_node_is_silent_and_hears_nothing(rig: Rig) -> None:
    rig.start()
    assert rig.node.trigger_deactivate() == SUCCESS
    rig.send_frame()
    rig.settle(1.0)
    assert not rig.heard["/report"]
    assert rig.diagnostics("processing", lambda status: status.values[0].value == "not active")


def test_objects_keep_their_ids_while_inactive_and_are_shown_again(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    rig.until(lambda: len(rig.heard["/markers"]) == 3, "markers")
    rig.node.trigger_deactivate()
    rig.node.trigger_activate()
    rig.until(rig.is_connected, "connections")
    rig.send_frame(1)
    assert list(rig.reports(2)[1].object_ids) == ["sam3d_object_1", "sam3d_object_2"]
    rig.until(lambda: len(rig.heard["/markers"]) == 6, "markers again")
    actions = [array.markers[0].action for array in rig.heard["/markers"][3:]]
    assert actions == [Marker.DELETEALL, Marker.ADD, Marker.ADD]


def test_cleanup_forgets_the_objects(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert getattr(rig.node, f"trigger_{transition}")() == SUCCESS
    rig.until(rig.is_connected, "connections")
    rig.send_frame(1)
    assert list(rig.reports(2)[1].object_ids) == ["sam3d_object_1", "sam3d_object_2"]
    first_seen = rig.heard["/objects"]
    rig.until(lambda: len(first_seen) == 2, "objects")
    assert stamp_ns_from_msg(first_seen[1].objects[0].first_seen) == stamp_ns(1)


def test_shutdown_works_from_every_state(make_rig: MakeRig) -> None:
    for steps in ((), ("configure",), ("configure", "activate")):
        rig = make_rig()
        for transition in steps:
            assert getattr(rig.node, f"trigger_{transition}")() == SUCCESS
        assert rig.node.trigger_shutdown() == SUCCESS


def test_objects_age_while_no_mask_comes(make_rig: MakeRig) -> None:
    rig = make_rig({"registry.lost_after": 1.0, "registry.remove_after": 3.0, "masks.max_age": 1.0})
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    rig.feed(150)
    rig.until(lambda: len(rig.heard["/markers"]) == 5, "two deletions")
    rig.until(lambda: not rig.heard["/objects"][-1].objects, "an empty registry")
    assert len(rig.heard["/report"]) == 1
    stamps = [stamp_ns_from_msg(each.header.stamp) for each in rig.heard["/objects"]]
    assert set(stamps) == {stamp_ns(0)}


def test_objects_are_not_told_again_while_nothing_changes(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    rig.until(lambda: rig.heard["/objects"], "objects")
    rig.feed(1)
    rig.settle(2.5)
    assert len(rig.heard["/objects"]) == 1


# Parameters


def test_every_setting_is_a_parameter_with_its_default(rig: Rig) -> None:
    assert config_from_parameters(rig.node) == NodeConfig()


def test_every_parameter_says_what_it_means_and_what_it_takes(rig: Rig) -> None:
    for name, value, limits in leaves(NodeConfig()):
        descriptor = rig.node.describe_parameter(name)
        assert descriptor.description == limits.description
        if limits.choices:
            assert limits.listed_choices in descriptor.additional_constraints
        if limits.low is not None:
            is_float = isinstance(value, float)
            (span,) = descriptor.floating_point_range if is_float else descriptor.integer_range
            assert (span.from_value, span.to_value) == (limits.low, limits.high)


@pytest.mark.parametrize(
    ("name", "value"), [("sync.slop", 2.0), ("sync.slop", "much"), ("masks.mode", "polygons")]
)
def test_a_wrong_value_at_the_start_is_an_error_that_names_it(
    make_rig: MakeRig, name: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=name):
        make_rig({name: value})


def test_a_wrong_value_later_is_refused_with_the_reason(rig: Rig) -> None:
    result = rig.node.set_parameters([Parameter("masks.mode", value="polygons")])[0]
    assert not result.successful
    assert "label_image" in result.reason


def test_a_changed_parameter_is_in_force_after_configuring_again_and_the_node_says_so(
    rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    rig.start()
    rig.node.set_parameters([Parameter("output_frame", value="map")])
    assert "output_frame will be 'map' from the next configure on" in capfd.readouterr().err
    rig.send_frame(0)
    assert rig.reports(1)[0].code == ReportCode.OK
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert getattr(rig.node, f"trigger_{transition}")() == SUCCESS
    rig.until(rig.is_connected, "connections")
    rig.send_frame(1)
    assert rig.reports(2)[1].code == ReportCode.NO_TRANSFORM


# Failing


def test_without_tf2_msgs_configuring_fails_and_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "optional_module", lambda _: None)
    assert rig.node.trigger_configure() == FAILURE
    assert "tf2_msgs is not installed" in capfd.readouterr().err
    monkeypatch.undo()
    assert rig.node.trigger_configure() == SUCCESS


def test_a_bug_in_the_worker_ends_the_executor(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    rig.start()
    rig.backend.error = ZeroDivisionError("a bug")
    rig.send_frame()
    with pytest.raises(CrashError, match="traceback stands above"):
        rig.reports(1)
    assert seen[0].exc_type is ZeroDivisionError


def test_a_bug_in_a_transition_ends_the_executor(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rig, "_pipeline", None)
    rig.node._make_pipeline = None
    assert rig.node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert "TypeError" in capfd.readouterr().err
    with pytest.raises(CrashError):
        rig.settle()


def test_a_failing_object_stops_no_other_frame(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0, masks=frame(0)["image"])
    assert rig.reports(1)[0].code == ReportCode.ENCODING
    rig.send_frame(1)
    assert rig.reports(2)[1].code == ReportCode.OK
