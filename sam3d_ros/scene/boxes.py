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

"""From boxes to masks: in a box, depth tells the object from what it stands on and before.

A detector without segmentation says in which box an object is. What stands above the support
plane there, and hangs together in depth around the middle of the box, is the object.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.geometry.clouds import point_map_from_cloud
from sam3d_ros.geometry.depth import clip_depth, register_depth
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.geometry.patches import numbered
from sam3d_ros.geometry.planes import fit_support_plane
from sam3d_ros.geometry.zbuffer import step_limit_m
from sam3d_ros.structures import Bools, Bytes, Floats, Frame, InstanceMask, SupportPlane

SUPPORT_SIGMAS = 3.0  # points this close to the support belong to it
MIDDLE = 0.25  # standard deviation of where in its box an object is, of the box's size


def filled_box(box_px: Floats, size: tuple[int, int]) -> Bools:
    """Return the pixels in a box, as a mask.

    Args:
        box_px: ``(4,)`` x1 y1 x2 y2, edges of pixels; what is outside the image is left out.
        size: Height and width of the image.
    """
    filled = np.zeros(size, dtype=bool)
    x1, y1, x2, y2 = np.rint(np.clip(box_px, 0, (*size[::-1], *size[::-1]))).astype(int)
    filled[y1:y2, x1:x2] = True
    return filled


def with_objects_in_boxes(frame: Frame, config: SceneConfig) -> Frame:
    """Return a frame whose masks are boxes with masks of what is in them.

    Without depth, in all of the image or in a box, boxes stay as they are; a box in which nothing
    stands becomes empty.
    """
    depth_m = _depth_m(frame, config)
    if depth_m is None or not frame.masks:
        return frame
    points_camera = depth_m[..., None] * pixel_rays(frame.camera)
    boxes = np.any([box.mask for box in frame.masks], axis=0)
    support = fit_support_plane(points_camera, boxes, frame.up_camera)
    candidates = np.isfinite(points_camera).all(axis=-1) & _stands(points_camera, support)
    surfaces = _surfaces(depth_m, candidates & boxes, frame)
    return replace(frame, masks=_masks(frame.masks, surfaces, np.isfinite(depth_m)))


def _depth_m(frame: Frame, config: SceneConfig) -> Floats | None:
    """Return the depth ``(H, W)`` of the image's pixels, None where none came."""
    if frame.depth is not None:
        limits = config.depth.min, config.depth.max
        clipped = replace(frame.depth, depth_m=clip_depth(frame.depth.depth_m, *limits))
        return register_depth(clipped, frame.camera)
    if frame.points is None:
        return None
    radius_px = config.lidar.splat_radius_px
    depth_m: Floats = point_map_from_cloud(frame.points, frame.camera, radius_px)[..., 2]
    return depth_m


def _stands(points_camera: Floats, support: SupportPlane | None) -> Bools:
    """Tell which points are above the support, as far as noise lets tell; all without one."""
    if support is None:
        return np.ones(points_camera.shape[:2], dtype=bool)
    limit_m = SUPPORT_SIGMAS * depth_noise_m(points_camera[..., 2])
    stands: Bools = support.height_m(points_camera) > limit_m
    return stands


def _surfaces(depth_m: Floats, candidates: Bools, frame: Frame) -> Bools:
    """Return the candidates without those beside a nearer one: what stays connected is one thing.

    The nearer of two surfaces keeps its rim, so that the outline of what is in front is exact.
    """
    known_m = np.where(candidates, depth_m, np.nan)
    limit_m = step_limit_m(known_m, frame.camera)
    behind = np.zeros_like(candidates)
    for known, limit, far in ((known_m, limit_m, behind), (known_m.T, limit_m.T, behind.T)):
        rise_m, most_m = np.diff(known, axis=0), np.minimum(limit[:-1], limit[1:])
        far[1:] |= rise_m > most_m
        far[:-1] |= -rise_m > most_m
    return candidates & ~behind


def _masks(
    boxes: Sequence[InstanceMask], surfaces: Bools, known: Bools
) -> tuple[InstanceMask, ...]:
    return tuple(
        replace(box, mask=_object(box.mask, surfaces, known), is_box=False)
        if known[box.mask].any()
        else box  # nothing was measured in it, which does not say that nothing is there
        for box in boxes
    )


def _object(box: Bools, surfaces: Bools, known: Bools) -> Bools:
    """Return the pixels of the surface around the middle of a box, holes without depth closed."""
    patches = numbered(surfaces & box)
    weights = np.bincount(patches.ravel(), weights=_weights(box).ravel())
    weights[0] = 0.0  # what is no surface
    if not weights.any():
        return np.zeros_like(box)
    found = (patches == int(np.argmax(weights))).astype(np.uint8)
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled: Bytes = np.zeros_like(found)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    mask: Bools = box & ((found > 0) | ((filled > 0) & ~known))
    return mask


def _weights(box: Bools) -> Floats:
    """Weigh the pixels of a box by how near they are to its middle, ``(H, W)``."""
    profiles = []
    for other in (1, 0):
        places = np.flatnonzero(box.any(axis=other))
        middle, size = (places[[0, -1]].mean(), len(places)) if len(places) else (0.0, 1)
        offsets = (np.arange(box.shape[1 - other]) - middle) / (MIDDLE * size)
        profiles.append(np.exp(-0.5 * offsets**2))
    weights: Floats = np.where(box, np.outer(*profiles), 0.0)
    return weights
