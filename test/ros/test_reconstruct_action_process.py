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


"""Goals and the ends of processes: of the node, and of who sent the goal."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from calls import Goal, supplied
from rig import Rig
from test_process import REAL, Process, start  # noqa: F401  # a fixture

from sam3d_ros.errors import ReportCode

pytestmark = [pytest.mark.ros, pytest.mark.slow]
START_S = 90.0  # of the process that reconstructs, on a loaded machine
BACKEND = "objects.backend:=lift"
ASKED = ["observe", "measure", "reconstruct", "fit", "publish"]
# A node whose pipeline takes a minute, and looks up now and then.
SLOW = """
import sys, time
from sam3d_ros.errors import CancelledError
from sam3d_ros.ros import node
from sam3d_ros.scene.pipeline import ScenePipeline

def process(self, frame, cancelled, **options):
    print("started", flush=True)
    ends_s = time.monotonic() + 60
    while time.monotonic() < ends_s and not cancelled():
        time.sleep(0.01)
    raise CancelledError("stopped")

ScenePipeline.process = process
ScenePipeline.start = lambda self: None
if __name__ == "__main__":
    sys.exit(node.main())
"""
# Sends a goal and waits for its result until it is killed.
CLIENT = """
import sys
import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from sam3d_ros.action import Reconstruct

rclpy.init()
node = Node("caller")
client = ActionClient(node, Reconstruct, "/sam3d_node/reconstruct")
client.wait_for_server()
sent = client.send_goal_async(Reconstruct.Goal())
rclpy.spin_until_future_complete(node, sent)
print("accepted", flush=True)
rclpy.spin_until_future_complete(node, sent.result().get_result_async())
"""


@pytest.fixture
def outsider(make_rig: Callable[..., Rig]) -> Rig:
    """Return a rig of which only the tester talks; its own node stays unconfigured, elsewhere."""
    return make_rig({"autostart": False}, namespace="elsewhere")


def test_ctrl_c_ends_a_node_that_works_on_a_goal(
    start: Callable[..., Process],  # noqa: F811
    outsider: Rig,
) -> None:
    process = start(SLOW)
    goal = Goal(outsider, **supplied(0))
    outsider.until(lambda: "started" in process.output, "the work")
    code, seconds = process.end(signal.SIGINT)
    assert code == 0, process.output
    assert seconds < 5.0
    goal.close()


def test_feedback_comes_from_the_process_that_reconstructs(
    start: Callable[..., Process],  # noqa: F811
    outsider: Rig,
) -> None:
    process = start(REAL, "--ros-args", "-p", "trigger.mode:=on_demand", "-p", BACKEND)
    goal = Goal(outsider, **supplied(0))
    began_s = time.monotonic()
    while not goal.is_done and time.monotonic() - began_s < START_S:
        outsider.settle(0.2)
    assert goal.result().success, process.output
    outsider.until(lambda: "publish" in goal.stages, "the last feedback")
    assert [each for each in goal.stages if each in ASKED] == ASKED
    assert process.end(signal.SIGINT)[0] == 0
    goal.close()


def test_who_sent_a_goal_may_die_and_the_node_takes_the_next_one(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig({"trigger.mode": "on_demand"})
    rig.start()
    rig.send_frame(0)
    rig.until(lambda: rig.node.session.trigger.latest, "a frame")
    rig.backend.gate.clear()
    client = subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE)
    rig.until(lambda: rig.backend.num_started, "the work")
    client.kill()
    client.wait()
    rig.backend.gate.set()
    assert rig.report().code == ReportCode.OK
    goal = Goal(rig)
    assert goal.result().success
    goal.close()
