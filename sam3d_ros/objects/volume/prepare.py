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

"""From an observation to what the volume model sees of it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.errors import DepthSparseError
from sam3d_ros.objects.volume.box import box_of, covering_matrix, with_sure_plane
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.structures import Bools, Floats, Observation, window_of

CROP_PX = 112  # along a side
MIN_POINTS = 30
UNKNOWN_PITCH = math.radians(30.0)  # of a camera of which nothing is known, below level
MARGIN = 1.1  # of the first crop, around the silhouette


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedVolume:
    """One object as the volume model sees it; a batch of one."""

    view: VolumeView
    box: VolumeBox
    rgb: Tensor  # (1, 3, P, P) float32 in [0, 1]


def prepare(
    observation: Observation, size: int = CROP_PX, device: torch.device | str = "cpu"
) -> PreparedVolume:
    """Crop an observation so that its box is in view.

    Raises:
        DepthSparseError: The mask has almost no known points.
    """
    num_points = len(observation.object_points_camera)
    if num_points < MIN_POINTS:
        raise DepthSparseError(
            f"nano needs at least {MIN_POINTS} points on the object, got {num_points}; check that "
            "depth is registered to the image"
        )
    first = _view(observation, _around(observation.silhouette, observation, size), size)
    matrix_px = torch.from_numpy(observation.camera.matrix_px.astype(np.float64))[None]
    box = box_of(with_sure_plane(first))
    matrix = covering_matrix(box, matrix_px.float(), size)[0].double().numpy()
    pixels = _pixels(observation, matrix, size)
    rgb = _cut(observation.rgb, pixels, 0.0)
    view = with_sure_plane(_view(observation, matrix, size)).to(device)
    box = box_of(view)
    if not box.centre_m.isfinite().all():
        raise DepthSparseError(
            f"nano needs depth on the object, the {size}^2 pixels of its crop have none; check "
            "that depth is registered to the image"
        )
    return PreparedVolume(
        view=view,
        box=box,
        rgb=torch.from_numpy(rgb.transpose(2, 0, 1)[None].astype(np.float32)).to(device),
    )


def _around(silhouette: Bools, observation: Observation, size: int) -> Floats:
    """Return the camera matrix of a square crop around a silhouette."""
    rows, columns = window_of(silhouette)
    low = np.array([columns.start, rows.start]) - 0.5
    high = np.array([columns.stop, rows.stop]) - 0.5
    side = MARGIN * (high - low).max()
    matrix = np.array(observation.camera.matrix_px, dtype=np.float64)
    matrix[:2, 2] = (matrix[:2, 2] - (low + high) / 2 + side / 2) * size / side - 0.5
    matrix[:2, :2] *= size / side
    return matrix


def _view(observation: Observation, matrix: Floats, size: int) -> VolumeView:
    pixels = _pixels(observation, matrix, size)
    support = observation.support
    plane = np.zeros(4) if support is None else np.append(support.normal_camera, support.offset_m)
    depth_m = _cut(observation.points_camera[..., 2], pixels, np.nan)
    return VolumeView(
        depth_m=torch.from_numpy(np.where(np.isfinite(depth_m), depth_m, np.nan))[None].float(),
        mask=torch.from_numpy(_cut(observation.silhouette, pixels, 0.0) > 0)[None],
        matrix_px=torch.from_numpy(matrix)[None].float(),
        up=torch.from_numpy(_up(observation))[None].float(),
        plane=torch.from_numpy(plane)[None].float(),
    )


def _up(observation: Observation) -> Floats:
    if observation.support is not None:
        return np.asarray(observation.support.normal_camera, dtype=np.float64)
    if observation.up_camera is not None:
        return np.asarray(observation.up_camera, dtype=np.float64)
    return np.array([0.0, -math.cos(UNKNOWN_PITCH), -math.sin(UNKNOWN_PITCH)])


def _pixels(observation: Observation, matrix: Floats, size: int) -> tuple[Floats, Floats]:
    """Return which columns and rows of the image the pixels of a crop show, each ``(P,)``."""
    whole, steps = observation.camera.matrix_px, np.arange(size)
    focal, middle = (matrix[0, 0], matrix[1, 1]), matrix[:2, 2]
    columns = np.rint((steps - middle[0]) * whole[0, 0] / focal[0] + whole[0, 2])
    rows = np.rint((steps - middle[1]) * whole[1, 1] / focal[1] + whole[1, 2])
    return columns, rows


def _cut(image: Floats | Bools, pixels: tuple[Floats, Floats], blank: float) -> Floats:
    """Take pixels of an image; ``blank`` where it has ended."""
    columns, rows = pixels
    height, width = image.shape[:2]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    taken = image[
        np.clip(rows, 0, height - 1).astype(int)[:, None],
        np.clip(columns, 0, width - 1).astype(int),
    ].astype(np.float32)
    taken[~inside] = blank
    return taken
