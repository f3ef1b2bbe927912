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

"""Who looks after the node once a second and says in ``/diagnostics`` how it is."""

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from sam3d_ros.config import NodeConfig
from sam3d_ros.ros.compat.updater import Task, make_updater
from sam3d_ros.ros.diagnostics import (
    NOT_ACTIVE,
    Condition,
    Rates,
    inputs_condition,
    outputs_condition,
    processing_condition,
    resources_condition,
    tracking_condition,
)
from sam3d_ros.ros.off import outputs_off
from sam3d_ros.ros.people.condition import people_condition
from sam3d_ros.ros.planning.condition import planning_condition
from sam3d_ros.ros.resources import resources
from sam3d_ros.ros.session import Session

PERIOD_S = 1.0


class Monitor:
    """Publishes diagnostics from the node's beginning to its end, whatever its state.

    Args:
        node: Of which they are.
        session: Returns what runs while the node is active.
        config: Returns the settings in force.
    """

    def __init__(
        self,
        node: Node,
        session: Callable[[], Session | None],
        config: Callable[[], NodeConfig],
    ) -> None:
        self._session = session
        self._config = config
        self._rates = Rates()
        self._updater, period_s = make_updater(node, PERIOD_S)
        self._updater.add("outputs", _task(lambda: outputs_condition(outputs_off(config()))))
        self._updater.add("inputs", _task(lambda: self._of_session(self._inputs)))
        self._updater.add("processing", _task(lambda: self._of_session(processing_condition)))
        self._updater.add("tracking", _task(lambda: self._of_session(self._tracking)))
        self._updater.add("people", _task(lambda: self._of_session(people_condition)))
        self._updater.add("planning", _task(lambda: self._of_session(planning_condition)))
        self._updater.add("resources", _task(self._resources))
        # A timer of the node's clock would stand still with a paused simulation.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(period_s, self._updater.force_update, clock=steady)

    def _of_session(self, describe: Callable[[Session], Condition]) -> Condition:
        session = self._session()
        return NOT_ACTIVE if session is None else describe(session)

    def _inputs(self, session: Session) -> Condition:
        return inputs_condition(session, self._rates)

    def _tracking(self, session: Session) -> Condition:
        figures = session.following.take_figures()
        return tracking_condition(session.receiver, figures, self._config())

    def _resources(self) -> Condition:
        session = self._session()
        last = session.reports.last if session is not None else None
        return resources_condition(resources(), last.gpu_peak_mb if last else float("nan"))


def _task(describe: Callable[[], Condition]) -> Task:
    def fill(status: DiagnosticStatus) -> DiagnosticStatus:
        return describe().fill(status)

    return fill
