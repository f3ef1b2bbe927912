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

"""Splats: an object as coloured 3-D Gaussians (Kerbl et al., "3D Gaussian Splatting", 2023)."""

from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.arrays import Floats
from sam3d_ros.structures.poses import Similarity, quat_wxyz_from_rotation

SH_C0 = 0.28209479177387814  # the spherical harmonic of degree 0, which is constant


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splats:
    """N Gaussians with one colour each, the same from all sides, in the frame of their object.

    Quaternions may have any length but zero: so models make them and files hold them.
    """

    means: Floats  # (N, 3) float32
    scales: Floats  # (N, 3) float32, standard deviations along a Gaussian's own axes
    quats_wxyz: Floats  # (N, 4) float32, from its own axes to those of the frame
    opacities: Floats  # (N,) float32 in [0, 1]
    sh_dc: Floats  # (N, 3) float32, the colour as a coefficient
    min_scale: float = 0.0  # that no scale is less than: what the model filters its splats with

    def __post_init__(self) -> None:
        num = check_shape(self.means, "N 3", "means")["N"]
        check_shape(self.scales, f"{num} 3", "scales")
        check_shape(self.quats_wxyz, f"{num} 4", "quats_wxyz")
        check_shape(self.opacities, f"{num}", "opacities")
        check_shape(self.sh_dc, f"{num} 3", "sh_dc")

    def __len__(self) -> int:
        """Return the number of splats."""
        return len(self.means)

    @property
    def colors(self) -> Floats:
        """Red, green and blue, ``(N, 3)``; in [0, 1] where they can be shown."""
        return 0.5 + SH_C0 * self.sh_dc

    @property
    def rotations(self) -> Floats:
        """Matrices from a Gaussian's own axes to those of the frame, ``(N, 3, 3)``."""
        lengths = np.linalg.norm(self.quats_wxyz, axis=1, keepdims=True)
        w, x, y, z = (self.quats_wxyz / lengths).T
        rows = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        return np.moveaxis(np.array(rows), -1, 0)

    @property
    def covariances(self) -> Floats:
        """Of the Gaussians, ``(N, 3, 3)``."""
        spread = self.rotations * self.scales[:, None]
        return spread @ spread.swapaxes(1, 2)

    def transformed(self, a_from_b: Similarity) -> "Splats":
        """Return the splats mapped from frame b to frame a."""
        quat_wxyz = quat_wxyz_from_rotation(a_from_b.rotation)
        return replace(
            self,
            means=a_from_b.apply(self.means).astype(np.float32),
            scales=(a_from_b.scale * self.scales).astype(np.float32),
            quats_wxyz=_product(quat_wxyz, self.quats_wxyz).astype(np.float32),
            min_scale=a_from_b.scale * self.min_scale,
        )


def _product(quat_wxyz: Floats, others_wxyz: Floats) -> Floats:
    """Return the Hamilton products of one quaternion and others ``(N, 4)``, with ``w >= 0``."""
    w, x, y, z = quat_wxyz
    matrix = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    products = others_wxyz @ matrix.T
    return np.where(products[:, :1] < 0, -products, products)
