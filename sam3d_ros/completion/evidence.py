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

"""What one view says about space: where the object cannot be.

A point is free when the camera looked through it: it lies before the measured surface, or beside
the silhouette, where the mask says that the pixel shows something else. It is unknown when it lies
behind the object, or behind something nearer that hides it. ``free_m`` is a signed distance, so
that the surfaces carved by it are smooth and finer than a voxel or pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.structures import Bools, Camera, Floats, Observation

MARGIN_PX = 16  # of the maps around the silhouette
MIN_OCCLUDER_GAP_M = 0.005  # what hides the object is nearer than it by this and the noise
MIN_COSINE = 0.25  # of the surface to the ray: distances along the ray are scaled by it
SMOOTHING_DIAMETER_PX = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewEvidence:
    """Maps over a crop of the image around the object."""

    matrix_px: Floats  # (3, 3) of the crop
    outside_px: Floats  # (h, w) signed distance to what hides or shows the object, > 0 beside it
    front_m: Floats  # (h, w) depth of the nearest surface there, without holes
    cosine: Floats  # (h, w) of that surface to the ray
    measured: Bools  # (h, w) the object's own readings
    shown: Bools  # (h, w) the silhouette, without what is seen through it
    hidden: Bools  # (h, w) something nearer, or the end of the image, may hide the object

    def free_m(self, points_camera: Floats) -> Floats:
        """Signed distance of points ``(N, 3)`` to what is not free, ``(N,)``, > 0 if free."""
        depth_m = np.maximum(points_camera[:, 2], 1e-3).astype(np.float32)
        focal_x, focal_y = self.matrix_px[0, 0], self.matrix_px[1, 1]
        u = points_camera[:, 0] / depth_m * focal_x + self.matrix_px[0, 2]
        v = points_camera[:, 1] / depth_m * focal_y + self.matrix_px[1, 2]
        beside_m = sampled(self.outside_px, u, v) * depth_m / focal_x
        before_m = (sampled(self.front_m, u, v) - depth_m) * sampled(self.cosine, u, v)
        free: Floats = np.maximum(beside_m, before_m)
        return free


def view_evidence(observation: Observation) -> ViewEvidence:
    """Draw the maps of one observation."""
    left, top, width, height = _crop(observation.silhouette)
    padded = [
        _padded(array, left, top, width, height)
        for array in (
            observation.points_camera[..., 2],
            observation.mask,
            observation.silhouette,
        )
    ]
    depth_m, mask, silhouette = padded[0], padded[1] > 0, padded[2] > 0
    inside = _padded(np.ones_like(observation.mask), left, top, width, height) > 0
    matrix_px = np.array(observation.camera.matrix_px, dtype=np.float64)
    matrix_px[:2, 2] -= (left, top)
    depth_m[~inside] = np.nan
    own_m = filled(np.where(mask, depth_m, np.nan))
    on_support = _on_support(observation, depth_m, matrix_px)
    punched = silhouette & ~mask & (depth_m > own_m + _gap_m(own_m))
    hides = ~silhouette & (depth_m < own_m - _gap_m(own_m)) & ~on_support
    shown, hidden = silhouette & ~punched, hides | ~inside
    front_m = np.where(hides, depth_m, _smoothed(own_m))
    return ViewEvidence(
        matrix_px=matrix_px,
        outside_px=_signed_distance_px(shown | hidden),
        front_m=front_m.astype(np.float32),
        cosine=_cosine(front_m, matrix_px),
        measured=mask & np.isfinite(depth_m),
        shown=shown,
        hidden=hidden,
    )


def sampled(image: Floats, u: Floats, v: Floats) -> Floats:
    """Read an image ``(h, w)`` between its pixels, ``(N,)``; beyond its border the border."""
    size = -(-len(u) // 256), 256  # remap takes fewer than 2^15 columns
    columns, rows = (np.resize(axis.astype(np.float32), size) for axis in (u, v))
    values = cv2.remap(
        image.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(values, dtype=np.float32).ravel()[: len(u)]


def filled(depth_m: Floats) -> Floats:
    """Close all holes of a depth map ``(h, w)`` smoothly, from coarser and coarser averages.

    Pull-push in inverse depth, in which planes are linear (Gortler et al., Lumigraph, 1996).
    """
    known = np.isfinite(depth_m)
    weight = known.astype(np.float32)
    inverse = np.where(known, 1.0 / np.where(known, depth_m, 1.0), 0.0).astype(np.float32)
    result: Floats = 1.0 / _pulled(inverse, weight)
    return result


def _pulled(weighted: Floats, weight: Floats) -> Floats:
    if weight.min() > 0.999 or weight.size == 1:
        return weighted / np.maximum(weight, 1e-6)
    size = weight.shape[::-1]
    coarse = _pulled(*_saturated(_halved(weighted), _halved(weight)))
    share = np.minimum(weight, 1.0)
    return weighted + (1.0 - share) * cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)


def _halved(image: Floats) -> Floats:
    return np.asarray(cv2.pyrDown(image), dtype=np.float32)


def _saturated(weighted: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Count a coarse pixel as known once a quarter of it is."""
    scale = 1.0 / np.maximum(weight, 0.25)
    return weighted * scale, weight * scale


def _smoothed(depth_m: Floats) -> Floats:
    """Take the noise off a surface and keep its edges."""
    noise_m = float(depth_noise_m(np.asarray(np.median(depth_m))))
    smooth = cv2.bilateralFilter(
        depth_m.astype(np.float32), SMOOTHING_DIAMETER_PX, 3.0 * noise_m, 2.0
    )
    return np.asarray(smooth, dtype=np.float32)


def _cosine(front_m: Floats, matrix_px: Floats) -> Floats:
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(front_m.astype(np.float32), (0, 0), 1.0))
    steepness = np.hypot(slope_x * matrix_px[0, 0], slope_y * matrix_px[1, 1]) / front_m
    cosine: Floats = np.maximum(1.0 / np.sqrt(1.0 + steepness**2), MIN_COSINE)
    return cosine.astype(np.float32)


def _signed_distance_px(shows: Bools) -> Floats:
    """Distance to the outline, half a pixel off the centres on either side, > 0 beside it."""
    beside = cv2.distanceTransform((~shows).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    within = cv2.distanceTransform(shows.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    signed: Floats = np.where(shows, 0.5 - within, beside - 0.5)
    return signed


def _gap_m(depth_m: Floats) -> Floats:
    gap: Floats = MIN_OCCLUDER_GAP_M + 4.0 * depth_noise_m(depth_m)
    return gap


def _on_support(observation: Observation, depth_m: Floats, matrix_px: Floats) -> Bools:
    """Tell which pixels show the support: it is not in the way of what stands on it."""
    if observation.support is None:
        return np.zeros(depth_m.shape, dtype=bool)
    v, u = np.mgrid[0 : depth_m.shape[0], 0 : depth_m.shape[1]]
    rays = np.stack((u, v, np.ones_like(u)), axis=-1) @ np.linalg.inv(matrix_px).T
    height_m = observation.support.height_m(rays * depth_m[..., None])
    below: Bools = height_m < _gap_m(depth_m)
    return below


def _crop(silhouette: Bools) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(silhouette.any(axis=1)), np.flatnonzero(silhouette.any(axis=0))
    left, top = int(columns[0]) - MARGIN_PX, int(rows[0]) - MARGIN_PX
    return left, top, int(columns[-1]) + MARGIN_PX + 1 - left, int(rows[-1]) + MARGIN_PX + 1 - top


def _padded(image: Floats | Bools, left: int, top: int, width: int, height: int) -> Floats:
    """Cut out a crop that may reach past the image; zero there."""
    crop = np.zeros((height, width), dtype=np.float32)
    rows = slice(max(0, top), min(image.shape[0], top + height))
    columns = slice(max(0, left), min(image.shape[1], left + width))
    crop[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[
        rows, columns
    ]
    return crop


def camera_of(observation: Observation, evidence: ViewEvidence) -> Camera:
    """Return the camera of the crop."""
    height, width = evidence.front_m.shape
    return Camera(width=width, height=height, matrix_px=evidence.matrix_px)
