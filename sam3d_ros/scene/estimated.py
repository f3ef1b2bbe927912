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


"""A view whose points are estimated from its image, because they were not measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from sam3d_ros.geometry.depth import unproject
from sam3d_ros.geometry.depth_alignment import DepthAlignment, align_depth
from sam3d_ros.structures import Camera, EstimatedPoints, Floats, ScaleSource

Estimate: TypeAlias = Callable[[Floats, Camera], EstimatedPoints]  # of an image and its camera
UNSCALED = "depth was estimated from the image alone: distance and size are a guess"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A frame in its rectified camera."""

    camera: Camera
    rgb: Floats  # (H, W, 3) float32 in [0, 1]
    points_camera: Floats  # (H, W, 3)
    scale_source: ScaleSource
    notes: tuple[str, ...] = ()  # on the points


def estimated_view(measured: View, estimate: Estimate) -> View:
    """Return a view with estimated points, in the metres of what was measured if that is enough.

    Raises:
        Sam3dError: Nothing can be estimated in this image, or not now.
    """
    estimated = estimate(measured.rgb, measured.camera)
    points, note = estimated.points_camera, UNSCALED
    alignment = align_depth(points[..., 2], measured.points_camera[..., 2])
    if alignment is not None:
        points = unproject(alignment.apply(points[..., 2]), measured.camera)
        note = _sentence(alignment)
    return replace(
        measured, points_camera=points, scale_source=ScaleSource.MONOCULAR, notes=(note,)
    )


def _sentence(alignment: DepthAlignment) -> str:
    return (
        f"depth was estimated from the image and fitted to {alignment.num_readings} readings in "
        f"the rest of it (scale {alignment.scale:.3g}, offset {alignment.offset_m:.3g} m, median "
        f"difference {alignment.difference:.1%})"
    )
