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


"""The action ``~/reconstruct``: one frame, some or all of its masks, now."""

from collections.abc import Callable
from typing import Any

from rclpy.action.server import ActionServer, CancelResponse
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from sam3d_ros.action import Reconstruct
from sam3d_ros.errors import CancelledError, ReportCode, Sam3dError
from sam3d_ros.protocols import Step
from sam3d_ros.ros.desk import Desk, Waiting
from sam3d_ros.ros.encode import stage_msgs
from sam3d_ros.ros.exports import (
    ExportOrder,
    check_baking,
    check_formats,
    check_texture,
    exported,
)
from sam3d_ros.ros.fractions import Fraction
from sam3d_ros.ros.goals import image_of, job_of
from sam3d_ros.ros.jobs import Job
from sam3d_ros.ros.session import Session, active
from sam3d_ros.scene.verdict import Verdict
from sam3d_ros.structures import SceneSnapshot


class Call:
    """One goal from its acceptance to its result; a ``jobs.Caller``."""

    def __init__(self, node: Node, goal_handle: Any) -> None:
        self._goal_handle = goal_handle
        self._waiting = Waiting(node)
        self._fraction = Fraction()

    def hear(self, step: Step) -> None:
        """Send how far the work is."""
        feedback = Reconstruct.Feedback(
            stage=step.stage,
            fraction=self._fraction.at(step),
            object_index=step.done,
            num_objects=step.total,
        )
        self._goal_handle.publish_feedback(feedback)

    def finish(self, verdict: Verdict, snapshot: SceneSnapshot | None) -> None:
        """Take in the result."""
        self._waiting.finish((verdict, snapshot))

    async def outcome(self) -> tuple[Verdict, SceneSnapshot | None]:
        """Wait for the result."""
        verdict, snapshot = await self._waiting.value()
        return verdict, snapshot


class ReconstructAction:
    """The server of the action; refusals are results, too, because only these have a code."""

    def __init__(
        self,
        node: Node,
        session: Callable[[], Session | None],
        desk: Desk,
        group: CallbackGroup,
    ) -> None:
        self._node = node
        self._session = session
        self._desk = desk
        self._jobs: dict[bytes, tuple[Session, Job]] = {}
        self._server: Any = ActionServer(
            node,
            Reconstruct,
            "~/reconstruct",
            self._execute,
            callback_group=group,
            cancel_callback=self._on_cancel,
        )

    def destroy(self) -> None:
        """Give the server back."""
        self._server.destroy()

    async def _execute(self, goal_handle: Any) -> Any:
        """Have a goal worked on, and return its result."""
        call = Call(self._node, goal_handle)
        try:
            session, job = await self._asked(goal_handle, call)
        except Sam3dError as error:
            result = self._refused(goal_handle.request, error)
        else:
            result = await self._answered(goal_handle, call, session, job)
        result.success = result.code == ReportCode.OK
        if result.success:
            goal_handle.succeed()
        elif goal_handle.is_cancel_requested:
            goal_handle.canceled()
        else:
            goal_handle.abort()
        return result

    async def _asked(self, goal_handle: Any, call: Call) -> tuple[Session, Job]:
        """Let a session do what a goal wants; from here on it is the session that reports.

        Raises:
            Sam3dError: It cannot be done; says why.
        """
        goal = goal_handle.request
        check_formats(goal.formats)
        if check_texture(goal.texture) == "baked":
            await self._desk.run(check_baking)
        session = active(self._session())
        if goal_handle.is_cancel_requested:
            raise CancelledError("the call was cancelled")
        job = job_of(goal, session, call)
        call.hear(Step(stage="waiting"))
        session.ask(job)
        return session, job

    def _refused(self, goal: Any, error: Sam3dError) -> Any:
        """Report on a goal of which no session hears, and return its result."""
        code = ReportCode.CANCELLED if isinstance(error, CancelledError) else error.code
        if (session := self._session()) is not None:  # else ~/report is not active, either
            verdict = Verdict(code=code, message=str(error))
            session.reports.of_call(*image_of(goal, session), verdict)
        return Reconstruct.Result(code=int(code), message=str(error))

    async def _answered(self, goal_handle: Any, call: Call, session: Session, job: Job) -> Any:
        """Wait for what becomes of a goal, and return its result."""
        goal, key = goal_handle.request, bytes(goal_handle.goal_id.uuid)
        self._jobs[key] = session, job
        verdict, snapshot = await call.outcome()
        del self._jobs[key]
        result = Reconstruct.Result(code=int(verdict.code), message=verdict.message)
        result.stages = stage_msgs(verdict.stage_s)
        if snapshot is None:
            return result
        seen = [known for known in snapshot.objects if known.track_id in snapshot.updated]
        result.objects = session.outputs.poses.messages(snapshot, seen)
        if (formats := check_formats(goal.formats)) and seen:
            order = ExportOrder(
                objects=tuple(seen),
                formats=formats,
                overwrite=True,
                texture=check_texture(goal.texture),
            )
            await self._write(result, session, order)
        return result

    async def _write(self, result: Any, session: Session, order: ExportOrder) -> None:
        """Write files of a goal's objects; without them, the goal has failed, not the objects."""
        try:
            result.files = await self._desk.run(lambda: exported(order, session))
        except Sam3dError as error:
            result.code, result.message = int(error.code), f"{result.message}; {error}"

    def _on_cancel(self, goal_handle: Any) -> CancelResponse:
        if (found := self._jobs.get(bytes(goal_handle.goal_id.uuid))) is not None:
            session, job = found
            session.call_off(job)
        return CancelResponse.ACCEPT
