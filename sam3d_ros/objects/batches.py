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

"""Several objects, of one view or of many, as one batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sam3d_ros.errors import ShapeError
from sam3d_ros.objects.inputs import ConditionInputs, PreparedObjects, SceneNormaliser


def stack_objects(objects: Sequence[PreparedObjects]) -> PreparedObjects:
    """Join batches of objects to one batch, in their order.

    Raises:
        ShapeError: There are none, or they differ in side or in having point maps.
    """
    if not objects:
        raise ShapeError("objects must be one or more, got none; skip frames without masks")
    return PreparedObjects(
        conditions=_stacked_conditions([item.conditions for item in objects]),
        normaliser=SceneNormaliser(
            scale_m=torch.cat([item.normaliser.scale_m for item in objects]),
            shift_m=torch.cat([item.normaliser.shift_m for item in objects]),
        ),
    )


def _stacked_conditions(items: Sequence[ConditionInputs]) -> ConditionInputs:
    sides = sorted({item.image.shape[-1] for item in items})
    if len(sides) > 1:
        raise ShapeError(f"objects of a batch must have one side in pixels, got {sides}")
    return ConditionInputs(
        image=torch.cat([item.image for item in items]),
        rgb_image=torch.cat([item.rgb_image for item in items]),
        mask=torch.cat([item.mask for item in items]),
        rgb_image_mask=torch.cat([item.rgb_image_mask for item in items]),
        pointmap=_stacked_maps([item.pointmap for item in items]),
        rgb_pointmap=_stacked_maps([item.rgb_pointmap for item in items]),
    )


def _stacked_maps(maps: Sequence[Tensor | None]) -> Tensor | None:
    present = [points for points in maps if points is not None]
    if len(present) not in (0, len(maps)):
        raise ShapeError(
            f"objects of a batch must all have point maps or none, got {len(present)} of "
            f"{len(maps)} with"
        )
    return torch.cat(present) if present else None
