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

"""Threads that outlive what waits for them use nothing that is gone, and start nothing again."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from rig import PATIENCE_S, Rig

from sam3d_ros.ros.tap import Tap

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


class Publisher:
    """Answers like one of rclpy; may be held up while it sends."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_sending = threading.Event()

    def publish(self, message: Any) -> None:
        self.is_sending.set()
        assert self.gate.wait(PATIENCE_S)
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return 2


def test_a_tap_sends_until_its_publisher_is_taken() -> None:
    publisher = Publisher()
    tap = Tap(publisher)
    tap.publish("before")
    assert tap.get_subscription_count() == 2
    assert tap.take() is publisher
    tap.publish("after")
    assert publisher.sent == ["before"]
    assert tap.get_subscription_count() == 0
    assert tap.take() is None


def test_a_publisher_is_not_taken_while_it_sends() -> None:
    publisher = Publisher()
    tap, taken = Tap(publisher), threading.Event()
    publisher.gate.clear()
    sending = threading.Thread(target=tap.publish, args=("slow",))
    taking = threading.Thread(target=lambda: (tap.take(), taken.set()))
    sending.start()
    assert publisher.is_sending.wait(PATIENCE_S)
    taking.start()
    assert not taken.wait(0.1)
    publisher.gate.set()
    assert taken.wait(PATIENCE_S)
    sending.join()
    taking.join()
    assert publisher.sent == ["slow"]


def test_outputs_of_a_node_that_is_gone_take_everything_and_send_nothing(
    make_rig: MakeRig,
) -> None:
    rig = make_rig({"debug.overlay": True, "gaussians.publish": True})
    rig.start()
    rig.send_frame(0)
    report = rig.report()
    session = rig.node.session
    assert session is not None
    snapshot = session.snapshot()
    assert snapshot.objects
    rig.node.destroy_node()  # as at SIGINT: nothing was deactivated before
    session.outputs.publish(snapshot)
    session.outputs.publish_again(snapshot)
    session.outputs.start_over(0)
    session.outputs.send_report(report)
    assert not session.outputs.overlay.is_wanted


def test_work_that_ends_after_the_node_hurts_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the reconstruction to begin")
    (worker,) = (each for each in threading.enumerate() if each.name == "reconstruction")
    rig.node.destroy_node()
    assert worker.is_alive()
    rig.backend.gate.set()
    worker.join(PATIENCE_S)
    assert not worker.is_alive()
    assert errors == []
