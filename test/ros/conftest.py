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


"""What the ROS tests share: a DDS domain of their own, and the rig."""

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("sam3d_ros.msg", reason="the messages are not built")

from calls import Goal
from rig import Rig

from sam3d_ros.apps.processes import ros_environment
from sam3d_ros.structures import Mesh

# Several runs on one machine must not meet, nor a run the robot of whoever's shell names a domain;
# and the processes that tests start live in this environment, whatever the shell says.
os.environ.update(ros_environment())
gc.freeze()  # what is imported stays: collecting after each rig looks at what tests made alone


@pytest.fixture
def make_rig(make_box: Callable[..., Mesh]) -> Iterator[Callable[..., Rig]]:
    """Return a maker of rigs from parameters; all are taken down at the end."""
    rigs = []

    def make(parameters: dict[str, Any] | None = None, **options: Any) -> Rig:
        rigs.append(Rig(make_box(0.1, 0.1, 0.1), parameters or {}, **options))
        return rigs[-1]

    yield make
    for each in rigs:
        each.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """Return a rig whose node has default parameters, and is not started."""
    return make_rig()


@pytest.fixture
def make_goal() -> Iterator[Callable[..., Goal]]:
    """Return a maker of goals for a rig's node; all are taken down at the end."""
    goals: list[Goal] = []

    def make(rig: Rig, **goal: Any) -> Goal:
        goals.append(Goal(rig, **goal))
        return goals[-1]

    yield make
    for each in goals:
        each.close()
