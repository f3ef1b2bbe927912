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

"""The MHR rig poses bodies as the reference does."""

import pytest
import torch
from fixtures import Golden, load_golden

from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.rig_tensors import RigTensors


@pytest.fixture(scope="module")
def golden() -> Golden:
    return load_golden("body/mhr_lbs")


@pytest.fixture(scope="module")
def rig(golden: Golden) -> BodyRig:
    return BodyRig.of(RigTensors.read(golden.weights, golden.name))


@pytest.fixture(scope="module")
def inputs(golden: Golden) -> tuple[torch.Tensor, ...]:
    names = ("identity_coeffs", "model_parameters", "face_expr_coeffs")
    return tuple(golden.inputs[name] for name in names)


def test_vertices_and_joints_are_the_references(golden, rig, inputs):
    vertices, joints = rig(*inputs)
    golden.close(vertices, "vertices")
    golden.close(joints, "skel_state")


def test_each_step_is_the_references(golden, rig, inputs):
    identity, parameters, expression = inputs
    joint_parameters = rig.skeleton.joint_parameters(parameters)
    golden.close(joint_parameters.flatten(1), "joint_parameters")
    turned = rig.skeleton.turned(joint_parameters)
    golden.close(rig.pose_features(turned), "pose_features")
    golden.close(rig.correctives(turned), "pose_correctives")
    golden.close(rig.rest_vertices(identity, expression), "rest_vertices")


def test_without_expression_faces_rest(golden, rig, inputs):
    identity, parameters, expression = inputs
    golden.close(rig(identity, parameters, torch.zeros_like(expression))[0], "vertices_no_expr")
