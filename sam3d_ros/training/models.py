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

"""What the trainer asks of a model: it need not know which one it trains."""

from typing import Protocol

from torch import Tensor

from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView


class VolumeFlow(Protocol):
    """A flow from noise to shape and layout in a box of space, given a view of it."""

    def condition(self, view: VolumeView, box: VolumeBox) -> Tensor:
        """Return condition tokens ``(B, N, C)``."""
        ...

    def features(self, view: VolumeView, box: VolumeBox) -> Tensor:
        """Return what views show of the voxels of boxes."""
        ...

    def tokens(self, features: Tensor) -> Tensor:
        """Return condition tokens ``(B, N, C)`` of features."""
        ...

    def velocity(
        self, x: GeometryLatents, time: Tensor, condition: Tensor, step_size: Tensor
    ) -> GeometryLatents:
        """Return velocities at times ``(B,)`` for step sizes ``(B,)``, in thousandths."""
        ...

    def encode(self, distance: Tensor) -> Tensor:
        """Return shape latents of truncated distances ``(B, R, R, R)``."""
        ...

    def decode(self, shape: Tensor) -> Tensor:
        """Return truncated distances ``(B, R, R, R)`` of shape latents."""
        ...

    def refined(self, distance: Tensor, features: Tensor) -> Tensor:
        """Return distances as a second stage corrects them, if there is one."""
        ...
