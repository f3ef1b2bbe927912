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

"""Laws of putting hands on bodies: which are believed, and what they change."""

import pytest
import torch
from torch import Tensor

from sam3d_ros.body.camera_head import Placement
from sam3d_ros.body.estimates import BodyValues, Estimate, PosedJoints
from sam3d_ros.body.merge import (
    HAND_SCALES,
    SHARED_SCALES,
    SHARED_SHAPES,
    ArmConstants,
    HandReadings,
    keypoint_prompts,
    merged,
    trust,
)
from sam3d_ros.body.parameters import WRISTS, likelier_wrist
from sam3d_ros.body.views import CropViews
from sam3d_ros.nn.rotations import matrix_from_xzy, xzy_from_matrix

LEFT, RIGHT = 0, 1
CONSTANTS = ArmConstants(
    joint_rotation=torch.eye(3).repeat(127, 1, 1),
    scale_mean=torch.zeros(68),
    scale_comps=torch.eye(28, 68),
)
VIEWS = CropViews(
    crop_from_image=torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]),
    centers_px=torch.tensor([[128.0, 128]]),
    sides_px=torch.tensor([256.0]),
    matrix_px=torch.eye(3),
    size=128,
)


def values() -> BodyValues:
    sizes = {"global_rot": 3, "body_pose": 133, "hand": 108, "scale": 28, "shape": 45}
    return BodyValues(**{n: torch.zeros(1, s) for n, s in sizes.items()}, expression=torch.zeros(1))


def body() -> Estimate:
    """Return a body whose keypoints are all at one place in the image, and nothing is turned."""
    unused = torch.empty(0)
    return Estimate(
        raw=unused,
        values=values(),
        posed=PosedJoints(
            keypoints_m=unused,
            joints_m=unused,
            joint_rotations=torch.eye(3).repeat(1, 127, 1, 1),
            rig_parameters=unused,
        ),
        placement=Placement(
            camera=unused,
            translation_m=unused,
            keypoints_px=torch.full((1, 70, 2), 100.0),
            keypoints_depth_m=unused,
            keypoints_crop=torch.full((1, 70, 2), -0.1),
        ),
        hand_boxes=unused,
        hand_logits=unused,
    )


def readings(**changed: Tensor) -> HandReadings:
    """Return hands that fit that body, in crops of 100 and 200 pixels."""
    seen = {
        "wrist_rotations": torch.eye(3).repeat(1, 2, 1, 1),
        "wrists_px": torch.full((1, 2, 2), 100.0),
        "poses": torch.stack((torch.full((54,), 1.0), torch.full((54,), 2.0)))[None],
        "own_scales": torch.tensor([[3.0, 4.0]]),
        "shared_scales": torch.stack((torch.full((10,), 5.0), torch.full((10,), 7.0)))[None],
        "shared_shapes": torch.stack((torch.full((5,), 8.0), torch.full((5,), 10.0)))[None],
        "extents": torch.full((1, 2), 0.4),
        "sides_px": torch.tensor([[100.0, 200.0]]),
    }
    return HandReadings(**{**seen, **changed})


def turned(*angles: float) -> Tensor:
    return matrix_from_xzy(torch.tensor([[(angle, 0.0, 0.0) for angle in angles]]))


@pytest.mark.parametrize(
    ("changed", "believed"),
    [
        ({}, [True, True]),
        ({"sides_px": torch.tensor([[64.0, 200.0]])}, [False, True]),
        ({"extents": torch.tensor([[0.4, 0.5]])}, [True, False]),
        ({"wrist_rotations": turned(1.45, 1.35)}, [False, True]),
        ({"wrist_rotations": turned(-1.35, -1.45)}, [True, False]),
        # In units of the other hand's crop: 30 of 200 pixels for the left, of 100 for the right.
        ({"wrists_px": torch.full((1, 2, 2), 100.0) + torch.tensor([30.0, 0])}, [True, False]),
    ],
)
def test_hands_are_believed_that_are_large_whole_near_and_turned_alike(changed, believed) -> None:
    assert trust(body(), readings(**changed), CONSTANTS).believed.tolist() == [believed]


def test_prompts_are_of_believed_hands_inside_the_crop_and_say_nothing_else() -> None:
    hands = readings(wrists_px=torch.tensor([[[100.0, 120.0], [300.0, 100.0]]]))
    labels = keypoint_prompts(body(), hands, VIEWS, torch.tensor([[True, True]]))[0, :, 2]
    assert labels.tolist() == [-2, 62, 8, 7]  # the right wrist is outside
    prompts = keypoint_prompts(body(), hands, VIEWS, torch.tensor([[True, False]]))[0]
    assert prompts[:, 2].tolist() == [-2, 62, -2, 7]
    torch.testing.assert_close(prompts[1, :2], torch.tensor([100.0, 120.0]) / 256)
    assert not prompts[0, :2].any()


@pytest.mark.parametrize(
    ("accepted", "scales", "shapes"),
    [([True, True], 6.0, 9.0), ([False, True], 7.0, 10.0), ([False, False], 0.0, 0.0)],
)
def test_accepted_hands_and_they_alone_change_bodies(accepted, scales, shapes) -> None:
    made = merged(values(), readings(), turned(0.5, 0.6), torch.tensor([accepted]))
    for side, takes in enumerate(accepted):
        hand = made.hand[0, 54 * side : 54 * (side + 1)]
        assert hand.unique().tolist() == [(1.0 + side) * takes]
        assert float(made.scale[0, HAND_SCALES[side]]) == (3.0 + side) * takes
        wrist = made.body_pose[0, list(WRISTS[side])]
        torch.testing.assert_close(wrist, torch.tensor([(0.5, 0.6)[side], 0, 0]) * takes)
    assert made.scale[0, SHARED_SCALES].unique().tolist() == [scales]
    assert made.shape[0, SHARED_SHAPES].unique().tolist() == [shapes]
    assert not made.scale[0, 10:18].any()
    assert not made.shape[0, :40].any()


def test_of_two_ways_to_turn_a_wrist_the_likelier_is_taken() -> None:
    fitting = matrix_from_xzy(torch.tensor([[(2.5, 0.1, 2.9), (0.1, 0.2, 0.3)]]))
    made = merged(values(), readings(), fitting, torch.tensor([[True, True]]))
    angles = made.body_pose[0, list(WRISTS[LEFT])]
    torch.testing.assert_close(angles, likelier_wrist(xzy_from_matrix(fitting))[0, LEFT])
    assert (angles - torch.tensor([2.5, 0.1, 2.9])).abs().max() > 1
    torch.testing.assert_close(matrix_from_xzy(angles), fitting[0, LEFT])


def test_a_right_hand_seen_in_the_mirror_scales_as_a_left_one() -> None:
    comps = torch.zeros(28, 68)
    comps[8, 8], comps[9, 9] = 0.2, 0.4
    mean = torch.zeros(68)
    mean[8], mean[9] = 0.1, -0.1
    constants = ArmConstants(
        joint_rotation=CONSTANTS.joint_rotation, scale_mean=mean, scale_comps=comps
    )
    left = constants.left_scale(torch.tensor([3.0]))
    assert float(mean[9] + 0.4 * left) == pytest.approx(float(mean[8] + 0.2 * 3.0))
