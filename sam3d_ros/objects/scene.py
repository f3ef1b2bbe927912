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

"""Splats of several objects in one frame, which go on to be looked at together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.structures import Floats, Similarity, Splats

LEAST_SCALE = 1.1  # of composed splats, in smallest scales of their object
OPAQUE = 0.9  # opacity above which splats tell the size of what is shown
UPRIGHT_FROM_CAMERA = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedSplats:
    """The splats of one object, and where it stands."""

    splats: Splats
    camera_from_object: Similarity


def compose_splats(objects: Sequence[PlacedSplats]) -> Splats:
    """Bring the splats of several objects into the camera frame as one.

    The model widens each of its splats by a smallest scale, which is that of its object's frame.
    One set of splats has one smallest scale, the least of all objects'; each splat gives back what
    it was widened by and is widened by that. So does the reference, which stores a scene so.

    Raises:
        ReconstructionError: There are no objects.
    """
    if not objects:
        raise ReconstructionError("a scene must have one or more objects, got none")
    moved = [each.splats.transformed(each.camera_from_object) for each in objects]
    min_scale = min(splats.min_scale for splats in moved)
    return Splats(
        means=np.concatenate([splats.means for splats in moved]),
        scales=np.concatenate([_refiltered_scales(splats, min_scale) for splats in moved]),
        quats_wxyz=np.concatenate([splats.quats_wxyz for splats in moved]),
        opacities=np.concatenate([splats.opacities for splats in moved]),
        sh_dc=np.concatenate([splats.sh_dc for splats in moved]),
        min_scale=min_scale,
    )


def turntable_splats(splats_camera: Splats) -> Splats:
    """Return a scene to be turned and looked at: z up, about the origin, its longest side 1.

    What is opaque counts; all does if nothing is.

    Raises:
        ReconstructionError: There are no splats, or all are in one place.
    """
    upright = Similarity(UPRIGHT_FROM_CAMERA, np.zeros(3))
    opaque = splats_camera.opacities > OPAQUE
    points = upright.apply(splats_camera.means[opaque] if opaque.any() else splats_camera.means)
    low, high = points.min(axis=0, initial=np.inf), points.max(axis=0, initial=-np.inf)
    size = float((high - low).max())
    if not size > 0:
        raise ReconstructionError(
            f"splats must be in more than one place to have a size, {len(points)} are in one"
        )
    middle = (low + high) / 2
    return splats_camera.transformed(Similarity(np.eye(3), -middle / size, 1 / size) @ upright)


def _refiltered_scales(splats: Splats, min_scale: float) -> Floats:
    """Return scales with another smallest scale in place of the splats' own."""
    scales = splats.scales.astype(np.float64).clip(LEAST_SCALE * splats.min_scale)
    return np.sqrt(scales**2 - splats.min_scale**2 + min_scale**2).astype(np.float32)
