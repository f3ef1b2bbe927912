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

"""Transforms between frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.errors import ShapeError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Floats

ORTHONORMAL = 1e-9  # as near as to make no difference


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """``x_a = scale * rotation @ x_b + translation_m``; composes with ``@``.

    Rigid (scale 1) everywhere outside a backend, because TF and Pose carry no scale.
    """

    rotation: Floats  # (3, 3)
    translation_m: Floats  # (3,)
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_shape(self.rotation, "3 3", "rotation")
        check_shape(self.translation_m, "3", "translation_m")
        if not self.scale > 0:
            raise ShapeError(f"scale must be positive, got {self.scale}")

    @classmethod
    def identity(cls) -> "Similarity":
        """Return the transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: Floats) -> "Similarity":
        """Split a 4x4 matrix ``[[s R, t], [0, 1]]``; the scale is the cube root of det(s R)."""
        check_shape(matrix, "4 4", "matrix")
        linear = np.asarray(matrix, dtype=np.float64)[:3, :3]
        scale = float(np.cbrt(np.linalg.det(linear)))
        if not scale > 0:
            raise ShapeError(f"matrix must keep handedness, its determinant is {scale**3:g}")
        return cls(linear / scale, np.asarray(matrix, dtype=np.float64)[:3, 3].copy(), scale)

    @property
    def matrix(self) -> Floats:
        """The 4x4 matrix ``[[s R, t], [0, 1]]``."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation_m
        return matrix

    def inverse(self) -> "Similarity":
        """Return ``b_from_a`` for ``a_from_b``."""
        rotation = self.rotation.T
        return Similarity(rotation, -rotation @ self.translation_m / self.scale, 1.0 / self.scale)

    def __matmul__(self, other: "Similarity") -> "Similarity":
        """Compose: ``a_from_b @ b_from_c = a_from_c``."""
        return Similarity(
            self.rotation @ other.rotation,
            self.apply(other.translation_m),
            self.scale * other.scale,
        )

    def apply(self, points: Floats) -> Floats:
        """Map points ``(..., 3)``."""
        return self.scale * (points @ self.rotation.T) + self.translation_m


def quat_wxyz_from_rotation(rotation: Floats) -> Floats:
    """Return the unit quaternion ``(4,)`` of a rotation, the one with ``w >= 0``.

    Where the matrix is not quite orthonormal it is the closest one, the leading eigenvector of a
    symmetric matrix (Bar-Itzhack, J. Guidance 23(6), 2000). Otherwise its largest component gives
    the others (Shepperd, J. Guidance 1(3), 1978), in a twentieth of the time.
    """
    check_shape(rotation, "3 3", "rotation")
    rows = rotation.tolist()
    return np.array(_quat_wxyz(rows)) if _is_orthonormal(rows) else _closest_quat_wxyz(rotation)


def _is_orthonormal(rows: Sequence[Sequence[float]]) -> bool:
    (a, b, c), (d, e, f), (g, h, i) = rows
    errors = (
        a * a + b * b + c * c - 1.0,
        d * d + e * e + f * f - 1.0,
        g * g + h * h + i * i - 1.0,
        a * d + b * e + c * f,
        a * g + b * h + c * i,
        d * g + e * h + f * i,
    )
    return all(abs(error) < ORTHONORMAL for error in errors)


def _quat_wxyz(rows: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    (a, b, c), (d, e, f), (g, h, i) = rows
    squares = 1.0 + a + e + i, 1.0 + a - e - i, 1.0 - a + e - i, 1.0 - a - e + i
    largest = squares.index(max(squares))
    columns = (
        (squares[0], h - f, c - g, d - b),
        (h - f, squares[1], b + d, c + g),
        (c - g, b + d, squares[2], f + h),
        (d - b, c + g, f + h, squares[3]),
    )
    w, x, y, z = columns[largest]
    length = math.copysign(math.sqrt(w * w + x * x + y * y + z * z), w)
    return w / length, x / length, y / length, z / length


def _closest_quat_wxyz(rotation: Floats) -> Floats:
    matrix = np.empty((4, 4))
    matrix[0, 0] = np.trace(rotation)
    matrix[0, 1:] = matrix[1:, 0] = _axial_vector(rotation)
    matrix[1:, 1:] = rotation + np.transpose(rotation) - np.trace(rotation) * np.eye(3)
    quat_wxyz = np.linalg.eigh(matrix)[1][:, -1]
    return np.asarray(quat_wxyz * np.copysign(1.0, quat_wxyz[0]))


def _axial_vector(matrix: Floats) -> Floats:
    """Return twice the vector of the antisymmetric part of a 3x3 matrix."""
    return np.array(
        [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    )
