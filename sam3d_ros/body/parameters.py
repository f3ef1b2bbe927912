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

"""Poses of the MHR rig between what a model predicts, continuous values, and what the rig takes.

Joints that turn about three axes are six values, the first two columns of a rotation; those that
turn about one are a sine and a cosine. The rig takes angles about x, y, z in rad instead. Which
joint is where follows the released model.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.nn.indices import indices_on
from sam3d_ros.nn.rotations import matrix_from_6d, matrix_from_xyz, xyz_from_matrix

# fmt: off
BODY_TRIPLES = (
    (0, 2, 4), (6, 8, 10), (12, 13, 14), (15, 16, 17), (18, 19, 20), (21, 22, 23), (24, 25, 26),
    (27, 28, 29), (34, 35, 36), (37, 38, 39), (44, 45, 46), (53, 54, 55), (64, 65, 66),
    (85, 69, 73), (86, 70, 79), (87, 71, 82), (88, 72, 76), (91, 92, 93), (112, 96, 100),
    (113, 97, 106), (114, 98, 109), (115, 99, 103), (130, 131, 132),
)
BODY_SINGLES = (
    1, 3, 5, 7, 9, 11, 30, 31, 32, 33, 40, 41, 42, 43, 47, 48, 49, 50, 51, 52, 56, 57, 58, 59, 60,
    61, 62, 63, 67, 68, 74, 75, 77, 78, 80, 81, 83, 84, 89, 90, 94, 95, 101, 102, 104, 105, 107,
    108, 110, 111, 116, 117, 118, 119, 120, 121, 122, 123,
)
# fmt: on
BODY_TRANSLATIONS = tuple(range(124, 130))
HANDS = slice(62, 116)  # of the body's parameters; hands have values of their own
JAW = slice(130, 133)
WRISTS = ((41, 43, 42), (31, 33, 32))  # left, right: about x, z, y

HAND_AXES = (3, 1, 1, 3, 1, 1, 3, 1, 1, 3, 1, 1, 2, 3, 1, 1)  # about which each joint turns

# Of a wrist about x, z, y in rad; within them lies the likelier of two triples of one rotation.
WRIST_LIMITS = ((-2.2, 1.0), (-2.2, 1.5), (-1.2, 1.5))


@dataclass(frozen=True, slots=True)
class Joints:
    """At which angles three belong to one joint, and at which one turns alone."""

    triples: tuple[tuple[int, int, int], ...]
    singles: tuple[int, ...]
    others: tuple[int, ...] = ()  # no angles, taken as they are

    @property
    def grouped(self) -> tuple[int, ...]:
        """Where the angles go that lie one kind behind the other."""
        return (
            *(angle for triple in self.triples for angle in triple),
            *self.singles,
            *self.others,
        )

    @property
    def places(self) -> tuple[int, ...]:
        """Where, one kind behind the other, each angle is: the inverse of ``grouped``."""
        grouped = self.grouped
        return tuple(sorted(range(len(grouped)), key=grouped.__getitem__))


def _hand_joints() -> Joints:
    """Find the first angle of each joint; both angles of one with two axes stand alone."""
    firsts = [sum(HAND_AXES[:joint]) for joint in range(len(HAND_AXES))]
    triples = tuple(
        (first, first + 1, first + 2)
        for first, axes in zip(firsts, HAND_AXES, strict=True)
        if axes == 3
    )
    in_triples = {angle for triple in triples for angle in triple}
    return Joints(triples, tuple(i for i in range(sum(HAND_AXES)) if i not in in_triples))


BODY = Joints(BODY_TRIPLES, BODY_SINGLES, BODY_TRANSLATIONS)
HAND = _hand_joints()
NUM_TRIPLE_VALUES, NUM_SINGLE_VALUES = 6 * len(BODY.triples), 2 * len(BODY.singles)


def xyz_from_6d(rotation_6d: Tensor) -> Tensor:
    """Return the angles ``(..., 3)`` about x, y, z of rotations ``(..., 6)``."""
    return xyz_from_matrix(matrix_from_6d(rotation_6d))


def rotation_6d_from_xyz(angles_rad: Tensor) -> Tensor:
    """Return the first two columns ``(..., 6)`` of turns about x, y, z, ``(..., 3)``."""
    return matrix_from_xyz(angles_rad)[..., :2].mT.flatten(-2)


def root_and_body_from_continuous(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return how a body is turned, and its parameters.

    Args:
        values: ``(..., 266)``: the root's rotation 6, those of all triples, all sines and
            cosines, the translations.

    Returns:
        Angles about x, y, z of the root ``(..., 3)``, and the body's parameters ``(..., 133)``.
    """
    sizes = [6 + NUM_TRIPLE_VALUES, NUM_SINGLE_VALUES, len(BODY.others)]
    triples, singles, translations = torch.split(values, sizes, dim=-1)
    # The root is turned about three axes like other joints: what is one step here is one for all.
    angles = _angles(_in_groups(triples, 6), _in_groups(singles, 2))
    grouped = torch.cat((angles[..., 3:], translations), dim=-1)
    return angles[..., :3], grouped[..., indices_on(values.device, BODY.places)]


def continuous_from_body(parameters: Tensor) -> Tensor:
    """Return continuous values ``(..., 260)`` that give the body's parameters ``(..., 133)``."""
    triples, singles = _continuous(parameters, BODY)
    translations = parameters[..., indices_on(parameters.device, BODY.others)]
    return torch.cat((triples.flatten(-2), singles.flatten(-2), translations), dim=-1)


def hand_from_continuous(values: Tensor) -> Tensor:
    """Return the angles ``(..., 27)`` of a hand of its continuous values ``(..., 54)``.

    Each angle owns two values, joint by joint: six in a row are a rotation about three axes.
    """
    pairs = _in_groups(values, 2)[..., indices_on(values.device, HAND.grouped), :]
    num = 3 * len(HAND.triples)
    angles = _angles(_in_groups(pairs[..., :num, :].flatten(-2), 6), pairs[..., num:, :])
    return angles[..., indices_on(values.device, HAND.places)]


def continuous_from_hand(angles_rad: Tensor) -> Tensor:
    """Return continuous values ``(..., 54)`` that give the angles of a hand ``(..., 27)``."""
    triples, singles = _continuous(angles_rad, HAND)
    pairs = torch.cat((_in_groups(triples.flatten(-2), 2), singles), dim=-2)
    return pairs[..., indices_on(angles_rad.device, HAND.places), :].flatten(-2)


def likelier_wrist(angles_rad: Tensor) -> Tensor:
    """Return the angles of wrists ``(..., 3)`` about x, z, y that a wrist rather turns by.

    Another triple makes the same rotation. It is taken where it goes less beyond the limits,
    in the sum of squares.
    """
    x, z, y = angles_rad.unbind(-1)
    other = _within_half_turn(torch.stack((x + math.pi, -(z + math.pi), y + math.pi), dim=-1))
    better = _beyond_limits(other) < _beyond_limits(angles_rad)
    return torch.where(better[..., None], other, angles_rad)


def _beyond_limits(angles_rad: Tensor) -> Tensor:
    """Return the sum of squares by which angles ``(..., 3)`` are beyond the limits, ``(...)``."""
    within = zip(angles_rad.unbind(-1), WRIST_LIMITS, strict=True)
    return torch.stack([angle - angle.clamp(*limits) for angle, limits in within]).square().sum(0)


def _within_half_turn(angles_rad: Tensor) -> Tensor:
    return torch.atan2(angles_rad.sin(), angles_rad.cos())


def _angles(triples: Tensor, singles: Tensor) -> Tensor:
    """Return the angles of rotations ``(..., T, 6)``, then of sines and cosines ``(..., S, 2)``."""
    about_one = torch.atan2(singles[..., 0], singles[..., 1])
    return torch.cat((xyz_from_6d(triples).flatten(-2), about_one), dim=-1)


def _continuous(angles_rad: Tensor, joints: Joints) -> tuple[Tensor, Tensor]:
    """Return the rotations ``(..., T, 6)`` and the sines and cosines ``(..., S, 2)`` of angles."""
    device, num = angles_rad.device, 3 * len(joints.triples)
    triples = _in_groups(angles_rad[..., indices_on(device, joints.grouped[:num])], 3)
    singles = angles_rad[..., indices_on(device, joints.singles)]
    return rotation_6d_from_xyz(triples), torch.stack((singles.sin(), singles.cos()), dim=-1)


def _in_groups(values: Tensor, size: int) -> Tensor:
    """Return values ``(..., G * size)`` as ``(..., G, size)``."""
    return values.reshape(*values.shape[:-1], -1, size)
