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

"""From what the reference takes to the inputs of the models, so that both worlds can be compared.

An image with the mask as alpha, and a point map: that of a monocular depth model
(``points_p3d_from_depth_model``) or a caller's own (``external_points_p3d``).
"""

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.errors import EncodingError, MaskSizeError, ShapeError
from sam3d_ros.nn.resize import resize_nearest
from sam3d_ros.objects.axes import axes_swapped
from sam3d_ros.objects.inputs import PreparedObjects
from sam3d_ros.objects.normalise import scene_normaliser
from sam3d_ros.objects.preprocess import View, prepare_view, tensor_of
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Bytes


def prepare_reference(rgba: Bytes, points_p3d: Tensor, side: int) -> PreparedObjects:
    """Return the model inputs, ``side`` pixels square, for the reference's inputs.

    Without any number on the object the points stay as they are: shift 0, scale 1.

    Args:
        rgba: ``(H, W, 4)``; alpha marks the object.
        points_p3d: ``(3, h, w)`` in camera_p3d, NaN where unknown; of any size.
        side: Of the inputs, in pixels.

    Raises:
        EncodingError: The image is not of type uint8.
        ShapeError: The image has not four channels, or the point map not three.
        MaskEmptyError: The mask is empty or too thin to crop.
    """
    check_shape(points_p3d, "3 h w", "points_p3d")
    channels = tensor_of(_checked_rgba(rgba), points_p3d.device).movedim(-1, 0) / 255
    view = View(rgb=channels[:3], mask=channels[3:], points_p3d=points_p3d)
    return prepare_view(view, scene_normaliser(points_p3d, view.mask), side)


def rgba_with_mask(rgb: Bytes, mask: Bools) -> Bytes:
    """Return ``(H, W, 4)`` of an image ``(H, W, 3)`` and a mask ``(H, W)``.

    Raises:
        MaskSizeError: The mask has another size than the image.
    """
    height, width = check_shape(rgb, "H W 3", "rgb").values()
    if mask.shape != (height, width):
        raise MaskSizeError(
            f"mask must have the size of its image, {width}x{height}, has shape {mask.shape}; use "
            "the mask of this very image, without cropping or scaling"
        )
    return np.dstack((rgb, np.where(mask, 255, 0).astype(np.uint8)))


def points_p3d_from_depth_model(points_camera: Tensor) -> Tensor:
    """Return the point map ``(3, H, W)`` of a monocular depth model's ``(H, W, 3)``.

    The model marks unknown pixels by infinite coordinates; they become NaN.
    """
    check_shape(points_camera, "H W 3", "points_camera")
    known = points_camera.isfinite().all(dim=-1, keepdim=True)
    return axes_swapped(points_camera).where(known, torch.nan).movedim(-1, 0)


def external_points_p3d(points_p3d: Tensor, height: int, width: int) -> Tensor:
    """Return the point map ``(3, height, width)`` of a caller's ``(h, w, 3)``.

    The reference takes a caller's map to be in its own axes already, and repeats or drops pixels
    until it has the image's size.
    """
    check_shape(points_p3d, "h w 3", "points_p3d")
    return resize_nearest(points_p3d.movedim(-1, 0)[None], (height, width))[0]


def _checked_rgba(rgba: Bytes) -> Bytes:
    if rgba.ndim != 3 or rgba.shape[2] != 4:
        raise ShapeError(
            f"rgba must have shape (H, W, 4), got {rgba.shape}; add the mask as the fourth channel"
        )
    if rgba.dtype != np.uint8:
        raise EncodingError(
            f"rgba must be of type uint8, 0 to 255, got {rgba.dtype}; scale and convert the image"
        )
    return rgba
