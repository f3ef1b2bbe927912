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

from sam3d_ros.geometry.contradictions import continued
from sam3d_ros.geometry.nearest import nearest_known, nearest_pixels
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.structures import Bools, Camera, Floats, Observation, ScaleSource, window_of

MARGIN_PX = 16  # of the maps around the silhouette
MIN_OCCLUDER_GAP_M = 0.005  # what hides the object is nearer than it by this and the noise
MIN_COSINE = 0.25  # of the surface to the ray: distances along the ray are scaled by it
SMOOTHING_DIAMETER_PX = 7
NORMAL_SIGMA_PX = 1.5
MIN_BOTTOM_M = 0.003  # a plate is at least this thick
RIM_PX = 3.0  # how far a surface is continued in its tangent plane


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewEvidence:
    """Maps over a crop of the image around the object."""

    matrix_px: Floats  # (3, 3) of the crop
    outside_px: Floats  # (h, w) signed distance to what hides or shows the object, > 0 beside it
    front_m: Floats  # (h, w) depth of the nearest surface there, without holes
    cosine: Floats  # (h, w) of that surface to the ray
    measured_m: Floats  # (h, w) the object's own readings, NaN elsewhere
    is_measured: bool  # whether these are readings, and no estimates
    shown: Bools  # (h, w) the silhouette, without what is seen through it
    # (h, w) something nearer, or the end of the image, may hide the object; or it goes on there,
    # beside its mask
    hidden: Bools

    def points(self) -> Floats:
        """Return the nearest surface in the camera frame, ``(h, w, 3)``."""
        return _unprojected(self.front_m, self.matrix_px)

    def surface(self) -> tuple[Floats, Floats]:
        """Return points and unit normals of the seen side, holes closed, each ``(N, 3)``."""
        points = self.points()
        normals = _normals(points)
        chosen = self.shown & ~self.hidden
        return points[chosen], normals[chosen]

    def is_hidden(self, points_camera: Floats) -> Bools:
        """Tell where points ``(N, 3)`` lie in pixels that cannot show the object, ``(N,)``."""
        _, u, v = self._pixels(points_camera)
        hidden: Bools = sampled(self.hidden.astype(np.float32), u, v) > 0.5
        return hidden

    def _pixels(self, points_camera: Floats) -> tuple[Floats, Floats, Floats]:
        """Return depth, column and row of points ``(N, 3)``, each ``(N,)`` float32."""
        points = points_camera.astype(np.float32)
        depth_m = np.maximum(points[:, 2], np.float32(1e-3))
        (focal_x, _, middle_x), (_, focal_y, middle_y) = self.matrix_px[:2].astype(np.float32)
        u = points[:, 0] / depth_m * focal_x + middle_x
        v = points[:, 1] / depth_m * focal_y + middle_y
        return depth_m, u, v

    def free_m(self, points_camera: Floats) -> Floats:
        """Signed distance of points ``(N, 3)`` to what is not free, ``(N,)``, > 0 if free."""
        depth_m, u, v = self._pixels(points_camera)
        beside_m = sampled(self.outside_px, u, v) * depth_m / np.float32(self.matrix_px[0, 0])
        before_m = (sampled(self.front_m, u, v) - depth_m) * sampled(self.cosine, u, v)
        free: Floats = np.maximum(beside_m, before_m)
        return free

    def deeper_m(self, points_camera: Floats, thickness_m: Floats) -> Floats:
        """Depth of points ``(N, 3)`` behind a layer on the surface, ``(N,)``.

        Args:
            points_camera: In the camera frame.
            thickness_m: Of the layer along the depth, ``(h, w)``.
        """
        depth_m, u, v = self._pixels(points_camera)
        return depth_m - sampled(self.front_m + thickness_m, u, v)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Crop:
    """What an observation says around the silhouette; the crop may reach past the image."""

    matrix_px: Floats
    depth_m: Floats  # (h, w) NaN where unknown
    mask: Bools
    silhouette: Bools
    others: Bools
    inside: Bools  # within the image


def view_evidence(observation: Observation) -> ViewEvidence:
    """Draw the maps of one observation."""
    crop = _crop(observation)
    own_m = _above_support(_own_m(crop), observation, crop)
    gap_m = MIN_OCCLUDER_GAP_M + 4.0 * depth_noise_m(own_m)
    points = _unprojected(crop.depth_m, crop.matrix_px)
    on_support = _on_support(observation, points)
    see_through = ~crop.mask & ((crop.depth_m > own_m + gap_m) | on_support)
    beside_m = nearest_known(np.where(crop.silhouette | on_support, np.nan, crop.depth_m))
    perhaps = crop.others | _continued(observation, crop, points)
    nearer = (beside_m < own_m - gap_m) | (perhaps & ~(beside_m > own_m + gap_m))
    hides = ~crop.silhouette & ~on_support & nearer
    shown, hidden = crop.silhouette & ~see_through, hides | ~crop.inside
    front_m = np.where(hides & np.isfinite(beside_m), beside_m, own_m).astype(np.float32)
    return ViewEvidence(
        matrix_px=crop.matrix_px,
        outside_px=_signed_distance_px(shown | hidden),
        front_m=front_m,
        cosine=_cosine(front_m, crop.matrix_px),
        measured_m=np.where(crop.mask, crop.depth_m, np.nan),
        is_measured=observation.scale_source is not ScaleSource.MONOCULAR,
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


def _own_m(crop: _Crop) -> Floats:
    """Close the holes of the object's own depth, take off its noise, continue it to the rim.

    The outermost pixels of an object rarely carry a good depth. At the rim the surface goes on in
    its tangent plane; flat fill would cut the far edges off everything seen at a low angle.
    """
    known = crop.mask & np.isfinite(crop.depth_m)
    smooth_m = _smoothed(filled(np.where(known, crop.depth_m, np.nan)))
    rows, columns = nearest_pixels(known)
    v, u = np.mgrid[0 : known.shape[0], 0 : known.shape[1]]
    distance_px = np.hypot(v - rows, u - columns)
    rim = crop.silhouette & ~known & (distance_px <= RIM_PX)
    points = _unprojected(smooth_m, crop.matrix_px)
    normal, point = _normals(points)[rows, columns][rim], points[rows, columns][rim]
    rays = points[rim] / smooth_m[rim, None]
    towards = np.minimum(_dot(normal, rays), -MIN_COSINE * np.linalg.norm(rays, axis=-1))
    reach_m = distance_px[rim] / MIN_COSINE * point[:, 2] / crop.matrix_px[0, 0]
    tangent_m = _dot(normal, point) / towards
    smooth_m[rim] = np.clip(tangent_m, point[:, 2] - reach_m, point[:, 2] + reach_m)
    return smooth_m


def _above_support(own_m: Floats, observation: Observation, crop: _Crop) -> Floats:
    """Bring the surface so near that it has a bottom between it and the support."""
    if observation.support is None:
        return own_m
    rays = _unprojected(np.ones_like(own_m), crop.matrix_px)
    towards = rays @ observation.support.normal_camera
    limit_m = (observation.support.offset_m - MIN_BOTTOM_M) / np.maximum(-towards, 1e-3)
    return np.where(crop.silhouette & (limit_m > 0), np.minimum(own_m, limit_m), own_m)


def _dot(first: Floats, second: Floats) -> Floats:
    dot: Floats = np.einsum("ni,ni->n", first, second)
    return dot


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


def _continued(observation: Observation, crop: _Crop, points: Floats) -> Bools:
    """Tell which pixels beside the mask may show the object all the same."""
    if observation.scale_source is ScaleSource.MONOCULAR:  # estimates contradict no mask
        return np.zeros_like(crop.mask)
    own = crop.mask & np.isfinite(crop.depth_m)
    beside = ~crop.silhouette & ~crop.others
    return continued(points, own, beside, observation.support, float(crop.matrix_px[0, 0]))


def _on_support(observation: Observation, points: Floats) -> Bools:
    """Tell which pixels show the support: it is not in the way of what stands on it."""
    if observation.support is None:
        return np.zeros(points.shape[:2], dtype=bool)
    height_m = observation.support.height_m(points)
    below: Bools = height_m < MIN_OCCLUDER_GAP_M + 2.0 * depth_noise_m(points[..., 2])
    return below


def _unprojected(depth_m: Floats, matrix_px: Floats) -> Floats:
    v, u = np.mgrid[0 : depth_m.shape[0], 0 : depth_m.shape[1]]
    rays = np.stack((u, v, np.ones_like(u)), axis=-1) @ np.linalg.inv(matrix_px).T
    points: Floats = rays * depth_m[..., None]
    return points


def _normals(points: Floats) -> Floats:
    """Return unit normals ``(h, w, 3)`` of a point map, towards the camera."""
    smooth = cv2.GaussianBlur(points.astype(np.float32), (0, 0), NORMAL_SIGMA_PX)
    down, right = np.gradient(smooth, axis=(0, 1))
    normals = np.cross(down, right)
    unit: Floats = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return unit


def _crop(observation: Observation) -> _Crop:
    rows, columns = window_of(observation.silhouette)
    window = (
        slice(rows.start - MARGIN_PX, rows.stop + MARGIN_PX),
        slice(columns.start - MARGIN_PX, columns.stop + MARGIN_PX),
    )
    matrix_px = np.array(observation.camera.matrix_px, dtype=np.float64)
    matrix_px[:2, 2] -= (window[1].start, window[0].start)
    depth_m = observation.points_camera[..., 2]
    return _Crop(
        matrix_px=matrix_px,
        depth_m=_cut(np.where(np.isfinite(depth_m), depth_m, 0.0), window, np.nan),
        mask=_cut(observation.mask, window) > 0,
        silhouette=_cut(observation.silhouette, window) > 0,
        others=_cut(observation.others, window) > 0,
        inside=_cut(np.ones_like(observation.mask), window) > 0,
    )


def _cut(image: Floats | Bools, window: tuple[slice, slice], blank: float = 0.0) -> Floats:
    """Cut out a window that may reach past the image; ``blank`` there and for zero."""
    rows, columns = window
    cut = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)
    top, left = max(0, rows.start), max(0, columns.start)
    part = image[top : rows.stop, left : columns.stop]
    top, left = top - rows.start, left - columns.start
    cut[top : top + part.shape[0], left : left + part.shape[1]] = part
    cut[cut == 0] = blank
    return cut


def camera_of(evidence: ViewEvidence) -> Camera:
    """Return the camera of the crop."""
    height, width = evidence.front_m.shape
    return Camera(width=width, height=height, matrix_px=evidence.matrix_px)
