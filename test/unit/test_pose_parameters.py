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

"""Laws of the body's parametrisation: what a model predicts and what a rig takes are one pose."""

import pytest
import torch
from torch import Tensor

from sam3d_ros.body.parameters import (
    BODY,
    BODY_TRANSLATIONS,
    HAND,
    WRIST_LIMITS,
    Joints,
    continuous_from_body,
    continuous_from_hand,
    hand_from_continuous,
    likelier_wrist,
    root_and_body_from_continuous,
    rotation_6d_from_xyz,
)
from sam3d_ros.nn.rotations import matrix_from_xzy

BATCHES = [(), (1,), (2, 3)]


def random(*shape: int, reach: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return reach * (2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0)


@pytest.mark.parametrize(("joints", "num"), [(BODY, 133), (HAND, 27)], ids=["body", "hand"])
def test_every_parameter_belongs_to_one_joint(joints: Joints, num: int) -> None:
    assert sorted(joints.grouped) == list(range(num))
    assert [joints.grouped[place] for place in joints.places] == list(range(num))


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_a_pose_comes_back_from_its_continuous_values(batch: tuple[int, ...]) -> None:
    body, hand = random(*batch, 133, reach=1.5), random(*batch, 27, reach=1.5)

    root = random(*batch, 3, reach=1.5)
    values = torch.cat((rotation_6d_from_xyz(root), continuous_from_body(body)), dim=-1)

    torch.testing.assert_close(root_and_body_from_continuous(values), (root, body))
    torch.testing.assert_close(hand_from_continuous(continuous_from_hand(hand)), hand)


def test_lengths_of_continuous_values_say_nothing_of_angles() -> None:
    turned = rotation_6d_from_xyz(random(3, 3))
    values = torch.cat((turned, continuous_from_body(random(3, 133))), dim=1)
    translations = values[:, -len(BODY_TRANSLATIONS) :]
    longer = torch.cat((7.0 * values[:, : -len(BODY_TRANSLATIONS)], translations), dim=1)

    expected = root_and_body_from_continuous(values)
    torch.testing.assert_close(root_and_body_from_continuous(longer), expected)


def test_what_is_predicted_can_be_learned() -> None:
    body = random(266).requires_grad_()
    hand = random(54).requires_grad_()

    assert torch.autograd.gradcheck(root_and_body_from_continuous, (body,))
    assert torch.autograd.gradcheck(hand_from_continuous, (hand,))


def test_a_likelier_wrist_is_turned_as_before_and_no_less_within_its_limits() -> None:
    wrists = random(500, 3, reach=torch.pi)
    likelier = likelier_wrist(wrists)

    torch.testing.assert_close(matrix_from_xzy(likelier), matrix_from_xzy(wrists))
    torch.testing.assert_close(likelier_wrist(likelier), likelier)
    lowest, highest = torch.tensor(WRIST_LIMITS, dtype=torch.float64).T
    beyond, beyond_before = (
        (each - each.clamp(lowest, highest)).square().sum(1) for each in (likelier, wrists)
    )
    assert (beyond <= beyond_before).all()
    assert (beyond < beyond_before).any()
    within = beyond_before == 0
    assert torch.equal(likelier[within], wrists[within])
