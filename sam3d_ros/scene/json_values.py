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

"""Numbers and poses as JSON has them; what was not measured is null."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation
from sam3d_ros.structures import Similarity


def pose_json(pose: Similarity) -> dict[str, Any]:
    """Describe a rigid transform by translation, quaternion (w x y z) and 4x4 matrix."""
    return {
        "translation_m": numbers_json(pose.translation_m),
        "quat_wxyz": numbers_json(quat_wxyz_from_rotation(pose.rotation)),
        "matrix": [numbers_json(row) for row in pose.matrix],
    }


def numbers_json(values: Iterable[float]) -> list[float | None]:
    """Return finite numbers, and null for others."""
    return [number_json(value) for value in values]


def number_json(value: float) -> float | None:
    """Return a finite number, null for another."""
    return float(value) if np.isfinite(value) else None
