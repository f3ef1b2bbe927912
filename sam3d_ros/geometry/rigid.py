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

"""Rigid transforms in plain numbers, for the few of a lookup.

NumPy takes twenty times as long for one of them, and lets go of the interpreter lock in each small
product: a callback then waits until another thread hands it back.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sam3d_ros.errors import ShapeError
from sam3d_ros.structures import Similarity

Vector: TypeAlias = tuple[float, float, float]
Quaternion: TypeAlias = tuple[float, float, float, float]  # wxyz

STRAIGHT = 1.0 - 1e-12  # cosine from which the turn between two rotations is too small to divide by


@dataclass(frozen=True, slots=True, eq=False)
class Rigid:
    """``x_a = R(quat_wxyz) @ x_b + translation_m``; composes with ``@``."""

    quat_wxyz: Quaternion  # of length 1
    translation_m: Vector

    @classmethod
    def identity(cls) -> "Rigid":
        """Return the transform that changes nothing."""
        return cls((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))

    @classmethod
    def from_numbers(cls, quat_wxyz: Quaternion, translation_m: Vector) -> "Rigid":
        """Return the transform of a quaternion of any length but zero.

        Raises:
            ShapeError: The quaternion is zero, which TF and detectors send for "not set", or not
                finite.
        """
        length = math.hypot(*quat_wxyz)
        if not 0.0 < length < math.inf:
            raise no_rotation(quat_wxyz)
        w, x, y, z = quat_wxyz
        return cls((w / length, x / length, y / length, z / length), translation_m)

    def inverse(self) -> "Rigid":
        """Return ``b_from_a`` for ``a_from_b``."""
        w, x, y, z = self.quat_wxyz
        back = w, -x, -y, -z
        tx, ty, tz = _turned(back, self.translation_m)
        return Rigid(back, (-tx, -ty, -tz))

    def __matmul__(self, other: "Rigid") -> "Rigid":
        """Compose: ``a_from_b @ b_from_c = a_from_c``."""
        x, y, z = _turned(self.quat_wxyz, other.translation_m)
        tx, ty, tz = self.translation_m
        return Rigid(_product(self.quat_wxyz, other.quat_wxyz), (x + tx, y + ty, z + tz))

    def towards(self, other: "Rigid", fraction: float) -> "Rigid":
        """Return the transform at ``fraction`` of the way from this one (0) to ``other`` (1).

        The rotation turns at constant speed the short way round (Shoemake, "Animating rotation
        with quaternion curves", SIGGRAPH 1985), the translation goes straight.
        """
        first, second = self.quat_wxyz, other.quat_wxyz
        cosine = sum(a * b for a, b in zip(first, second, strict=True))
        sign = math.copysign(1.0, cosine)
        weights = 1.0 - fraction, sign * fraction
        if abs(cosine) < STRAIGHT:
            angle_rad = math.acos(abs(cosine))
            sine = math.sin(angle_rad)
            weights = (
                math.sin(weights[0] * angle_rad) / sine,
                sign * math.sin(fraction * angle_rad) / sine,
            )
        w, x, y, z = (weights[0] * a + weights[1] * b for a, b in zip(first, second, strict=True))
        length = math.hypot(w, x, y, z)
        start, end = self.translation_m, other.translation_m
        tx, ty, tz = ((1.0 - fraction) * a + fraction * b for a, b in zip(start, end, strict=True))
        return Rigid((w / length, x / length, y / length, z / length), (tx, ty, tz))

    @property
    def similarity(self) -> Similarity:
        """The same transform as everything else takes it."""
        w, x, y, z = self.quat_wxyz
        rotation = np.array(
            [
                [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
                [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
                [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
            ]
        )
        return Similarity(rotation, np.array(self.translation_m))


def no_rotation(quat_wxyz: object) -> ShapeError:
    """Return the error of a quaternion that is no rotation at any length."""
    return ShapeError(
        f"quat_wxyz must be a finite quaternion of non-zero length, got {quat_wxyz}; "
        "check whether the sender filled in the orientation"
    )


def _product(a: Quaternion, b: Quaternion) -> Quaternion:
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _turned(quat_wxyz: Quaternion, vector: Vector) -> Vector:
    """Turn a vector: ``v + 2 w (q x v) + 2 q x (q x v)``."""
    w, x, y, z = quat_wxyz
    vx, vy, vz = vector
    cx, cy, cz = 2.0 * (y * vz - z * vy), 2.0 * (z * vx - x * vz), 2.0 * (x * vy - y * vx)
    return (
        vx + w * cx + y * cz - z * cy,
        vy + w * cy + z * cx - x * cz,
        vz + w * cz + x * cy - y * cx,
    )
