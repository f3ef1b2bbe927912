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

"""What ``/diagnostics`` says of planning."""

from diagnostic_msgs.msg import DiagnosticStatus

from sam3d_ros.ros.diagnostics import Condition
from sam3d_ros.ros.planning.start import why_no_planner
from sam3d_ros.ros.session import Session
from sam3d_ros.scene.obstacles import Obstacle


def planning_condition(session: Session) -> Condition:
    """Describe what planners know, by which geometry, and how far that is from the meshes."""
    planner = session.outputs.planner
    if planner is None:
        return Condition(values={"state": f"off: {why_no_planner(session.config)}"})
    told, placing = planner.told, planner.placing
    values = {
        "state": "on",
        "frame": planner.frame_id,
        "listeners": str(planner.num_listeners),
        "attached to the robot": ", ".join(sorted(told.attached)) or "nothing",
        "shapes that are being made": str(planner.shaper.num_waiting),
    }
    values.update({each.name: _described(each) for each in told.obstacles})
    problems = [f"NO_TRANSFORM: {placing.error}"] if placing.error else []
    if placing.uncalibrated:
        problems.append(
            f"{len(placing.uncalibrated)} objects of a camera without intrinsics are no collision "
            "objects, because their size is a guess; publish its camera_info"
        )
    return Condition(
        values=values, problems=tuple((DiagnosticStatus.WARN, each) for each in problems)
    )


def _described(obstacle: Obstacle) -> str:
    shape = obstacle.shape
    text = (
        f"{shape.geometry}, {len(shape.parts)} parts, {1e3 * shape.volume_m3:.3f} l, "
        f"{'closed' if shape.is_watertight else 'open'}, off by {1e3 * shape.hausdorff_m:.1f} mm"
    )
    if shape.uncovered_m > 0:
        text += f", leaves {1e3 * shape.uncovered_m:.1f} mm uncovered"
    text += f", made in {shape.seconds:.1f} s"
    return f"{text} ({shape.why})" if shape.why else text
