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

"""Going through the states again and again leaves nothing behind: no thread, handle, process."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import planning_stand_ins as stand_ins
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rig import Rig

from sam3d_ros.errors import ConfigError
from sam3d_ros.ros import receiver
from sam3d_ros.ros.node import Sam3dNode
from sam3d_ros.ros.planning import planner, start
from sam3d_ros.ros.resources import Resources, resources

pytestmark = pytest.mark.ros
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
NUM_WARM, NUM_CYCLES = 2, 6
MAX_GROWTH_MB = 4.0  # of all cycles; the interpreter's own arenas come in pieces of one


@pytest.fixture
def node() -> Iterator[Sam3dNode]:
    """Return a node as a robot has it, with the processes that reconstruct and follow."""
    context = Context()
    rclpy.init(context=context)
    overrides = [Parameter("objects.backend", value="lift"), Parameter("debug.overlay", value=True)]
    node = Sam3dNode(context=context, parameter_overrides=overrides)
    yield node
    node.destroy_node()
    context.try_shutdown()


def cycle(node: Sam3dNode) -> None:
    """Go through all states, with some callbacks while active."""
    for transition in ("configure", "activate"):
        assert getattr(node, f"trigger_{transition}")() == SUCCESS
    assert {"reconstruction", "tracking"} <= resources().children_mb.keys()
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.01)
    executor.remove_node(node)
    executor.shutdown()
    for transition in ("deactivate", "cleanup"):
        assert getattr(node, f"trigger_{transition}")() == SUCCESS


def held_after(node: Sam3dNode, num_cycles: int) -> Resources:
    for _ in range(num_cycles):
        cycle(node)
    gc.collect()  # nodes of tests before, which go whenever the interpreter likes
    return resources()


def test_cycles_leave_no_thread_file_process_or_memory_behind(node: Sam3dNode) -> None:
    before = held_after(node, NUM_WARM)
    after = held_after(node, NUM_CYCLES)
    assert not after.children_mb
    assert after.num_threads == before.num_threads
    assert after.num_files == before.num_files
    assert after.resident_mb - before.resident_mb < MAX_GROWTH_MB


def test_an_activation_that_fails_leaves_no_thread_behind(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: object) -> None:
        raise ConfigError("no topic is good enough")

    monkeypatch.setattr(receiver, "message_types", refuse)
    rig.node.trigger_configure()
    before = set(threading.enumerate())
    assert rig.node.trigger_activate() == FAILURE
    assert set(threading.enumerate()) == before
    monkeypatch.undo()
    assert rig.node.trigger_activate() == SUCCESS


def entities(node: Sam3dNode) -> dict[str, list[str]]:
    """Return what the graph has of a node."""
    return {
        "publishers": sorted(each.topic_name for each in node.publishers),
        "subscriptions": sorted(each.topic_name for each in node.subscriptions),
        "clients": sorted(each.srv_name for each in node.clients),
        "timers": [str(each.timer_period_ns) for each in node.timers],
    }


def test_a_configuration_that_fails_leaves_nothing_behind(
    node: Sam3dNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "planning_messages", stand_ins.sendable)
    monkeypatch.setattr(planner, "CollisionEncoder", stand_ins.TextEncoder)
    planned = [Parameter("planning.enabled", value=True), Parameter("planning.frame", value="map")]
    bad = [
        Parameter("objects.backend", value="sam3d"),
        Parameter("weights.objects", value=str(tmp_path / "none")),
    ]
    good = [Parameter("objects.backend", value="lift"), Parameter("weights.objects", value="")]
    node.set_parameters([*planned, *bad])
    before, threads = entities(node), set(threading.enumerate())
    for _ in range(3):
        assert node.trigger_configure() == FAILURE
        assert entities(node) == before
        assert set(threading.enumerate()) == threads
    node.set_parameters(good)
    assert node.trigger_configure() == SUCCESS
    topics = entities(node)["publishers"]
    assert len(topics) == len(set(topics)) > len(before["publishers"])
    assert node.trigger_cleanup() == SUCCESS
    assert entities(node) == before
