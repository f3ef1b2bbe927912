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


"""Who is who where place and mask do not say it: lost objects come back, one is known twice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam3d_ros.scene.association import mask_iou
from sam3d_ros.scene.likeness import Looks
from sam3d_ros.scene.tracks import Detection, Track


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Description:
    """What an object is known by when it is somewhere else."""

    class_id: str
    looks: Looks

    def likeness(self, other: "Description") -> float:
        """Return how much two are alike, 0 to 1; 0 is "another object"."""
        return self.looks.likeness(other.looks) if self.class_id == other.class_id else 0.0


def description_of(track: Track) -> Description:
    """Describe an object of the registry."""
    looks = Looks.of(track.known.reconstruction.mesh_object)
    return Description(class_id=track.known.class_id, looks=looks)


def description_of_new(detection: Detection) -> Description:
    """Describe an object that was just reconstructed."""
    looks = Looks.of(detection.reconstruction.mesh_object)
    return Description(class_id=detection.instance.class_id, looks=looks)


def recognised(known: Sequence[Description], seen: Sequence[Description]) -> dict[int, int]:
    """Match descriptions one to one by the largest total likeness; return seen -> known indices."""
    if not known or not seen:
        return {}
    table = np.array([[old.likeness(new) for old in known] for new in seen])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if table[row, column] > 0.0
    }


def are_same(first: Track, second: Track, match_iou: float) -> bool:
    """Tell whether two tracks are one object: they fill one place, and no frame shows both."""
    if first.known.class_id != second.known.class_id:
        return False
    is_one_frame = first.mask_stamp_ns == second.mask_stamp_ns
    if is_one_frame and mask_iou(first.sighting.mask, second.sighting.mask) < match_iou:
        return False
    apart_m = float(np.linalg.norm(first.center_m - second.center_m))
    if apart_m > max(first.diameter_m, second.diameter_m) / 2.0:  # no need to look at meshes
        return False
    return first.box.is_filled_by(second.box)
