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

"""What a goal of ``~/reconstruct`` says of how meshes are made and written; how far it is."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from calls import Goal, refused
from rig import Rig
from sam3d_ros.action import Reconstruct
from sam3d_ros.msg import Object

from sam3d_ros.errors import ReportCode

MakeRig = Callable[..., Rig]
MakeGoal = Callable[..., Goal]
pytestmark = pytest.mark.ros
Options = Reconstruct.Goal
FITTED = (Object.ACCEPTED, Object.REJECTED, Object.OCCLUDED)


def with_frame(rig: Rig) -> Rig:
    rig.start()
    rig.send_frame(0)
    rig.until(lambda: rig.node.session.trigger.latest, "a frame")
    return rig


@pytest.mark.parametrize(
    ("enabled", "refine", "is_fitted"),
    [
        (True, Options.AS_SET, True),
        (False, Options.AS_SET, False),
        (True, Options.KEEP, False),
        (False, Options.FIT, True),
    ],
    ids=["set", "not set", "kept", "fitted"],
)
def test_meshes_are_fitted_as_the_goal_says_and_else_as_settings_do(
    make_rig: MakeRig, make_goal: MakeGoal, enabled: bool, refine: int, is_fitted: bool
) -> None:
    rig = with_frame(make_rig({"trigger.mode": "on_demand", "refine.enabled": enabled}))
    result = make_goal(rig, refine=refine).result()
    assert result.success, result.message
    assert [each.refinement in FITTED for each in result.objects] == [is_fitted, is_fitted]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"refine": 3}, ("refine must be a constant of the goal", "got 3")),
        ({"texture": "velvet"}, ("texture must be one of vertex_color, none, baked", "'velvet'")),
    ],
)
def test_options_that_do_not_exist_are_refused_with_those_that_do(
    make_rig: MakeRig, make_goal: MakeGoal, options: dict[str, Any], parts: tuple[str, ...]
) -> None:
    rig = with_frame(make_rig({"trigger.mode": "on_demand"}))
    refused(make_goal(rig, **options).result(), ReportCode.BAD_INPUT, *parts)
    assert not rig.backend.num_started


def test_files_have_the_colours_that_the_goal_asks_for(
    make_rig: MakeRig, make_goal: MakeGoal, tmp_path: Path
) -> None:
    rig = make_rig({"trigger.mode": "on_demand", "output_directory": str(tmp_path)})
    with_frame(rig)
    colors = {}
    for texture in ("vertex_color", "none", ""):
        result = make_goal(rig, anew=True, formats=["ply"], texture=texture).result()
        assert result.success, result.message
        mesh = trimesh.load(result.files[0], process=False)
        colors[texture] = mesh.visual.kind
    assert colors == {"vertex_color": "vertex", "none": None, "": "vertex"}


def test_textures_are_baked(make_rig: MakeRig, make_goal: MakeGoal, tmp_path: Path) -> None:
    rig = make_rig({"trigger.mode": "on_demand", "output_directory": str(tmp_path)})
    with_frame(rig)
    result = make_goal(rig, formats=["glb"], texture="baked").result()
    mesh = trimesh.load(result.files[0], force="mesh")
    assert mesh.visual.kind == "texture"
    assert np.ptp(mesh.visual.uv) > 0


def test_textures_that_cannot_be_baked_are_refused_before_anything_is_made(
    make_rig: MakeRig, make_goal: MakeGoal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xatlas", None)
    rig = make_rig({"trigger.mode": "on_demand", "output_directory": str(tmp_path)})
    with_frame(rig)
    result = make_goal(rig, formats=["glb"], texture="baked").result()
    assert not result.success
    assert "xatlas" in result.message
    assert not rig.backend.num_started


def test_feedback_is_spread_over_the_objects(make_rig: MakeRig, make_goal: MakeGoal) -> None:
    rig = with_frame(make_rig({"trigger.mode": "on_demand"}))
    goal = make_goal(rig)
    goal.result()
    rig.until(lambda: "publish" in goal.stages, "the last feedback")
    begins = [each.fraction for each in goal.feedback if each.stage == "reconstruct"]
    first, second = begins
    assert second - first == pytest.approx(0.96 - second, abs=0.01)
