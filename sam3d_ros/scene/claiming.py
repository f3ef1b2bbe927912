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

"""Which object with a mesh is which mask of a new view: by what it should show, or its place."""

from collections.abc import Sequence

import numpy as np

from sam3d_ros.config import RegistryConfig
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.scene.association import best_pairs, mask_iou
from sam3d_ros.scene.outlines import Grid, Outline
from sam3d_ros.scene.reconstructor import KnownObject
from sam3d_ros.structures import Bools, Floats, Observation

# A mask of which this much is an object's outline, or that is this much of it, is that object's.
MIN_COVER = 0.5
PLACE_WEIGHT = 0.5  # an outline that fits says more than a place


def claimed(
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
    return best_pairs(table)


def reach_m(known: KnownObject, config: RegistryConfig) -> float:
    """Return how far from where it is expected an object is looked for."""
    return config.match_distance + known.sigma_m


def _nearness(known: KnownObject, middle_m: Floats, config: RegistryConfig) -> float:
    """Return 1 where readings lie in an object's middle, 0 out of its reach."""
    low, high = bounds(known.mesh_object)
    center = known.camera_from_object.apply((low + high) / 2.0)
    # Readings are on the near side of an object.
    reach = reach_m(known, config) + float(np.linalg.norm(high - low)) / 2.0
    return max(0.0, 1.0 - float(np.linalg.norm(middle_m - center)) / reach)


def _fit(mask: Bools, shown: Bools) -> float:
    """Return the IoU of a mask and an outline, 0 where neither covers much of the other."""
    both, smaller = np.count_nonzero(mask & shown), min(mask.sum(), shown.sum())
    return mask_iou(mask, shown) if both > MIN_COVER * smaller else 0.0
