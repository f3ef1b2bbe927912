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

"""How people are reconstructed where nobody thinks of time: what our passes are measured beside."""

from dataclasses import replace

import torch
from torch import Tensor

from sam3d_ros.body.asked import Squares, cut_bodies, cut_hands
from sam3d_ros.body.backbone import model_images
from sam3d_ros.body.estimates import Estimate
from sam3d_ros.body.head_rig import HeadRig, KeypointRegressor
from sam3d_ros.body.merge import (
    ArmConstants,
    hand_boxes_px,
    keypoint_prompts,
    read_hands,
    trust,
    with_hands,
)
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.model import BodyModel, Crops, Part, Told
from sam3d_ros.body.passes import PeopleImage
from sam3d_ros.body.rows import joined
from sam3d_ros.structures import Camera


class ReferencePasses:
    """The passes one after the other, with the whole surface after every layer.

    Bodies, left hands and right hands go through the backbone one kind after the other, and
    keypoints are always made of all vertices. The same weights and rules give the same bodies.
    """

    def __init__(self, model: BodyModel, rig: BodyRig, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._rigs = {
            part: whole_surface(model.layers(part).head_pose.prepared(rig), rig.num_vertices)
            for part in Part
        }

    @torch.no_grad()
    def vertices_m(self, image: PeopleImage) -> Tensor:
        """Return bodies ``(N, V, 3)`` around their origins, with the hands that fit them."""
        model, camera = self._model, image.camera
        squares, masks = cut_bodies(image.rgb, image.people, model.architecture.image_size)
        scores = torch.tensor([float(each.mask is not None) for each in image.people])
        features = model.prompt_encoder.add_masks(
            self._features(squares),
            torch.from_numpy(masks).to(self._device)[:, None].float(),
            scores.to(self._device),
        )
        crops = Crops(features=features, views=squares.views(camera, self._device))
        first = model(Part.BODY, crops, Told(), self._rigs[Part.BODY])
        boxes = hand_boxes_px(first.hand_boxes, crops.views).cpu().double().numpy()
        both = cut_hands(image.rgb, boxes, model.architecture.image_size)
        halves = [_half(both, side, len(image.people)) for side in range(2)]
        seen = joined([self._hands(each, camera) for each in halves])
        head, rig = model.layers(Part.BODY).head_pose, self._rigs[Part.BODY]
        constants = ArmConstants.of(head)
        views = both.views(camera, self._device)
        hands = read_hands(seen, views, camera.width, constants)
        trusted = trust(first, hands, constants)
        last = self._again(
            crops, first, keypoint_prompts(first, hands, crops.views, trusted.believed)
        )
        return with_hands(last, hands, trusted, head, rig).posed.vertices_m

    def _hands(self, squares: Squares, camera: Camera) -> Estimate:
        features = self._model.prompt_encoder.add_no_masks(self._features(squares))
        crops = Crops(features=features, views=squares.views(camera, self._device))
        return self._model(Part.HAND, crops, Told(), self._rigs[Part.HAND])

    def _again(self, crops: Crops, first: Estimate, prompts: Tensor) -> Estimate:
        if len(prompts) == 1:
            prompts = prompts[:, prompts[0, :, 2] >= 0]
        if not prompts.shape[1]:
            return first
        told = Told(keypoints=prompts, previous=first.previous)
        return self._model(Part.BODY, crops, told, self._rigs[Part.BODY])

    def _features(self, squares: Squares) -> Tensor:
        images = model_images(squares.pixels, self._model.architecture, self._device)
        return self._model.features(images)


def whole_surface(rig: HeadRig, num_vertices: int) -> HeadRig:
    """Return a rig that makes keypoints of all vertices."""
    few = rig.regressor
    from_vertices = few.from_vertices.new_zeros(len(few.from_vertices), num_vertices)
    from_vertices[:, few.vertices] = few.from_vertices
    everything = KeypointRegressor(
        vertices=torch.arange(num_vertices, device=few.vertices.device),
        from_vertices=from_vertices,
        from_joints=few.from_joints,
    )
    return replace(rig, of_keypoints=rig.whole, regressor=everything)


def _half(both: Squares, side: int, num_people: int) -> Squares:
    rows = slice(side * num_people, (side + 1) * num_people)
    return Squares(
        centers_px=both.centers_px[rows],
        sides_px=both.sides_px[rows],
        crop_from_image=both.crop_from_image[rows],
        pixels=both.pixels[rows],
    )
