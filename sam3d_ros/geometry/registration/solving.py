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


"""Gauss-Newton steps for many hypotheses at once."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import NUM_PARAMETERS, Poses
from sam3d_ros.geometry.registration.terms import Rows
from sam3d_ros.structures import Floats

DAMPING = 1e-3  # of the diagonal (Marquardt), and of its mean: unseen directions stay
MAX_TURN = 0.35  # rad per step
MAX_GROWTH = 0.15
MAX_SHIFT_SHARE = 0.5  # of the radius


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Upright:
    """What keeps hypotheses from tilting away from a start that is known to stand upright."""

    up_camera: Floats  # (3,) unit
    up_object: Floats  # (3,) the same direction as the start has it in the object
    sigma_rad: float

    @classmethod
    def of(cls, poses: Poses, up_camera: Floats, sigma_rad: float) -> "Upright":
        """Hold what the first of some poses has upright."""
        up = np.asarray(up_camera, dtype=np.float64)
        return cls(up_camera=up, up_object=poses.rotation[0].T @ up, sigma_rad=sigma_rad)

    def equations(self, poses: Poses) -> tuple[Floats, Floats]:
        """Return what is added to Hessian ``(3, 3)`` and gradient ``(K, 3)`` of the turns.

        A small turn w changes ``up x (R up_object)`` by what w has across the vertical.
        """
        tilts = np.cross(self.up_camera, poses.rotation @ self.up_object)
        across = np.eye(3) - np.outer(self.up_camera, self.up_camera)
        return across / self.sigma_rad**2, tilts / self.sigma_rad**2


def normal_equations(rows: Rows, pivots: Floats) -> tuple[Floats, Floats]:
    """Return the Hessian ``(K, 7, 7)`` and the gradient ``(K, 7)`` of half the cost."""
    arms = rows.points - pivots[:, None]
    jacobian = np.concatenate(
        (
            rows.directions,
            np.cross(arms, rows.directions),
            (arms * rows.directions).sum(axis=-1, keepdims=True),
        ),
        axis=-1,
    )
    weighted = (jacobian * rows.weights[..., None]).transpose(0, 2, 1)
    return weighted @ jacobian, (weighted @ rows.residuals_m[..., None])[..., 0]


def stepped(
    model: RegistrationModel,
    poses: Poses,
    rows: Rows,
    upright: Upright | None = None,
    *,
    with_scale: bool,
) -> Poses:
    """Return the hypotheses one damped step nearer to what the rows want."""
    pivots = pivots_m(model, poses)
    hessian, gradient = normal_equations(rows, pivots)
    if upright is not None:
        stiffness, pull = upright.equations(poses)
        hessian[:, 3:6, 3:6] += stiffness
        gradient[:, 3:6] += pull
    radius_m = model.radius * poses.scale
    units = np.ones((len(poses), NUM_PARAMETERS))
    units[:, :3] = radius_m[:, None]  # so that all parameters are of one magnitude
    hessian = hessian * units[:, :, None] * units[:, None]
    diagonal = np.einsum("kii->ki", hessian)
    hessian += (
        np.eye(NUM_PARAMETERS)
        * DAMPING
        * (diagonal + diagonal.mean(axis=1, keepdims=True) + 1e-9)[:, None]
    )
    if not with_scale:
        hessian[:, 6, :6] = hessian[:, :6, 6] = 0.0
        hessian[:, 6, 6] = 1.0
        gradient[:, 6] = 0.0
    steps = -np.linalg.solve(hessian, (gradient * units)[..., None])[..., 0]
    return poses.moved(_limited(steps) * units, pivots)


def pivots_m(model: RegistrationModel, poses: Poses) -> Floats:
    """Return the centre of the object in the camera frame, ``(K, 3)``."""
    pivots: Floats = poses.apply(model.center[None])[:, 0]
    return pivots


def _limited(steps: Floats) -> Floats:
    """Shorten steps beyond which a linear model means nothing."""
    excess = np.stack(
        (
            np.linalg.norm(steps[:, :3], axis=1) / MAX_SHIFT_SHARE,
            np.linalg.norm(steps[:, 3:6], axis=1) / MAX_TURN,
            np.abs(steps[:, 6]) / MAX_GROWTH,
            np.ones(len(steps)),
        )
    ).max(axis=0)
    limited: Floats = steps / excess[:, None]
    return limited
