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

"""A decoded pose follows its formula, its unit and its frame, or says what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sam3d_ros.errors import DecodingError, Sam3dError
from sam3d_ros.nn.rotations import matrix_from_quat_wxyz
from sam3d_ros.objects.inputs import SceneNormaliser
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.pose import cameras_from_objects, decode_pose

BATCH = 4


def latents() -> GeometryLatents:
    generator = torch.Generator().manual_seed(0)
    return GeometryLatents(
        *(
            torch.randn(BATCH, tokens, channels, generator=generator)
            for tokens, channels in ((8, 2), (1, 6), (1, 3), (1, 3), (1, 1))
        )
    )


def normaliser(unit: float = 1.0) -> SceneNormaliser:
    generator = torch.Generator().manual_seed(1)
    return SceneNormaliser(
        scale_m=unit * (0.5 + torch.rand(BATCH, generator=generator)),
        shift_m=unit * torch.randn(BATCH, 3, generator=generator),
    )


def test_a_point_goes_where_rows_times_the_reference_pose_put_it() -> None:
    pose = decode_pose(latents(), normaliser())
    points_object = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 3))

    for index, camera_from_object in enumerate(cameras_from_objects(pose)):
        rows = matrix_from_quat_wxyz(pose.quat_wxyz[index]).double().numpy()
        scaled = points_object * float(pose.scale_m[index])
        points_p3d = scaled @ rows + pose.translation_m[index].double().numpy()
        points_camera = points_p3d * (-1, -1, 1)

        np.testing.assert_allclose(
            camera_from_object.apply(points_object), points_camera, atol=1e-6
        )


def test_every_pose_is_a_proper_similarity() -> None:
    for camera_from_object in cameras_from_objects(decode_pose(latents(), normaliser())):
        rotation = camera_from_object.rotation

        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation.dtype == np.float64


def test_the_unit_of_the_normaliser_is_the_unit_of_the_pose() -> None:
    metres = cameras_from_objects(decode_pose(latents(), normaliser()))
    millimetres = cameras_from_objects(decode_pose(latents(), normaliser(unit=1000.0)))

    for in_m, in_mm in zip(metres, millimetres, strict=True):
        np.testing.assert_allclose(in_mm.rotation, in_m.rotation)
        np.testing.assert_allclose(in_mm.translation_m, 1000 * in_m.translation_m, rtol=1e-6)
        assert in_mm.scale == pytest.approx(1000 * in_m.scale)


def test_resting_latents_stand_at_the_middle_point_of_the_object() -> None:
    resting = latents() * 0.0
    pose = decode_pose(resting, normaliser())

    assert torch.equal(pose.translation_m, normaliser().shift_m)
    torch.testing.assert_close(pose.scale_m, normaliser().scale_m)


def test_three_scales_give_their_mean() -> None:
    stretched = replace(latents(), scale=torch.tensor([1.0, 2.0, 6.0]).log().repeat(BATCH, 1, 1))

    torch.testing.assert_close(
        decode_pose(stretched, normaliser()).scale_m, 3 * normaliser().scale_m
    )


def test_the_translation_scale_has_no_effect() -> None:
    other = replace(latents(), translation_scale=torch.full((BATCH, 1, 1), torch.nan))

    pose, same = decode_pose(latents(), normaliser()), decode_pose(other, normaliser())

    assert torch.equal(pose.translation_m, same.translation_m)
    assert torch.equal(pose.scale_m, same.scale_m)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_latents_of_half_precision_are_decoded_in_float32(dtype: torch.dtype) -> None:
    halves = GeometryLatents(
        *(
            getattr(latents(), name).to(dtype)
            for name in ("shape", "rotation", "translation", "scale", "translation_scale")
        )
    )
    pose = decode_pose(halves, normaliser())

    assert pose.quat_wxyz.dtype == pose.scale_m.dtype == torch.float32
    torch.testing.assert_close(pose.quat_wxyz.norm(dim=-1), torch.ones(BATCH))


@pytest.mark.parametrize("name", ["rotation", "translation", "scale"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_latents_that_are_not_numbers_are_refused(name: str, value: float) -> None:
    broken = getattr(latents(), name).clone()
    broken[2, 0, 1] = value

    with pytest.raises(DecodingError, match=r"objects \[2\] in a batch of 4 .* try bfloat16"):
        decode_pose(replace(latents(), **{name: broken}), normaliser())
    assert issubclass(DecodingError, Sam3dError)
