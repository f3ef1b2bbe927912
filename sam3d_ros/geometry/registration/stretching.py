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


"""Proportions that agree with a view: meshes that are guesses get longer, wider or higher.

A similarity that fits the width of a mesh that is too thin makes it too high. Here sizes along the
vertical, along the horizontal direction of view and across it are fitted at once with the pose,
each held by what is usual: Gauss-Newton on the rows that registration uses, with outlines sharper.
"""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.model import RegistrationModel, stretched
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.solving import pivots_m
from sam3d_ros.geometry.registration.terms import (
    Outlining,
    Rows,
    depth_rows,
    joined_rows,
    outline_rows,
    rendered,
    support_rows,
)
from sam3d_ros.geometry.registration.view import RegistrationView
from sam3d_ros.structures import Floats

MIN_HORIZONTAL = 0.25  # sine of the angle to straight down below which ahead is up in the image
UP_IN_IMAGE = np.array([0.0, -1.0, 0.0])
KERNEL_M = 0.004
# One per step: first what is far off, then what is sharp. More steps follow the noise.
OUTLINING = (Outlining(0.5, 10.0), Outlining(0.5, 4.0), Outlining(0.5, 4.0))
# What each parameter multiplies: growth, the footprint's growth, then ahead, left and up alone.
SIZES = np.array([[1.0, 1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchConfig:
    """How far pose and proportions may be off: standard deviations; and how far to go."""

    shift_m: float = 0.02
    turn_rad: float = 0.01  # poses were fitted before
    growth: float = 0.1  # of the logarithm, as all that follow
    footprint: float = 0.05  # along both horizontal directions
    ahead: float = 0.03  # what is behind is not seen: the footprint's growth tells more
    left: float = 0.03
    up: float = 0.05
    max_step: float = 0.1
    max_stretch: float = 0.3  # along any direction
    max_loss: float = 0.03  # of the score, which counts depth, too, for a better outline

    @property
    def sigmas(self) -> Floats:
        """All of them in the order of the parameters, ``(11,)``."""
        pose = [self.shift_m] * 3 + [self.turn_rad] * 3
        sizes = [self.growth, self.footprint, self.ahead, self.left, self.up]
        return np.array(pose + sizes)


def proportioned(
    model: RegistrationModel, poses: Poses, view: RegistrationView, config: StretchConfig
) -> tuple[RegistrationModel, Poses]:
    """Return a model stretched so that it agrees with a view, and where it stands.

    Args:
        model: Of which the shape is a guess.
        poses: One.
        view: What was seen; without a vertical nothing changes.
        config: What is usual.
    """
    axes = _axes(view)
    if axes is None:
        return model, poses
    moved, placed = model, poses
    held = np.diag(1.0 / np.square(config.sigmas))
    taken = np.zeros(len(held))
    for outlining in OUTLINING:
        pivot = pivots_m(moved, placed)[0]
        hessian, gradient = _equations(_rows(moved, placed, view, outlining), pivot, axes)
        step = -np.linalg.solve(hessian + held, gradient + held @ taken)
        step = np.clip(step, -config.max_step, config.max_step)
        taken += step
        moved, placed = _moved(moved, placed, step, pivot, axes)
    if np.abs(SIZES @ taken[6:]).max() > config.max_stretch:
        return model, poses
    return moved, placed


def _axes(view: RegistrationView) -> Floats | None:
    """Return the rows ahead, left and up in the camera frame; ``None`` where up is unknown."""
    if view.up_camera is None or not len(view.points):
        return None
    up = np.asarray(view.up_camera, dtype=np.float64)
    gaze = view.points.mean(axis=0)
    gaze = gaze / np.linalg.norm(gaze)
    ahead = gaze - (gaze @ up) * up
    if np.linalg.norm(ahead) < MIN_HORIZONTAL:
        ahead = UP_IN_IMAGE - (UP_IN_IMAGE @ up) * up
    ahead = ahead / np.linalg.norm(ahead)
    return np.stack((ahead, np.cross(up, ahead), up))


def _rows(
    model: RegistrationModel, poses: Poses, view: RegistrationView, outlining: Outlining
) -> Rows:
    return joined_rows(
        depth_rows(view, rendered(model, poses, view.pixels.rays), KERNEL_M),
        outline_rows(model, poses, view, outlining),
        support_rows(model, poses, view),
    )


def _equations(rows: Rows, pivot: Floats, axes: Floats) -> tuple[Floats, Floats]:
    """Return the Hessian ``(11, 11)`` and the gradient ``(11,)`` of half the cost."""
    arms, directions = rows.points[0] - pivot, rows.directions[0]
    along = directions @ axes.T
    jacobian = np.concatenate(
        (along, np.cross(arms, directions) @ axes.T, ((arms @ axes.T) * along) @ SIZES), axis=1
    )
    weighted = (jacobian * rows.weights[0][:, None]).T
    return weighted @ jacobian, weighted @ rows.residuals_m[0]


def _moved(
    model: RegistrationModel, poses: Poses, step: Floats, pivot: Floats, axes: Floats
) -> tuple[RegistrationModel, Poses]:
    """Stretch along the axes about a pivot, then turn about it and shift."""
    growth = axes.T @ np.diag(np.exp(SIZES @ step[6:])) @ axes
    rotation = poses.rotation[0]
    linear = rotation.T @ growth @ rotation
    offset = pivot + growth @ (poses.translation_m[0] - pivot)
    placed = Poses(poses.rotation, offset[None], poses.scale)
    motion = np.concatenate((step[:3] @ axes, step[3:6] @ axes, [0.0]))
    return stretched(model, linear), placed.moved(motion[None], pivot[None])
