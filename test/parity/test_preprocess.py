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

"""Preprocessing agrees with the reference, pixel by pixel and NaN by NaN."""

from collections.abc import Callable
from dataclasses import astuple

import pytest
import torch
from fixtures import Golden
from torch import Tensor

from sam3d_ros.objects.crop import object_box
from sam3d_ros.objects.inputs import PreparedObjects
from sam3d_ros.objects.preprocess import without_points
from sam3d_ros.objects.reference_inputs import (
    external_points_p3d,
    points_p3d_from_depth_model,
    prepare_reference,
)

FIXTURES = ("preprocess_centre", "preprocess_border", "preprocess_lowres_map")


@pytest.fixture(scope="module", params=FIXTURES)
def recorded(request: pytest.FixtureRequest, golden: Callable[[str], Golden]) -> Golden:
    return golden(request.param)


@pytest.fixture(scope="module")
def prepared(recorded: Golden) -> PreparedObjects:
    return prepare_reference(
        recorded.inputs["rgba"].numpy(), recorded.inputs["pointmap_used"], recorded.config["T"]
    )


@pytest.mark.parametrize(
    "name", ["image", "rgb_image", "mask", "rgb_image_mask", "pointmap", "rgb_pointmap"]
)
def test_a_model_input_agrees(recorded: Golden, prepared: PreparedObjects, name: str) -> None:
    recorded.close(getattr(prepared.conditions, name), f"ss.{name}")


@pytest.mark.parametrize("view", ["pointmap", "rgb_pointmap"])
def test_the_normaliser_agrees(recorded: Golden, prepared: PreparedObjects, view: str) -> None:
    recorded.close(prepared.normaliser.scale_m[:, None].expand(-1, 3), f"ss.{view}_scale")
    recorded.close(prepared.normaliser.shift_m, f"ss.{view}_shift")


def test_the_refinement_model_sees_the_same_image(
    recorded: Golden, prepared: PreparedObjects
) -> None:
    conditions = without_points(prepared.conditions)

    recorded.close(sampled(conditions.image, recorded.outputs["slat.image"]), "slat.image")
    assert conditions.pointmap is None
    assert conditions.rgb_pointmap is None


def test_the_box_agrees(recorded: Golden) -> None:
    alpha = recorded.inputs["rgba"][..., 3]

    recorded.close(torch.tensor(astuple(object_box(alpha[None]))), "bbox")


def test_the_map_of_a_depth_model_changes_axes(recorded: Golden) -> None:
    skip_without(recorded, "pointmap_p3d")

    points_p3d = points_p3d_from_depth_model(recorded.inputs["pointmap_cam_opencv"])

    recorded.close(points_p3d, "pointmap_p3d")


def test_the_map_of_a_caller_keeps_its_axes_and_takes_the_size_of_the_image(
    recorded: Golden,
) -> None:
    skip_without(recorded, "pointmap_p3d_from_external")
    height, width = recorded.inputs["rgba"].shape[:2]

    points_p3d = external_points_p3d(recorded.inputs["external_pointmap_p3d"], height, width)

    recorded.close(points_p3d, "pointmap_p3d_from_external")


def skip_without(recorded: Golden, output: str) -> None:
    """Skip where a fixture takes its point map from elsewhere."""
    if output not in recorded.outputs:
        pytest.skip(f"{recorded.name} has no {output}")


def sampled(image: Tensor, sample: Tensor) -> Tensor:
    """Return every n-th pixel, as many as the fixture stores of the full image."""
    stride = -(-image.shape[-1] // sample.shape[-1])
    return image[..., ::stride, ::stride]
