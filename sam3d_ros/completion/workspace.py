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

"""The frame and the box in which one object is completed.

``work`` is upright on the support: z along its normal with 0 on it, x the horizontal direction in
which the camera looks, y to the left; metric, the origin under the object. Without a support z is
up as far as that is known, else up in the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.maps import noise_of_m
from sam3d_ros.completion.space import PlacedEvidence, Space
from sam3d_ros.completion.views import View, Views
from sam3d_ros.geometry.evidence import MIN_COSINE
from sam3d_ros.structures import Floats, Similarity

UP_IN_IMAGE = np.array([0.0, -1.0, 0.0])
NUM_POINTS = 4000  # of the seen side that are kept
CELL_PIXELS = 1.5  # of several views, one point per cell is kept
PITCHES_RAD = np.radians((0.0, 20.0, 40.0, 60.0))  # of a camera of which nothing is known
MIN_HORIZONTAL = 0.25  # sine of the angle to straight down below which x is up in the image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workspace:
    """The work frame of one object and what the object looks like in it."""

    camera_from_work: Similarity
    surface: Floats  # (N, 3) points of the seen side, holes closed, in work
    normals: Floats  # (N, 3) of these
    area: Floats  # (N,) in any unit, of the surface that each point stands for
    space: Space  # what all views say
    has_support: bool
    noise_m: float  # standard deviation of the depth of the object
    pixel_m: float  # size of a pixel at its depth

    @property
    def tolerance_m(self) -> float:
        """How far measured and true surface usually differ."""
        return 0.5 * (self.noise_m + self.pixel_m)

    @property
    def low(self) -> Floats:
        """Lower corner of the seen points and the support, ``(3,)``, without the last noise."""
        low = np.percentile(self.surface, 0.5, axis=0)
        return low * (1.0, 1.0, 0.0) if self.has_support else low

    @property
    def high(self) -> Floats:
        """Upper corner of the seen points, ``(3,)``, without the outermost noise."""
        return np.percentile(self.surface, 99.5, axis=0)


def workspaces_of(views: Views) -> list[Workspace]:
    """Lay the work frame under the object, once for each direction that may be up.

    Support or gravity say which; without either the camera may look level or down, and the first
    frame is that of a level camera.
    """
    observation = views.present.observation
    if observation.support is not None:
        ups = [observation.support.normal_camera]
    elif observation.up_camera is not None:
        ups = [observation.up_camera]
    else:
        ups = [np.array([0.0, -np.cos(pitch), -np.sin(pitch)]) for pitch in PITCHES_RAD]
    return [_workspace(views, up) for up in ups]


def _workspace(views: Views, up: Floats) -> Workspace:
    observation = views.present.observation
    points_camera = observation.object_points_camera.astype(np.float64)
    middle = np.median(points_camera, axis=0)
    rotation = _rotation(up, middle / np.linalg.norm(middle))
    origin = middle
    if observation.support is not None:
        origin = middle - observation.support.height_m(middle) * rotation[:, 2]
    camera_from_work = Similarity(rotation, origin)
    pixel_m = float(middle[2] / views.present.evidence.matrix_px[0, 0])
    placed = tuple(_placed(view, camera_from_work) for view in views.used)
    surface, normals, area = _seen(placed, pixel_m)
    return Workspace(
        camera_from_work=camera_from_work,
        surface=surface,
        normals=normals,
        area=area,
        space=Space(views=placed, maps=views.maps),
        has_support=observation.support is not None,
        noise_m=noise_of_m(middle[2], observation.scale_source),
        pixel_m=pixel_m,
    )


def _placed(view: View, camera_from_work: Similarity) -> PlacedEvidence:
    return PlacedEvidence(
        evidence=view.evidence, view_from_work=view.view_from_camera @ camera_from_work
    )


def _seen(views: Sequence[PlacedEvidence], pixel_m: float) -> tuple[Floats, Floats, Floats]:
    """Return points, normals and areas of the seen side, not too many.

    What several views saw is taken once, from the first of them.
    """
    surfaces = [view.surface(NUM_POINTS) for view in views]
    if len(views) == 1:
        points, normals = surfaces[0]
        return points, normals, _area(points, normals, views[0].eye)
    points = np.concatenate([surface[0] for surface in surfaces])
    normals = np.concatenate([surface[1] for surface in surfaces])
    cells = np.floor(points / (CELL_PIXELS * pixel_m)).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    first = np.sort(first)
    chosen = first[:: max(1, len(first) // NUM_POINTS)]
    return points[chosen], normals[chosen], np.ones(len(chosen))


def _area(points: Floats, normals: Floats, eye: Floats) -> Floats:
    """Return the area that a pixel stands for, which shows steep sides small."""
    sight = points - eye
    distance = np.linalg.norm(sight, axis=1)
    cosine = -np.einsum("ni,ni->n", normals, sight) / distance
    area: Floats = distance**2 / np.maximum(cosine, MIN_COSINE)
    return area


def _rotation(up: Floats, view: Floats) -> Floats:
    """Return the rotation with columns x (away from the camera), y, z = ``up``."""
    x = view - (view @ up) * up
    if np.linalg.norm(x) < MIN_HORIZONTAL:  # seen from right above: x is up in the image
        x = UP_IN_IMAGE - (UP_IN_IMAGE @ up) * up
    x = x / np.linalg.norm(x)
    return np.stack((x, np.cross(up, x), up), axis=1)
