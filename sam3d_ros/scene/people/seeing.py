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

"""A body where the model says it is, against the depth that was measured of the person.

The model sees one image, so its distance is a guess, and its size a good one. Its body is moved
along the ray through the hips until the median of what it shows lies where it was measured: shape,
pose and size stay those of the model, as the rig's parameters say them.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from open3d.t.geometry import RaycastingScene

from sam3d_ros.config import SceneConfig
from sam3d_ros.geometry.cameras import project, rounded
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.raycasting import hit_distances, raycasting_scene
from sam3d_ros.scene.estimated import View
from sam3d_ros.scene.people.surfaces import Thinner
from sam3d_ros.structures import (
    BodyReconstruction,
    Bools,
    Camera,
    DepthFit,
    Floats,
    ScaleSource,
)
from sam3d_ros.structures.mhr import KEYPOINT_NAMES

NUM_ROUNDS = 4  # moving a body changes which pixels show it, and which part of it they show
SETTLED_M = 1e-4
MAX_READINGS = 2000  # of one person: more change the median by less than noise
INLIER_M = 0.1  # clothes and hair are not in the rig
MIN_READINGS = 30
MAX_TRIANGLES = 8000  # of a body that is compared: it lies within some 2 mm of all of it
MAX_FACTOR = 2.0  # a person this much farther or nearer than the image looks is another surface
CONTACT_M = 0.03  # skin this near to something else that was measured touches it
SIGMAS = 2.0  # ... beyond the noise of the sensor
WINDOW_PX = 24  # around a keypoint, in which the readings are that it may touch
TOUCHING = tuple(
    row
    for row, name in enumerate(KEYPOINT_NAMES)
    if name.endswith(("_toe", "_heel", "_tip", "_olecranon"))
)


@dataclass(frozen=True, slots=True, eq=False)
class _Readings:
    """What was measured of a person."""

    rays: Floats  # (N, 3), z = 1
    depth_m: Floats  # (N,)

    def differences(self, scene: RaycastingScene, offset_m: Floats) -> Floats:
        """Return by how much farther readings are than what shows of a body moved by an offset.

        The rays are moved the other way, so that the scene is made once. Rays that miss are left
        out.
        """
        differences = self.depth_m - hit_distances(scene, -offset_m, self.rays)
        return differences[np.isfinite(differences)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What was measured where a person is."""

    points_camera: Floats  # (H, W, 3) NaN where unknown
    camera: Camera  # without distortion
    mask: Bools  # (H, W) of the person, without rim
    elsewhere: Bools  # (H, W) pixels of nobody
    source: ScaleSource
    min_valid_fraction: float  # of the mask that must carry a depth


def sight_of(mask: Bools, view: View, elsewhere: Bools, config: SceneConfig) -> Sight:
    """Return what was measured of the person of a mask ``(H, W)`` in a view."""
    return Sight(
        points_camera=view.points_camera,
        camera=view.camera,
        mask=_without_rim(mask, config.masks.erode_px),
        elsewhere=elsewhere,
        source=view.scale_source,
        min_valid_fraction=config.depth.min_valid_fraction,
    )


def moved(body: BodyReconstruction, offset_m: Floats, camera: Camera) -> BodyReconstruction:
    """Return a body elsewhere; its keypoints in the image follow."""
    keypoints = body.keypoints_camera + offset_m
    return replace(
        body,
        vertices_camera=(body.vertices_camera + offset_m).astype(np.float32),
        keypoints_camera=keypoints,
        keypoints_px=project(camera, keypoints),
        joints_camera=body.joints_camera + offset_m,
    )


def aligned(
    body: BodyReconstruction, sight: Sight, thinner: Thinner | None = None
) -> BodyReconstruction:
    """Move a body along the ray through its hips to the measured depth; ``fit`` says how well.

    Where too little was measured, or the model and the measurement cannot be about one person, the
    body stays where it was: ``scale_source`` MONOCULAR, a note, and no fit.

    Args:
        body: As the model has it.
        sight: What was measured of the person.
        thinner: Makes the surface that is compared; one for many calls, which saves time.
    """
    readings = _readings(sight)
    hips_m = body.origin_camera.astype(np.float64)
    if readings is None:
        return _unaligned(body, "too little depth under the mask: the distance is the model's")
    if not hips_m[2] > 0:
        return _unaligned(body, "the model has the hips behind the camera")
    ray = hips_m / hips_m[2]
    thinner = thinner or Thinner(MAX_TRIANGLES)
    scene = raycasting_scene([thinner.of(body)])
    correction_m, left_m = 0.0, readings.differences(scene, 0.0 * ray)
    for _ in range(NUM_ROUNDS):
        if len(left_m) < MIN_READINGS:
            return _unaligned(body, "the body does not cover its mask: the distance is the model's")
        step_m = float(np.median(left_m))
        if not 1 / MAX_FACTOR < 1 + (correction_m + step_m) / hips_m[2] < MAX_FACTOR:
            return _unaligned(body, "what is measured under the mask is not where a body can be")
        correction_m += step_m
        left_m = readings.differences(scene, correction_m * ray)
        if abs(step_m) < SETTLED_M:
            break
    placed = moved(body, correction_m * ray, sight.camera)
    return replace(placed, scale_source=sight.source, fit=_fit(correction_m, left_m))


def contacts(body: BodyReconstruction, sight: Sight) -> Bools:
    """Tell which keypoints ``(70,)`` touch something that was measured and is nobody.

    Feet, finger tips and elbows may; what they touch must be measured right beside them.
    """
    touching = np.zeros(len(body.keypoints_camera), dtype=bool)
    inside, columns, rows = rounded(body.keypoints_px, sight.camera)
    for row in TOUCHING:
        keypoint = body.keypoints_camera[row]
        if not inside[row] or not np.isfinite(keypoint).all():
            continue
        window = (_around(rows[row]), _around(columns[row]))
        offsets = sight.points_camera[window][sight.elsewhere[window]] - keypoint
        reach_m = CONTACT_M + SIGMAS * float(depth_noise_m(keypoint[2:])[0])
        touching[row] = bool((np.square(offsets).sum(axis=-1) < reach_m**2).any())  # not NaN
    return touching


def _without_rim(mask: Bools, erode_px: int) -> Bools:
    """Return a mask without its rim, where depth mixes two surfaces; all of it if it is all rim."""
    kernel = np.ones((2 * erode_px + 1,) * 2, dtype=np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel) > 0
    return inner if inner.any() else mask


def _around(center: int) -> slice:
    return slice(max(0, int(center) - WINDOW_PX), int(center) + WINDOW_PX + 1)


def _readings(sight: Sight) -> _Readings | None:
    """Return what was measured of the person, evenly thinned; None where that is too little."""
    points = sight.points_camera[sight.mask]
    num_pixels = len(points)
    points = points[np.isfinite(points).all(axis=1)]
    num_readings = len(points)
    sparse = sight.source is ScaleSource.LIDAR  # gaps between readings are no missing depth
    required = 0.0 if sparse else sight.min_valid_fraction * num_pixels
    if sight.source is ScaleSource.UNKNOWN or num_readings < max(required, MIN_READINGS):
        return None
    step = -(-num_readings // MAX_READINGS)
    points = points[::step].astype(np.float64)
    return _Readings(points / points[:, 2:], points[:, 2])


def _fit(correction_m: float, left_m: Floats) -> DepthFit:
    left_m = np.abs(left_m)
    return DepthFit(
        correction_m=correction_m,
        residual_m=float(np.median(left_m)) if len(left_m) else float("nan"),
        inlier_fraction=float((left_m < INLIER_M).mean()) if len(left_m) else 0.0,
    )


def _unaligned(body: BodyReconstruction, note: str) -> BodyReconstruction:
    return replace(
        body, scale_source=ScaleSource.MONOCULAR, fit=DepthFit(), notes=(*body.notes, note)
    )
