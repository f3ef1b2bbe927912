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


"""Many poses of one object at once, and how they move."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.structures import Floats, Ints, Similarity

NUM_PARAMETERS = 7  # shift (3) in m, turn (3) in rad, growth of the logarithm of the scale


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """``camera_from_object`` of K hypotheses."""

    rotation: Floats  # (K, 3, 3)
    translation_m: Floats  # (K, 3)
    scale: Floats  # (K,)

    @classmethod
    def of(cls, similarities: Sequence[Similarity]) -> "Poses":
        """Stack poses."""
        return cls(
            np.stack([each.rotation for each in similarities]).astype(np.float64),
            np.stack([each.translation_m for each in similarities]).astype(np.float64),
            np.array([each.scale for each in similarities], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, chosen: Ints) -> "Poses":
        return Poses(self.rotation[chosen], self.translation_m[chosen], self.scale[chosen])

    def similarity(self, index: int) -> Similarity:
        """Return one of the poses."""
        return Similarity(self.rotation[index], self.translation_m[index], float(self.scale[index]))

    def apply(self, points: Floats) -> Floats:
        """Map points ``(N, 3)`` or ``(K, N, 3)`` to the camera, ``(K, N, 3)``."""
        turned = points @ self.rotation.transpose(0, 2, 1)
        return self.scale[:, None, None] * turned + self.translation_m[:, None]

    def turn(self, directions: Floats) -> Floats:
        """Map directions ``(N, 3)`` or ``(K, N, 3)`` to the camera, ``(K, N, 3)``."""
        turned: Floats = directions @ self.rotation.transpose(0, 2, 1)
        return turned

    def unapply(self, points: Floats) -> Floats:
        """Map points ``(N, 3)`` of the camera to the object, ``(K, N, 3)``."""
        shifted = points - self.translation_m[:, None]
        return (shifted @ self.rotation) / self.scale[:, None, None]

    def unturn(self, directions: Floats) -> Floats:
        """Map directions ``(N, 3)`` of the camera to the object, scaled as points are."""
        return (directions @ self.rotation) / self.scale[:, None, None]

    def moved(self, steps: Floats, pivots: Floats) -> "Poses":
        """Shift, turn and grow about pivots in the camera frame.

        Args:
            steps: ``(K, 7)``, see ``NUM_PARAMETERS``.
            pivots: ``(K, 3)``.
        """
        turns = rotations_from_vectors(steps[:, 3:6])
        growth = np.exp(steps[:, 6])
        arms = np.einsum("kij,kj->ki", turns, self.translation_m - pivots)
        return Poses(
            turns @ self.rotation,
            pivots + steps[:, :3] + growth[:, None] * arms,
            growth * self.scale,
        )


def joined(*groups: Poses) -> Poses:
    """Return the poses of several groups as one."""
    return Poses(
        np.concatenate([group.rotation for group in groups]),
        np.concatenate([group.translation_m for group in groups]),
        np.concatenate([group.scale for group in groups]),
    )


def rotations_from_vectors(vectors: Floats) -> Floats:
    """Return rotations ``(K, 3, 3)`` about vectors ``(K, 3)``, by their lengths (Rodrigues)."""
    angles = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    half = np.sinc(angles / (2 * np.pi))  # sin(a/2) / (a/2)
    rotations: Floats = np.eye(3) + np.sinc(angles / np.pi) * cross + half**2 / 2 * cross @ cross
    return rotations
