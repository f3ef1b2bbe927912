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

"""From one object in one image to the inputs of the models; an observation is such an image.

Cropping, padding and resizing are those that the released models were trained with, their oddities
included. ``reference_inputs`` comes to the same core from what the reference takes.

Of an observation's two masks the models get ``silhouette``: they were trained on instance masks as
segmentation gives them, outline and all; what all of an outline shows around the object has been
taken off (``scene.margins``). ``mask`` leaves out pixels without a trusted point, which
would read as holes in the object; medians bear the few points at the outline that are not its own.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.errors import DepthSparseError
from sam3d_ros.nn.resize import resize_bilinear, resize_nearest, resize_point_map
from sam3d_ros.objects.axes import axes_swapped
from sam3d_ros.objects.crop import cropped, object_box, squared
from sam3d_ros.objects.inputs import ConditionInputs, PreparedObjects, SceneNormaliser
from sam3d_ros.objects.normalise import normalised, scene_normaliser
from sam3d_ros.structures import Bools, Bytes, Floats, Observation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One object in one image, as tensors."""

    rgb: Tensor  # (3, H, W) float32 in [0, 1]
    mask: Tensor  # (1, H, W) float32, 0 outside of the object
    points_p3d: Tensor  # (3, h, w) in camera_p3d, NaN where unknown; of any size


def prepare_observation(
    observation: Observation, side: int, device: torch.device | str = "cpu"
) -> PreparedObjects:
    """Return the model inputs, ``side`` pixels square, of a metric observation.

    Raises:
        MaskEmptyError: The silhouette is empty or too thin to crop.
        DepthSparseError: No point of the object is known, or all that are known coincide.
    """
    view = _view(observation, device)
    object_box(view.mask)  # what is wrong with the mask goes before what is wrong with its points
    return prepare_view(view, _checked_normaliser(view, observation.instance.instance_id), side)


def observation_normaliser(
    observation: Observation, device: torch.device | str = "cpu"
) -> SceneNormaliser:
    """Return shift and scale of an observation's points, in metres if the points are.

    Latents that were conditioned on another map of the same view, a monocular one for example,
    become a metric pose when decoded with the normaliser of measured depth. That is as good as the
    two maps agree in which pixels they know.

    Raises:
        DepthSparseError: No point of the object is known, or all that are known coincide.
    """
    return _checked_normaliser(_view(observation, device), observation.instance.instance_id)


def prepare_view(view: View, normaliser: SceneNormaliser, side: int) -> PreparedObjects:
    """Return the model inputs, ``side`` pixels square, of a view whose normaliser is known."""
    points = normalised(view.points_p3d[None], normaliser)[0]
    box = object_box(view.mask)
    crop_points = cropped(_at_size_of(view.rgb, points), box, square_fill=torch.nan)
    conditions = ConditionInputs(
        image=_image_input(cropped(view.rgb, box), side),
        rgb_image=_image_input(view.rgb, side),
        mask=_map_input(cropped(view.mask, box), side),
        rgb_image_mask=_map_input(view.mask, side),
        pointmap=_map_input(crop_points, side),
        rgb_pointmap=_map_input(points, side),  # from its own size: one resampling less
    )
    return PreparedObjects(conditions=conditions, normaliser=normaliser)


def without_points(conditions: ConditionInputs) -> ConditionInputs:
    """Return what the refinement model sees: the same views, no point maps."""
    return replace(conditions, pointmap=None, rgb_pointmap=None)


def tensor_of(image: Bools | Bytes | Floats, device: torch.device | str = "cpu") -> Tensor:
    """Copy an image to a tensor; it may be read-only, or a mirrored view of another one."""
    return torch.as_tensor(np.array(image, order="C"), device=device)


def _view(observation: Observation, device: torch.device | str) -> View:
    points_camera = tensor_of(observation.points_camera, device)
    return View(
        rgb=tensor_of(observation.rgb, device).movedim(-1, 0),
        mask=tensor_of(observation.silhouette, device)[None].float(),
        points_p3d=axes_swapped(points_camera.float()).movedim(-1, 0),
    )


def _checked_normaliser(view: View, instance_id: int) -> SceneNormaliser:
    known = view.points_p3d.isfinite().all(dim=0)
    on_object = known & (view.mask[0] > 0)
    normaliser = scene_normaliser(view.points_p3d, view.mask)
    if not on_object.any() or not normaliser.scale_m > 0:
        raise DepthSparseError(
            f"mask {instance_id} must have known points, at more than one place, has "
            f"{int(on_object.sum())} at its {int(view.mask.sum())} pixels, with "
            f"{int(known.sum())} in the whole view; check that depth is registered to the image "
            "and the object within range, or send no depth and let a depth model estimate it"
        )
    return normaliser


def _at_size_of(image: Tensor, points: Tensor) -> Tensor:
    if points.shape[1:] == image.shape[1:]:
        return points
    return resize_point_map(points[None], (image.shape[1], image.shape[2]))[0]


def _image_input(image: Tensor, side: int) -> Tensor:
    return resize_bilinear(squared(image)[None], (side, side))


def _map_input(image: Tensor, side: int) -> Tensor:
    """Resize a mask or point map; a point map's margins become 0, a known point, as in training."""
    return resize_nearest(squared(image)[None], (side, side))
