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

"""Where crops of people lie in an image and in the view of its camera."""

from dataclasses import dataclass

from torch import Tensor

from sam3d_ros.shapes import check_shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropViews:
    """What heads and decoders need of N square crops of one image, besides their pixels.

    Raises:
        ShapeError: A tensor has another shape than it says here.
    """

    crop_from_image: Tensor  # (N, 2, 3) a scale and a shift each, pixels
    centers_px: Tensor  # (N, 2) x, y in the image
    sides_px: Tensor  # (N,) in the image
    matrix_px: Tensor  # (3, 3) of the camera
    size: int  # side of each crop in its own pixels

    def __post_init__(self) -> None:
        num = len(self.centers_px)
        check_shape(self.crop_from_image, f"{num} 2 3", "crop_from_image")
        check_shape(self.centers_px, f"{num} 2", "centers_px")
        check_shape(self.sides_px, f"{num}", "sides_px")
        check_shape(self.matrix_px, "3 3", "matrix_px")

    def __len__(self) -> int:
        """Return how many crops there are."""
        return len(self.centers_px)

    def in_crops(self, points_px: Tensor) -> Tensor:
        """Return points of the image ``(N, P, 2)`` in units of their crops, 0 in the middle.

        The borders of a crop are at -0.5 and 0.5.
        """
        scale, shift = self.crop_from_image[:, :, :2], self.crop_from_image[:, None, :, 2]
        return (points_px @ scale.mT + shift) / self.size - 0.5
