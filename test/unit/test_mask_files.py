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

"""Mask files: the same object whatever wrote them, and label images are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.files import read_mask
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.structures import Bools

CAMERA = camera_from_fov(64, 48, 60.0)
Image = NDArray[Any]


def disc(column: int = 32, radius: int = 12) -> Bools:
    canvas = np.zeros((48, 64), dtype=np.uint8)
    return np.asarray(cv2.circle(canvas, (column, 24), radius, 1, -1)) > 0


def photo(channels: int) -> Image:
    return np.random.default_rng(0).integers(1, 255, (48, 64, channels)).astype(np.uint8)


def with_alpha(mask: Bools, dtype: type) -> Image:
    image = photo(4).astype(dtype)
    image[..., 3] = mask * np.iinfo(dtype).max
    return image


def opaque(mask: Bools) -> Image:
    return np.dstack([mask * 255] * 3 + [np.full(mask.shape, 255)]).astype(np.uint8)


def antialiased(mask: Bools) -> Image:
    soft = cv2.GaussianBlur(mask.astype(np.uint8) * 255, (3, 3), 0)
    return np.asarray(soft * mask)


FILES: dict[str, Callable[[Bools], Image]] = {
    "8 bit of 255": lambda mask: mask.astype(np.uint8) * 255,
    "8 bit of 1": lambda mask: mask.astype(np.uint8),
    "16 bit of 1": lambda mask: mask.astype(np.uint16),
    "16 bit of 300": lambda mask: mask.astype(np.uint16) * 300,
    "dark blue": lambda mask: np.dstack([mask, mask & False, mask & False]).astype(np.uint8),
    "16 bit red": lambda mask: np.dstack([mask & False, mask & False, mask]).astype(np.uint16),
    "cut-out": lambda mask: photo(3) * mask[..., None],
    "alpha": lambda mask: with_alpha(mask, np.uint8),
    "16 bit alpha": lambda mask: with_alpha(mask, np.uint16),
    "opaque": opaque,
    "antialiased": antialiased,
    "antialiased colour": lambda mask: np.dstack([antialiased(mask)] * 3),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_mask_is_the_same_object_in_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), FILES[kind](disc()))

    np.testing.assert_array_equal(read_mask(path, CAMERA), disc())


def labels(dtype: type = np.uint8) -> Image:
    return np.asarray(disc(16) * 7 + disc(46, 9) * 2).astype(dtype)


def colored_labels() -> Image:
    return np.dstack([labels() == 2, labels() * 0, labels() == 7]).astype(np.uint8) * 128


@pytest.mark.parametrize(
    ("image", "values"),
    [
        (labels(), "2 values (2, 7)"),
        (labels(np.uint16) * 500, "2 values (1000, 3500)"),
        (np.dstack([labels()] * 3), "2 values (2, 7)"),
        (colored_labels(), "2 values (#000080, #800000)"),
    ],
    ids=["8 bit", "16 bit", "grey colours", "palette"],
)
def test_a_label_image_of_several_objects_is_refused(
    image: Image, values: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.png"
    cv2.imwrite(str(path), image)

    with pytest.raises(DatasetError) as refused:
        read_mask(path, CAMERA)

    assert f"labels.png: expected the mask of one object, got areas of {values}" in str(
        refused.value
    )
    assert "write a file for each object" in str(refused.value)
