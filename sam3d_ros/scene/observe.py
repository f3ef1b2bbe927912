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

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sam3d_ros.config import DepthConfig, MasksConfig, SceneConfig
from sam3d_ros.errors import (
    CancelledError,
    DepthSparseError,
    DepthUnitError,
    MaskEmptyError,
    MaskFullError,
    Sam3dError,
)
from sam3d_ros.geometry.cameras import Rectification, rectification_of, rectified
from sam3d_ros.geometry.clouds import point_map_from_cloud
from sam3d_ros.geometry.depth import (
    IMPLAUSIBLE,
    clip_depth,
    is_registered,
    register_depth,
    reject_flying_pixels,
    unproject,
)
from sam3d_ros.geometry.planes import fit_support_plane
from sam3d_ros.scene.estimated import Estimate, View, estimated_view
from sam3d_ros.scene.margins import NARROWED, without_margin
from sam3d_ros.scene.masks import (
    border_fraction,
    object_pixels,
    without_support,
)
from sam3d_ros.scene.stacks import carried
from sam3d_ros.structures import (
    Bools,
    Floats,
    Frame,
    InstanceMask,
    ObjectFailure,
    ObjectFlag,
    Observation,
    ScaleSource,
    SupportPlane,
    window_of,
)

# A reading speaks for the pixels around it: projected depth and LiDAR leave a grid of gaps.
COVERAGE_RADIUS_PX = 4
MIN_POINTS = 30  # fewer points give no extent
PLAUSIBLE_MEDIAN_M = IMPLAUSIBLE / 1000.0, IMPLAUSIBLE  # of a scene; others are of another unit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameObservations:
    """What can be reconstructed in one frame, and why the rest cannot."""

    observations: tuple[Observation, ...]
    errors: Mapping[int, Sam3dError]  # by instance id
    support: SupportPlane | None
    view: View  # with what was measured

    @property
    def failures(self) -> tuple[ObjectFailure, ...]:
        """The errors, as reports have them."""
        return tuple(
            ObjectFailure(instance_id=instance_id, code=error.code, message=str(error))
            for instance_id, error in self.errors.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    """A mask that has enough pixels and enough depth in a view."""

    instance: InstanceMask
    silhouette: Bools  # rectified
    mask: Bools  # pixels whose point belongs to the object
    view: View


def observe(
    frame: Frame,
    config: SceneConfig,
    estimate: Estimate | None = None,
    without: Collection[int] = (),
) -> FrameObservations:
    """Prepare every mask of a frame for reconstruction.

    Args:
        frame: With measured depth, or without.
        config: ``depth.on_missing`` says whether depth may be estimated.
        estimate: What sees points in an image alone, if there is anything that does.
        without: Instance ids of masks that are no objects; they tell only what is no part of any.

    Raises:
        Sam3dError: When intrinsics, distortion or the depth camera make all of the frame unusable.
            A mask that is too small or has too little depth becomes a failure of its own instead.
        CancelledError: When the estimate was called off.
    """
    rectification = rectification_of(frame.camera)
    view = _view(frame, rectification, config)
    candidates, errors = _candidates(frame.masks, rectification, view, config)
    support = _support(candidates, view, frame.up_camera)
    errors = {key: error for key, error in errors.items() if key not in without}
    blind = [
        each for each in frame.masks if isinstance(errors.get(each.instance_id), DepthSparseError)
    ]
    if blind and estimate is not None and config.depth.on_missing == "monocular":
        for instance in blind:
            del errors[instance.instance_id]
        estimated, failed = _estimated_candidates(blind, rectification, view, config, estimate)
        candidates, errors = candidates + estimated, errors | failed
    observations = tuple(
        each
        for each in _observations(frame, candidates, support, config.masks)
        if each.instance.instance_id not in without
    )
    errors = _explained(errors, frame, config.depth)
    return FrameObservations(observations=observations, errors=errors, support=support, view=view)


def measured_view(frame: Frame, config: SceneConfig) -> View:
    """Return a frame in its rectified camera, with the points that were measured.

    Raises:
        Sam3dError: When intrinsics, distortion or the depth camera make all of the frame unusable.
    """
    return _view(frame, rectification_of(frame.camera), config)


def _candidates(
    masks: Iterable[InstanceMask], rectification: Rectification, view: View, config: SceneConfig
) -> tuple[list[_Candidate], dict[int, Sam3dError]]:
    candidates: list[_Candidate] = []
    errors: dict[int, Sam3dError] = {}
    for instance in masks:
        try:
            candidates.append(_candidate(instance, rectification, view, config))
        except Sam3dError as error:
            errors[instance.instance_id] = error
    return candidates, errors


def _estimated_candidates(
    masks: Sequence[InstanceMask],
    rectification: Rectification,
    view: View,
    config: SceneConfig,
    estimate: Estimate,
) -> tuple[list[_Candidate], dict[int, Sam3dError]]:
    """Look again at masks without depth; where nothing can be estimated, all fail with that."""
    try:
        estimated = estimated_view(view, estimate)
    except CancelledError:
        raise
    except Sam3dError as error:
        return [], {instance.instance_id: error for instance in masks}
    return _candidates(masks, rectification, estimated, config)


def _view(frame: Frame, rectification: Rectification, config: SceneConfig) -> View:
    rgb = rectification.image(frame.rgb)
    points_camera, scale_source = _points(frame, rectification, config)
    return View(
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
    instance: InstanceMask, rectification: Rectification, view: View, config: SceneConfig
) -> _Candidate:
    _check_not_full(instance)
    silhouette = rectification.image(instance.mask, "nearest")
    num_pixels = int(silhouette.sum())
    if num_pixels < config.masks.min_pixels:
        raise MaskEmptyError(
            f"mask {instance.instance_id} must have at least {config.masks.min_pixels} pixels, "
            f"has {num_pixels}; check the mask provider or lower masks.min_pixels"
        )
    _check_coverage(instance.instance_id, silhouette, view, config)
    if view.scale_source is ScaleSource.MONOCULAR:
        # How far estimated points are off is not known: none is told from another by its distance.
        mask = silhouette & np.isfinite(view.points_camera).all(axis=-1)
    else:
        mask = object_pixels(view.points_camera, silhouette, config.masks.erode_px)
    return _Candidate(instance=instance, silhouette=silhouette, mask=mask, view=view)


def _check_not_full(instance: InstanceMask) -> None:
    """Refuse a mask without any outline; before rectification, which leaves corners empty."""
    if instance.mask.all():
        height, width = instance.mask.shape
        raise MaskFullError(
            f"mask {instance.instance_id} must leave out what is not its object, covers all of "
            f"{width}x{height} pixels; check that 0 is the background of the mask"
        )


def _check_coverage(instance_id: int, silhouette: Bools, view: View, config: SceneConfig) -> None:
    window = window_of(silhouette, 1)
    inside = silhouette[window]
    known = np.isfinite(view.points_camera[window][..., 2]) & inside
    num_points = int(known.sum())
    kernel = np.ones((2 * COVERAGE_RADIUS_PX + 1,) * 2, dtype=np.uint8)
    covered = cv2.dilate(known.astype(np.uint8), kernel)[inside].mean()
    if num_points >= MIN_POINTS and covered >= config.depth.min_valid_fraction:
        return
    if view.scale_source is ScaleSource.UNKNOWN:
        raise DepthSparseError(
            f"mask {instance_id} needs depth, the frame came with neither a depth image nor points"
            "; give either, or let depth.on_missing estimate it"
        )
    source = view.scale_source.name.lower()
    raise DepthSparseError(
        f"mask {instance_id} must be covered by depth for "
        f"{config.depth.min_valid_fraction:.0%} with at least {MIN_POINTS} readings, has "
        f"{covered:.0%} with {num_points} (depth source: {source}); check that depth is "
        "registered to the image, that the object is within range and not shiny or clear, or "
        "let depth.on_missing estimate it"
    )


def _explained(
    errors: Mapping[int, Sam3dError], frame: Frame, depth: DepthConfig
) -> dict[int, Sam3dError]:
    """Return the errors; where most readings of a frame are out of range, this is why."""
    sparse = [key for key, error in errors.items() if isinstance(error, DepthSparseError)]
    if not sparse or frame.depth is None:
        return dict(errors)
    known = frame.depth.depth_m[np.isfinite(frame.depth.depth_m)]
    median_m = float(np.median(known)) if known.size else np.nan
    if not (median_m < depth.min or median_m > depth.max):
        return dict(errors)
    least_m, most_m = PLAUSIBLE_MEDIAN_M
    kind = DepthSparseError if least_m <= median_m <= most_m else DepthUnitError
    return {**errors, **{key: kind(_out_of_range(key, median_m, depth)) for key in sparse}}


def _out_of_range(instance_id: int, median_m: float, depth: DepthConfig) -> str:
    return (
        f"mask {instance_id} has too few readings of {depth.min:g} to {depth.max:g} m (depth.min, "
        f"depth.max), the median of all that the frame has is {median_m:.4g} m; check the unit of "
        "the depth image (depth_scale in camera.json, depth.unit of messages), or widen the range "
        "if things are there"
    )


def _support(
    candidates: Sequence[_Candidate], view: View, up_camera: Floats | None
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
    support: SupportPlane | None,
    masks: MasksConfig,
) -> tuple[Observation, ...]:
    """Return what is seen of each candidate, in the order of the masks."""
    if not candidates:
        return ()
    count = np.sum([candidate.silhouette for candidate in candidates], axis=0)
    place = {instance.instance_id: place for place, instance in enumerate(frame.masks)}
    observations = [
        _observation(frame, candidate, count > candidate.silhouette, support, masks)
        for candidate in sorted(candidates, key=lambda each: place[each.instance.instance_id])
    ]
    if not any(NARROWED in each.notes for each in observations):
        return tuple(observations)
    count = np.sum([each.silhouette for each in observations], axis=0)
    return tuple(replace(each, others=count > each.silhouette) for each in observations)


def _observation(
    frame: Frame,
    candidate: _Candidate,
    others: Bools,
    support: SupportPlane | None,
    masks: MasksConfig,
) -> Observation:
    view = candidate.view
    if view.scale_source is ScaleSource.MONOCULAR:
        support = None  # it was measured, the object was not: they need not touch
    points, silhouette = view.points_camera, candidate.silhouette
    support = carried(support, points, candidate.mask, silhouette, others)
    mask = without_support(candidate.mask, silhouette, points, support)
    notes = view.notes
    if view.scale_source is ScaleSource.DEPTH:  # of points in between, rings know too little
        silhouette = without_margin(silhouette, mask, points, support)
        notes = notes if silhouette is candidate.silhouette else (*notes, NARROWED)
    return Observation(
        instance=candidate.instance,
        rgb=view.rgb,
        mask=mask,
        silhouette=silhouette,
        points_camera=points,
        camera=view.camera,
        others=others,
        support=support,
        up_camera=frame.up_camera,
        scale_source=view.scale_source,
        notes=notes,
        flags=_flags(frame, candidate.instance, silhouette, masks),
    )


def _flags(frame: Frame, instance: InstanceMask, silhouette: Bools, masks: MasksConfig) -> int:
    flags = 0
    if border_fraction(silhouette) > masks.max_border_fraction:
        flags |= ObjectFlag.TRUNCATED
    if frame.uncalibrated:
        flags |= ObjectFlag.UNCALIBRATED
    if frame.in_motion:
        flags |= ObjectFlag.MOTION
    if instance.resized:
        flags |= ObjectFlag.RESIZED
    return int(flags)
