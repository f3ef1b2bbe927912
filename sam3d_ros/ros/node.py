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


"""``sam3d_node``: a lifecycle node around ``ScenePipeline``."""

import gc
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeAlias

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from sam3d_ros.config import NodeConfig, SceneConfig, retuned
from sam3d_ros.errors import ConfigError, Sam3dError
from sam3d_ros.heap import GIVE_BACK_PERIOD_S, give_back_spare
from sam3d_ros.ros.framing import Input
from sam3d_ros.ros.input_topics import message_types
from sam3d_ros.ros.monitor import Monitor
from sam3d_ros.ros.parameters import config_from_parameters, declare_parameters
from sam3d_ros.ros.pipeline import Pipeline
from sam3d_ros.ros.planning.start import make_planner
from sam3d_ros.ros.publishers import Outputs
from sam3d_ros.ros.realtime import Urgency, level_to_take
from sam3d_ros.ros.services import Services
from sam3d_ros.ros.session import Session
from sam3d_ros.scene.follower_process import FollowerProcess
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.process import ReconstructorProcess

NAME = "sam3d_node"
AGEING_PERIOD_S = 1.0
SPIN_S = 0.1  # so soon a signal is noticed
SHUTDOWN_S = 0.5
SWITCH_S = 0.001
# New objects per portion, portions put together once they have lasted, and how many of those until
# all that is not frozen is looked at again, which takes some milliseconds every few minutes.
GC_THRESHOLDS = 700, 2, 1000
Transition: TypeAlias = Callable[["Sam3dNode", LifecycleState], TransitionCallbackReturn]


class CrashError(RuntimeError):
    """A bug ended a part of the node; its own error was printed before."""


def loud(transition: Transition) -> Transition:
    """Say why a transition fails, which rclpy would not; let a bug end the process."""

    @wraps(transition)
    def wrapped(node: "Sam3dNode", state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Sam3dError as error:
            node.get_logger().error(f"{transition.__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        except BaseException:
            traceback.print_exc()
            node.crash()
            raise

    return wrapped


def pipeline_in_own_process(config: SceneConfig) -> ScenePipeline:
    """Make a pipeline whose reconstructor and follower have processes of their own."""
    return ScenePipeline(config, ReconstructorProcess(config), FollowerProcess(config))


class Sam3dNode(LifecycleNode):
    """Parameters and publishers from configure to cleanup, a ``Session`` while active."""

    def __init__(
        self,
        make_pipeline: Callable[[SceneConfig], Pipeline] = pipeline_in_own_process,
        **options: Any,
    ) -> None:
        self._make_pipeline = make_pipeline
        self._config = NodeConfig()
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._session: Session | None = None
        self._frame_id = ""  # of the objects, from one session to the next
        self.urgency = Urgency()
        self._had_images = False
        self._served: Services | None = None
        super().__init__(NAME, **options)
        declare_parameters(self, self._retune)
        self._crash = self.create_guard_condition(self._raise_crash)
        self._monitor = Monitor(self, lambda: self._session, lambda: self._config)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(AGEING_PERIOD_S, self._on_second, clock=steady)
        self.create_timer(GIVE_BACK_PERIOD_S, self._on_period, clock=steady)
        self._served = Services(self, lambda: self._session, self.crash)

    @property
    def session(self) -> Session | None:
        """What runs while the node is active."""
        return self._session

    def autostart(self) -> None:
        """Configure and activate if the parameter says so; what fails has said why."""
        if self.get_parameter("autostart").value and (
            self.trigger_configure() == TransitionCallbackReturn.SUCCESS
        ):
            self.trigger_activate()

    def _retune(self, changes: Mapping[str, Any]) -> None:
        """Let changes of dynamic settings be in force; other changes wait for a configure."""
        self._config = retuned(self._config, changes)
        if self._pipeline is not None:
            self._pipeline.retune(self._config)
        if self._session is not None:
            self._session.retune(self._config)

    def crash(self) -> None:
        """Let the executor's thread raise ``CrashError``; may be called from any thread."""
        self._crash.trigger()

    @loud
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, make the publishers and the pipeline."""
        self._config = config_from_parameters(self)
        message_types(self._config)  # what is missing is said now, not at the activation
        try:
            self._make_parts()
        except Sam3dError:  # the node stays unconfigured, and no cleanup would release them
            self._release()
            raise
        return super().on_configure(state)

    @loud
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, reconstruct, publish."""
        assert self._outputs is not None
        assert self._pipeline is not None
        result = super().on_activate(state)
        self._pipeline.start()  # again, where a deactivation has closed it
        self._outputs.start()
        self._session = Session(
            self, self._config, self._pipeline, self._outputs, self.urgency, self.crash
        )
        self._session.frame_id = self._frame_id
        self._take_priority()
        topics = self._session.receiver.topics
        self.get_logger().info(
            f"active: waits for {topics[Input.IMAGE]} with {topics[Input.MASKS]}, reconstructs "
            f"with backend {self._config.objects.backend}, publishes in "
            f"{self._config.output_frame or 'the frame of the camera'}"
        )
        return result

    @loud
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; objects keep their ids until cleanup."""
        self._end_session()
        return super().on_deactivate(state)

    @loud
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget everything."""
        self._release()
        return super().on_cleanup(state)

    @loud
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget everything, from any state."""
        self._release()
        return super().on_shutdown(state)

    @loud
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start over as unconfigured."""
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Release everything; nothing of the node is left then, not even in /dev/shm."""
        self._release()
        if self._served is not None:  # a wrong parameter ends the node before it is made
            self._served.close()
            self._served = None
        super().destroy_node()

    def _make_parts(self) -> None:
        """Make what ``_release`` releases, up to the part that could not be made."""
        planner = make_planner(self, self._config, self.crash)
        self._outputs = Outputs(self, self._config, planner)
        self._pipeline = self._make_pipeline(self._config)
        self._pipeline.start()  # that takes seconds, which activation need not wait for

    def _take_priority(self) -> None:
        """Receive in real time, if that is wanted; the executor calls this in its thread."""
        wanted = self._config.realtime_priority
        reason = self.urgency.ask(level_to_take(wanted))
        if reason and wanted > 0:
            self.get_logger().warning(f"realtime_priority {wanted} is not in force: {reason}")

    def _end_session(self) -> None:
        self.urgency.ask(0)
        if self._session is not None:
            self._session.stop()
            self._frame_id = self._session.frame_id
            self._session = None
        if self._pipeline is not None:
            self._pipeline.close()

    def _release(self) -> None:
        self._end_session()
        self._pipeline = None
        self._frame_id = ""
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None

    def _raise_crash(self) -> None:
        raise CrashError("a bug ended sam3d_node; its traceback stands above")

    def _on_second(self) -> None:
        """Let objects age."""
        if self._session is not None:
            self._session.advance()

    def _on_period(self) -> None:
        """Give spare memory back, but not before the first images, for which it was made ready."""
        if self._had_images:
            give_back_spare()
        self._had_images |= self._session is not None and self._session.receiver.has_images


class RosLogs(logging.Handler):
    """Hands what the core logs to the node's logger."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(logging.INFO)
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record with its level."""
        if record.levelno >= logging.ERROR:
            self._logger.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())


def keep_callbacks_short() -> None:
    """Keep the interpreter from holding up a callback while the worker runs.

    A full garbage collection looks at everything that was ever imported, which takes 200 ms; what
    is there now will stay, and need not be looked at again. What comes is looked at in small
    portions: by default ten are put together, which took up to 11 ms in one piece, and nothing
    was there to be collected. Handing the interpreter lock over takes one switch interval, by
    default 5 ms.
    """
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_S)


def leave_the_rest_to_the_system() -> None:
    """Release the node, and nothing else.

    Frozen objects are never released: DDS would leave its files in /dev/shm. What is not frozen
    the interpreter releases one by one when it ends, which takes seconds for Open3D and what that
    imports; all of it is memory.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def spin(node: Sam3dNode, stopped: threading.Event) -> None:
    """Run a node until ``stopped`` or the end of its context."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        while node.context.ok() and not stopped.is_set():
            node.urgency.end()
            executor.spin_once(timeout_sec=SPIN_S)
    finally:
        node.urgency.end()
        executor.shutdown(timeout_sec=SHUTDOWN_S)  # not for ever: a call may wait for its answer


def main(args: Sequence[str] | None = None, make_node: Callable[[], Sam3dNode] = Sam3dNode) -> int:
    """Run the node until SIGINT or SIGTERM; return the exit code."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    # rclpy's own handlers would end the context under the worker, which may be publishing.
    rclpy.init(
        args=list(sys.argv if args is None else args),
        signal_handler_options=SignalHandlerOptions.NO,
    )
    try:
        return run(stopped, make_node)
    finally:
        # ros2 launch may interrupt a second time; nothing must keep DDS from tidying up.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        rclpy.try_shutdown()
        leave_the_rest_to_the_system()


def run(stopped: threading.Event, make_node: Callable[[], Sam3dNode]) -> int:
    """Make the node, run it, and release it."""
    try:
        node = make_node()
    except ConfigError as error:
        rclpy.logging.get_logger(NAME).fatal(str(error))
        return 1
    handler = RosLogs(node)
    core = logging.getLogger("sam3d_ros")
    core.addHandler(handler)
    core.setLevel(logging.INFO)
    try:
        node.autostart()
        keep_callbacks_short()
        spin(node, stopped)
    finally:
        core.removeHandler(handler)
        node.destroy_node()
    return 0
