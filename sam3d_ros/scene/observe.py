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

"""From a frame to one observation per mask, all in one rectified camera."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sam3d_ros.config import MasksConfig, SceneConfig
from sam3d_ros.errors import DepthSparseError, MaskEmptyError, Sam3dError
from sam3d_ros.geometry.cameras import Rectification, rectification_of, rectified
from sam3d_ros.geometry.clouds import point_map_from_cloud
from sam3d_ros.geometry.depth import (
    clip_depth,
    is_registered,
    register_depth,
    reject_flying_pixels,
    unproject,
)
from sam3d_ros.geometry.planes import fit_support_plane
from sam3d_ros.scene.masks import (
    border_fraction,
    object_pixels,
    without_support,
)
from sam3d_ros.structures import (
    Bools,
    Camera,
    Floats,
    Frame,
    InstanceMask,
    ObjectFailure,
    ObjectFlag,
    Observation,
    ScaleSource,
    SupportPlane,
)

# A reading speaks for the pixels around it: projected depth and LiDAR leave a grid of gaps.
COVERAGE_RADIUS_PX = 4
MIN_POINTS = 30  # fewer points give no extent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameObservations:
    """What can be reconstructed in one frame, and why the rest cannot."""

    observations: tuple[Observation, ...]
    errors: Mapping[int, Sam3dError]  # by instance id
    support: SupportPlane | None

    @property
    def failures(self) -> tuple[ObjectFailure, ...]:
        """The errors, as reports have them."""
        return tuple(
            ObjectFailure(instance_id=instance_id, code=error.code, message=str(error))
            for instance_id, error in self.errors.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _View:
    """A frame in its rectified camera."""

    camera: Camera
    rgb: Floats  # (H, W, 3) float32 in [0, 1]
    points_camera: Floats  # (H, W, 3)
    scale_source: ScaleSource


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    """A mask that has enough pixels and enough depth."""

    instance: InstanceMask
    silhouette: Bools  # rectified
    mask: Bools  # pixels whose point belongs to the object


def observe(frame: Frame, config: SceneConfig) -> FrameObservations:
    """Prepare every mask of a frame for reconstruction.

    Raises:
        Sam3dError: When intrinsics, distortion or the depth camera make all of the frame unusable.
            A mask that is too small or has too little depth becomes a failure of its own instead.
    """
    rectification = rectification_of(frame.camera)
    view = _view(frame, rectification, config)
    candidates: list[_Candidate] = []
    errors: dict[int, Sam3dError] = {}
    for instance in frame.masks:
        try:
            candidates.append(_candidate(instance, rectification, view, config))
        except Sam3dError as error:
            errors[instance.instance_id] = error
    support = _support(candidates, view, frame.up_camera)
    observations = _observations(frame, candidates, view, support, config.masks)
    return FrameObservations(observations=observations, errors=errors, support=support)


def _view(frame: Frame, rectification: Rectification, config: SceneConfig) -> _View:
    rgb = rectification.image(frame.rgb)
    points_camera, scale_source = _points(frame, rectification, config)
    return _View(
        camera=rectified(frame.camera),
        rgb=rgb.astype(np.float32) / np.float32(255.0),
        points_camera=points_camera,
        scale_source=scale_source,
    )


def _points(
    frame: Frame, rectification: Rectification, config: SceneConfig
) -> tuple[Floats, ScaleSource]:
    """Return the point map of the rectified camera; a depth image goes before a point cloud."""
    camera = rectified(frame.camera)
    if frame.depth is not None:
        clipped = replace(
            frame.depth,
            depth_m=clip_depth(frame.depth.depth_m, config.depth.min, config.depth.max),
        )
        # Depth of another camera goes straight to the rectified one: one resampling less.
        if is_registered(clipped, frame.camera):
            depth_m = rectification.image(clipped.depth_m, "nearest")
        else:
            depth_m = register_depth(clipped, camera)
        return unproject(reject_flying_pixels(depth_m, camera), camera), ScaleSource.DEPTH
    if frame.points is not None:
        points = point_map_from_cloud(frame.points, camera, config.lidar.splat_radius_px)
        far = ~((points[..., 2] >= config.depth.min) & (points[..., 2] <= config.depth.max))
        points[far] = np.nan
        return points, ScaleSource.LIDAR
    return np.full((camera.height, camera.width, 3), np.nan, np.float32), ScaleSource.UNKNOWN


def _candidate(
    instance: InstanceMask, rectification: Rectification, view: _View, config: SceneConfig
) -> _Candidate:
    silhouette = rectification.image(instance.mask, "nearest")
    num_pixels = int(silhouette.sum())
    if num_pixels < config.masks.min_pixels:
        raise MaskEmptyError(
            f"mask {instance.instance_id} must have at least {config.masks.min_pixels} pixels, "
            f"has {num_pixels}; check the mask provider or lower masks.min_pixels"
        )
    _check_coverage(instance.instance_id, silhouette, view, config)
    mask = object_pixels(view.points_camera, silhouette, config.masks.erode_px)
    return _Candidate(instance=instance, silhouette=silhouette, mask=mask)


def _check_coverage(instance_id: int, silhouette: Bools, view: _View, config: SceneConfig) -> None:
    known = np.isfinite(view.points_camera[..., 2]) & silhouette
    num_points = int(known.sum())
    kernel = np.ones((2 * COVERAGE_RADIUS_PX + 1,) * 2, dtype=np.uint8)
    covered = cv2.dilate(known.astype(np.uint8), kernel)[silhouette].mean()
    if num_points < MIN_POINTS or covered < config.depth.min_valid_fraction:
        source = view.scale_source.name.lower()
        raise DepthSparseError(
            f"mask {instance_id} must be covered by depth for "
            f"{config.depth.min_valid_fraction:.0%} with at least {MIN_POINTS} readings, has "
            f"{covered:.0%} with {num_points} (depth source: {source}); check that depth is "
            "registered to the image, that the object is within range and not shiny or clear"
        )


def _support(
    candidates: Sequence[_Candidate], view: _View, up_camera: Floats | None
) -> SupportPlane | None:
    """Fit the plane to what is no object; pixels that a mask claims wrongly do not vote."""
    if not candidates:
        return None
    objects = np.any([candidate.mask for candidate in candidates], axis=0)
    claimed = np.any([candidate.silhouette for candidate in candidates], axis=0)
    points = view.points_camera.copy()
    points[claimed & ~objects] = np.nan
    return fit_support_plane(points, objects, up_camera)


def _observations(
    frame: Frame,
    candidates: Sequence[_Candidate],
    view: _View,
    support: SupportPlane | None,
    masks: MasksConfig,
) -> tuple[Observation, ...]:
    count = np.zeros(view.points_camera.shape[:2], dtype=np.int32)
    for candidate in candidates:
        count += candidate.silhouette
    return tuple(
        Observation(
            instance=candidate.instance,
            rgb=view.rgb,
            mask=without_support(candidate.mask, candidate.silhouette, view.points_camera, support),
            silhouette=candidate.silhouette,
            points_camera=view.points_camera,
            camera=view.camera,
            others=count > candidate.silhouette,
            support=support,
            up_camera=frame.up_camera,
            scale_source=view.scale_source,
            flags=_flags(frame, candidate, masks),
        )
        for candidate in candidates
    )


def _flags(frame: Frame, candidate: _Candidate, masks: MasksConfig) -> int:
    flags = 0
    if border_fraction(candidate.silhouette) > masks.max_border_fraction:
        flags |= ObjectFlag.TRUNCATED
    if frame.uncalibrated:
        flags |= ObjectFlag.UNCALIBRATED
    if candidate.instance.resized:
        flags |= ObjectFlag.RESIZED
    return int(flags)
