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

"""``sam3d check`` names GPU and topics; the topics are those that a node has."""

from argparse import Namespace
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rig import Rig

from sam3d_ros.apps import check
from sam3d_ros.ros import topics

pytestmark = pytest.mark.ros
ALL_ON = {"body.enabled": True, "body.mesh": True, "debug.overlay": True, "gaussians.publish": True}


def told_of(endpoints: Any, prefix: str = "") -> dict[str, str]:
    """Return how each topic of a running node is offered or asked for."""
    return {
        each.topic_name.replace("/sam3d_node/", "~/").removeprefix(prefix): topics.Topic(
            name=each.topic_name, qos=each.qos_profile
        ).how
        for each in endpoints
    }


def test_the_topics_are_those_that_a_node_has_and_ask_for_the_same(
    make_rig: Callable[..., Rig],
) -> None:
    node = make_rig(ALL_ON).node
    node.trigger_configure()
    node.trigger_activate()
    offered, asked = told_of(node.publishers), told_of(node.subscriptions)
    listed = {each.name: each.how for each in topics.outputs()}
    own = {name for name in offered if name.startswith("~/")} - {"~/transition_event"}
    assert {name for name in listed if name.startswith("~/")} == own
    assert {name: listed[name] for name in own} == {name: offered[name] for name in own}
    assert listed["/tf"] == offered["/tf"] == "reliable, 100"
    heard = {
        each.name if each.name.startswith("/") else f"/{each.name}": each.how
        for each in topics.inputs()
    }
    heard.pop("/monitored_planning_scene")  # planning is off
    assert heard == {name: asked[name] for name in heard}


def test_check_prints_the_gpu_and_the_topics(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = pytest.importorskip("sam3d_ros.nn.devices", reason="torch is not installed")
    gpu = SimpleNamespace(name="NVIDIA H100", total_memory=80e9)
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices.torch.cuda, "get_device_properties", lambda index: gpu)
    check.run(Namespace(weights=None))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "GPU cuda:0, NVIDIA H100, 80.0 GB",
        "image best effort, 5",
        "/tf_static reliable, transient local, 100",
        "~/objects reliable, transient local, 1",
        "~/debug/overlay best effort, 1",
        "/collision_object reliable, 10",
    ):
        assert line in lines


def test_a_machine_without_a_gpu_says_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    assert check.gpu_states() == ["none: CPU, 6 threads"]
