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

"""The passes over people: their bodies, their hands closely, their bodies again; see ``Passes``."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from sam3d_ros.body.asked import AskedPerson, Squares, cut_bodies, cut_hands
from sam3d_ros.body.backbone import model_images
from sam3d_ros.body.estimates import BodyValues, Estimate, PosedBody
from sam3d_ros.body.merge import (
    ArmConstants,
    hand_boxes_px,
    keypoint_prompts,
    looked_at_px,
    read_hands,
    trust,
    with_hands,
)
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.model import BodyModel, Crops, Part, Told
from sam3d_ros.body.pose_head import PoseHead
from sam3d_ros.body.rows import joined, replaced, rows
from sam3d_ros.errors import CancelledError
from sam3d_ros.nn.devices import finish, lent_to
from sam3d_ros.protocols import Cancelled, Step, never, tell
from sam3d_ros.structures import Bytes, Camera


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleImage:
    """An image, and who is asked about in it."""

    rgb: Bytes  # (H, W, 3)
    camera: Camera
    people: Sequence[AskedPerson]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRules:
    """Which passes, and how.

    Several people at once are told together what their hands say, as the released model does: all
    get the same number of prompts, also those that say nothing, so that a result depends on who
    else is in the image. Else each person is as if alone.
    """

    hands: bool = True  # look at hands closely
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bodies:
    """N people after all passes."""

    last: Estimate  # of the last pass over the bodies
    values: BodyValues  # with the hands that were accepted
    posed: PosedBody
    accepted: Tensor | None = None  # (N, 2) hands that were looked at closely, and fit
    looked_at_px: Tensor | None = None  # (N, 2, 4) squares x1 y1 x2 y2 of the hands
    stage_s: dict[str, float] = field(default_factory=dict)


class Passes:
    """The model with its rig on a device.

    Args:
        model: The model.
        rig: The rig that it poses.
        device: Where they run.
        low_memory: Weights wait on the CPU and are on the device only while they are used.
    """

    def __init__(
        self, model: BodyModel, rig: BodyRig, device: torch.device, *, low_memory: bool = False
    ) -> None:
        self.model = model
        self.rig = rig
        self.device = device
        self._low_memory = low_memory
        decoders = [module for name, module in model.named_children() if name != "backbone"]
        self._decoding = nn.ModuleList([*decoders, rig])
        with self._lent(self._decoding):
            self._rigs = model.prepared(rig)

    def park(self) -> bool:
        """Let weights wait on the CPU from now on; return whether that makes room elsewhere."""
        makes_room = not self._low_memory and self.device.type != "cpu"
        if makes_room:
            self.model.cpu()
            self.rig.cpu()
            self._low_memory = True
        return makes_room

    @torch.no_grad()
    def run(self, image: PeopleImage, rules: PassRules, cancelled: Cancelled = never) -> Bodies:
        """Make the passes over people of one image.

        The backbone is called once for all bodies and once for all hands, which lie where the
        bodies have them.

        Raises:
            CancelledError: When ``cancelled`` answered true.
        """
        watch = _Watch(self.device, len(image.people), cancelled)
        with watch.stage("body"):
            crops, first = self._bodies(image)
        if not rules.hands:
            with watch.stage("surface"), self._lent(self._decoding):
                posed = self._head.posed(first.values, self._rigs[Part.BODY])
            return Bodies(last=first, values=first.values, posed=posed, stage_s=watch.stage_s)
        with watch.stage("hands"):
            hand_crops, seen = self._hands(image, hand_boxes_px(first.hand_boxes, crops.views))
        with watch.stage("body again"), self._lent(self._decoding):
            bodies = self._with_hands(image, (crops, first), (hand_crops, seen), rules)
        return replace(bodies, stage_s=watch.stage_s)

    @torch.no_grad()
    def right_hands(self, squares: Squares, camera: Camera) -> Estimate:
        """Pass over squares of an image that show a right hand each."""
        return self._seen_hands(squares, camera)[1]

    @property
    def _head(self) -> PoseHead:
        return self.model.layers(Part.BODY).head_pose

    def _bodies(self, image: PeopleImage) -> tuple[Crops, Estimate]:
        size, people = self.model.architecture.image_size, image.people
        squares, masks = cut_bodies(image.rgb, people, size)
        features = self._features(squares)
        with self._lent(self._decoding):
            features = self.model.prompt_encoder.add_masks(
                features,
                torch.from_numpy(masks).to(self.device)[:, None].float(),
                torch.tensor([float(each.mask is not None) for each in people]).to(self.device),
            )
            crops = Crops(features=features, views=squares.views(image.camera, self.device))
            prompts = [torch.from_numpy(each.prompts).float() for each in people]
            return crops, self._decoded(crops, prompts, None)

    def _hands(self, image: PeopleImage, boxes_px: Tensor) -> tuple[Crops, Estimate]:
        boxes = boxes_px.cpu().numpy().astype(np.float64)
        squares = cut_hands(image.rgb, boxes, self.model.architecture.image_size)
        return self._seen_hands(squares, image.camera)

    def _seen_hands(self, squares: Squares, camera: Camera) -> tuple[Crops, Estimate]:
        features = self._features(squares)
        with self._lent(self._decoding):
            features = self.model.prompt_encoder.add_no_masks(features)
            crops = Crops(features=features, views=squares.views(camera, self.device))
            return crops, self.model(Part.HAND, crops, Told(), self._rigs[Part.HAND])

    def _with_hands(
        self,
        image: PeopleImage,
        bodies: tuple[Crops, Estimate],
        hands: tuple[Crops, Estimate],
        rules: PassRules,
    ) -> Bodies:
        (crops, first), (hand_crops, seen) = bodies, hands
        width, head = image.camera.width, self._head
        constants = ArmConstants.of(head)
        readings = read_hands(seen, hand_crops.views, width, constants)
        trusted = trust(first, readings, constants)
        prompts = keypoint_prompts(first, readings, crops.views, trusted.believed).cpu()
        told = [
            torch.cat((torch.from_numpy(person.prompts).float(), each))
            for person, each in zip(image.people, prompts, strict=True)
        ]
        last = self._again(crops, first, told, together=rules.together and len(told) > 1)
        made = with_hands(last, readings, trusted, head, self._rigs[Part.BODY])
        return Bodies(
            last=last,
            values=made.values,
            posed=made.posed,
            accepted=made.accepted,
            looked_at_px=looked_at_px(hand_crops.views, width),
        )

    def _again(
        self, crops: Crops, first: Estimate, prompts: Sequence[Tensor], *, together: bool
    ) -> Estimate:
        """Pass over bodies once more; one about whom nothing is said stays as it is.

        Args:
            crops: Of the bodies.
            first: What the first pass over them said.
            prompts: Of each person ``(K, 3)``, with labels below zero for what says nothing.
            together: Whether what says nothing is told, too.
        """
        if not together:
            prompts = [each[each[:, 2] >= 0] for each in prompts]
        told = [place for place, each in enumerate(prompts) if len(each)]
        if not told:
            return first
        said = [prompts[place] for place in told]
        if len(told) == len(prompts):
            return self._decoded(crops, said, first.previous)
        index = torch.tensor(told, device=self.device)
        part = self._decoded(_crops_of(crops, index), said, first.previous[index])
        return replaced(first, index, part)

    def _decoded(
        self, crops: Crops, prompts: Sequence[Tensor], previous: Tensor | None
    ) -> Estimate:
        """Pass over bodies with prompts ``(K, 3)`` each; people with as many are one batch."""
        numbers = sorted({len(each) for each in prompts})
        if len(numbers) == 1:
            return self._decoded_alike(crops, prompts, previous)
        parts, order = [], []
        for number in numbers:
            places = [place for place, each in enumerate(prompts) if len(each) == number]
            index = torch.tensor(places, device=self.device)
            part = self._decoded_alike(
                _crops_of(crops, index),
                [prompts[place] for place in places],
                None if previous is None else previous[index],
            )
            parts.append(part)
            order += places
        return rows(joined(parts), torch.tensor(np.argsort(order), device=self.device))

    def _decoded_alike(
        self, crops: Crops, prompts: Sequence[Tensor], previous: Tensor | None
    ) -> Estimate:
        keypoints = torch.stack(tuple(prompts)).to(self.device)
        told = Told(keypoints=keypoints if keypoints.shape[1] else None, previous=previous)
        return self.model(Part.BODY, crops, told, self._rigs[Part.BODY])

    def _features(self, squares: Squares) -> Tensor:
        images = model_images(squares.pixels, self.model.architecture, self.device)
        with self._lent(self.model.backbone):
            return self.model.features(images)

    def _lent(self, module: nn.Module) -> AbstractContextManager[object]:
        return lent_to(module, self.device) if self._low_memory else nullcontext()


class _Watch:
    """How long stages take, per person; asks before each whether to go on."""

    def __init__(self, device: torch.device, num_people: int, cancelled: Cancelled) -> None:
        self._device = device
        self._num_people = num_people
        self._cancelled = cancelled
        self.stage_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done meanwhile.

        Raises:
            CancelledError: When the work was called off.
        """
        if self._cancelled():
            raise CancelledError(f"stopped before stage {name} of {self._num_people} people")
        tell(self._cancelled, Step(stage=name, total=self._num_people))
        started = time.perf_counter()
        yield
        finish(self._device)
        self.stage_s[name] = (time.perf_counter() - started) / self._num_people


def _crops_of(crops: Crops, index: Tensor) -> Crops:
    """Return some of the crops."""
    views = replace(
        crops.views,
        crop_from_image=crops.views.crop_from_image[index],
        centers_px=crops.views.centers_px[index],
        sides_px=crops.views.sides_px[index],
    )
    return Crops(features=crops.features[index], views=views)
