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

"""Kinematics of the MHR skeleton: all chains of joints at once, by doubling."""

import torch
from torch import Tensor, nn

from sam3d_ros.body.rig_tensors import PARAMETERS_OF_JOINT, SkeletonTensors
from sam3d_ros.body.rotations import left_product, matrix_from_quat_xyzw

# The natural logarithm of 2 as float32, by which the released rig multiplies.
LOG_2 = 0.6931471824645996


class Skeleton(nn.Module):
    """Joints in a tree; float64 inside.

    Joints are not walked one after the other: rotations of chains are joined two by two, which
    takes as many steps as the logarithm of the longest chain, and positions and scales are sums
    over ancestors.
    """

    parameter_transform: Tensor
    offsets: Tensor
    prerotations: Tensor
    bind_translations: Tensor
    bind_matrices: Tensor
    parents: Tensor
    ancestors: Tensor
    jumps: Tensor
    units: Tensor
    conjugation: Tensor

    def __init__(self, tensors: SkeletonTensors) -> None:
        super().__init__()
        bind_t, bind_q, bind_s = torch.split(tensors.inverse_bind_pose.double(), [3, 4, 1], dim=-1)
        jumps = _jumps(tensors.parents)
        for name, tensor in {
            "parameter_transform": tensors.parameter_transform,
            "offsets": tensors.offsets.double(),
            "prerotations": left_product(tensors.prerotations.double()),
            "bind_translations": bind_t[..., None],
            "bind_matrices": bind_s[..., None] * matrix_from_quat_xyzw(bind_q),
            "parents": jumps[0, :-1],
            "ancestors": _ancestors(tensors.parents),
            "jumps": jumps,
            "units": left_product(torch.eye(4, dtype=torch.float64)),  # i, j, k, 1
            "conjugation": torch.tensor([1.0, 1, 1, -1], dtype=torch.float64).outer(
                torch.tensor([1.0, 1, 1, -1], dtype=torch.float64)
            ),
        }.items():
            self.register_buffer(name, tensor, persistent=False)

    def joint_parameters(self, parameters: Tensor) -> Tensor:
        """Return what moves each joint for parameters ``(B, 204)``.

        Returns:
            ``(B, 127, 7)``: translation cm, rotation about x, y and z rad, log2 of the scale.
        """
        flat = parameters @ self.parameter_transform.T
        return torch.unflatten(flat, -1, (-1, PARAMETERS_OF_JOINT))

    def at_rest(self) -> Tensor:
        """Return where joints are if nothing moves them, ``(127, 8)``; see ``pose``."""
        still = torch.zeros(1, len(self.parents), PARAMETERS_OF_JOINT)
        return self.pose(still, self.turned(still))[0]

    def turned(self, joint_parameters: Tensor) -> Tensor:
        """Return how each of the joints moved by ``(B, 127, 7)`` is turned on its own, float64.

        Returns:
            ``(B, 127, 4, 4)`` left products of quaternions: about x, then about y, then about z.
        """
        half = joint_parameters[..., 3:6, None, None].double() / 2
        turns = torch.cos(half) * self.units[3] + torch.sin(half) * self.units[:3]
        about_x, about_y, about_z = turns.unbind(dim=2)
        return about_z @ about_y @ about_x

    def pose(self, joint_parameters: Tensor, turned: Tensor) -> Tensor:
        """Return where joints are, float64.

        Args:
            joint_parameters: ``(B, 127, 7)`` what moves them.
            turned: ``(B, 127, 4, 4)`` how that turns them.

        Returns:
            ``(B, 127, 8)``: position cm, quaternion xyzw, scale, in the world of the rig.
        """
        chains = self._along_chains(self.prerotations @ turned)
        scale = torch.exp(LOG_2 * (self.ancestors @ joint_parameters[..., 6:].double()))
        matrices = _with_world(scale[..., None] * self.rotations(chains))
        moved = self.offsets + joint_parameters[..., :3].double()
        steps = matrices[:, self.parents] @ moved[..., None]
        return torch.cat((self.ancestors @ steps[..., 0], chains[..., 3], scale), dim=-1)

    def rotations(self, products: Tensor) -> Tensor:
        """Return the rotations ``(..., 3, 3)`` of left products ``(..., 4, 4)`` of quaternions."""
        # q v q*: the right product of a conjugate is the left product with some signs changed.
        both = (products @ (self.conjugation * products))[..., :3, :3]
        return both / products[..., 3].square().sum(dim=-1)[..., None, None]

    def skinning(self, joints: Tensor) -> Tensor:
        """Return how joints ``(B, 127, 8)`` move what hangs on them at rest, ``(B, 127, 3, 4)``."""
        position, quat_xyzw, scale = torch.split(joints, [3, 4, 1], dim=-1)
        matrices = scale[..., None] * matrix_from_quat_xyzw(quat_xyzw)
        translations = position[..., None] + matrices @ self.bind_translations
        return torch.cat((matrices @ self.bind_matrices, translations), dim=-1)

    def _along_chains(self, local: Tensor) -> Tensor:
        """Multiply matrices ``(B, 127, N, N)`` from the root to each joint."""
        chains = _with_world(local)
        for jump in self.jumps:
            chains = chains[:, jump] @ chains
        return chains[:, :-1]


def _with_world(matrices: Tensor) -> Tensor:
    """Append the identity, the parent of the root."""
    batch, size = len(matrices), matrices.shape[-1]
    world = torch.eye(size, dtype=matrices.dtype, device=matrices.device)
    return torch.cat((matrices, world.expand(batch, 1, size, size)), dim=1)


def _jumps(parents: Tensor) -> Tensor:
    """Return the 1st, 2nd, 4th, ... ancestors ``(K, J + 1)``; the last index is the world."""
    world = len(parents)
    jump = torch.cat((parents, parents.new_tensor([-1])))
    jump = torch.where(jump < 0, world, jump)
    jumps = []
    while bool((jump != world).any()):
        jumps.append(jump)
        jump = jump[jump]
    return torch.stack(jumps)


def _ancestors(parents: Tensor) -> Tensor:
    """Return 1 where a joint (column) is another's (row) ancestor or itself, else 0, float64."""
    ancestors = torch.eye(len(parents), dtype=torch.float64)
    for joint, parent in enumerate(parents.tolist()):
        if parent >= 0:
            ancestors[joint] += ancestors[parent]
    return ancestors
