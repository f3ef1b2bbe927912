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

"""The image encoders against the recorded reference, and against the released shapes."""

from collections.abc import Callable

import pytest
import torch
from fixtures import Golden
from torch.nn import functional as F

from sam3d_ros.body.architecture import (
    BackboneConfig,
    BackboneKind,
    BodyArchitecture,
    released_architecture,
)
from sam3d_ros.body.backbone import Dinov3Backbone, VithBackbone, build_backbone

PREFIX = "backbone."
CHECKPOINTS = {
    BackboneKind.DINOV3: "body/sam-3d-body-dinov3",
    BackboneKind.VITH: "body/sam-3d-body-vith",
}


def loaded(fixture: Golden, kind: BackboneKind) -> Dinov3Backbone | VithBackbone:
    sizes = {name: fixture.config[name] for name in ("dim", "depth", "patch_size")}
    num_storage_tokens = fixture.config.get("n_storage_tokens", 4)
    backbone = BackboneConfig(
        kind=kind,
        num_heads=fixture.config["heads"],
        num_storage_tokens=num_storage_tokens,
        **sizes,
    )
    height = fixture.config.get("img_size_hw", [512])[0]
    model = build_backbone(BodyArchitecture(image_size=height, backbone=backbone))
    model.load_state_dict({k.removeprefix(PREFIX): v for k, v in fixture.weights.items()})
    return model.eval().requires_grad_(requires_grad=False)


def test_features_of_dinov3_are_the_reference_s(golden: Callable[[str], Golden]) -> None:
    fixture = golden("body/backbone_dinov3")

    features = loaded(fixture, BackboneKind.DINOV3)(fixture.inputs["image"])

    fixture.close(features, "features")


def test_features_of_vit_h_are_the_reference_s(golden: Callable[[str], Golden]) -> None:
    fixture = golden("body/backbone_vith")
    (small,) = fixture.inputs.values()

    image = F.interpolate(small.float(), scale_factor=16, mode="nearest") / 255 - 0.5
    features = loaded(fixture, BackboneKind.VITH)(image)

    fixture.close(features, "features")


def test_the_periods_of_the_formula_are_the_reference_s(golden: Callable[[str], Golden]) -> None:
    fixture = golden("body/backbone_dinov3")
    model = loaded(fixture, BackboneKind.DINOV3)

    assert isinstance(model, Dinov3Backbone)
    stored = fixture.weights["backbone.encoder.rope_embed.periods"]
    torch.testing.assert_close(model.encoder.rope_embed.exact_periods(), stored)


@pytest.mark.parametrize("kind", BackboneKind)
def test_the_released_encoder_holds_exactly_the_tensors_of_the_manifest(
    manifest: Callable[..., dict[str, tuple[int, ...]]], kind: BackboneKind
) -> None:
    expected = manifest(CHECKPOINTS[kind], PREFIX)

    with torch.device("meta"):
        model = build_backbone(released_architecture(kind))

    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == expected
