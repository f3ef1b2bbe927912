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

"""Rotations and similarities: between representations, from point pairs, between two times.

Rotations are 3x3 matrices that act on column vectors; quaternions are ``wxyz`` with ``w >= 0``.
"""

import numpy as np

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.rigid import no_rotation
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Floats, Similarity
from sam3d_ros.structures.poses import (
    quat_wxyz_from_rotation as quat_wxyz_from_rotation,  # noqa: PLC0414  # it moved
)


def rotation_from_quat_wxyz(quat_wxyz: Floats) -> Floats:
    """Return the rotation ``(3, 3)`` of a quaternion ``(4,)`` of any length but zero.

    Raises:
        ShapeError: The quaternion is zero, which TF and detectors send for "not set".
    """
    check_shape(quat_wxyz, "4", "quat_wxyz")
    norm = np.linalg.norm(quat_wxyz)
    if not norm > 0 or not np.isfinite(norm):
        raise no_rotation(quat_wxyz)
    w, *xyz = np.asarray(quat_wxyz, dtype=np.float64) / norm
    cross = _cross_matrix(np.array(xyz))
    return np.asarray(np.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross)


def rotation_from_axis_angle(axis: Floats, angle_rad: float) -> Floats:
    """Return the rotation ``(3, 3)`` by ``angle_rad`` about ``axis`` (3,) of any length but zero.

    Raises:
        ShapeError: The axis has no direction.
    """
    cross = _cross_matrix(_unit(axis, "axis"))
    tilt = np.sin(angle_rad) * cross + (1.0 - np.cos(angle_rad)) * cross @ cross
    return np.asarray(np.eye(3) + tilt)


def fit_similarity(
    points_a: Floats, points_b: Floats, weights: Floats | None = None, *, with_scale: bool = True
) -> Similarity:
    """Return the ``a_from_b`` that maps ``points_b`` closest to ``points_a`` (least squares).

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 13(4), 1991, equations 38 to 43, with weights.

    Args:
        points_a: ``(N, 3)``.
        points_b: ``(N, 3)``, row by row the same physical points.
        weights: ``(N,)``, not negative; None weighs all points alike.
        with_scale: Fit the scale too; otherwise it is 1.

    Raises:
        ShapeError: The points do not span a plane, so that no rotation follows from them.
    """
    num = check_shape(points_a, "N 3", "points_a")["N"]
    check_shape(points_b, f"{num} 3", "points_b")
    weights = np.ones(num) if weights is None else weights
    share = weights / max(float(weights.sum()), np.finfo(np.float64).tiny)
    mean_a, mean_b = share @ points_a, share @ points_b
    covariance = (points_a - mean_a).T @ (share[:, None] * (points_b - mean_b))
    left, singular, right = np.linalg.svd(covariance)
    if not singular[1] > 1e-12 * singular[0]:
        raise ShapeError(
            f"points must span at least a plane to fix a rotation, got {num} points with singular "
            f"values {singular}; check for repeated or collinear points"
        )
    signs = np.array([1.0, 1.0, np.linalg.det(left) * np.linalg.det(right)])
    rotation = left @ np.diag(signs) @ right
    variance_b = float(share @ ((points_b - mean_b) ** 2).sum(axis=1))
    scale = float(singular @ signs) / variance_b if with_scale else 1.0
    return Similarity(rotation, mean_a - scale * rotation @ mean_b, scale)


def interpolate(first: Similarity, second: Similarity, fraction: float) -> Similarity:
    """Return the transform at ``fraction`` of the way from ``first`` (0) to ``second`` (1).

    The rotation turns at constant speed the short way round, the translation goes straight, the
    scale grows by a constant factor.
    """
    w, *xyz = quat_wxyz_from_rotation(first.rotation.T @ second.rotation)
    sine = float(np.linalg.norm(xyz))
    turn: Floats = np.eye(3)
    if sine > 0:
        angle_rad = 2.0 * float(np.arctan2(sine, w))
        turn = rotation_from_axis_angle(np.array(xyz), fraction * angle_rad)
    return Similarity(
        first.rotation @ turn,
        (1.0 - fraction) * first.translation_m + fraction * second.translation_m,
        float(first.scale ** (1.0 - fraction) * second.scale**fraction),
    )


def _unit(vector: Floats, name: str) -> Floats:
    check_shape(vector, "3", name)
    length = np.linalg.norm(vector)
    if not length > 0 or not np.isfinite(length):
        raise ShapeError(f"{name} must be finite and longer than zero, got {vector}")
    return np.asarray(vector, dtype=np.float64) / length


def _cross_matrix(vector: Floats) -> Floats:
    """Return the matrix ``C`` with ``C @ x = vector x x``."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
