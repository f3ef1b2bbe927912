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

"""Rays, their features and the place of a crop against the recorded reference."""

from collections.abc import Callable

import pytest
import torch
from fixtures import Golden
from torch.nn import functional as F

from sam3d_ros.body.architecture import BackboneConfig, BackboneKind, BodyArchitecture
from sam3d_ros.body.rays import (
    RayConditioning,
    cliff_condition,
    crop_rays,
    fourier_features,
    patch_rays,
)

EVERY = 8  # pixel of the full map is recorded


@pytest.fixture(scope="module")
def fixture(golden: Callable[[str], Golden]) -> Golden:
    return golden("body/ray_conditioning")


@pytest.fixture(scope="module")
def rays(fixture: Golden) -> torch.Tensor:
    size = int(fixture.inputs["crop_size_hw"][0])
    affine, matrix = fixture.inputs["affine_trans"][0], fixture.inputs["cam_int"][0]
    return patch_rays(affine, matrix, BodyArchitecture(image_size=size))


def test_rays_through_pixels_are_the_reference_s(fixture: Golden) -> None:
    height, width = (torch.arange(0, int(size), EVERY) for size in fixture.inputs["crop_size_hw"])
    affine, matrix = fixture.inputs["affine_trans"][0], fixture.inputs["cam_int"][0]

    fixture.close(crop_rays(affine, matrix, (width, height)), "ray_fullres_sub8")


def test_rays_of_patches_are_the_reference_s(fixture: Golden, rays: torch.Tensor) -> None:
    fixture.close(rays, "ray_patch")


def test_features_of_rays_are_the_reference_s(fixture: Golden, rays: torch.Tensor) -> None:
    fixture.close(fourier_features(rays).flatten(2).transpose(1, 2), "fourier")


def test_conditioned_features_are_the_reference_s(fixture: Golden, rays: torch.Tensor) -> None:
    features = fixture.inputs["image_embeddings"]
    model = RayConditioning(features.shape[1])
    prefix = "ray_cond_emb."
    model.load_state_dict({k.removeprefix(prefix): v for k, v in fixture.weights.items()})

    fixture.close(model(features, rays), "conditioned_embeddings")


@pytest.mark.parametrize("own_center", [True, False])
def test_the_place_of_a_crop_is_the_reference_s(fixture: Golden, own_center: bool) -> None:
    inputs, matrix = fixture.inputs, fixture.inputs["cam_int"][0].clone()
    if not own_center:  # the reference can take the middle of the image instead
        matrix[:2, 2] = inputs["ori_img_size"][0, 0] / 2
    sides = inputs["bbox_scale"][0, :, 0]

    condition = cliff_condition(inputs["bbox_center"][0], sides, matrix)

    fixture.close(condition, f"cliff.use_intrin_center_{own_center}")


@pytest.mark.parametrize("kind", BackboneKind)
def test_rays_of_patches_are_those_of_a_resized_map(fixture: Golden, kind: BackboneKind) -> None:
    architecture = BodyArchitecture(backbone=BackboneConfig(kind=kind))
    affine, matrix = fixture.inputs["affine_trans"][0].double(), fixture.inputs["cam_int"][0]
    pixels = torch.arange(architecture.image_size).double()

    whole = crop_rays(affine, matrix, (pixels, pixels))[..., architecture.columns]
    resized = F.interpolate(whole, size=architecture.grid, mode="bilinear", antialias=True)

    torch.testing.assert_close(patch_rays(affine, matrix, architecture), resized)
