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

"""A made-up MHR rig and what pose heads know of it, by official names; for tests and benches.

The same joints and counts as the released one and roughly the outline of a person, so that all that
is posed, drawn and measured can be without its file. Nothing is taken from the release.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sam3d_ros.body.architecture import NUM_EXPRESSIONS, NUM_IDENTITIES, NUM_RIG_PARAMETERS
from sam3d_ros.body.rig_tensors import (
    BLEND,
    CORRECTIVES,
    EXPRESSION,
    FACES,
    NUM_FEATURES,
    PARAMETERS_OF_JOINT,
    SKELETON,
    SKIN,
    TRANSFORM,
    SkeletonTensors,
)
from sam3d_ros.body.rotations import matrix_from_quat_xyzw
from sam3d_ros.body.skeleton import Skeleton
from sam3d_ros.body.synthetic_joints import HEAD, joint_tree
from sam3d_ros.structures.people import NUM_JOINTS

INFLUENCES = 4
SPARSITY = 0.02  # of the first layer of the correctives
NUM_POSE, NUM_SCALES = 136, 68
# Which joints the 130 degrees of freedom of a pose turn, three each: limbs, fingers, face.
BODY_JOINTS = (2, 3, 4, 18, 19, 20, 34, 35, 36, 37, 42, 38, 39, 78, 74, 75, 40, 76, 8, 24)
LEFT_FINGERS = (79, 80, 84, 85, 88, 89, 92, 93, 97)
RIGHT_FINGERS = (43, 44, 48, 49, 52, 53, 56, 57, 61)
OTHER_JOINTS = (HEAD, 110, 114, 6, 22)
# Height (share of the whole), half width and half depth (cm) of the outline, arms hanging.
OUTLINE = torch.tensor(
    [
        (0.00, 9.0, 9.0),
        (0.04, 15.0, 11.0),
        (0.27, 15.0, 8.0),
        (0.45, 24.0, 12.0),
        (0.60, 25.0, 11.0),
        (0.78, 24.0, 12.0),
        (0.82, 16.0, 9.0),
        (0.85, 7.0, 7.0),
        (0.90, 9.0, 11.0),
        (1.00, 4.0, 5.0),
    ]
)
HEIGHT_CM = 172.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRigConfig:
    """Sizes of a made-up rig; the surface has ``rings * segments + 2`` vertices."""

    rings: int = 12
    segments: int = 8
    num_hidden: int = 64  # of the pose correctives
    seed: int = 0


# 18439 vertices and 36874 triangles, as the release has.
OFFICIAL_SIZE = SyntheticRigConfig(rings=179, segments=103, num_hidden=3000)


def synthetic_rig(config: SyntheticRigConfig | None = None) -> dict[str, Tensor]:
    """Return the tensors of a made-up ``mhr_model.pt`` by their names."""
    config = config or SyntheticRigConfig()
    generator = torch.Generator().manual_seed(config.seed)
    vertices, triangles = outline(config.rings, config.segments)
    parents, positions = joint_tree()
    skeleton = _skeleton(parents, positions, generator)
    prefix = SKELETON
    return {
        BLEND + "base_shape": vertices,
        **_blend_shapes(vertices, generator),
        prefix + "joint_parents": parents.int(),
        prefix + "joint_translation_offsets": skeleton.offsets,
        prefix + "joint_prerotations": skeleton.prerotations,
        TRANSFORM: torch.nn.functional.pad(skeleton.parameter_transform, (0, NUM_IDENTITIES)),
        SKIN + "inverse_bind_pose": _inverse(Skeleton(skeleton)),
        **_skin(vertices, positions),
        **_correctives(len(vertices), config.num_hidden, generator),
        FACES: triangles.int(),
    }


def outline(rings: int, segments: int) -> tuple[Tensor, Tensor]:
    """Return a closed surface around a person: vertices ``(V, 3)`` cm and triangles ``(F, 3)``."""
    height = (torch.arange(rings) + 0.5) / rings
    width, depth = (_interpolated(height, OUTLINE[:, column]) for column in (1, 2))
    angle = torch.arange(segments) * (2 * torch.pi / segments)
    ring = torch.stack(
        (
            width[:, None] * torch.sin(angle),
            (height * HEIGHT_CM)[:, None].expand(-1, segments),
            depth[:, None] * torch.cos(angle),
        ),
        dim=-1,
    )
    ends = torch.tensor([(0.0, 0.0, 0.0), (0.0, HEIGHT_CM, 0.0)])
    return torch.cat((ring.flatten(0, 1), ends)), _lathe_triangles(rings, segments)


def _lathe_triangles(rings: int, segments: int) -> Tensor:
    """Return the triangles ``(F, 3)``, outwards, between rings of vertices and to both ends."""
    index = torch.arange(rings * segments).reshape(rings, segments)
    beside = index.roll(-1, dims=1)
    low, low_beside, high, high_beside = index[:-1], beside[:-1], index[1:], beside[1:]
    bottom, top = torch.tensor(rings * segments), torch.tensor(rings * segments + 1)
    corners = (
        (low, low_beside, high_beside),
        (low, high_beside, high),
        (bottom.expand(segments), beside[0], index[0]),
        (top.expand(segments), index[-1], beside[-1]),
    )
    return torch.cat([torch.stack(triangle, dim=-1).reshape(-1, 3) for triangle in corners])


def _interpolated(height: Tensor, values: Tensor) -> Tensor:
    known = OUTLINE[:, 0].contiguous()
    above = torch.searchsorted(known, height.contiguous()).clamp(1, len(known) - 1)
    share = (height - known[above - 1]) / (known[above] - known[above - 1])
    return torch.lerp(values[above - 1], values[above], share)


def _skeleton(parents: Tensor, positions: Tensor, generator: torch.Generator) -> SkeletonTensors:
    """Turn each joint's own axes a little; nothing of that shows at rest."""
    quat_xyzw = 0.1 * torch.randn(NUM_JOINTS, 4, generator=generator)
    quat_xyzw[:2] = 0.0
    quat_xyzw[:, 3] = 1.0
    quat_xyzw = quat_xyzw / quat_xyzw.norm(dim=-1, keepdim=True)
    axes, offsets = torch.eye(3).repeat(NUM_JOINTS, 1, 1), positions.clone()
    for joint, parent in enumerate(parents.tolist()):
        axes[joint] = matrix_from_quat_xyzw(quat_xyzw[joint])
        if parent >= 0:
            offsets[joint] = axes[parent].T @ (positions[joint] - positions[parent])
            axes[joint] = axes[parent] @ axes[joint]
    return SkeletonTensors(
        offsets=offsets,
        prerotations=quat_xyzw,
        parents=parents,
        parameter_transform=_parameter_transform(),
        inverse_bind_pose=torch.eye(8)[-2:].sum(0).expand(NUM_JOINTS, 8),  # not known yet
    )


def _parameter_transform() -> Tensor:
    """Return what each parameter does to the joints' own, ``(889, 204)``."""
    transform = torch.zeros(NUM_JOINTS, PARAMETERS_OF_JOINT, NUM_RIG_PARAMETERS)
    for axis in range(3):
        transform[1, axis, axis] = 10.0  # 0.1 m
        transform[1, 3 + axis, 3 + axis] = 1.0
    for number in range(130):
        turned = (*BODY_JOINTS, *LEFT_FINGERS, *RIGHT_FINGERS, *OTHER_JOINTS)
        joint, axis = turned[(number // 3) % len(turned)], number % 3
        if 124 <= number < 130:  # translations
            transform[35 + (number - 124) // 3, axis, 6 + number] = 10.0
        else:
            transform[joint, 3 + axis, 6 + number] = 1.0
    for number in range(NUM_SCALES):
        transform[2 + number, 6, NUM_POSE + number] = 1.0
    return transform.flatten(0, 1)


def _inverse(skeleton: Skeleton) -> Tensor:
    """Return the inverse ``(127, 8)`` of where joints are at rest; all scales are one there."""
    rest = skeleton.at_rest()
    position, quat_xyzw, scale = torch.split(rest, [3, 4, 1], dim=-1)
    conjugate = quat_xyzw * quat_xyzw.new_tensor((-1.0, -1.0, -1.0, 1.0))
    moved = -(matrix_from_quat_xyzw(conjugate) @ position[..., None])[..., 0]
    return torch.cat((moved, conjugate, scale), dim=-1).float()


def _skin(vertices: Tensor, positions: Tensor) -> dict[str, Tensor]:
    """Let each vertex follow the joints that are nearest to it."""
    distance = torch.cdist(vertices, positions[1:])  # the world moves nothing
    nearest, joints = distance.topk(INFLUENCES, largest=False, sorted=True)
    weights = torch.softmax(-nearest / 4.0, dim=-1)
    owner = torch.arange(len(vertices))[:, None].expand_as(joints)
    return {
        SKIN + "skin_indices_flattened": (joints + 1).flatten().int(),
        SKIN + "skin_weights_flattened": weights.flatten(),
        SKIN + "vert_indices_flattened": owner.flatten(),
    }


def _blend_shapes(vertices: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Let identities stretch the body linearly and smoothly, expressions its head alone."""
    centred = vertices - vertices.mean(dim=0)

    def stretched(count: int, size: float) -> Tensor:
        matrices = size * torch.randn(count, 3, 3, generator=generator)
        return centred @ matrices

    above = (vertices[:, 1:2] > 0.85 * HEIGHT_CM).float()
    return {
        BLEND + "shape_vectors": stretched(NUM_IDENTITIES, 0.01),
        EXPRESSION: stretched(NUM_EXPRESSIONS, 0.002) * above,
    }


def _correctives(num_vertices: int, hidden: int, generator: torch.Generator) -> dict[str, Tensor]:
    present = torch.rand(hidden, NUM_FEATURES, generator=generator) < SPARSITY
    indices = present.nonzero().T.contiguous()
    weights = torch.randn(indices.shape[1], generator=generator)
    offsets = torch.randn(3 * num_vertices, hidden, generator=generator) * (0.3 / hidden**0.5)
    return {
        CORRECTIVES + "0.sparse_indices": indices,
        CORRECTIVES + "0.sparse_weight": weights,
        CORRECTIVES + "2.weight": offsets,
    }
