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

"""People in public captures: all of the geometry that needs no weights.

``body_mhr`` has published answers of the released model for two people, with the meshes, their
depth and their masks; ``people_photo`` a photograph of a person with keypoints and a mask.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sam3d_ros.body.asked import asked_person, cut_bodies
from sam3d_ros.body.camera_head import project
from sam3d_ros.body.crop import BODY_PADDING, box_of_mask, crop_squares, default_camera
from sam3d_ros.body.merge import SEEN_WRIST, SEEN_WRIST_KEYPOINT, WRIST_KEYPOINTS
from sam3d_ros.body.parameters import HANDS, WRISTS, likelier_wrist
from sam3d_ros.body.pipeline import CAMERA_FROM_RIG, BodyReconstructor
from sam3d_ros.body.random_weights import TINY_RIG, random_body, tiny_body_architecture
from sam3d_ros.body.rays import crop_rays
from sam3d_ros.config import SceneConfig
from sam3d_ros.geometry.cameras import falls_on, rounded
from sam3d_ros.geometry.cameras import project as seen_at
from sam3d_ros.nn.rotations import matrix_from_xyz
from sam3d_ros.structures import BodyReconstruction, Bools, Camera, Floats
from sam3d_ros.structures.people import PeopleView, PersonPrompt

FULL_SIZE = 2.0  # of the published pixels, to the images here
LEFT_WRIST_JOINT = 78
# Of the keypoints of COCO those of MHR70.
MHR_OF_COCO = (*range(9), 62, 41, *range(9, 15))


@pytest.fixture(scope="module", params=[0, 1])
def person(request: pytest.FixtureRequest, shared_data: Path) -> dict[str, Floats]:
    with np.load(shared_data / f"body_mhr/frame_01/person_{request.param}.npz") as published:
        return {**published, "number": np.array(request.param)}


@pytest.fixture(scope="module")
def camera(shared_data: Path) -> Camera:
    values = json.loads((shared_data / "body_mhr/frame_01/camera.json").read_text())
    matrix = [[values["fx"], 0, values["cx"]], [0, values["fy"], values["cy"]], [0, 0, 1]]
    return Camera(width=values["width"], height=values["height"], matrix_px=np.array(matrix))


def picture(shared_data: Path, name: str) -> Floats:
    image = cv2.imread(str(shared_data / name), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def mask_of(shared_data: Path, person: dict[str, Floats]) -> Bools:
    return picture(shared_data, f"body_mhr/frame_01/mask_person_{person['number']}.png") > 0


def test_published_keypoints_are_seen_where_the_release_says(person, camera) -> None:
    points = torch.from_numpy(person["pred_keypoints_3d"] + person["pred_cam_t"])
    pixels = project(points, torch.from_numpy(camera.matrix_px).float()).numpy()
    np.testing.assert_allclose(FULL_SIZE * pixels, person["pred_keypoints_2d"], atol=0.02)
    np.testing.assert_allclose(seen_at(camera, points.numpy()), pixels, atol=0.01)


def test_published_vertices_are_on_their_mask_and_at_their_depth(person, camera, shared_data):
    mask, vertices = mask_of(shared_data, person), person["vertices_cam"]
    assert falls_on(mask, vertices, camera).mean() > 0.5  # the other may stand before this one
    depth_m = picture(shared_data, "body_mhr/frame_01/depth.png") / 1000.0
    inside, columns, rows = rounded(seen_at(camera, vertices), camera)
    behind_m = vertices[:, 2] - depth_m[rows, columns]
    on_mask = inside & mask[rows, columns] & (depth_m[rows, columns] > 0)
    assert np.quantile(behind_m[on_mask], 0.01) > -0.03  # nothing before what is seen
    assert np.abs(behind_m[on_mask]).min() < 1e-3


def test_published_roots_turn_about_x_then_y_then_z(person) -> None:
    turned = matrix_from_xyz(torch.from_numpy(person["global_rot"])).numpy()
    np.testing.assert_allclose(person["pred_global_rots"][1], turned, atol=1e-6)
    upright = (CAMERA_FROM_RIG @ turned)[:, 1]
    assert upright[1] < -0.8  # y of the image is down, people stand


def test_published_parameters_are_those_of_the_rig_but_for_hands(person) -> None:
    of_rig, of_body = person["mhr_model_params"], person["body_pose_params"]
    elsewhere = np.ones(130, dtype=bool)
    elsewhere[HANDS] = False
    np.testing.assert_array_equal(of_rig[6:136][elsewhere], of_body[:130][elsewhere])
    np.testing.assert_array_equal(of_rig[3:6], person["global_rot"])
    assert not of_rig[:3].any()


def test_published_wrists_are_joints_and_within_what_wrists_do(person) -> None:
    joints, keypoints = person["pred_joint_coords"], person["pred_keypoints_3d"]
    np.testing.assert_array_equal(joints[SEEN_WRIST], keypoints[SEEN_WRIST_KEYPOINT])
    np.testing.assert_array_equal(joints[LEFT_WRIST_JOINT], keypoints[WRIST_KEYPOINTS[0]])
    for wrist in WRISTS:
        angles = torch.from_numpy(person["body_pose_params"][list(wrist)])
        torch.testing.assert_close(likelier_wrist(angles), angles)


def test_published_hands_are_squares_around_wrists(person) -> None:
    for name, keypoint in zip(("lhand_bbox", "rhand_bbox"), WRIST_KEYPOINTS, strict=True):
        x1, y1, x2, y2 = person[name]
        assert x2 - x1 == pytest.approx(y2 - y1, rel=1e-4)
        reach = np.abs(person["pred_keypoints_2d"][keypoint] - [(x1 + x2) / 2, (y1 + y2) / 2])
        assert reach.max() < x2 - x1


def test_rays_through_a_crop_meet_the_published_body(person, camera) -> None:
    box = person["bbox"][None] / FULL_SIZE
    squares, _ = cut_bodies(
        np.zeros((camera.height, camera.width, 3), dtype=np.uint8),
        [asked_person(PersonPrompt(instance_id=0, box_px=box[0]), camera)],
        size=128,
    )
    views = squares.views(camera, torch.device("cpu"))
    points = torch.from_numpy(person["keypoints_3d_cam"])
    crops = views.in_crops(project(points, views.matrix_px)[None])[0]
    assert (crops.abs() < 0.5).all()  # all of the person is in the crop
    places = ((crops + 0.5) * views.size).double()
    rays = crop_rays(views.crop_from_image, views.matrix_px, (places[:, 0], places[:, 1]))[0]
    met = torch.stack([rays[axis].diagonal() for axis in range(2)], dim=-1)
    torch.testing.assert_close(met, points[:, :2] / points[:, 2:], atol=1e-5, rtol=0)


def test_a_person_of_a_photograph_is_cut_and_taken_with_mask_and_keypoints(shared_data) -> None:
    folder = shared_data / "people_photo/frame_01"
    (told,) = json.loads((folder / "gt.json").read_text())["people"]
    rgb = np.ascontiguousarray(picture(shared_data, "people_photo/frame_01/rgb.jpg")[..., ::-1])
    mask = picture(shared_data, f"people_photo/frame_01/{told['mask']}") > 0
    keypoints = np.array(
        [
            (x, y, label)
            for (x, y, _), label in zip(told["keypoints"].values(), MHR_OF_COCO, strict=True)
        ],
        dtype=float,
    )
    x, y, width, height = told["bbox_xywh"]
    np.testing.assert_allclose(box_of_mask(mask), [x, y, x + width, y + height], atol=2)
    camera = default_camera(rgb.shape[1], rgb.shape[0])
    person = PersonPrompt(instance_id=1, mask=mask, keypoints_px=keypoints)
    asked = asked_person(person, camera)
    assert ((asked.prompts[:, :2] > 0) & (asked.prompts[:, :2] < 1)).all()

    _, masks = cut_bodies(rgb, [asked], size=256)
    scale = 256 / crop_squares(asked.box_px[None], BODY_PADDING)[1][0]
    assert masks.sum() == pytest.approx(mask.sum() * scale**2, rel=0.02)
    places = np.rint(asked.prompts[:, :2] * 256).astype(int)
    assert masks[0, places[:, 1], places[:, 0]].mean() > 0.8  # keypoints are on the person

    generator = torch.Generator().manual_seed(0)
    loaded = random_body(tiny_body_architecture(), TINY_RIG, generator, torch.float32)
    backend = BodyReconstructor.of(loaded, SceneConfig(), torch.device("cpu"))
    (body,) = backend.reconstruct(PeopleView(rgb=rgb, camera=camera, people=(person,)))
    assert isinstance(body, BodyReconstruction)
    assert falls_on(mask, body.vertices_camera, camera).mean() > 0.3  # untrained, it fills its box
