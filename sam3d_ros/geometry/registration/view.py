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


"""What one camera measured of one object, prepared for registration."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sam3d_ros.geometry.contradictions import contradicted
from sam3d_ros.geometry.nearest import nearest_pixels
from sam3d_ros.geometry.noise import depth_noise_m
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import (
    Bools,
    Camera,
    Floats,
    Ints,
    Observation,
    ScaleSource,
    SupportPlane,
    window_of,
)

NUM_RAYS = 1200  # over the crop
NUM_POINTS = 140  # measured points in coarse association
NUM_CONTOUR = 100
MARGIN_SHARE = 0.35  # of the mask's box, seen around it
MIN_MARGIN_PX = 12
OCCLUDER_GAP_M = 0.005  # what hides the object is nearer than it by this and the noise
GAP_SIGMAS = 4.0
BESIDE_HIDDEN_PX = 3  # contour this near to what may hide the object is not the object's
ON_SUPPORT_SIGMAS = 4.0
SMOOTHING_PX = 1.0
SECOND_DIFFERENCE = 6.0**0.5  # standard deviation of z[i-1] - 2 z[i] + z[i+1] for unit noise
MAD = 0.6745  # median of |x| for unit normal x


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """One object in one image: plain arrays from whatever sensor."""

    points_camera: Floats  # (H, W, 3) metres, NaN where unknown
    mask: Bools  # (H, W) pixels whose point belongs to the object
    silhouette: Bools  # (H, W) pixels that show the object
    camera: Camera  # without distortion
    others: Bools | None = None  # (H, W) pixels of other objects, which may hide this one
    support: SupportPlane | None = None
    up_camera: Floats | None = None  # (3,) unit vector against gravity, where it is known
    is_measured: bool = True  # whether points are readings: estimates contradict no mask

    def __post_init__(self) -> None:
        size = f"{self.camera.height} {self.camera.width}"
        check_shape(self.points_camera, f"{size} 3", "points_camera")
        check_shape(self.mask, size, "mask")
        check_shape(self.silhouette, size, "silhouette")

    @classmethod
    def of(cls, observation: Observation) -> "Seen":
        """Take over an observation."""
        return cls(
            points_camera=observation.points_camera,
            mask=observation.mask,
            silhouette=observation.silhouette,
            camera=observation.camera,
            others=observation.others,
            support=observation.support,
            up_camera=observation.up_camera,
            is_measured=observation.scale_source is not ScaleSource.MONOCULAR,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """Some pixels of the crop; their rays have z = 1."""

    rays: Floats  # (G, 3)
    measured_m: Floats  # (G,) the object's own readings, NaN elsewhere
    shown: Bools  # (G,) the object is seen here
    hidden: Bools  # (G,) something nearer may hide it, or the mask may be wrong: no evidence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contour:
    """Where the object ends against what is behind it."""

    pixels: Floats  # (C, 2)
    normals: Floats  # (C, 2) unit, outwards


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegistrationView:
    """One view in the form in which poses are compared with it."""

    pixels: Pixels
    points: Floats  # (N, 3) some measured points of the object
    contour: Contour
    beside: Floats  # (3, h, w) distance to where the object may be, px, and its gradient
    corner_px: Ints  # (2,) column and row of the crop in the image
    matrix_px: Floats  # (3, 3) of the whole image
    size_px: tuple[int, int]  # of the whole image
    noise: float  # standard deviation of readings, as multiple of ``depth_noise_m``
    num_measured: int
    support: SupportPlane | None
    up_camera: Floats | None = None  # (3,) the support's normal where there is one, else gravity's

    def sigma_m(self, depth_m: Floats) -> Floats:
        """Return the standard deviation of readings at these depths, same shape, metres."""
        return self.noise * depth_noise_m(depth_m)

    def thinned(self, stride: int) -> "RegistrationView":
        """Return the same view with fewer pixels."""
        pixels = Pixels(
            rays=self.pixels.rays[::stride],
            measured_m=self.pixels.measured_m[::stride],
            shown=self.pixels.shown[::stride],
            hidden=self.pixels.hidden[::stride],
        )
        return replace(self, pixels=pixels)

    @property
    def focal_px(self) -> float:
        """Geometric mean of the two focal lengths."""
        return float(np.sqrt(self.matrix_px[0, 0] * self.matrix_px[1, 1]))


def prepared_view(seen: Seen) -> RegistrationView:
    """Prepare what was seen for registration; an empty mask gives a view without evidence."""
    rows, columns = _crop(seen.silhouette)
    points = seen.points_camera[rows, columns]
    given = seen.silhouette[rows, columns]
    known = seen.mask[rows, columns] & np.isfinite(points).all(axis=-1)
    doubtful = _doubtful(seen, (rows, columns), known)
    silhouette = given & ~doubtful
    depth_m = points[..., 2].astype(np.float64)
    noise = _noise(np.where(known, depth_m, np.nan))
    hidden = doubtful | _hidden(seen, (rows, columns), known, noise)
    corner_px = np.array([columns.start, rows.start])
    measured = points[known].astype(np.float64)
    return RegistrationView(
        pixels=_pixels(np.where(known, depth_m, np.nan), silhouette, hidden, corner_px, seen),
        points=measured[_spread(len(measured), NUM_POINTS)],
        contour=_contour(silhouette, hidden, corner_px, seen.camera),
        beside=_beside(silhouette | hidden),
        corner_px=corner_px,
        matrix_px=np.asarray(seen.camera.matrix_px, dtype=np.float64),
        size_px=(seen.camera.width, seen.camera.height),
        noise=noise,
        num_measured=len(measured),
        support=seen.support,
        up_camera=seen.up_camera if seen.support is None else seen.support.normal_camera,
    )


def _crop(silhouette: Bools) -> tuple[slice, slice]:
    """Return rows and columns around the silhouette, within the image."""
    rows, columns = window_of(silhouette)
    height, width = silhouette.shape
    return _widened(rows, height), _widened(columns, width)


def _widened(part: slice, length: int) -> slice:
    margin = max(MIN_MARGIN_PX, int(MARGIN_SHARE * (part.stop - part.start)))
    return slice(max(0, part.start - margin), min(length, part.stop + margin))


def _spread(length: int, num: int) -> Ints:
    """Return ``num`` places, or all there are, spread evenly over ``length``."""
    return np.linspace(0, max(0, length - 1), min(num, length)).astype(np.int64)


def _noise(depth_m: Floats) -> float:
    """Compare the noise of readings ``(h, w)`` with what is usual; never below that.

    Second differences along rows take out the slope of the surface.
    """
    bend_m = np.abs(depth_m[:, :-2] - 2 * depth_m[:, 1:-1] + depth_m[:, 2:])
    usual_m = depth_noise_m(depth_m[:, 1:-1])
    ratio = (bend_m / usual_m)[np.isfinite(bend_m)]
    if not ratio.size:
        return 1.0
    return max(1.0, float(np.median(ratio)) / (MAD * SECOND_DIFFERENCE))


def _doubtful(seen: Seen, crop: tuple[slice, slice], known: Bools) -> Bools:
    """Tell where mask and depth contradict each other, ``(h, w)``."""
    silhouette = seen.silhouette[crop]
    if not seen.is_measured:
        return np.zeros_like(silhouette)
    others = np.zeros_like(silhouette) if seen.others is None else seen.others[crop]
    points, focal_px = seen.points_camera[crop], float(seen.camera.matrix_px[0, 0])
    return contradicted(points, known, silhouette, others, seen.support, focal_px)


def _hidden(seen: Seen, crop: tuple[slice, slice], known: Bools, noise: float) -> Bools:
    """Tell where something nearer than the object may hide it, ``(h, w)``."""
    silhouette, depth_m = seen.silhouette[crop], seen.points_camera[crop][..., 2]
    if not known.any():
        return ~silhouette
    own_m = depth_m[nearest_pixels(known)]
    gap_m = OCCLUDER_GAP_M + GAP_SIGMAS * noise * depth_noise_m(own_m)
    nearer = depth_m < own_m - gap_m
    if seen.others is not None:
        nearer |= seen.others[crop] & ~(depth_m > own_m + gap_m)
    if seen.support is not None:
        tolerance_m = ON_SUPPORT_SIGMAS * noise * depth_noise_m(depth_m)
        height_m = seen.support.height_m(seen.points_camera[crop])
        # Nor does what lies below the support, such as the table under a stack, hide anything;
        # unless the camera itself is below the top of the stack.
        camera_height_m = float(seen.support.height_m(np.zeros(3)))
        nearer &= ~((height_m if camera_height_m > 0.0 else np.abs(height_m)) < tolerance_m)
    # Depth is missing in the shadow at the edge of what is nearer, and noise leaves gaps.
    kernel = np.ones((3, 3), dtype=np.uint8)
    closed = cv2.morphologyEx(nearer.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel)
    hidden: Bools = (opened > 0) & ~silhouette
    return hidden


def _pixels(
    measured_m: Floats, silhouette: Bools, hidden: Bools, corner_px: Ints, seen: Seen
) -> Pixels:
    """Choose pixels on a regular grid."""
    height, width = silhouette.shape
    stride = max(1.0, float(np.sqrt(height * width / NUM_RAYS)))
    rows = np.arange(stride / 2 - 0.5, height - 0.5, stride).round().astype(np.int64)
    columns = np.arange(stride / 2 - 0.5, width - 0.5, stride).round().astype(np.int64)
    v, u = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    inverse = np.linalg.inv(np.asarray(seen.camera.matrix_px, dtype=np.float64))
    places = np.stack((u + corner_px[0], v + corner_px[1], np.ones_like(u)), axis=1)
    return Pixels(
        rays=places @ inverse.T,
        measured_m=measured_m[v, u],
        shown=silhouette[v, u],
        hidden=hidden[v, u],
    )


def _contour(silhouette: Bools, hidden: Bools, corner_px: Ints, camera: Camera) -> Contour:
    """Find the outline of the silhouette where it is the object's own."""
    signed_px = _signed_distance_px(silhouette)
    u_slope, v_slope = _slopes(signed_px)
    rim = silhouette & (signed_px > -1.2)
    near = np.ones((2 * BESIDE_HIDDEN_PX + 1,) * 2, dtype=np.uint8)
    rim &= cv2.dilate(hidden.astype(np.uint8), near) == 0
    v, u = np.nonzero(rim)
    columns, rows = u + corner_px[0], v + corner_px[1]
    inside = (np.minimum(columns, rows) > 1) & (columns < camera.width - 2)
    inside &= rows < camera.height - 2
    slopes = np.stack((u_slope[v, u], v_slope[v, u]), axis=1)
    lengths = np.linalg.norm(slopes, axis=1)
    chosen = np.flatnonzero(inside & (lengths > 0.3))
    chosen = chosen[_spread(len(chosen), NUM_CONTOUR)]
    normals = slopes[chosen] / lengths[chosen, None]
    pixels = np.stack((columns, rows), axis=1)[chosen] - signed_px[v, u][chosen, None] * normals
    return Contour(pixels=pixels, normals=normals)


def _beside(allowed: Bools) -> Floats:
    """Return the distance to where the object may be, and its gradient, ``(3, h, w)``."""
    distance_px = np.maximum(_signed_distance_px(allowed), 0.0)
    return np.stack((distance_px, *_slopes(distance_px))).astype(np.float32)


def _slopes(image: Floats) -> tuple[Floats, Floats]:
    """Return how an image grows along its columns and rows, each ``(h, w)``."""
    return np.asarray(np.gradient(image, axis=1)), np.asarray(np.gradient(image, axis=0))


def _signed_distance_px(inside: Bools) -> Floats:
    """Distance to the border between pixels, negative inside, smooth enough for gradients."""
    if not inside.any():
        return np.full(inside.shape, float(max(inside.shape)))
    outer = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    inner = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    signed = np.where(inside, 0.5 - inner, outer - 0.5)
    return np.asarray(cv2.GaussianBlur(signed, (0, 0), SMOOTHING_PX), dtype=np.float64)
