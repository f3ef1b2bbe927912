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


"""Who calls the node under test: services and the action, over DDS, from the rig's tester."""

import time
from typing import Any

from rclpy.action import ActionClient
from rig import PATIENCE_S, Rig, frame
from sam3d_ros.action import Reconstruct
from sam3d_ros.srv import Export, GetObject, ObjectCommand
from std_srvs.srv import SetBool, Trigger

from sam3d_ros.errors import ReportCode

ATTEMPTS = 3  # to send a goal
SERVICES = {
    "get_object": GetObject,
    "export": Export,
    "lock_geometry": ObjectCommand,
    "remove_object": ObjectCommand,
    "clear": Trigger,
    "republish": Trigger,
    "apply_planning_scene": Trigger,
    "enable": SetBool,
}


def call(rig: Rig, name: str, **request: Any) -> Any:
    """Call a service of the node and return its response."""
    kind = SERVICES[name]
    client = rig.tester.create_client(kind, f"/sam3d_node/{name}")
    rig.until(client.service_is_ready, f"service {name}")
    future = client.call_async(kind.Request(**request))
    rig.until(future.done, f"the answer of {name}")
    rig.tester.destroy_client(client)
    return future.result()


class Goal:
    """One goal of ``~/reconstruct``: what was fed back, and the result."""

    def __init__(self, rig: Rig, **goal: Any) -> None:
        self._rig = rig
        self.feedback: list[Any] = []
        self._client = ActionClient(rig.tester, Reconstruct, "/sam3d_node/reconstruct")
        rig.until(self._client.server_is_ready, "the action")
        self.handle = self._answered(Reconstruct.Goal(**goal))
        assert self.handle.accepted
        self._future = self.handle.get_result_async()

    def _answered(self, goal: Any) -> Any:
        """Send a goal, again where nothing is answered.

        A node that has just appeared may answer before it has discovered who asks, and DDS drops
        that answer.
        """
        for _ in range(ATTEMPTS):
            sent = self._client.send_goal_async(goal, feedback_callback=self._on_feedback)
            asked_s = time.monotonic()
            while not sent.done() and time.monotonic() - asked_s < PATIENCE_S / ATTEMPTS:
                self._rig.settle(0.05)
            if sent.done():
                return sent.result()
        raise AssertionError(f"waited {PATIENCE_S} s for the acceptance of a goal")

    def cancel(self) -> None:
        asked = self.handle.cancel_goal_async()
        self._rig.until(asked.done, "the answer to a cancellation")
        assert asked.result().goals_canceling

    @property
    def is_done(self) -> bool:
        return bool(self._future.done())

    @property
    def status(self) -> int:
        self.result()
        return int(self._future.result().status)

    def result(self) -> Any:
        self._rig.until(self._future.done, "a result")
        return self._future.result().result

    @property
    def stages(self) -> list[str]:
        """Stages in the order in which they began."""
        return list(dict.fromkeys(each.stage for each in self.feedback))

    def close(self) -> None:
        self._client.destroy()

    def _on_feedback(self, message: Any) -> None:
        self.feedback.append(message.feedback)


def supplied(number: int = 0, **changed: Any) -> dict[str, Any]:
    """Return the messages of an exposure as fields of a goal."""
    return {**frame(number), **changed}


def with_objects(rig: Rig) -> Rig:
    """Start a node and let it know two objects."""
    rig.start()
    rig.send_frame(0)
    assert rig.reports(1)[0].code == ReportCode.OK
    return rig


def refused(response: Any, code: ReportCode, *parts: str) -> None:
    """Check a response or result that refuses: its code, and parts of its sentence."""
    assert not response.success
    if hasattr(response, "code"):
        assert response.code == code, response.message
    else:
        assert response.message.startswith(f"{code.name}: ")
    for part in parts:
        assert part in response.message
