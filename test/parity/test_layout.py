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

"""The helpers of the reference's pose refinement agree with it."""

from collections.abc import Callable

import numpy as np
import pytest
from fixtures import Golden

from sam3d_ros.geometry.transforms import rotation_from_quat_wxyz
from sam3d_ros.objects.layout import (
    about,
    alignment,
    is_partly_hidden,
    mask_iou,
    matrix_px_from_normalised,
    target_points,
)
from sam3d_ros.structures import Floats, Similarity


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("layout_helpers")


@pytest.fixture(scope="module")
def inputs(recorded: Golden) -> dict[str, Floats]:
    return {name: tensor.numpy() for name, tensor in recorded.inputs.items()}


def test_the_same_masks_are_partly_hidden(recorded: Golden, inputs: dict[str, Floats]) -> None:
    pairs = zip(inputs["masks"], inputs["pointmap_z"], strict=True)

    recorded.close([is_partly_hidden(mask, depth_m) for mask, depth_m in pairs], "occluded")


def test_the_alignment_to_the_point_map_agrees(recorded: Golden, inputs: dict[str, Floats]) -> None:
    target = target_points(inputs["align_pointmap"], inputs["align_mask"] > 0.5)
    target_from_vertices = alignment(inputs["verts"], target)

    recorded.close(target, "target_points")
    recorded.close(target_from_vertices.matrix.T, "align_matrix")  # rows there, columns here
    recorded.close(target_from_vertices.apply(inputs["verts"]), "aligned_verts")
    recorded.close(target_from_vertices.apply(inputs["centre"]), "aligned_centre")


def test_a_change_about_a_centre_agrees(recorded: Golden, inputs: dict[str, Floats]) -> None:
    rotation = rotation_from_quat_wxyz(inputs["quat"])
    change = Similarity(rotation, inputs["trans"], float(inputs["scale"]))

    recorded.close(about(inputs["centre"], change).apply(inputs["verts"]), "apply_transform")


def test_the_camera_matrix_agrees(recorded: Golden, inputs: dict[str, Floats]) -> None:
    normalised, expected = inputs["K_norm"], recorded.outputs["K_px"].numpy()
    # The fixture does not record the image's size other than in the principal point.
    width, height = np.round(expected[:2, 2] / normalised[:2, 2]).astype(int)

    recorded.close(matrix_px_from_normalised(normalised, int(width), int(height)), "K_px")


def test_the_overlap_of_masks_agrees(recorded: Golden, inputs: dict[str, Floats]) -> None:
    recorded.close(np.float64(mask_iou(inputs["iou_a"] > 0.5, inputs["iou_b"] > 0.5)), "iou")
