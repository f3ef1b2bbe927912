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


"""How hypotheses disagree with a view: residuals that are linear in a small motion.

Each row says that a model point ``x`` should move by ``-residual`` along a direction. Rows are in
metres; their weights hold the noise and a robust kernel (Geman and McClure 1985).
"""

from dataclasses import dataclass

import numpy as np
import open3d as o3d

from sam3d_ros.geometry.evidence import sampled
from sam3d_ros.geometry.raycasting import NUM_THREADS
from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.view import Contour, RegistrationView
from sam3d_ros.structures import Bools, Floats, Ints

NEAREST_M = 1e-3
LATERAL_PX = 0.7  # a reading may belong to a place this far beside its pixel
SUPPORT_M = 0.004  # of the height of the lowest point over the support
MAX_RIM_POINTS = 160
NUM_BESIDE = 120  # samples that are kept off free space
OTHER_WAY = 0.5  # cosine between outlines that may belong together, at least
FACING = 0.05  # cosine of a surface to the ray that may be seen, at least


@dataclass(frozen=True, slots=True)
class Outlining:
    """How outlines are compared."""

    sigma_px: float  # standard deviation
    kernel_px: float  # width beyond which they do not belong together


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Linear equations of K hypotheses, N each."""

    points: Floats  # (K, N, 3) of the model, in the camera frame
    directions: Floats  # (K, N, 3)
    residuals_m: Floats  # (K, N)
    weights: Floats  # (K, N) 1 / m^2


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """What hypotheses show in some pixels."""

    depth_m: Floats  # (K, G), inf where nothing is
    normals: Floats  # (K, G, 3) in the camera frame, towards the camera

    def __getitem__(self, chosen: Ints) -> "Rendered":
        return Rendered(self.depth_m[chosen], self.normals[chosen])


def joined_rows(*parts: Rows) -> Rows:
    """Return the rows of several terms as one."""
    return Rows(
        np.concatenate([part.points for part in parts], axis=1),
        np.concatenate([part.directions for part in parts], axis=1),
        np.concatenate([part.residuals_m for part in parts], axis=1),
        np.concatenate([part.weights for part in parts], axis=1),
    )


def rendered(model: RegistrationModel, poses: Poses, rays: Floats) -> Rendered:
    """Look along rays ``(G, 3)`` with z = 1 at every hypothesis: rays move, the mesh stays."""
    num, size = len(poses), len(rays)
    scene_from_object = np.linalg.inv(model.stretch)
    cast = np.empty((num, size, 6), dtype=np.float32)
    cast[..., :3] = poses.unapply(np.zeros((1, 3))) @ scene_from_object.T
    cast[..., 3:] = poses.unturn(rays) @ scene_from_object.T
    hits = model.scene.cast_rays(o3d.core.Tensor(cast), nthreads=NUM_THREADS)
    normals = hits["primitive_normals"].numpy().astype(np.float64) @ scene_from_object
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    normals = poses.turn(normals)
    away = np.einsum("kgi,gi->kg", normals, rays) > 0
    normals[away] *= -1.0  # meshes may be wound either way
    return Rendered(hits["t_hit"].numpy().astype(np.float64), normals)


def depth_rows(view: RegistrationView, seen: Rendered, kernel_m: float) -> Rows:
    """Compare readings with the surface along the same rays (projective point to plane)."""
    chosen = np.flatnonzero(np.isfinite(view.pixels.measured_m))
    rays, measured_m = view.pixels.rays[chosen], view.pixels.measured_m[chosen]
    depth_m, normals = seen.depth_m[:, chosen], seen.normals[:, chosen]
    hit = np.isfinite(depth_m)
    depth_m = np.where(hit, depth_m, measured_m)
    cosine = np.einsum("kgi,gi->kg", normals, rays)
    residuals_m = cosine * (depth_m - measured_m)
    sideways_m = LATERAL_PX / view.focal_px * measured_m
    variance = np.square(cosine * view.sigma_m(measured_m)) + np.square(sideways_m)
    weights = np.where(hit, _kernel(residuals_m, variance, kernel_m), 0.0)
    return Rows(depth_m[..., None] * rays, normals, residuals_m, weights)


def nearest_rows(
    model: RegistrationModel, poses: Poses, view: RegistrationView, kernel_m: float
) -> Rows:
    """Compare measured points with the nearest surface that faces the camera."""
    num, size = len(poses), len(view.points)
    _, nearest = model.tree.query(poses.unapply(view.points).reshape(-1, 3))
    nearest = nearest.reshape(num, size)
    points, normals = poses.apply(model.samples[nearest]), poses.turn(model.normals[nearest])
    apart = points - view.points
    residuals_m = (normals * apart).sum(axis=-1)
    cosine = (normals * points).sum(axis=-1) / np.linalg.norm(points, axis=-1)
    variance = np.square(view.sigma_m(view.points[:, 2]))
    distance_m = np.linalg.norm(apart, axis=-1)
    weights = np.where(cosine < -FACING, _kernel(distance_m, variance, kernel_m), 0.0)
    return Rows(points, normals, residuals_m, weights)


def outline_rows(
    model: RegistrationModel, poses: Poses, view: RegistrationView, outlining: Outlining
) -> Rows:
    """Compare outlines both ways: the mask's with the nearest rim, the rim with the mask."""
    rims = _rims(model, poses, view)
    return joined_rows(
        _contour_rows(rims, view, outlining), _beside_rows(model, poses, rims, view, outlining)
    )


def support_rows(model: RegistrationModel, poses: Poses, view: RegistrationView) -> Rows:
    """Compare the lowest point with the support plane; none without one."""
    if view.support is None:
        return _no_rows(len(poses))
    corners = poses.apply(model.corners)
    heights_m = view.support.height_m(corners)
    lowest = heights_m.argmin(axis=1)[:, None]
    points = np.take_along_axis(corners, lowest[..., None], axis=1)
    residuals_m = np.take_along_axis(heights_m, lowest, axis=1)
    directions = np.broadcast_to(view.support.normal_camera, points.shape)
    weights = _kernel(residuals_m, np.square(SUPPORT_M), 3 * SUPPORT_M)
    return Rows(points, directions, residuals_m, weights)


@dataclass(frozen=True, slots=True, eq=False)
class _Rims:
    """Where hypotheses end, as seen from the camera; short lists are filled by repetition."""

    points: Floats  # (K, R, 3)
    pixels: Floats  # (K, R, 2) in the image
    normals: Floats  # (K, R, 2) outwards in the image, unit


def _rims(model: RegistrationModel, poses: Poses, view: RegistrationView) -> _Rims:
    """Find the points on edges of which the camera sees one triangle only."""
    rims, eyes = model.rims, poses.unapply(np.zeros((1, 3)))
    homogeneous = np.concatenate((eyes[:, 0], np.ones((len(poses), 1))), axis=1)
    sides = rims.planes @ homogeneous.T.astype(np.float32)  # of the triangles' planes, (2, E, K)
    chosen = np.stack([_some(flags) for flags in (sides[0] * sides[1] <= 0).T])
    points = poses.apply(rims.points[chosen])
    outwards = poses.turn(rims.first[chosen] + rims.second[chosen])
    depth_m = np.maximum(points[..., 2:], NEAREST_M)
    rays = points / depth_m
    along = (outwards * rays).sum(axis=-1, keepdims=True) / np.square(rays).sum(
        axis=-1, keepdims=True
    )
    normals = (outwards - along * rays)[..., :2]
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    return _Rims(points, _pixels_of(rays, view), normals / np.maximum(lengths, 1e-9))


def _some(flags: Bools) -> Ints:
    """Return MAX_RIM_POINTS places of flags that are set, with repetition where there are fewer."""
    places = np.flatnonzero(flags)
    if not len(places):
        return np.zeros(MAX_RIM_POINTS, dtype=np.int64)
    if len(places) < MAX_RIM_POINTS:
        return np.resize(places, MAX_RIM_POINTS)
    return places[np.linspace(0, len(places) - 1, MAX_RIM_POINTS).astype(np.int64)]


def _contour_rows(rims: _Rims, view: RegistrationView, outlining: Outlining) -> Rows:
    """Pull the nearest rim, running the same way, to each place of the mask's outline."""
    contour = view.contour
    if not len(contour.pixels):
        return _no_rows(len(rims.points))
    nearest, matched = _nearest_rims(rims, contour)
    points = np.take_along_axis(rims.points, nearest[..., None], axis=1)
    apart = np.take_along_axis(rims.pixels, nearest[..., None], axis=1) - contour.pixels
    residuals_px = (apart * contour.normals).sum(axis=-1)
    distance_px = np.linalg.norm(apart, axis=-1)
    weights = np.where(matched, _weights_px(distance_px, outlining), 0.0)
    normals = np.broadcast_to(contour.normals, apart.shape)
    return _image_rows(points, normals, residuals_px, weights, view)


def _nearest_rims(rims: _Rims, contour: Contour) -> tuple[Ints, Bools]:
    """Return for each place of the outline its nearest rim, ``(K, C)``, and whether it may be it.

    Squared distances are written out as products of matrices, up to what is the same for all rims.
    """
    middle = contour.pixels.mean(axis=0)  # float32 suffices near the origin
    places = (contour.pixels - middle).astype(np.float32)
    pixels = (rims.pixels - middle).astype(np.float32)
    cost = np.square(pixels).sum(axis=-1)[:, None] - 2.0 * places @ pixels.transpose(0, 2, 1)
    same_way = contour.normals.astype(np.float32) @ rims.normals.astype(np.float32).transpose(
        0, 2, 1
    )
    cost[same_way < OTHER_WAY] = np.inf
    nearest = cost.argmin(axis=2)
    least = np.take_along_axis(cost, nearest[..., None], axis=2)[..., 0]
    return nearest, np.isfinite(least)


def _beside_rows(
    model: RegistrationModel,
    poses: Poses,
    rims: _Rims,
    view: RegistrationView,
    outlining: Outlining,
) -> Rows:
    """Pull what is seen beside the mask, where the view is free, back into it."""
    samples = poses.apply(model.samples[:: len(model.samples) // NUM_BESIDE])
    points = np.concatenate((rims.points, samples), axis=1)
    pixels = _pixels_of(points / np.maximum(points[..., 2:], NEAREST_M), view)
    places = (pixels - view.corner_px).reshape(-1, 2)
    distance_px, *slopes = (
        sampled(image, places[:, 0], places[:, 1]).astype(np.float64).reshape(pixels.shape[:2])
        for image in view.beside
    )
    normals = np.stack(slopes, axis=-1)
    lengths = np.linalg.norm(normals, axis=-1)
    in_image = ((pixels >= 0) & (pixels <= np.array(view.size_px) - 1)).all(axis=-1)
    free = in_image & (distance_px > 0) & (lengths > 0.3)
    normals /= np.maximum(lengths, 0.3)[..., None]
    weights = np.where(free, _weights_px(distance_px, outlining), 0.0)
    return _image_rows(points, normals, distance_px, weights, view)


def _image_rows(
    points: Floats, normals: Floats, residuals_px: Floats, weights: Floats, view: RegistrationView
) -> Rows:
    """Turn residuals in the image into residuals at the depth of the points.

    With ``u = f x / z``, a motion d of a point moves its pixel along a normal m by
    ``f / z (m_x d_x + m_y d_y - (m_x x + m_y y) / z d_z)``.
    """
    depth_m = np.maximum(points[..., 2], NEAREST_M)
    rays = points[..., :2] / depth_m[..., None]
    away = -(normals * rays).sum(axis=-1, keepdims=True)
    metres_per_px = depth_m / view.focal_px
    return Rows(
        points,
        np.concatenate((normals, away), axis=-1),
        residuals_px * metres_per_px,
        weights / np.square(metres_per_px),
    )


def _pixels_of(rays: Floats, view: RegistrationView) -> Floats:
    matrix_px = view.matrix_px
    pixels: Floats = rays[..., :2] * matrix_px[[0, 1], [0, 1]] + matrix_px[:2, 2]
    return pixels


def _kernel(residuals: Floats, variance: Floats | float, kernel: float) -> Floats:
    """Weigh residuals by their noise, and down where they exceed kernel and noise."""
    width = np.square(kernel) + 9.0 * variance
    weights: Floats = np.square(width / (width + np.square(residuals))) / variance
    return weights


def _weights_px(distance_px: Floats, outlining: Outlining) -> Floats:
    return _kernel(distance_px, np.square(outlining.sigma_px), outlining.kernel_px)


def _no_rows(num: int) -> Rows:
    empty = np.zeros((num, 0))
    return Rows(np.zeros((num, 0, 3)), np.zeros((num, 0, 3)), empty, empty)
