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

"""Laws of the MHR rig, on one that is made up."""

import pytest
import torch

from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.rotations import left_product, matrix_from_quat_xyzw
from sam3d_ros.body.synthetic_head import synthetic_head_constants
from sam3d_ros.body.synthetic_joints import joint_tree
from sam3d_ros.body.synthetic_rig import OFFICIAL_SIZE, SyntheticRigConfig, outline, synthetic_rig
from sam3d_ros.errors import WeightsError
from sam3d_ros.geometry.measures import is_closed
from sam3d_ros.nn.rotations import matrix_from_quat_wxyz, matrix_from_xyz

PARENTS = "character_torch.skeleton.joint_parents"
WEIGHTS = "character_torch.linear_blend_skinning.skin_weights_flattened"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return synthetic_rig(SyntheticRigConfig(rings=6, segments=5, num_hidden=16))


@pytest.fixture(scope="module")
def rig(tensors) -> BodyRig:
    return BodyRig.of(RigTensors.read(tensors, "test"))


def drawn(batch: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(0.2 * torch.randn(batch, size, generator=generator) for size in (45, 204, 72))


def test_at_rest_nothing_moves(rig):
    vertices, joints = rig(torch.zeros(1, 45), torch.zeros(1, 204), torch.zeros(1, 72))
    torch.testing.assert_close(vertices[0], rig.base_shape, atol=1e-4, rtol=0)
    torch.testing.assert_close(joints[0, :, :3], joint_tree()[1], atol=1e-4, rtol=0)


def test_root_moves_and_turns_the_body_as_one(rig):
    identity, parameters, expression = drawn(1)
    parameters[:, :6] = 0
    vertices, joints = rig(identity, parameters, expression)
    moved = parameters.clone()
    moved[:, :6] = torch.tensor([1.0, -2.0, 3.0, 0.3, -0.4, 0.5])
    rotation = matrix_from_xyz(moved[0, 3:6])
    root = joints[0, 1, :3]
    turned = (vertices[0] - root) @ rotation.T + root + 10 * moved[0, :3]
    torch.testing.assert_close(rig(identity, moved, expression)[0][0], turned, atol=1e-3, rtol=1e-5)


def test_batch_is_its_people(rig):
    together = rig(*drawn(3))
    alone = [rig(*(each[i : i + 1] for each in drawn(3))) for i in range(3)]
    for both, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(both, torch.cat(parts), atol=1e-4, rtol=1e-5)


def test_some_vertices_alone_are_where_all_have_them(rig):
    chosen = torch.tensor([3, 30, 7])
    vertices, joints = rig(*drawn(2))
    few, same_joints = rig.restricted(chosen)(*drawn(2))
    torch.testing.assert_close(few, vertices[:, chosen], atol=1e-4, rtol=1e-5)
    assert torch.equal(same_joints, joints)


def test_gradients_are_those_of_finite_differences(tensors):
    rig = BodyRig.of(RigTensors.read(tensors, "test")).double()
    few = rig.restricted(torch.tensor([0, 11]))
    inputs = [each.double().requires_grad_() for each in drawn(1)]
    assert torch.autograd.gradcheck(few, inputs, fast_mode=True)


def test_a_scale_makes_what_hangs_on_it_larger(rig):
    identity, parameters, expression = (torch.zeros(1, size) for size in (45, 204, 72))
    parameters[:, 136] = 1.0  # the left upper leg, to the base of two
    before, after = (rig(identity, p, expression)[1][0] for p in (0 * parameters, parameters))
    hip, knee = 2, 3
    torch.testing.assert_close(
        after[knee, :3] - after[hip, :3], 2 * (before[knee, :3] - before[hip, :3])
    )


def test_made_up_body_is_closed_and_the_official_size_has_official_counts(rig):
    assert is_closed(rig.triangles.numpy())
    vertices, triangles = outline(OFFICIAL_SIZE.rings, OFFICIAL_SIZE.segments)
    assert (len(vertices), len(triangles)) == (18439, 36874)


def test_made_up_heads_know_keypoints_as_means_of_the_surface_and_joints(tensors):
    constants = synthetic_head_constants(RigTensors.read(tensors, "test"), torch.Generator())
    sums = constants["keypoint_mapping"].sum(dim=1)
    torch.testing.assert_close(sums, torch.ones(308))


def test_newer_files_with_all_blend_shapes_in_one_make_the_same_rig(tensors, rig):
    both = ("character_torch.blend_shape.shape_vectors", "face_expressions_model.shape_vectors")
    newer = {**tensors, both[0]: torch.cat([tensors[name] for name in both])}
    del newer[both[1]]
    transform = "character_torch.parameter_transform.parameter_transform"
    newer[transform] = torch.nn.functional.pad(tensors[transform], (0, 72))
    other = BodyRig.of(RigTensors.read(newer, "test"))
    assert torch.equal(other(*drawn(1))[0], rig(*drawn(1))[0])


def test_a_rig_without_triangles_is_the_same_rig(tensors, rig):
    name = "character_torch.mesh.faces"  # checkpoints of the model have them, too
    other = RigTensors.read({k: v for k, v in tensors.items() if k != name}, "test")
    assert other.surface.triangles.shape == (0, 3)
    assert torch.equal(BodyRig.of(other)(*drawn(1))[0], rig(*drawn(1))[0])


@pytest.mark.parametrize(
    ("name", "broken", "text"),
    [
        (PARENTS, None, f"lacks 1 of its tensors, first {PARENTS}"),
        (PARENTS, lambda t: t[:-1], r"must have shape \(127\), got \(126,\)"),
        (PARENTS, lambda t: t.flip(0), "joint 0 comes before its parent"),
        (
            PARENTS,
            lambda t: t.new_full(t.shape, -1),
            "127 joints without a parent, expected one root",
        ),
        (WEIGHTS, lambda t: t[:-1], WEIGHTS),
        (
            "character_torch.blend_shape.shape_vectors",
            lambda t: t[1:],
            "has 44 [+] 72 blend shapes",
        ),
        ("pose_correctives_model.pose_dirs_predictor.2.weight", lambda t: t[3:], "expected 3 x 32"),
        ("character_torch.mesh.faces", lambda t: t + 1, "points beyond the 32 that there are"),
        ("character_torch.mesh.faces", lambda t: t.float(), "must be indices"),
        ("character_torch.mesh.faces", lambda t: t[:, :2], r"must have shape \(F, 3\)"),
        (
            "character_torch.parameter_transform.parameter_transform",
            lambda t: t[:, :100],
            "has 100 parameters, expected 204",
        ),
    ],
)
def test_a_rig_with_wrong_counts_is_refused_by_name(tensors, name, broken, text):
    wrong = {key: value for key, value in tensors.items() if key != name}
    if broken:
        wrong[name] = broken(tensors[name])
    with pytest.raises(WeightsError, match=f"rig.pt is not a rig of MHR: .*{text}"):
        RigTensors.read(wrong, "rig.pt")


def test_turns_are_those_about_x_then_y_then_z(rig):
    angles = torch.tensor([[0.3, -1.2, 2.9], [-3.0, 0.4, -0.1]], dtype=torch.float64)
    moved = torch.zeros(2, 127, 7, dtype=torch.float64)
    moved[:, 5, 3:6] = angles
    turned = rig.skeleton.turned(moved)[:, 5]
    torch.testing.assert_close(rig.skeleton.rotations(turned), matrix_from_xyz(angles))
    torch.testing.assert_close(matrix_from_quat_xyzw(turned[..., 3]), matrix_from_xyz(angles))


def test_products_of_quaternions_are_products_of_rotations():
    quat_xyzw = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = matrix_from_quat_xyzw(quat_xyzw)
    product = (left_product(quat_xyzw[0]) @ quat_xyzw[1, :, None])[:, 0]
    torch.testing.assert_close(matrix_from_quat_xyzw(product), first @ second)
    wxyz = quat_xyzw.roll(1, dims=-1)
    torch.testing.assert_close(matrix_from_quat_xyzw(quat_xyzw), matrix_from_quat_wxyz(wxyz))
