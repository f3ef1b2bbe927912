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

"""What the models see of one object: crops and full views, resized and normalised."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConditionInputs:
    """Inputs of a condition embedder, batched over objects, all of one side length T.

    Point maps are normalised (see ``SceneNormaliser``), in the reference's camera axes (x left,
    y up, z forward), NaN where unknown; the refinement model takes none.
    """

    image: Tensor  # (B, 3, T, T) float32 in [0, 1], cropped around the object
    rgb_image: Tensor  # (B, 3, T, T), the whole view
    mask: Tensor  # (B, 1, T, T), cropped like the image
    rgb_image_mask: Tensor  # (B, 1, T, T), the whole view
    pointmap: Tensor | None = None  # (B, 3, T, T), cropped
    rgb_pointmap: Tensor | None = None  # (B, 3, T, T), the whole view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneNormaliser:
    """How points were normalised: ``(points - shift_m) / scale_m``, in camera_p3d axes."""

    scale_m: Tensor  # (B,)
    shift_m: Tensor  # (B, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedObjects:
    """Objects ready for the models, batched: what to look at, and how to read the answer."""

    conditions: ConditionInputs
    normaliser: SceneNormaliser
