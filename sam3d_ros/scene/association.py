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

"""Which object of the registry is which mask of the new frame: by outline, place or mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam3d_ros.config import RegistryConfig
from sam3d_ros.scene.outlines import Grid, Outline
from sam3d_ros.scene.reconstructor import KnownObject
from sam3d_ros.structures import Bools, Floats, Observation

# A mask of which this much is an object's outline, or that is this much of it, is that object's.
MIN_COVER = 0.5
PLACE_WEIGHT = 0.5  # an outline that fits says more than a place
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
    return _best_pairs(np.array([[affinity(old, new, config) for old in known] for new in seen]))


def outlined(
    observations: Sequence[Observation],
    known: Sequence[KnownObject],
    expected: Sequence[Outline],
    grid: Grid,
    config: RegistryConfig,
) -> dict[int, int]:
    """Match masks with objects whose mesh is known; return mask -> object indices.

    An object that stands where it is expected has the masks that cover its outline, whatever else
    is near it; one that does not may be where a mask is.
    """
    if not observations or not known:
        return {}
    table = np.zeros((len(observations), len(known)))
    for row, observation in enumerate(observations):
        mask = grid.thinned(observation.silhouette)
        middle = np.median(observation.object_points_camera, axis=0)
        for column, (one, outline) in enumerate(zip(known, expected, strict=True)):
            if one.class_id == observation.instance.class_id:
                by_place = 0.0 if outline.stands else _nearness(one, middle, config)
                table[row, column] = _fit(mask, outline.shown) + PLACE_WEIGHT * by_place
    return _best_pairs(table)


def reach_m(known: KnownObject, config: RegistryConfig) -> float:
    """Return how far from where it is expected an object is looked for."""
    return config.match_distance + known.sigma_m


def _nearness(known: KnownObject, middle_m: Floats, config: RegistryConfig) -> float:
    """Return 1 where readings lie in an object's middle, 0 out of its reach."""
    vertices = known.mesh_object.vertices
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    center = known.camera_from_object.apply((low + high) / 2.0)
    # Readings are on the near side of an object.
    reach = reach_m(known, config) + float(np.linalg.norm(high - low)) / 2.0
    return max(0.0, 1.0 - float(np.linalg.norm(middle_m - center)) / reach)


def _fit(mask: Bools, shown: Bools) -> float:
    """Return the IoU of a mask and an outline, 0 where neither covers much of the other."""
    both, smaller = np.count_nonzero(mask & shown), min(mask.sum(), shown.sum())
    return mask_iou(mask, shown) if both > MIN_COVER * smaller else 0.0


def _best_pairs(table: Floats) -> dict[int, int]:
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
