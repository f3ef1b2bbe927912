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

"""Settings that change while the node runs: in force at once, or refused with what is allowed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rig import Rig, check, frame, stamp_ns
from running import SETTINGS, Running, started

from sam3d_ros.config import NodeConfig, leaves
from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.structures import Mesh

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def node(make_box: Callable[..., Mesh]) -> Iterator[Running]:
    """Return a node whose settings the tests change, and put back."""
    yield from started(Rig(make_box(0.1, 0.1, 0.1), SETTINGS))


def put(running: Running, name: str, value: Any) -> SetParametersResult:
    """Set one parameter as ``ros2 param set`` does."""
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return called(running, SetParameters, "set_parameters", request).results[0]


def called(running: Running, kind: Any, name: str, request: Any) -> Any:
    client = running.rig.tester.create_client(kind, f"/sam3d_node/{name}")
    running.rig.until(client.service_is_ready, f"the service {name}")
    future = client.call_async(request)
    running.rig.until(future.done, f"the answer of {name}")
    running.rig.tester.destroy_client(client)
    return future.result()


@pytest.mark.parametrize(
    ("name", "value", "usual", "code", "part"),
    [
        ("masks.min_pixels", 2000, 400, ReportCode.MASK_EMPTY, "at least 2000 pixels, has 1600"),
        ("depth.max", 0.5, 10.0, ReportCode.DEPTH_SPARSE, "too few readings of 0.1 to 0.5 m"),
        ("depth.unit", "m", "auto", ReportCode.DEPTH_UNIT, "mask 1"),
        ("camera.rectified", True, False, ReportCode.NO_INTRINSICS, "P is all zeros"),
    ],
)
def test_a_dynamic_setting_is_in_force_with_the_next_frame(
    node: Running, name: str, value: Any, usual: Any, code: ReportCode, part: str
) -> None:
    assert put(node, name, value).successful
    check(node.ask(), code, part)
    assert put(node, name, usual).successful
    assert node.ask().code == ReportCode.OK


def test_a_mask_that_waits_waits_no_longer_than_the_new_limit(node: Running) -> None:
    assert put(node, "sync.timeout", 60.0).successful
    heard = node.rig.heard["/report"]
    node.ask()
    num_before, num_masks = len(heard), node.rig.num_masks
    node.rig.send(masks=frame(node.number + 10)["masks"])
    node.rig.until(lambda: node.rig.num_masks > num_masks, "the mask")
    node.rig.settle(0.5)
    assert len(heard) == num_before
    assert put(node, "sync.timeout", 0.3).successful
    node.rig.until(lambda: len(heard) > num_before, "its report")
    check(heard[-1], ReportCode.NOT_SYNCED, "/image lags")


def test_the_trigger_can_be_changed_while_masks_come(node: Running) -> None:
    heard = node.rig.heard["/report"]
    assert put(node, "trigger.mode", "on_demand").successful
    num_before = len(heard)
    node.number += 10
    node.rig.send_frame(node.number)
    node.rig.settle(0.5)
    assert len(heard) == num_before
    assert put(node, "trigger.mode", "continuous").successful
    assert node.ask().code == ReportCode.OK


def test_the_queue_can_be_made_longer_while_frames_wait(node: Running) -> None:
    rig, heard = node.rig, node.rig.heard["/report"]
    assert put(node, "queue.depth", 3).successful
    num_before, num_started = len(heard), rig.backend.num_started
    rig.backend.gate.clear()
    node.number += 10
    rig.send_frame(node.number)
    rig.until(lambda: rig.backend.num_started > num_started, "the first reconstruction")
    for _ in range(2):
        node.number += 10
        rig.feed(node.number)
        rig.send(masks=frame(node.number)["masks"])
    rig.until(lambda: rig.node.session.num_waiting == 2, "two that wait")
    rig.backend.gate.set()
    rig.until(lambda: len(heard) == num_before + 3, "three reports")
    assert {each.code for each in heard[num_before:]} == {ReportCode.OK}
    assert stamp_ns_from_msg(heard[-1].header.stamp) == stamp_ns(node.number)
    assert put(node, "queue.depth", 1).successful


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("masks.min_pixels", 0, ("1", "10000000", "0")),
        ("sync.slop", 2.0, ("0.0", "1.0", "2.0")),
        ("tf.max_camera_speed", -1.0, ("0.0", "10.0", "-1.0")),
        ("queue.policy", "newest", ("latest, oldest, none", "'newest'")),
        ("depth.max", float("nan"), ("0.0", "1000.0", "nan")),
        ("depth.min", 20.0, ("depth.min (20 m)", "below depth.max (10 m)")),
        ("depth.max", 0.05, ("depth.min (0.1 m)", "below depth.max (0.05 m)")),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed_and_changes_nothing(
    node: Running, name: str, value: Any, parts: tuple[str, ...]
) -> None:
    result = put(node, name, value)
    assert not result.successful
    for part in (name, *parts):
        assert part in result.reason
    assert node.ask().code == ReportCode.OK


def test_a_value_of_another_type_is_refused(node: Running) -> None:
    result = put(node, "sync.slop", "much")
    assert not result.successful
    assert result.reason


def test_every_parameter_says_when_a_change_is_in_force(node: Running) -> None:
    settings = list(leaves(NodeConfig()))
    request = DescribeParameters.Request(names=[name for name, _, _ in settings])
    answer = called(node, DescribeParameters, "describe_parameters", request)
    for descriptor, (_, _, limits) in zip(answer.descriptors, settings, strict=True):
        when = "from now on" if limits.dynamic else "from the next configure on"
        told = "it is read at start" if limits.read_only else f"a change is in force {when}"
        assert told in descriptor.additional_constraints
        assert descriptor.read_only == limits.read_only


def test_what_is_read_at_start_alone_cannot_be_set(node: Running) -> None:
    result = put(node, "autostart", False)
    assert not result.successful
    assert "read-only parameter: autostart" in result.reason
    assert node.rig.node.get_parameter("autostart").value


def test_settings_that_belong_together_can_be_changed_before_the_first_configure(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig({"depth.min": 20.0, "depth.max": 30.0})
    changed = [Parameter("depth.min", value=22.0), Parameter("sync.slop", value=0.1)]
    assert all(each.successful for each in rig.node.set_parameters(changed))
    together = [Parameter("depth.max", value=5.0), Parameter("depth.min", value=1.0)]
    assert rig.node.set_parameters_atomically(together).successful
    assert rig.node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_what_changes_while_the_node_is_inactive_is_in_force_when_it_is_active(
    node: Running,
) -> None:
    assert put(node, "masks.min_pixels", 2000).successful
    node.rig.node.trigger_deactivate()
    assert put(node, "masks.max_border_fraction", 0.5).successful
    node.rig.node.trigger_activate()
    node.rig.until(node.rig.is_connected, "connections")
    check(node.ask(), ReportCode.MASK_EMPTY, "at least 2000 pixels")
    assert node.rig.node.session.config.masks.max_border_fraction == 0.5
    assert put(node, "masks.min_pixels", 400).successful
