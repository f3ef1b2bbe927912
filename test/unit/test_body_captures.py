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
depth and their masks; ``people_photo`` a photograph of a person with keypoints and a mask. The
file of the rig that posed these people comes with gated weights: SAM3D_MHR names it, where it is.
"""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sam3d_ros.body.asked import asked_person, cut_bodies
from sam3d_ros.body.camera_head import project
from sam3d_ros.body.crop import (
    BODY_PADDING,
    HAND_PADDING,
    box_of_mask,
    crop_affines,
    crop_squares,
    cut,
    default_camera,
)
from sam3d_ros.body.merge import SEEN_WRIST, SEEN_WRIST_KEYPOINT, WRIST_KEYPOINTS
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.parameters import HANDS, WRISTS, likelier_wrist
from sam3d_ros.body.pipeline import CAMERA_FROM_RIG, BodyReconstructor
from sam3d_ros.body.random_weights import TINY_RIG, random_body, tiny_body_architecture
from sam3d_ros.body.rays import crop_rays
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.synthetic_joints import joint_tree
from sam3d_ros.config import SceneConfig
from sam3d_ros.geometry.cameras import falls_on, rounded
from sam3d_ros.geometry.cameras import project as seen_at
from sam3d_ros.nn.rotations import matrix_from_xyz
from sam3d_ros.nn.weights import read_weights
from sam3d_ros.structures import BodyReconstruction, Bools, Bytes, Camera, Floats
from sam3d_ros.structures.people import PeopleView, PersonPrompt

FULL_SIZE = 2.0  # of the published pixels, to the images here
LEFT_WRIST_JOINT = 78
FINGERS = range(43, 65), range(79, 101)  # joints
RIG_VARIABLE = "SAM3D_MHR"  # path of assets/mhr_model.pt
# Of the keypoints of COCO those of MHR70.
MHR_OF_COCO = (*range(9), 62, 41, *range(9, 15))


@pytest.fixture(scope="module", params=[0, 1])
def person(request: pytest.FixtureRequest, shared_data: Path) -> dict[str, Floats]:
    return published_person(shared_data, request.param)


def published_person(shared_data: Path, number: int) -> dict[str, Floats]:
    with np.load(shared_data / f"body_mhr/frame_01/person_{number}.npz") as published:
        return {**published, "number": np.array(number)}


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


@pytest.mark.parametrize(("box", "padding"), [("bbox", BODY_PADDING), ("rhand_bbox", HAND_PADDING)])
def test_rays_through_places_of_a_crop_are_those_through_the_points_seen_there(
    person, camera, box: str, padding: float
) -> None:
    affine = crop_affines(*crop_squares(person[box][None] / FULL_SIZE, padding), 512)
    points = person["keypoints_3d_cam"].astype(np.float64)
    places = seen_at(camera, points) @ affine[0, :, :2].T + affine[0, :, 2]
    x, y = (torch.from_numpy(places[:, axis]) for axis in range(2))
    rays = crop_rays(torch.from_numpy(affine), torch.from_numpy(camera.matrix_px), (x, y))
    seen = rays[0].diagonal(dim1=1, dim2=2).T  # of each point its own column and row
    np.testing.assert_allclose(seen, points[:, :2] / points[:, 2:], atol=1e-9)


def test_the_crop_of_a_body_shows_all_of_it(person, camera) -> None:
    (affine,) = crop_affines(*crop_squares(person["bbox"][None] / FULL_SIZE, BODY_PADDING), 512)
    places = seen_at(camera, person["vertices_cam"]) @ affine[:, :2].T + affine[:, 2]
    assert places.min() > 0
    assert places.max() < 512


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


def test_bones_of_all_people_have_one_direction_in_the_axes_of_their_parents(
    shared_data: Path,
) -> None:
    first, second = (bones(published_person(shared_data, number)) for number in (0, 1))

    # Turns of wrists and fingers are published as they were before the hands were looked at.
    posed_again = {joint for fingers in FINGERS for joint in fingers}
    long = [
        joint
        for joint in range(2, len(first))
        if np.linalg.norm(first[joint]) > 1e-4 and joint not in posed_again
    ]
    assert len(long) > 70
    for joint in long:
        lengths = np.linalg.norm(first[joint]) * np.linalg.norm(second[joint])
        assert first[joint] @ second[joint] / lengths > 0.995, joint


def bones(person: dict[str, Floats]) -> Floats:
    """Return the way ``(127, 3)`` from each joint's parent to the joint, in the parent's axes."""
    parents = joint_tree()[0].numpy().clip(min=0)
    joints = person["pred_joint_coords"] @ CAMERA_FROM_RIG
    ways = joints - joints[parents]
    return np.einsum("nji,nj->ni", person["pred_global_rots"][parents], ways)


@pytest.fixture(scope="module")
def released_rig() -> BodyRig:
    """Return the rig that SAM3D_MHR names, or skip."""
    if not (named := os.environ.get(RIG_VARIABLE)):
        pytest.skip(f"{RIG_VARIABLE} does not name assets/mhr_model.pt of the gated release")
    return BodyRig.of(RigTensors.read(read_weights(Path(named)).tensors, named))


def test_the_released_rig_poses_published_parameters_to_published_vertices_and_joints(
    person, released_rig: BodyRig
) -> None:
    given = ("shape_params", "mhr_model_params", "expr_params")
    with torch.no_grad():
        vertices, joints = released_rig(
            *(torch.from_numpy(person[name]).float()[None] for name in given)
        )
    assert vertices.shape == (1, *person["vertices_cam"].shape)
    to_camera, place = CAMERA_FROM_RIG / 100.0, person["pred_cam_t"]  # the rig is in centimetres
    np.testing.assert_allclose(
        joints[0, :, :3].numpy() @ to_camera + place, person["joints_3d_cam"], atol=1e-3
    )
    np.testing.assert_allclose(
        vertices[0].numpy() @ to_camera + place, person["vertices_cam"], atol=1e-3
    )


def test_a_person_of_a_photograph_is_cut_and_taken_with_mask_and_keypoints(shared_data) -> None:
    told, mask, rgb = photograph(shared_data)
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


def test_the_crop_of_a_photograph_has_the_colours_of_the_person_under_the_mask(
    shared_data: Path,
) -> None:
    _, mask, rgb = photograph(shared_data)
    affines = crop_affines(*crop_squares(box_of_mask(mask)[None], BODY_PADDING), 512)
    (crop,), (cut_mask,) = cut(rgb, affines, 512), cut(mask.astype(np.uint8), affines, 512)
    inside = crop[cut_mask > 0].mean(axis=0)
    np.testing.assert_allclose(inside, rgb[mask].mean(axis=0), atol=2.0)


def test_the_camera_of_a_photograph_is_guessed_as_long_as_its_diagonal(shared_data: Path) -> None:
    _, mask, _ = photograph(shared_data)
    camera = default_camera(mask.shape[1], mask.shape[0])
    assert camera.matrix_px[0, 0] == camera.matrix_px[1, 1] == pytest.approx(np.hypot(640, 425))


def photograph(shared_data: Path) -> tuple[dict[str, Any], Bools, Bytes]:
    """Return what is known of the person, their mask, and the image."""
    folder = "people_photo/frame_01"
    (told,) = json.loads((shared_data / folder / "gt.json").read_text())["people"]
    rgb = np.ascontiguousarray(picture(shared_data, f"{folder}/rgb.jpg")[..., ::-1])
    return told, picture(shared_data, f"{folder}/{told['mask']}") > 0, rgb
