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

"""Which object of the registry is which object of a new frame: by place or mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam3d_ros.config import RegistryConfig
from sam3d_ros.structures import Bools, Floats

# Mask providers that track keep their numbers: the same number breaks ties, it decides nothing.
SAME_NUMBER_BONUS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sighting:
    """What identifies an object in one view."""

    instance_id: int
    class_id: str
    mask: Bools  # (H, W)
    center: Floats  # (3,) metres, in the fixed frame where there is one, else the camera's
    diameter_m: float


def affinity(known: Sighting, seen: Sighting, config: RegistryConfig) -> float:
    """Return how surely two sightings are one object; 0 is "cannot be".

    Either the place is the same (distance of centres below ``match_distance``), or the masks
    overlap and the object moved by no more than its own size.
    """
    if known.class_id != seen.class_id:
        return 0.0
    distance = float(np.linalg.norm(known.center - seen.center))
    by_place = 1.0 - distance / config.match_distance if config.match_distance > 0 else 0.0
    overlap = mask_iou(known.mask, seen.mask)
    may_have_moved = distance <= max(config.match_distance, known.diameter_m)
    by_mask = overlap if overlap >= config.match_iou and may_have_moved else 0.0
    strongest = max(by_place, by_mask)
    if strongest <= 0.0:
        return 0.0
    return strongest + (SAME_NUMBER_BONUS if known.instance_id == seen.instance_id else 0.0)


def associate(
    known: Sequence[Sighting], seen: Sequence[Sighting], config: RegistryConfig
) -> dict[int, int]:
    """Match sightings one to one with the largest total affinity; return seen -> known indices."""
    if not known or not seen:
        return {}
    return best_pairs(np.array([[affinity(old, new, config) for old in known] for new in seen]))


def best_pairs(table: Floats) -> dict[int, int]:
    """Match rows with columns one to one with the largest total; zero is no match."""
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if table[row, column] > 0.0
    }


def mask_iou(first: Bools, second: Bools) -> float:
    """Intersection over union of two masks; 0 where their sizes differ or both are empty."""
    if first.shape != second.shape:
        return 0.0
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 0.0
