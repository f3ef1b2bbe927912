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

"""Splats of several objects in one frame are the reference's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fixtures import Golden
from torch import Tensor

from sam3d_ros.nn.rotations import matrix_from_quat_wxyz
from sam3d_ros.objects.architecture import SplatActivation
from sam3d_ros.objects.axes import P3D_AXIS_SIGNS
from sam3d_ros.objects.gaussian_decoder import RawSplats, activated, raw_splats_of
from sam3d_ros.objects.scene import PlacedSplats, compose_splats, turntable_splats
from sam3d_ros.structures import Similarity, Splats

RELEASED = SplatActivation()


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("make_scene")


@pytest.fixture(scope="module")
def scene(recorded: Golden) -> Splats:
    """In the camera axes of the reference."""
    return compose_splats([placed(recorded, i) for i in range(recorded.config["objects"])])


def test_the_scene_is_the_reference_s(recorded: Golden, scene: Splats) -> None:
    size = recorded.outputs["scene.min_kernel_size"]

    recorded.close(scene.means, "scene.get_xyz")
    recorded.close(scene.scales, "scene.get_scaling")
    recorded.close(unit(scene.quats_wxyz), "scene.get_rotation")
    recorded.close(scene.opacities[:, None], "scene.get_opacity")
    recorded.close(scene.sh_dc[:, None], "scene.features_dc")
    recorded.close(torch.tensor(scene.min_scale).reshape(size.shape), "scene.min_kernel_size")


def test_its_unbounded_numbers_are_the_reference_s(recorded: Golden, scene: Splats) -> None:
    raw = raw_splats_of(scene, RELEASED)

    recorded.close(raw.xyz, "scene.xyz")
    recorded.close(raw.scaling, "scene.scaling")


def test_the_turntable_is_the_reference_s(recorded: Golden, scene: Splats) -> None:
    camera_from_p3d = Similarity(np.diag(P3D_AXIS_SIGNS), np.zeros(3))

    shown = turntable_splats(scene.transformed(camera_from_p3d))

    recorded.close(shown.means, "normalized.get_xyz")
    recorded.close(shown.scales, "normalized.get_scaling")


def placed(recorded: Golden, index: int) -> PlacedSplats:
    given = {
        name: recorded.inputs[f"obj{index}.{name}"]
        for name in ("xyz", "features_dc", "scaling", "rotation", "opacity")
    }
    raw = RawSplats(
        xyz=given["xyz"],
        sh_dc=given["features_dc"][:, 0],
        scaling=given["scaling"],
        rotation=given["rotation"],
        opacity=given["opacity"],
    )
    return PlacedSplats(
        splats=activated(raw, RELEASED), camera_from_object=pose(recorded.inputs, f"obj{index}")
    )


def pose(inputs: dict[str, Tensor], name: str) -> Similarity:
    """Return the pose that the reference applies to row vectors."""
    quat, translation, scale = (
        inputs[f"{name}.{part}"][0].double() for part in ("quat", "trans", "scale")
    )
    rotation = matrix_from_quat_wxyz(quat).numpy().T
    return Similarity(rotation, translation.numpy(), float(scale[0]))


def unit(quats_wxyz: np.ndarray) -> np.ndarray:
    return quats_wxyz / np.linalg.norm(quats_wxyz, axis=1, keepdims=True)
