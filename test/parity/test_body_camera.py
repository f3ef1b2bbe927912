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

"""Where the body model's camera heads place bodies."""

import pytest
import torch
from fixtures import Golden, load_golden
from torch import Tensor

from sam3d_ros.body.camera_head import CameraHead, project, translation_from_camera
from sam3d_ros.body.views import CropViews

HEADS = ("head_camera", "head_camera_hand")


def recorded_head(golden: Golden, name: str) -> CameraHead:
    head = CameraHead(golden.config["input_dim"], golden.config["default_scale_factor"][name])
    prefix = f"{name}."
    head.load_state_dict(
        {
            key.removeprefix(prefix): tensor
            for key, tensor in golden.weights.items()
            if key.startswith(prefix)
        }
    )
    return head


def recorded_view(golden: Golden, name: str, index: int) -> CropViews:
    inputs = golden.inputs
    return CropViews(
        crop_from_image=torch.eye(2, 3)[None],
        centers_px=inputs[f"{name}.bbox_center"][index, None],
        sides_px=inputs[f"{name}.bbox_size"][index, None],
        matrix_px=inputs[f"{name}.cam_int"][index],
        size=1,
    )


@pytest.mark.parametrize("name", HEADS)
def test_heads_place_bodies_as_recorded(name: str) -> None:
    golden = load_golden("body/camera_head")
    head, inputs = recorded_head(golden, name), golden.inputs
    camera = head(inputs[f"{name}.x"], inputs[f"{name}.init_estimate"])
    placements = [
        head.place(
            camera[index, None],
            inputs[f"{name}.points_3d"][index, None],
            recorded_view(golden, name, index),
        )
        for index in range(len(camera))
    ]

    def close(output: str, parts: list[Tensor]) -> None:
        golden.close(torch.cat(parts), f"{name}.{output}")

    close("pred_cam", [camera])
    close("intrin_center_True.pred_cam_t", [each.translation_m for each in placements])
    close("intrin_center_True.pred_keypoints_2d", [each.keypoints_px for each in placements])
    depths = [each.keypoints_depth_m for each in placements]
    close("intrin_center_True.pred_keypoints_2d_depth", depths)


@pytest.mark.parametrize("name", HEADS)
def test_offsets_may_count_from_the_middle_of_the_image(name: str) -> None:
    golden = load_golden("body/camera_head")
    inputs = golden.inputs
    scale = golden.config["default_scale_factor"][name]
    translations, pixels = [], []
    for index, camera in enumerate(golden.outputs[f"{name}.pred_cam"]):
        view = recorded_view(golden, name, index)
        middle = inputs[f"{name}.img_size_wh"][index] / 2
        translations.append(translation_from_camera(camera[None], view, middle, scale))
        points = inputs[f"{name}.points_3d"][index] + translations[-1]
        pixels.append(project(points, view.matrix_px)[None])

    golden.close(torch.cat(translations), f"{name}.intrin_center_False.pred_cam_t")
    golden.close(torch.cat(pixels), f"{name}.intrin_center_False.pred_keypoints_2d")


def test_points_of_the_image_are_in_crops_as_recorded() -> None:
    golden = load_golden("body/camera_head")
    affines = golden.inputs["full_to_crop.affine_trans"]
    sizes = golden.inputs["full_to_crop.img_size"]
    points = golden.inputs["full_to_crop.keypoints_2d"]
    assert (sizes == sizes[0, 0]).all()
    views = CropViews(
        crop_from_image=affines,
        centers_px=torch.zeros(len(affines), 2),
        sides_px=torch.ones(len(affines)),
        matrix_px=torch.eye(3),
        size=int(sizes[0, 0]),
    )

    golden.close(views.in_crops(points), "full_to_crop")
