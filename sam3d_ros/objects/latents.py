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

"""The state that the geometry model's flow carries: one shape latent and four layout latents."""

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class GeometryLatents:
    """A point, or a velocity, in the geometry model's latent space; adds and scales as a vector."""

    shape: Tensor  # (B, R^3, C), row-major over x, y, z
    rotation: Tensor  # (B, 1, 6), normalised 6D rotation
    translation: Tensor  # (B, 1, 3)
    scale: Tensor  # (B, 1, 3), log
    translation_scale: Tensor  # (B, 1, 1), predicted, of no effect in the released model

    def __add__(self, other: "GeometryLatents") -> "GeometryLatents":
        """Return the sum, latent by latent."""
        return GeometryLatents(
            *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        )

    def __mul__(self, factor: float) -> "GeometryLatents":
        """Return the product with a number."""
        return GeometryLatents(*(getattr(self, f.name) * factor for f in fields(self)))

    __rmul__ = __mul__

    def named(self) -> "list[tuple[str, Tensor]]":
        """Return each latent with its name."""
        return [(f.name, getattr(self, f.name)) for f in fields(self)]

    def __getitem__(self, samples: slice) -> "GeometryLatents":
        """Return some of the samples."""
        return GeometryLatents(*(getattr(self, f.name)[samples] for f in fields(self)))
