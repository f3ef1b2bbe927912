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

"""The bodies that the body model's pose heads make of tokens."""

from dataclasses import fields

import pytest
import torch
from body_parts import recorded_rig
from fixtures import Golden, load_golden

from sam3d_ros.body.architecture import RigConfig
from sam3d_ros.body.pose_head import HandPoseHead, PoseHead

HEADS = {"head_pose": PoseHead, "head_pose_hand": HandPoseHead}


def recorded_head(golden: Golden, name: str) -> PoseHead:
    weights = {
        key.removeprefix(f"{name}."): tensor
        for key, tensor in golden.weights.items()
        if key.startswith(f"{name}.")
    }
    rig = RigConfig(num_vertices=golden.config["rig"]["V"], num_triangles=len(weights["faces"]))
    head = HEADS[name](golden.config["model_config"]["MODEL"]["DECODER"]["DIM"], rig)
    head.load_state_dict(weights)
    return head


@pytest.mark.parametrize("name", HEADS)
@torch.inference_mode()
def test_heads_make_the_recorded_bodies(name: str) -> None:
    golden = load_golden("body/mhr_head")
    head = recorded_head(golden, name)
    tokens, initial = golden.inputs[f"{name}.token"], golden.inputs[f"{name}.init_estimate"]

    raw = head(tokens, initial)
    values = head.values(raw)
    body = head.posed(values, head.prepared(recorded_rig(golden)))

    for output, actual in {
        "raw519": raw,
        "pred_pose_raw": raw[:, :266],
        "global_rot": values.global_rot,
        "body_pose": values.body_pose,
        "shape": values.shape,
        "scale": values.scale,
        "hand": values.hand,
        "face": values.expression,
        "mhr_model_params": body.rig_parameters,
        "pred_vertices": body.vertices_m,
        "pred_keypoints_3d": body.keypoints_m,
        "pred_joint_coords": body.joints_m,
        "joint_global_rots": body.joint_rotations,
    }.items():
        golden.close(actual, f"{name}.{output}")


@pytest.mark.parametrize("name", HEADS)
@torch.inference_mode()
def test_keypoints_and_joints_alone_are_those_of_the_whole_body(name: str) -> None:
    golden = load_golden("body/mhr_head")
    head = recorded_head(golden, name)
    rig = head.prepared(recorded_rig(golden))
    values = head.values(
        head(golden.inputs[f"{name}.token"], golden.inputs[f"{name}.init_estimate"])
    )

    whole, joints = head.posed(values, rig), head.joints(values, rig)

    for each in fields(joints):
        alone, made = getattr(joints, each.name), getattr(whole, each.name)
        torch.testing.assert_close(alone, made, rtol=0, atol=1e-6)
    torch.testing.assert_close(head.keypoints_m(values, rig), joints.keypoints_m, rtol=0, atol=0)
    golden.close(joints.keypoints_m, f"{name}.pred_keypoints_3d")
