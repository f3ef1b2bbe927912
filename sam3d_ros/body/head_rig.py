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

"""The body rig as pose heads use it: whole, or for keypoints alone."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Rig(Protocol):
    """The body rig; see ``BodyRig``."""

    def __call__(
        self, identity: Tensor, parameters: Tensor, expression: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pose bodies.

        Args:
            identity: ``(N, 45)``.
            parameters: ``(N, 204)`` of the rig's own.
            expression: ``(N, 72)``.

        Returns:
            Vertices ``(N, V, 3)`` in cm, and joints ``(N, 127, 8)``: position in cm, quaternion
            ``xyzw``, scale. Both have the axes of the rig: x to the body's left, y up, z forward.
        """
        ...

    def restricted(self, vertices: Tensor) -> "Rig":
        """Return a rig of some vertices ``(n,)`` alone, each as it was."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeypointRegressor:
    """Keypoints as weighted sums of joints and of the vertices that have any weight."""

    vertices: Tensor  # (n,) which
    from_vertices: Tensor  # (70, n)
    from_joints: Tensor  # (70, 127)

    @classmethod
    def of(cls, mapping: Tensor, num_joints: int) -> "KeypointRegressor":
        """Take weights ``(70, V + joints)`` of all vertices, then all joints, apart."""
        num_vertices = mapping.shape[1] - num_joints
        from_vertices, from_joints = mapping[:, :num_vertices], mapping[:, num_vertices:]
        vertices = from_vertices.any(dim=0).nonzero().flatten()
        return cls(
            vertices=vertices, from_vertices=from_vertices[:, vertices], from_joints=from_joints
        )

    def __call__(self, vertices: Tensor, joints: Tensor) -> Tensor:
        """Return keypoints ``(N, 70, 3)`` of those vertices ``(N, n, 3)`` and all joints."""
        return self.from_vertices @ vertices + self.from_joints @ joints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadRig:
    """A rig as a pose head uses it.

    Decoders need keypoints and joints alone. Few vertices have a weight in keypoints, so the rig
    of these vertices gives the same ones for a small part of the work.
    """

    whole: Rig
    of_keypoints: Rig
    regressor: KeypointRegressor
