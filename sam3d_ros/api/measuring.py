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

"""Bodies of an image put where the depth that came with it says, as the node does it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sam3d_ros.api.images import Image
from sam3d_ros.config import SceneConfig
from sam3d_ros.geometry.depth import metric_depth
from sam3d_ros.protocols import BodyOutcome
from sam3d_ros.scene.boxes import filled_box, with_objects_in_boxes
from sam3d_ros.scene.observe import measured_view
from sam3d_ros.scene.people.seeing import MAX_TRIANGLES, aligned, sight_of
from sam3d_ros.scene.people.surfaces import Thinner
from sam3d_ros.structures import (
    BodyReconstruction,
    Bools,
    Camera,
    DepthImage,
    Frame,
    InstanceMask,
    PeopleView,
    PersonPrompt,
)


def measured_frame(view: PeopleView, depth: Image) -> Frame:
    """Return an image with its depth ``(H, W)``, in metres or whole millimetres.

    Raises:
        Sam3dError: The depth is not of the size of the image, or no depth.
    """
    depth_image = DepthImage(depth_m=metric_depth(np.asarray(depth)), camera=view.camera)
    return Frame(rgb=view.rgb, camera=view.camera, depth=depth_image)


def measured_bodies(
    outcomes: list[BodyOutcome], view: PeopleView, frame: Frame, config: SceneConfig
) -> list[BodyOutcome]:
    """Return bodies moved to the depth under their masks; errors stay what they are.

    Where somebody was marked by a box alone, depth tells in it who is measured.

    Args:
        outcomes: Of each person.
        view: What was asked.
        frame: With depth.
        config: Of ``body.align``, ``depth`` and ``masks``.
    """
    if not config.body.align:
        return outcomes
    seen, thinner = measured_view(frame, config), Thinner(MAX_TRIANGLES)
    masks = _masks(outcomes, view, frame, config)
    return [
        aligned(outcome, sight_of(mask, seen, ~mask, config), thinner)
        if isinstance(outcome, BodyReconstruction)
        else outcome
        for outcome, mask in zip(outcomes, masks, strict=True)
    ]


def _masks(
    outcomes: Sequence[BodyOutcome], view: PeopleView, frame: Frame, config: SceneConfig
) -> list[Bools]:
    """Return the pixels ``(H, W)`` that show each person; none of whom there is no body."""
    places = range(len(outcomes))
    marked = [_marked(*each, view.camera) for each in zip(view.people, outcomes, strict=True)]
    boxes = tuple(
        InstanceMask(instance_id=place, mask=marked[place], is_box=True)
        for place in places
        if view.people[place].mask is None
    )
    found = with_objects_in_boxes(replace(frame, masks=boxes), config).masks
    # Where depth tells nothing apart, the box is taken: what is beside the body is not compared.
    outlined = {each.instance_id: each.mask for each in found if each.mask.any()}
    return [outlined.get(place, marked[place]) for place in places]


def _marked(prompt: PersonPrompt, outcome: BodyOutcome, camera: Camera) -> Bools:
    """Return the mask of somebody, or the box, filled."""
    if prompt.mask is not None:
        return np.asarray(prompt.mask) != 0
    size = camera.height, camera.width
    if not isinstance(outcome, BodyReconstruction):  # nor need the box be one
        return np.zeros(size, dtype=bool)
    return filled_box(outcome.box_px if prompt.box_px is None else prompt.box_px, size)
