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


"""Gauss-Newton steps of many rigid objects at once, towards readings and expectations.

Where readings do not say how an object moved it stays where it is expected: a direction counts as
observed by the share of the motion that goes along the surface's normals and across its outline.
A can may turn about its axis without any (Zhang, Kaess and Singh, "On degeneracy of
optimization-based state estimation problems", ICRA 2016, project such directions out as well).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.poses import Poses, rotations_from_vectors
from sam3d_ros.geometry.registration.terms import Rows
from sam3d_ros.geometry.tracking.targets import Target, poses_of
from sam3d_ros.geometry.tracking.turns import vectors_from_rotations
from sam3d_ros.structures import Floats

UNOBSERVED = 0.008  # share of squared motion, up to which a direction is noise of the mesh
OBSERVED = 0.03  # from which it is trusted; in between it is in part
READINGS_PER_FACT = 8.0  # neighbours err together, and meshes err in patches
MAX_TURN = 0.35  # rad per step
MAX_SHIFT_SHARE = 0.5  # of the radius, per step


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """Where K objects should be: a shift of their centres and a turn about them."""

    poses: Poses
    centers: Floats  # (K, 3) of the objects, in their own frames
    radii_m: Floats  # (K,)
    information: Floats  # (K, 6), inverse variances: 1 / m^2, 1 / rad^2

    def pivots(self, poses: Poses) -> Floats:
        """Return the centres in the camera, ``(K, 3)``."""
        pivots: Floats = poses.apply(self.centers[:, None])[:, 0]
        return pivots

    def offsets(self, poses: Poses) -> Floats:
        """Return by what poses differ from the expected ones, ``(K, 6)``."""
        shifts = self.pivots(poses) - self.pivots(self.poses)
        turns = poses.rotation @ self.poses.rotation.transpose(0, 2, 1)
        return np.concatenate((shifts, vectors_from_rotations(turns)), axis=1)


def expectation_of(targets: Sequence[Target]) -> Expectation:
    """Stack what is expected of targets."""
    sigmas = np.array([[target.sigma_m] * 3 + [target.sigma_rad] * 3 for target in targets])
    return Expectation(
        poses_of(targets),
        np.stack([target.model.center for target in targets]),
        np.array([target.model.radius for target in targets]),
        1.0 / np.square(np.maximum(sigmas, 1e-6)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What rows say about K motions, without what they cannot know."""

    information: Floats  # (K, 6, 6)
    gradient: Floats  # (K, 6)


def evidence(rows: Rows, pivots: Floats) -> Evidence:
    """Sum up rows and leave out directions in which they hardly change."""
    arms = rows.points - pivots[:, None]
    jacobian = np.concatenate((rows.directions, _cross(arms, rows.directions)), axis=-1)
    weights = rows.weights / READINGS_PER_FACT
    weighted = (jacobian * weights[..., None]).transpose(0, 2, 1)
    information = weighted @ jacobian
    gradient = (weighted @ rows.residuals_m[..., None])[..., 0]
    lower = np.linalg.cholesky(_motion(arms, weights))
    upper = np.linalg.inv(lower)
    shares, ways = np.linalg.eigh(upper @ information @ upper.transpose(0, 2, 1))
    trust = np.clip((shares - UNOBSERVED) / (OBSERVED - UNOBSERVED), 0.0, 1.0)
    back, forth = lower @ ways, ways.transpose(0, 2, 1) @ upper
    return Evidence(
        (back * (np.maximum(shares, 0.0) * trust)[:, None]) @ back.transpose(0, 2, 1),
        ((back * trust[:, None]) @ forth @ gradient[..., None])[..., 0],
    )


def stepped(expectation: Expectation, poses: Poses, rows: Rows) -> Poses:
    """Return the poses one step nearer to what rows and expectations want."""
    pivots = expectation.pivots(poses)
    found = evidence(rows, pivots)
    prior = expectation.information
    hessian = found.information + np.eye(6) * prior[:, None]
    gradient = found.gradient + prior * expectation.offsets(poses)
    steps = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
    steps *= _shortening(steps, expectation.radii_m)[:, None]
    turns = rotations_from_vectors(steps[:, 3:])
    arms = np.einsum("kij,kj->ki", turns, poses.translation_m - pivots)
    return Poses(turns @ poses.rotation, pivots + steps[:, :3] + arms, poses.scale)


def _motion(arms: Floats, weights: Floats) -> Floats:
    """Return the squared motion of all points by a shift and a turn, ``(K, 6, 6)``.

    A point moves by ``shift + turn x arm``; kept from zero, so that it can be inverted.
    """
    total = weights.sum(axis=1)
    first = (weights[:, None] @ arms)[:, 0]
    second = (arms * weights[..., None]).transpose(0, 2, 1) @ arms
    x, y, z = first.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=1).reshape(-1, 3, 3)
    eye = np.eye(3)
    spread = np.trace(second, axis1=1, axis2=2)
    motion = np.empty((len(arms), 6, 6))
    motion[:, :3, :3] = eye * total[:, None, None]
    motion[:, :3, 3:] = cross
    motion[:, 3:, :3] = cross.transpose(0, 2, 1)
    motion[:, 3:, 3:] = eye * spread[:, None, None] - second
    diagonal = np.concatenate((np.tile(total, (3, 1)), np.tile(spread, (3, 1)))).T
    return motion + np.eye(6) * (1e-2 * diagonal + 1e-9)[:, None]


def _cross(first: Floats, second: Floats) -> Floats:
    """Return the cross product of vectors ``(..., 3)``; numpy's own takes twice as long."""
    ax, ay, az = np.moveaxis(first, -1, 0)
    bx, by, bz = np.moveaxis(second, -1, 0)
    return np.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx), axis=-1)


def _shortening(steps: Floats, radii_m: Floats) -> Floats:
    """Return the factors of steps beyond which a linear model means nothing, ``(K,)``."""
    shift = np.linalg.norm(steps[:, :3], axis=1) / (MAX_SHIFT_SHARE * radii_m)
    turn = np.linalg.norm(steps[:, 3:], axis=1) / MAX_TURN
    factors: Floats = 1.0 / np.maximum(np.maximum(shift, turn), 1.0)
    return factors
