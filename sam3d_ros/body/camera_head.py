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

"""From a token to where the camera sees a body: the camera head, translation, projection."""

from dataclasses import dataclass

from torch import Tensor, nn, stack

from sam3d_ros.body.architecture import NUM_CAMERA_VALUES
from sam3d_ros.body.layers import TwoLayers
from sam3d_ros.body.views import CropViews

LEAST_WIDTH = 1e-8  # keeps a body of no size from being infinitely far


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placement:
    """Where N bodies are, and where their keypoints come to lie."""

    camera: Tensor  # (N, 3) as predicted: size in the crop, x and y in it
    translation_m: Tensor  # (N, 3) of the body's origin, optical frame
    keypoints_px: Tensor  # (N, 70, 2) in the image
    keypoints_depth_m: Tensor  # (N, 70)
    keypoints_crop: Tensor  # (N, 70, 2) in units of the crop, 0 in its middle


class CameraHead(nn.Module):
    """Predicts how large a body is in its crop, and where in it."""

    def __init__(self, dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale  # how much nearer it takes a crop to be
        self.proj = TwoLayers(dim, dim, NUM_CAMERA_VALUES)

    def forward(self, tokens: Tensor, initial: Tensor) -> Tensor:
        """Map tokens ``(N, D)`` and a first guess ``(1, 3)`` to camera values ``(N, 3)``."""
        return self.proj(tokens) + initial

    def place(self, camera: Tensor, keypoints_m: Tensor, views: CropViews) -> Placement:
        """Place bodies before the camera.

        Args:
            camera: Values ``(N, 3)`` of ``forward``.
            keypoints_m: ``(N, 70, 3)`` relative to the bodies' origins, axes of the camera.
            views: The crops that the bodies were seen in.
        """
        # All of the principal point counts here, also where it is not the middle of the image.
        center = views.matrix_px[:2, 2]
        translation_m = translation_from_camera(camera, views, center, self.scale)
        points_camera = keypoints_m + translation_m[:, None]
        pixels = project(points_camera, views.matrix_px)
        return Placement(
            camera=camera,
            translation_m=translation_m,
            keypoints_px=pixels,
            keypoints_depth_m=points_camera[..., 2],
            keypoints_crop=views.in_crops(pixels),
        )


def translation_from_camera(
    camera: Tensor, views: CropViews, center_px: Tensor, scale: float
) -> Tensor:
    """Return where bodies are, ``(N, 3)`` in metres, optical frame.

    Camera values are a size and a shift in the crop for a camera with x to the right and y up, far
    away; what makes them a translation is that the crop is seen from this camera.

    Args:
        camera: ``(N, 3)``.
        views: The crops.
        center_px: ``(2,)`` from which offsets of the crops count.
        scale: Of the head that made the values.
    """
    size, x, y = camera.unbind(-1)
    width = -views.sides_px * size * scale + LEAST_WIDTH
    offset = 2.0 * (views.centers_px - center_px) / width[:, None]
    depth_m = 2.0 * views.matrix_px[0, 0] / width
    return stack((x + offset[:, 0], -y + offset[:, 1], depth_m), dim=-1)


def project(points_camera: Tensor, matrix_px: Tensor) -> Tensor:
    """Return pixels ``(..., 2)`` of points ``(..., 3)`` in the optical frame, of any depth."""
    rays = points_camera / points_camera[..., 2:]
    return (rays @ matrix_px.mT)[..., :2]
