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

"""What was lost and stands at a known place, turned nobody knows how: its handle tells."""

import numpy as np
import pytest
from scenes import can, mug
from worlds import World, at

from sam3d_ros.config import SceneConfig
from sam3d_ros.scene.knowing import Finding, KnownMeshes, Verdict
from sam3d_ros.scene.motion import ANY_RAD, LOST_RAD, SIGMA_M, turn_rad
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.reconstructor import KnownObject
from sam3d_ros.structures import Mesh, Similarity

YAW = 1.0  # of what stands there


def compared(mesh: Mesh, wrong_deg: float, sigma_rad: float) -> tuple[Finding, Similarity]:
    """Show something that is believed to be turned otherwise; return its true pose, too."""
    world = World(meshes={"thing": mesh}, places={"thing": at(0.0, 0.0, 0.0, YAW)})
    config, frame = SceneConfig(), world.frame(1.0)
    known = KnownObject(
        track_id=1,
        revision=1,
        class_id=frame.masks[0].class_id,
        mesh_object=mesh,
        camera_from_object=world.view @ at(0.0, 0.0, 0.0, YAW + np.radians(wrong_deg)),
        sigma_m=SIGMA_M,
        sigma_rad=sigma_rad,
    )
    observations = observe(frame, config).observations
    (finding,) = KnownMeshes(config).compare(frame, observations, [known]).findings
    return finding, world.camera_from("thing")


@pytest.mark.parametrize("wrong_deg", [-170, -120, -75, -25, 15, 60, 96, 140, 180])
def test_a_mask_tells_any_turn_of_what_has_a_handle(wrong_deg: float) -> None:
    finding, truth = compared(mug(), wrong_deg, ANY_RAD)
    assert finding.verdict is Verdict.KEEP
    assert finding.registration is not None
    assert turn_rad(finding.registration.camera_from_object, truth) < np.radians(3)


def test_what_no_view_tells_stays_as_it_was() -> None:
    wrong_deg = 40.0
    finding, truth = compared(can(0.033, 0.11), wrong_deg, LOST_RAD)
    assert finding.registration is not None
    turned_rad = turn_rad(finding.registration.camera_from_object, truth)
    assert turned_rad == pytest.approx(np.radians(wrong_deg), abs=np.radians(3))
