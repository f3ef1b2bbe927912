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

"""Laws of the body model's decoders, at tiny sizes and with random weights."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from sam3d_ros.body.architecture import BackboneKind, BodyArchitecture
from sam3d_ros.body.camera_head import Placement
from sam3d_ros.body.decoder import TokenStream
from sam3d_ros.body.estimates import BodyValues, LayerEstimate
from sam3d_ros.body.head_rig import HeadRig, KeypointRegressor
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.model import BodyModel, Crops, Part, Told
from sam3d_ros.body.prompts import NO_PROMPT, middle_columns
from sam3d_ros.body.random_weights import TINY_RIG, random_body, tiny_body_architecture
from sam3d_ros.body.views import CropViews
from sam3d_ros.errors import ShapeError
from sam3d_ros.structures.people import NUM_KEYPOINTS

NUM_PEOPLE = 8
MATRIX_PX = torch.tensor([[600.0, 0.0, 310.0], [0.0, 610.0, 250.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module", params=BackboneKind)
def loaded(request: pytest.FixtureRequest) -> tuple[BodyModel, BodyRig]:
    body = random_body(
        tiny_body_architecture(request.param),
        TINY_RIG,
        torch.Generator().manual_seed(0),
        torch.float32,
    )
    return body.model.requires_grad_(False), BodyRig.of(body.rig)


@pytest.fixture(scope="module")
def model(loaded: tuple[BodyModel, BodyRig]) -> BodyModel:
    return loaded[0]


@pytest.fixture(scope="module")
def rigs(loaded: tuple[BodyModel, BodyRig]) -> dict[Part, HeadRig]:
    return loaded[0].prepared(loaded[1])


def some_crops(architecture: BodyArchitecture) -> Crops:
    generator = torch.Generator().manual_seed(1)
    sides = 100.0 + 300.0 * torch.rand(NUM_PEOPLE, generator=generator)
    centers = 600.0 * torch.rand(NUM_PEOPLE, 2, generator=generator)
    size = architecture.image_size
    scale = (size / sides)[:, None]
    shift = size / 2 - scale * centers
    zero = torch.zeros_like(scale)
    rows = torch.stack(
        (torch.cat((scale, zero, shift[:, :1]), 1), torch.cat((zero, scale, shift[:, 1:]), 1)), 1
    )
    features = torch.randn(
        NUM_PEOPLE, architecture.backbone.dim, *architecture.grid, generator=generator
    )
    views = CropViews(
        crop_from_image=rows, centers_px=centers, sides_px=sides, matrix_px=MATRIX_PX, size=size
    )
    return Crops(features=features, views=views)


def one_of(crops: Crops, index: int) -> Crops:
    views, each = crops.views, slice(index, index + 1)
    return Crops(
        features=crops.features[each],
        views=replace(
            views,
            crop_from_image=views.crop_from_image[each],
            centers_px=views.centers_px[each],
            sides_px=views.sides_px[each],
        ),
    )


@pytest.mark.parametrize("part", Part)
def test_people_are_estimated_as_if_each_were_alone(
    model: BodyModel, rigs: dict[Part, HeadRig], part: Part
) -> None:
    crops = some_crops(model.architecture)

    together = model(part, crops, Told(), rigs[part])

    for index in range(NUM_PEOPLE):
        alone = model(part, one_of(crops, index), Told(), rigs[part])
        torch.testing.assert_close(alone.raw[0], together.raw[index])
        torch.testing.assert_close(
            alone.posed.keypoints_m[0], together.posed.keypoints_m[index], rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            alone.placement.translation_m[0], together.placement.translation_m[index]
        )


def test_what_was_answered_before_and_what_is_said_count(
    model: BodyModel, rigs: dict[Part, HeadRig]
) -> None:
    crops, rig = some_crops(model.architecture), rigs[Part.BODY]
    first = model(Part.BODY, crops, Told(), rig)
    keypoint = torch.tensor([[[0.4, 0.6, 41.0]]]).expand(NUM_PEOPLE, -1, -1)

    again = model(Part.BODY, crops, Told(previous=first.previous), rig)
    said = model(Part.BODY, crops, Told(keypoints=keypoint), rig)

    assert first.previous.shape == (NUM_PEOPLE, 522)
    assert not torch.allclose(again.raw, first.raw)
    assert not torch.allclose(said.raw, first.raw)


def test_a_prompt_that_says_nothing_is_not_the_same_as_none(
    model: BodyModel, rigs: dict[Part, HeadRig]
) -> None:
    # Why people with fewer prompts than others must not share a batch with them.
    crops, rig = some_crops(model.architecture), rigs[Part.BODY]
    twice = torch.tensor([[[0.0, 0.0, NO_PROMPT]] * 2]).expand(NUM_PEOPLE, -1, -1)

    once = model(Part.BODY, crops, Told(), rig)

    assert not torch.allclose(model(Part.BODY, crops, Told(keypoints=twice), rig).raw, once.raw)


def test_layers_before_the_last_are_told_apart(model: BodyModel, rigs: dict[Part, HeadRig]) -> None:
    answer = model(Part.BODY, some_crops(model.architecture), Told(), rigs[Part.BODY])

    assert len(answer.earlier) == model.architecture.decoder.depth - 1
    assert all(not torch.equal(layer.raw, answer.raw) for layer in answer.earlier)


class Waits(TorchDispatchMode):
    """Notes operations for which a GPU would stop."""

    NAMES = ("lift_fresh", "_local_scalar_dense", "nonzero", "masked_select")

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        if func.overloadpacket.__name__ in self.NAMES:
            self.noted.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("part", Part)
def test_a_pass_waits_for_nothing(model: BodyModel, rigs: dict[Part, HeadRig], part: Part) -> None:
    crops = some_crops(model.architecture)
    model(part, crops, Told(), rigs[part])  # indices get to the device once

    with Waits() as waits:
        model(part, crops, Told(), rigs[part])
    assert waits.noted == []

    with Waits() as waits:
        torch.tensor([1.0]).nonzero()
    assert waits.noted == ["aten.lift_fresh.default", "aten.nonzero.default"]


def followed(model: BodyModel, placement: Placement, features: Tensor) -> Tensor:
    """Return what tokens are like after keypoints have come to be somewhere."""
    generator = torch.Generator().manual_seed(2)
    num, dim = len(features), model.architecture.decoder.dim
    tokens = torch.randn(num, 2 + 2 * NUM_KEYPOINTS, dim, generator=generator)
    nothing = torch.zeros(num, 0)
    estimate = LayerEstimate(
        raw=nothing,
        values=BodyValues(**{each.name: nothing for each in fields(BodyValues)}),
        keypoints_m=torch.randn(num, NUM_KEYPOINTS, 3, generator=generator),
        placement=placement,
    )
    stream = TokenStream(values=tokens, places=torch.zeros_like(tokens))
    after = model.layers(Part.BODY).follow(stream, estimate, features)
    return torch.cat((after.values, after.places), dim=-1)


def placement_at(keypoints_crop: Tensor, depth_m: float = 1.0) -> Placement:
    num = len(keypoints_crop)
    return Placement(
        camera=torch.zeros(num, 3),
        translation_m=torch.zeros(num, 3),
        keypoints_px=torch.zeros(num, NUM_KEYPOINTS, 2),
        keypoints_depth_m=torch.full((num, NUM_KEYPOINTS), depth_m),
        keypoints_crop=keypoints_crop.expand(num, NUM_KEYPOINTS, 2),
    )


def test_keypoints_that_cannot_be_seen_are_all_alike(model: BodyModel) -> None:
    features = some_crops(model.architecture).features[:1]

    def at(place: float, depth_m: float = 1.0) -> Tensor:
        return followed(model, placement_at(torch.full((1, 1, 2), place), depth_m), features)

    outside = at(0.501)
    for place in (-0.501, -40.0, float("inf"), float("nan")):
        torch.testing.assert_close(at(place), outside, rtol=0, atol=0)
    for depth_m in (0.0, -1.0, float("nan")):
        torch.testing.assert_close(at(0.2, depth_m), outside, rtol=0, atol=0)
    assert not torch.allclose(at(0.499), outside)


def test_keypoints_see_the_same_of_a_narrow_image_as_of_the_square_around_it(
    model: BodyModel,
) -> None:
    generator = torch.Generator().manual_seed(3)
    square = torch.randn(2, model.architecture.backbone.dim, 8, 8, generator=generator)
    inside = placement_at(0.6 * torch.rand(2, NUM_KEYPOINTS, 2, generator=generator) - 0.3)

    narrow = followed(model, inside, middle_columns(square, 6))

    torch.testing.assert_close(narrow, followed(model, inside, square))


def test_a_regressor_without_vertices_reads_joints_alone() -> None:
    mapping = torch.zeros(70, 5 + 127)
    mapping[:, 5] = 2.0
    joints = torch.rand(3, 127, 3)

    regressor = KeypointRegressor.of(mapping, num_joints=127)

    assert len(regressor.vertices) == 0
    keypoints = regressor(torch.zeros(3, 0, 3), joints)
    torch.testing.assert_close(keypoints, (2.0 * joints[:, :1]).expand(3, 70, 3))


def test_views_of_crops_have_one_length() -> None:
    views = some_crops(BodyArchitecture()).views

    for name in ("crop_from_image", "sides_px"):
        with pytest.raises(ShapeError, match=f"{name} must have shape"):
            replace(views, **{name: getattr(views, name)[1:]})
