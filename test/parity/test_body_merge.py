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

"""Hands are merged into bodies as the reference does, in every branch."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from fixtures import Golden, Tolerance, load_golden
from torch import Tensor

from sam3d_ros.body.architecture import RigConfig
from sam3d_ros.body.asked import AskedPerson
from sam3d_ros.body.camera_head import Placement
from sam3d_ros.body.crop import HAND_PADDING, crop_squares, mirrored_boxes
from sam3d_ros.body.estimates import BodyValues, Estimate, PosedBody
from sam3d_ros.body.merge import (
    ArmConstants,
    HandReadings,
    HandTrust,
    MergedBody,
    hand_boxes_px,
    keypoint_prompts,
    looked_at_px,
    read_hands,
    trust,
    with_hands,
)
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.official import official_bodies
from sam3d_ros.body.passes import Bodies
from sam3d_ros.body.pose_head import PoseHead
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.views import CropViews
from sam3d_ros.structures import Camera

ALL = tuple(f"body/hand_body_merge{end}" for end in ("", "_one", "_none", "_none_one"))
UNUSED = torch.empty(0)
NEAR_PX = Tolerance(atol=0.05, rtol=1e-3)


@pytest.fixture(scope="module", params=ALL)
def fixture(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


@pytest.fixture(scope="module")
def rig(fixture: Golden) -> BodyRig:
    return BodyRig.of(RigTensors.read(fixture.rig, fixture.name))


@pytest.fixture(scope="module")
def head(fixture: Golden, rig: BodyRig) -> PoseHead:
    constants = {
        name.removeprefix("head_pose."): tensor for name, tensor in fixture.weights.items()
    }
    sizes = RigConfig(num_vertices=rig.num_vertices, num_triangles=len(constants["faces"]))
    head = PoseHead(8, sizes).requires_grad_(False)
    loaded = head.load_state_dict(constants, strict=False)
    assert not loaded.unexpected_keys
    assert all(name.startswith("proj.") for name in loaded.missing_keys)
    return head


@pytest.fixture(autouse=True)
def widest_angle(fixture: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the reference's argument, whose default we have as a constant."""
    angle = float(fixture.inputs["thresh_wrist_angle"])
    monkeypatch.setattr("sam3d_ros.body.merge.MAX_WRIST_ANGLE_RAD", angle)


def of_pass(fixture: Golden, name: str, field: str) -> Tensor:
    return fixture.inputs[f"{name}.{field}"]


def estimate(fixture: Golden, name: str) -> Estimate:
    """Return what the fixture says of one pass; what it does not say is not looked at."""

    def of(field: str) -> Tensor:
        return of_pass(fixture, name, field)

    return Estimate(
        raw=of("pred_pose_raw"),
        values=BodyValues(
            global_rot=of("global_rot"),
            body_pose=of("body_pose"),
            shape=of("shape"),
            scale=of("scale"),
            hand=of("hand"),
            expression=of("face"),
        ),
        posed=PosedBody(
            vertices_m=UNUSED,
            keypoints_m=UNUSED,
            joints_m=UNUSED,
            joint_rotations=of("joint_global_rots"),
            rig_parameters=UNUSED,
        ),
        placement=Placement(
            camera=of("pred_cam"),
            translation_m=of("pred_cam_t"),
            keypoints_px=of("pred_keypoints_2d"),
            keypoints_depth_m=UNUSED,
            keypoints_crop=of("pred_keypoints_2d_cropped"),
        ),
        hand_boxes=fixture.inputs.get(f"{name}.hand_box", UNUSED),
        hand_logits=UNUSED,
    )


def views(fixture: Golden, *names: str) -> CropViews:
    def of(field: str) -> Tensor:
        return torch.cat([of_pass(fixture, name, f"batch.{field}")[0] for name in names])

    return CropViews(
        crop_from_image=of("affine_trans"),
        centers_px=of("bbox_center"),
        sides_px=of("bbox_scale")[:, 0],
        matrix_px=of_pass(fixture, names[0], "batch.cam_int")[0],
        size=int(of("img_size")[0, 0]),
    )


def both_hands(fixture: Golden, head: PoseHead) -> HandReadings:
    left, right = estimate(fixture, "lhand"), estimate(fixture, "rhand")
    both = replace(
        left,
        values=joined(left.values, right.values),
        posed=joined(left.posed, right.posed),
        placement=joined(left.placement, right.placement),
    )
    width = int(fixture.inputs["image_size_wh"][0])
    return read_hands(both, views(fixture, "lhand", "rhand"), width, ArmConstants.of(head))


def joined(first: Any, second: Any) -> Any:
    """Return one value of two of the same class whose fields are tensors."""
    parts = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(first)}
    return type(first)(**{name: torch.cat(part) for name, part in parts.items()})


def first_trust(fixture: Golden, head: PoseHead) -> HandTrust:
    hands = both_hands(fixture, head)
    return trust(estimate(fixture, "body"), hands, ArmConstants.of(head))


def last_pass(fixture: Golden) -> Estimate:
    prompted = "reprompted_body.global_rot" in fixture.inputs
    return estimate(fixture, "reprompted_body" if prompted else "body")


def merged(fixture: Golden, head: PoseHead, rig: BodyRig) -> MergedBody:
    hands, first = both_hands(fixture, head), first_trust(fixture, head)
    return with_hands(last_pass(fixture), hands, first, head, head.prepared(rig))


def test_hands_are_looked_at_where_the_reference_looks(fixture):
    boxes = hand_boxes_px(fixture.inputs["body.hand_box"], views(fixture, "body")).transpose(0, 1)
    width = int(fixture.inputs["image_size_wh"][0])
    mirrored = mirrored_boxes(boxes[0].numpy(), width)
    centers, sides = crop_squares(np.concatenate((mirrored, boxes[1].numpy())), HAND_PADDING)
    crops = views(fixture, "lhand", "rhand")
    assert centers == pytest.approx(crops.centers_px.numpy(), abs=1e-3)
    assert sides == pytest.approx(crops.sides_px.numpy(), abs=1e-3)
    looked_at = looked_at_px(crops, width)
    fixture.close(looked_at[:, 0], "lhand_bbox")
    fixture.close(looked_at[:, 1], "rhand_bbox")


def test_hands_are_accepted_where_the_reference_accepts_them(fixture, head, rig):
    recorded = fixture.outputs["hand_pose_params"].unflatten(1, (2, -1))
    taken = torch.isclose(recorded, both_hands(fixture, head).poses, atol=1e-4).all(dim=-1)
    assert torch.equal(merged(fixture, head, rig).accepted, taken)


def test_prompts_are_the_references(fixture, head):
    believed = first_trust(fixture, head).believed
    body, hands = estimate(fixture, "body"), both_hands(fixture, head)
    prompts = keypoint_prompts(body, hands, views(fixture, "body"), believed)
    if len(prompts) == 1:  # there the reference leaves out what says nothing
        prompts = prompts[:, prompts[0, :, 2] >= 0]
    if "keypoint_prompt" in fixture.outputs:
        fixture.close(prompts, "keypoint_prompt")
    else:
        assert prompts.shape[1] == 0


def test_what_is_reported_of_merged_bodies_is_the_references(fixture, head, rig):
    made, last = merged(fixture, head, rig), last_pass(fixture)
    width, height = fixture.inputs["image_size_wh"].tolist()
    matrix = views(fixture, "body").matrix_px.double().numpy()
    reported = official_bodies(
        Bodies(
            last=last,
            values=made.values,
            posed=made.posed,
            accepted=made.accepted,
            looked_at_px=looked_at_px(views(fixture, "lhand", "rhand"), int(width)),
        ),
        [AskedPerson(box_px=np.zeros(4), mask=None, prompts=np.zeros((0, 3)))] * len(last.raw),
        Camera(width=int(width), height=int(height), matrix_px=matrix),
    )
    for output in sorted(fixture.outputs.keys() - {"keypoint_prompt"}):
        actual = [getattr(body, output) for body in reported]
        tolerance = NEAR_PX if output == "pred_keypoints_2d" else None
        fixture.close(np.array(actual, dtype=np.float32), output, tolerance)
