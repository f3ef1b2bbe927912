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


"""Hypotheses to start from: the given pose, poses about it, and turns that shapes invite."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses, joined
from sam3d_ros.geometry.registration.solving import pivots_m
from sam3d_ros.geometry.registration.terms import rendered
from sam3d_ros.geometry.registration.view import RegistrationView
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Floats, Similarity

MIN_PIXELS = 5
BEHIND_SHARE = 0.4  # of the radius
STRIDE = 4  # of the pixels that place starts


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsConfig:
    """Which hypotheses are tried."""

    tilt_rad: float = 0.38  # about each axis of the camera, both ways; 0 leaves them out
    rings: int = 1  # so many times as far as well
    yaws: int = 1  # turns about the up axis of the object, evenly spread
    box_symmetries: bool = False  # the 24 turns that map the axes of the object to themselves
    num_moved: int = 5  # of the hypotheses, those that agree best with the view


def starts(
    model: RegistrationModel, view: RegistrationView, start: Similarity, config: StartsConfig
) -> Poses:
    """Return the given pose first, then those that the config asks for, moved to what was seen."""
    given = Poses.of([start])
    turned = _turned(model, given, _object_turns(config))
    tilted = _tilted(model, turned, config)
    return joined(given, _placed(model, tilted, view.thinned(STRIDE)))


def _object_turns(config: StartsConfig) -> Floats:
    """Return rotations ``(T, 3, 3)`` of the object in its own frame, the identity first."""
    up = np.array([0.0, 0.0, 1.0])
    angles = 2.0 * np.pi * np.arange(max(1, config.yaws)) / max(1, config.yaws)
    turns = [rotation_from_axis_angle(up, float(angle)) for angle in angles]
    if config.box_symmetries:
        turns += [turn for turn in _axis_turns() if not np.allclose(turn, np.eye(3))]
    return np.stack(turns)


def _axis_turns() -> list[Floats]:
    """Return the 24 rotations that permute the axes."""
    found: list[Floats] = []
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)):
        for signs in np.ndindex(2, 2, 2):
            turn = np.eye(3)[list(order)] * (1.0 - 2.0 * np.array(signs))[:, None]
            if np.linalg.det(turn) > 0:
                found.append(turn)
    return found


def _turned(model: RegistrationModel, given: Poses, turns: Floats) -> Poses:
    """Turn the object about its own centre."""
    arms = model.center - turns @ model.center
    return Poses(
        given.rotation @ turns,
        given.translation_m + given.scale[:, None] * (arms @ given.rotation[0].T),
        np.repeat(given.scale, len(turns)),
    )


def _tilted(model: RegistrationModel, poses: Poses, config: StartsConfig) -> Poses:
    """Add poses that are tilted about the axes of the camera."""
    if not config.tilt_rad > 0:
        return poses
    groups = [poses]
    for ring in range(1, config.rings + 1):
        for tilt_rad in np.concatenate((np.eye(3), -np.eye(3))) * ring * config.tilt_rad:
            steps = np.tile([0.0, 0.0, 0.0, *tilt_rad, 0.0], (len(poses), 1))
            groups.append(poses.moved(steps, pivots_m(model, poses)))
    return joined(*groups)


def _placed(model: RegistrationModel, poses: Poses, view: RegistrationView) -> Poses:
    """Shift hypotheses so that the middle of what they show is the middle of what was seen."""
    pixels = view.pixels
    seen = rendered(model, poses, pixels.rays)
    if len(view.points) < MIN_PIXELS:
        return poses
    middle = np.median(view.points, axis=0)
    # Where nothing is seen of a hypothesis its centre goes a little behind what was seen.
    depth_m = float(middle[2])
    behind = middle * (1.0 + BEHIND_SHARE * model.radius * poses.scale[:, None] / depth_m)
    shifts = behind - pivots_m(model, poses)
    for index, depths_m in enumerate(seen.depth_m):
        hit = np.isfinite(depths_m) & ~pixels.hidden
        if hit.sum() >= MIN_PIXELS:
            shown = depths_m[hit, None] * pixels.rays[hit]
            shifts[index] = middle - np.median(shown, axis=0)
    return Poses(poses.rotation, poses.translation_m + shifts, poses.scale)
