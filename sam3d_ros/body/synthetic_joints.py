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

"""Where the joints of a made-up person are; the numbers of the joints are those of MHR."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sam3d_ros.structures.people import NUM_JOINTS

Step = tuple[float, float, float]

# Steps (x to its left, y up, z ahead; cm) from joint to joint along the chains of the left side.
LEG: tuple[Step, ...] = (
    (9, -4, 0),
    (0, -41, 0),
    (0, -38, -2),
    (0, -2, 2),
    (0, -2, 3),
    (0, -1, 4),
    (0, 0, 5),
)
SPINE: tuple[Step, ...] = ((0, 6, 0), (0, 11, 0), (0, 12, 0), (0, 13, 0))
ARM: tuple[Step, ...] = ((4, 11, 0), (13, 0, 0), (2, -27, 0), (0, -13, 2), (0, -11, 2))
FINGERS = (((-2.0, -8.0, 1.0), 5), ((-0.7, -8, 1), 4), ((0.7, -8, 1), 4), ((2, -8, 1), 4))
THUMB = ((3.0, -2.0, 2.0), 5)
ROOT, CHEST, NECK, HEAD, JAW = 1, 37, 110, 113, 114
LEFT_WRIST, RIGHT_WRIST = 78, 42

# Which hang from a joint without a step of their own: helpers of twists, parts of the face.
HELPERS = {
    3: (9, 10, 11, 12),
    2: (13, 14, 15, 16, 17),
    19: (25, 26, 27, 28),
    18: (29, 30, 31, 32, 33),
    40: (65, 66, 67, 68),
    39: (69, 70, 71, 72, 73),
    76: (101, 102, 103, 104),
    75: (105, 106, 107, 108, 109),
    NECK: (111, 112),
    HEAD: (126,),
    JAW: (115, 116),
    122: (123,),
    124: (125,),
}


def joint_tree() -> tuple[Tensor, Tensor]:
    """Return the parents ``(127,)``, -1 for the root, and the positions ``(127, 3)`` cm at rest."""
    parents, steps = torch.full((NUM_JOINTS,), -1), torch.zeros(NUM_JOINTS, 3)
    for parent, first, chain in _chains():
        joints = torch.arange(first, first + len(chain))
        parents[joints] = torch.tensor([parent, *joints[:-1].tolist()])
        steps[joints] = torch.tensor(chain, dtype=torch.float32)
    for parent, helpers in HELPERS.items():
        parents[list(helpers)] = parent
    positions = torch.zeros(NUM_JOINTS, 3)
    for joint, parent in enumerate(parents.tolist()):
        positions[joint] = steps[joint] + (positions[parent] if parent >= 0 else 0.0)
    return parents, positions


def _chains() -> list[tuple[int, int, Sequence[Step]]]:
    """Return parent, first joint and steps of each chain."""
    chains: list[tuple[int, int, Sequence[Step]]] = [
        (-1, 0, ((0, 0, 0), (0, 92, 0))),
        (ROOT, 2, LEG),
        (ROOT, 18, _mirrored(LEG)),
        (ROOT, 34, SPINE),
        (CHEST, 38, _mirrored(ARM)),
        (CHEST, 74, ARM),
        (CHEST, NECK, ((0, 16, 0),)),
        (NECK, HEAD, ((0, 9, 1),)),
        (HEAD, JAW, ((0, 0, 3),)),
        (JAW, 117, ((0, 1, 1),) * 5),
        (HEAD, 122, ((-3, 7, 8),)),
        (HEAD, 124, ((3, 7, 8),)),
    ]
    for wrist in (LEFT_WRIST, RIGHT_WRIST):
        first = wrist + 1
        for step, count in (*FINGERS, THUMB):
            chain = (step, *((0.0, -3.0, 0.5),) * (count - 1))
            chains.append((wrist, first, chain if wrist == LEFT_WRIST else _mirrored(chain)))
            first += count
    return chains


def _mirrored(chain: Sequence[Step]) -> Sequence[Step]:
    return [(-x, y, z) for x, y, z in chain]
