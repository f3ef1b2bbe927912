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


"""The active node: what is heard goes to the worker, what comes out goes to the topics."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from rclpy.node import Node

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import CancelledError, ReportCode, Sam3dError
from sam3d_ros.protocols import Cancelled, Step, tell
from sam3d_ros.ros.assembler import Outcome, Refusal, TimeJump
from sam3d_ros.ros.cautions import Cautions
from sam3d_ros.ros.following import Following
from sam3d_ros.ros.framing import (
    Bundle,
    DepthBundle,
    Input,
    depth_frame_from_bundle,
    frame_from_bundle,
)
from sam3d_ros.ros.jobs import BusyError, Job, NotActiveError, Progress
from sam3d_ros.ros.overlay import Overlay
from sam3d_ros.ros.pipeline import Pipeline
from sam3d_ros.ros.publishers import Outputs
from sam3d_ros.ros.realtime import Urgency
from sam3d_ros.ros.rebroadcast import Rebroadcast
from sam3d_ros.ros.receiver import Receiver
from sam3d_ros.ros.reports import Reports
from sam3d_ros.ros.triggers import Fate, Trigger
from sam3d_ros.ros.worker import Cancellation, Worker
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.scene.selecting import EVERYTHING, selected
from sam3d_ros.scene.verdict import Verdict, verdict_of
from sam3d_ros.structures import (
    NS_PER_S,
    BackendInUse,
    DepthFrame,
    ObjectState,
    SceneSnapshot,
)

AS_EXPECTED = (ObjectState.TRACKED, ObjectState.LOCKED)
JOIN_S = 0.5  # for the worker to notice that its work was called off


def active(session: "Session | None") -> "Session":
    """Return the session that there is.

    Raises:
        NotActiveError: There is none.
    """
    if session is None:
        raise NotActiveError(
            "the node is not active; activate it (ros2 lifecycle set NODE activate, after "
            "configure), or start it with autostart"
        )
    return session


class Session:
    """From activation to deactivation.

    Several threads meet here. The executor's calls ``_on_outcome`` and the public methods, and
    submits images to ``following``. The worker's touches the pipeline and publishes what frames
    with masks have shown; the two of ``following`` do so with the images between them. All
    hand their reports to one more, that of ``Reports``.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        pipeline: Pipeline,
        outputs: Outputs,
        urgency: Urgency,
        crashed: Callable[[], None],
    ) -> None:
        self._node = node
        self.config = config
        self._pipeline = pipeline
        self.outputs = outputs
        self.frame_id = ""  # of the last frame, also before the activation
        self.stamp_ns: int | None = None  # of the last since the activation or a jump in time
        self._states: dict[int, ObjectState] = {}  # as they were published
        self._has_ended = False
        self.num_objects = 0
        self.num_overtaken = 0  # masks that another one in the queue made way for
        self.backend: BackendInUse | None = None  # unknown until a frame came back from it
        self.trigger = Trigger(config.trigger)
        # Before the threads: what the graph refuses must leave none of them behind. Nothing is
        # heard before the executor's thread, which makes this, is back.
        self.receiver = Receiver(node, config, self._on_outcome, self._follow, urgency)
        self.cautions = Cautions(self.receiver.topics, self._warn)
        self._worker = Worker[Job]("reconstruction", self._process, config.queue, crashed)
        self.following = Following(
            pipeline,
            self._depth_frame,
            self._publish_followed,
            lambda removed: self._worker.run(lambda: outputs.forget(removed)),
            self._warn,
            crashed,
        )
        self._overlay = Overlay(outputs.overlay, config, self._warn, crashed)
        self.reports = Reports(outputs.send_report, self.receiver.now, self._warn, crashed)
        self._rebroadcast = self._make_rebroadcast()
        if outputs.planner is not None:
            outputs.planner.start(self.receiver.assembler.transforms.lookup)

    def retune(self, config: NodeConfig) -> None:
        """Take other values of the settings that are dynamic, also for masks that wait."""
        self.config = config
        self.trigger.retune(config.trigger)
        self._worker.retune(config.queue)
        self.receiver.assembler.retune(config)

    def advance(self) -> None:
        """Let the objects age while no masks come.

        Only up to where no mask can come any more: a mask that is late must find its objects. And
        never before the first frame, which finds them again after a pause of any length.
        """
        newest_ns = self.receiver.assembler.caches[Input.IMAGE].last_ns
        if newest_ns is None or self.stamp_ns is None or not self._worker.is_idle:
            return
        stamp_ns = newest_ns - int(self.config.masks.max_age * NS_PER_S)
        self._worker.run(lambda: self._advance(stamp_ns))

    def stop(self) -> None:
        """Stop listening, call off what is being done, report on every mask that waited."""
        self.receiver.destroy()
        if self._rebroadcast is not None:
            self._rebroadcast.destroy()
        if self.outputs.planner is not None:
            self.outputs.planner.pause()
        reason = "the node was deactivated"
        for outcome in self.receiver.assembler.flush(self.receiver.now()):
            if isinstance(outcome, Bundle):
                self._drop([Job(bundle=outcome)], ReportCode.DROPPED, reason)
            else:
                self._on_outcome(outcome)
        self.following.stop(reason)
        self._drop(self._worker.interrupt(ReportCode.DROPPED, reason), ReportCode.DROPPED, reason)
        self._worker.stop()
        if not self._join():
            self._pipeline.close()  # takes from the workers what they wait for
            self._join()
        self._has_ended = True
        self._overlay.stop(reason, JOIN_S)
        self.reports.close()

    @property
    def is_ready(self) -> bool:
        """Whether a frame would be looked at at once."""
        return self._pipeline.is_ready

    @property
    def num_waiting(self) -> int:
        """How many frames wait for their turn."""
        return self._worker.num_waiting

    def ask(self, job: Job) -> None:
        """Let a frame be looked at that a call asks for.

        Raises:
            BusyError: As many wait as may.
        """
        if not self._worker.ask(job):
            raise BusyError(
                f"{self.config.queue.depth} calls wait already while a frame is looked at; wait "
                "for the result of one, cancel it, or raise queue.depth"
            )

    def call_off(self, job: Job) -> None:
        """Stop the work that a call asked for: at once, or after the present stage or object."""
        reason = "the call was cancelled"
        if self._worker.call_off(job, ReportCode.CANCELLED, reason):
            self._drop([job], ReportCode.CANCELLED, reason)

    def snapshot(self) -> SceneSnapshot:
        """Return all objects as they are known now."""
        return self._pipeline.snapshot(self.frame_id)

    def views(self, track_id: int) -> tuple[RememberedView, ...]:
        """Return the views of an object that are remembered."""
        return self._pipeline.views(track_id)

    def clear(self) -> int:
        """Forget all objects, also those that a frame in work would show; return how many."""
        removed = self._pipeline.reset()
        self.stamp_ns = None
        self._worker.run(lambda: self._show_change(removed))
        self._worker.run(self.outputs.forget_people)
        return len(removed)

    def remove(self, track_id: int) -> bool:
        """Forget an object; return whether it was known."""
        is_known = self._pipeline.remove(track_id)
        if is_known:
            self._worker.run(lambda: self._show_change((track_id,)))
        return is_known

    def lock(self, track_id: int, locked: bool) -> bool:
        """Keep the mesh of an object as it is, or no longer; return whether it is known."""
        is_known = self._pipeline.lock(track_id, locked)
        if is_known:
            self._worker.run(self._show_change)
        return is_known

    def publish_again(self) -> None:
        """Send everything again that is sent only when it changes, after the frame in work."""
        self._worker.run(lambda: self.outputs.publish_again(self.snapshot()))

    def _make_rebroadcast(self) -> Rebroadcast | None:
        """Send transforms again in a fixed frame; in that of a camera they would soon be wrong."""
        rate_hz = self.config.tf.rebroadcast_rate
        if not (self.config.output_frame and rate_hz):
            return None
        caches, again = self.receiver.assembler.caches, self.outputs.poses.send_again
        return Rebroadcast(self._node, rate_hz, lambda: caches[Input.IMAGE].last_ns, again)

    def _show_change(self, removed: tuple[int, ...] = ()) -> None:
        """Publish what a call has changed."""
        snapshot = replace(self.snapshot(), removed=removed)
        self._note(snapshot)
        self.outputs.publish_change(snapshot)

    def _join(self) -> bool:
        """Wait for the end of both workers; return whether it came."""
        deadline_s = time.monotonic() + JOIN_S
        has_ended = self._worker.join(JOIN_S)
        return self.following.join(max(deadline_s - time.monotonic(), 0.0)) and has_ended

    def _depth_frame(self, bundle: DepthBundle) -> DepthFrame:
        return depth_frame_from_bundle(bundle, self.config, self.receiver.topics)

    def _follow(self, bundle: DepthBundle) -> None:
        if self.trigger.is_enabled and self.config.queue.follows_images:
            self.following.submit(bundle)

    def _on_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            verdict = Verdict(code=outcome.code, message=outcome.message)
            self.reports.of_mask(outcome.frame_id, outcome.stamp_ns, verdict)
        elif isinstance(outcome, TimeJump):
            self._start_over(outcome)
        else:
            self._on_bundle(outcome)

    def _on_bundle(self, bundle: Bundle) -> None:
        """Do with a mask what the trigger decides; one that is kept or ignored has no report."""
        job = Job(bundle=bundle, anew=self.trigger.anew)
        fate = self.trigger.decide(bundle)
        if fate is Fate.DROP:
            reason = f"masks come faster than trigger.max_rate ({self.config.trigger.max_rate:g})"
            self._drop([job], ReportCode.DROPPED, reason)
        elif fate is Fate.LOOK:
            dropped = self._worker.submit(job)
            self.num_overtaken += len(dropped)
            reason = (
                "another mask came while all of the queue waited; lower its rate, or see "
                f"queue.policy ({self.config.queue.policy}), queue.depth and "
                f"tracking.max_mask_rate ({self.config.tracking.max_mask_rate:g} per s)"
            )
            self._drop(dropped, ReportCode.DROPPED, reason)

    def _start_over(self, jump: TimeJump) -> None:
        """Forget what belongs to the time before a jump back."""
        reason = f"time went back by {jump.back_s:.3f} s before the mask's turn came"
        self._node.get_logger().warning(
            f"TIME_JUMP: time went back by {jump.back_s:.3f} s; caches are cleared"
        )
        self.trigger.start_over()
        self.following.pause(reason)
        waiting = self._worker.interrupt(ReportCode.TIME_JUMP, reason)
        self._drop(waiting, ReportCode.TIME_JUMP, reason)
        self._worker.run(lambda: self._reset(jump.stamp_ns))

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text)

    def _drop(self, jobs: Iterable[Job], code: ReportCode, reason: str) -> None:
        for job in jobs:
            self._end(job, Verdict(code=code, message=reason))

    def _end(self, job: Job, verdict: Verdict, snapshot: SceneSnapshot | None = None) -> None:
        """Report on a frame, and tell who asked for it."""
        self.reports.of_bundle(job.bundle, verdict)
        if job.caller is not None:
            job.caller.finish(verdict, snapshot)

    def _process(self, job: Job, cancellation: Cancellation) -> None:
        """Make a frame of a bundle and a snapshot of the frame; report on it."""
        asking = Progress(cancellation, job.caller) if job.caller else cancellation
        snapshot: SceneSnapshot | None = None
        try:
            tell(asking, Step(stage="decode"))
            frame = frame_from_bundle(job.bundle, self.config, self.receiver.topics)
            if job.selection is not EVERYTHING:
                frame = selected(frame, job.selection, self.snapshot().objects)
            frame = replace(frame, fit=job.fit)
            # Calls are answered, or called off, as a whole.
            show = None if job.caller else self._publish_found
            snapshot = self._pipeline.process(frame, asking, anew=job.anew, show=show)
            if self._has_ended:  # before the frame did: the topics are another session's now
                raise CancelledError("the node was deactivated")
        except CancelledError as error:
            verdict = Verdict(code=cancellation.code, message=cancellation.reason or str(error))
        except Sam3dError as error:
            verdict = Verdict(code=error.code, message=str(error))
        else:
            self.frame_id, self.stamp_ns = frame.frame_id, frame.stamp_ns
            self.backend = snapshot.backend or self.backend
            self._note(snapshot)
            tell(asking, Step(stage="publish"))
            self.outputs.publish(snapshot, self.views)
            self._overlay.show(frame, snapshot)
            self._rest_after(snapshot)
            verdict = verdict_of(snapshot, self.outputs.poses.names(snapshot))
        self._end(job, verdict, snapshot)

    def _rest_after(self, snapshot: SceneSnapshot) -> None:
        """Leave the processor to following while masks show nothing new.

        Never where each mask is to be looked at, nor where poses come with masks alone, as those
        of people do.
        """
        rate = self.config.tracking.max_mask_rate
        has_people = snapshot.people is not None and bool(snapshot.people.people)
        wants_all = self.config.queue.policy == "none" or self.trigger.anew or has_people
        if not rate or wants_all or not self.following.is_up_to_date:
            return
        is_known = all(known.state in AS_EXPECTED for known in snapshot.objects)
        if is_known and snapshot.objects and not snapshot.failures:
            self._worker.rest(1.0 / rate)

    def _advance(self, stamp_ns: int) -> None:
        """Let objects age; what that changes is news of the last frame, at its stamp."""
        snapshot = self._pipeline.advance(stamp_ns, self.frame_id)
        if snapshot.removed or _states(snapshot) != self._states:
            self._note(snapshot)
            self.outputs.publish_change(snapshot)

    def _publish_found(self, snapshot: SceneSnapshot) -> None:
        """Send objects of a frame that are finished before others."""
        self.frame_id = snapshot.frame_id
        self._note(snapshot)
        self.outputs.publish_found(snapshot)

    def _publish_followed(self, snapshot: SceneSnapshot, cancelled: Cancelled) -> bool:
        """Send what an image between masks has shown; geometry is the other worker's."""
        if not self.outputs.poses.send_followed(snapshot, cancelled):
            return False
        self._note(snapshot)
        return True

    def _note(self, snapshot: SceneSnapshot) -> None:
        self._states = _states(snapshot)
        if snapshot.objects and not self.num_objects:
            self._node.get_logger().info(f"{len(snapshot.objects)} objects after none")
        self.num_objects = len(snapshot.objects)

    def _reset(self, stamp_ns: int) -> None:
        """Begin again at a stamp, without objects unless they are to be kept."""
        if not self.config.registry.keep_on_time_jump:
            self.outputs.forget(self._pipeline.start_over())
            self.num_objects = 0
        self.outputs.start_over(stamp_ns)
        self.stamp_ns = None
        self.following.resume()


def _states(snapshot: SceneSnapshot) -> dict[int, ObjectState]:
    return {known.track_id: known.state for known in snapshot.objects}
