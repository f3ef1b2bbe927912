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

"""Point maps in units of their scene, with the object's median point at the origin."""

from torch import Tensor

from sam3d_ros.nn.resize import resize_nearest
from sam3d_ros.objects.inputs import SceneNormaliser


def scene_normaliser(points: Tensor, mask: Tensor) -> SceneNormaliser:
    """Return shift and scale, batch of one, of a point map ``(3, h, w)`` and a mask ``(1, H, W)``.

    The shift is the median of the object's points, axis by axis; the scale is the median of the
    distance from there (largest coordinate) over all of the view. Of an even number, the lower
    middle one. Without any number on the object the shift is 0 and the scale 1.
    """
    object_mask = resize_nearest(mask[None], (points.shape[1], points.shape[2]))[0, 0] > 0.5
    object_points = points[:, object_mask]
    if not object_points.isfinite().any():
        return SceneNormaliser(scale_m=points.new_ones(1), shift_m=points.new_zeros(1, 3))
    shift = object_points.nanmedian(dim=1).values
    distance = (points - shift[:, None, None]).abs().amax(dim=0)  # NaN where any coordinate is
    return SceneNormaliser(scale_m=distance.nanmedian()[None], shift_m=shift[None])


def normalised(points: Tensor, normaliser: SceneNormaliser) -> Tensor:
    """Return a batch of point maps ``(B, 3, h, w)`` in the units of its scenes."""
    shift, scale = normaliser.shift_m[..., None, None], normaliser.scale_m[:, None, None, None]
    return (points - shift) / scale
