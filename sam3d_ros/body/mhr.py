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

"""The MHR body rig: parameters to vertices and joints, in centimetres; see ``BodyRig``."""

from dataclasses import fields

import torch
from torch import Tensor, nn

from sam3d_ros.body.rig_tensors import RigTensors, SurfaceTensors
from sam3d_ros.body.skeleton import Skeleton

SURFACE = tuple(field.name for field in fields(SurfaceTensors))
FIRST_CORRECTING = 2  # the world and the root bend nothing


class BodyRig(nn.Module):
    """Blend shapes, pose correctives, kinematics and linear blend skinning of MHR.

    Centimetres; y up, the body looks along +z and its left is +x. Batched and differentiable.
    Kinematics are float64 inside, so move it with ``to(device)``, never to another type. None of
    it is part of a checkpoint: the rig has a file of its own.
    """

    base_shape: Tensor
    shape_vectors: Tensor
    skin_weights: Tensor
    corrective_hidden: Tensor
    corrective_offsets: Tensor
    triangles: Tensor

    def __init__(self, skeleton: Skeleton, surface: SurfaceTensors) -> None:
        super().__init__()
        self.skeleton = skeleton
        for name in SURFACE:
            self.register_buffer(name, getattr(surface, name), persistent=False)

    @classmethod
    def of(cls, tensors: RigTensors) -> "BodyRig":
        """Make the rig that a file describes."""
        return cls(Skeleton(tensors.skeleton), tensors.surface)

    @property
    def num_vertices(self) -> int:
        """How many vertices come out."""
        return len(self.base_shape)

    def restricted(self, vertices: Tensor) -> "BodyRig":
        """Return a rig of the same joints and these vertices ``(N,)`` alone, each as it was."""
        surface = SurfaceTensors(**{name: getattr(self, name) for name in SURFACE})
        return BodyRig(self.skeleton, surface.of(vertices))

    def forward(
        self, identity: Tensor, parameters: Tensor, expression: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pose the body.

        Args:
            identity: ``(B, 45)``.
            parameters: ``(B, 204)``: root translation in 0.1 m, root rotation, 130 degrees of
                freedom in rad, 68 logarithms of scales to the base of two.
            expression: ``(B, 72)``.

        Returns:
            Vertices ``(B, V, 3)`` cm, and joints ``(B, 127, 8)``: position cm, quaternion xyzw,
            scale, all in the world of the rig.
        """
        joint_parameters = self.skeleton.joint_parameters(parameters)
        turned = self.skeleton.turned(joint_parameters)
        joints = self.skeleton.pose(joint_parameters, turned)
        rest = self.rest_vertices(identity, expression) + self.correctives(turned)
        return self._skinned(rest, self.skeleton.skinning(joints)), joints.to(rest.dtype)

    def rest_vertices(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Return the body ``(B, V, 3)`` cm before it is posed."""
        weights = torch.cat((identity, expression), dim=-1)
        moved = torch.unflatten(weights @ self.shape_vectors.flatten(1), -1, (-1, 3))
        return self.base_shape + moved

    def correctives(self, turned: Tensor) -> Tensor:
        """Return by how much joints' turns ``(B, 127, 4, 4)`` move vertices, ``(B, V, 3)`` cm."""
        hidden = torch.relu(self.pose_features(turned) @ self.corrective_hidden.T)
        return torch.unflatten(hidden @ self.corrective_offsets.flatten(0, 1).T, -1, (-1, 3))

    def pose_features(self, turned: Tensor) -> Tensor:
        """Return what correctives see of joints' turns ``(B, 127, 4, 4)``: ``(B, 750)``.

        Of the rotation of each joint but the first two the first two columns, less the identity's.
        """
        rotations = self.skeleton.rotations(turned[:, FIRST_CORRECTING:])
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        bent = (rotations - identity)[..., :2]
        return bent.mT.flatten(1).to(self.corrective_hidden.dtype)

    def _skinned(self, rest: Tensor, transforms: Tensor) -> Tensor:
        """Move vertices ``(B, V, 3)`` by the blend of their joints' transforms ``(B, 127, 3, 4)``.

        All joints with mostly zero weights are one product of matrices, which is faster than to
        gather the few that have a say in each vertex.
        """
        blend = self.skin_weights @ transforms.to(rest.dtype).flatten(2)
        blend = torch.unflatten(blend, -1, (3, 4))
        return (blend[..., :3] * rest[..., None, :]).sum(dim=-1) + blend[..., 3]
