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

"""The condition embedder against the recorded reference, and against the released shapes."""

from collections.abc import Callable

import pytest
import torch
from fixtures import Golden

from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import ConditionConfig, ObjectsArchitecture, PointPatchConfig
from sam3d_ros.objects.condition import ConditionEmbedder, Modality
from sam3d_ros.objects.inputs import ConditionInputs

FIXTURES = ("cond_embedder_ss", "cond_embedder_slat")
GEOMETRY = ObjectsArchitecture().geometry_condition
REFINEMENT = ConditionConfig(point_patch=None, prenorm_features=True)


def config_of(fixture: Golden) -> ConditionConfig:
    values = fixture.config
    points = PointPatchConfig(
        dim=values["pp_dim"],
        input_size=values["pp_size"],
        patch_size=values["pp_patch"],
        num_heads=values["pp_heads"],
        mlp_ratio=values["pp_mlp_ratio"],
    )
    return ConditionConfig(
        encoder=VitConfig(
            dim=values["dino_dim"],
            depth=values["dino_depth"],
            num_heads=values["dino_heads"],
            mlp_ratio=values["dino_mlp_ratio"],
            patch_size=values["patch_size"],
            image_size=values["dino_img"],
            num_registers=values["dino_registers"],
        ),
        point_patch=points if "pointmap" in values["token_order"] else None,
        prenorm_features=values["prenorm_features"],
        hidden_multiplier=values["projection_net_hidden_dim_multiplier"],
        hidden_multiple_of=values["ff_multiple_of"],
    )


def loaded(fixture: Golden) -> ConditionEmbedder:
    model = ConditionEmbedder(config_of(fixture))
    model.load_state_dict(fixture.weights)
    return model.eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("name", FIXTURES)
def test_tokens_are_the_reference_s(golden: Callable[[str], Golden], name: str) -> None:
    fixture = golden(name)

    tokens = loaded(fixture)(ConditionInputs(**fixture.inputs))

    fixture.close(tokens, "tokens")


@pytest.mark.parametrize(
    ("name", "modality", "source", "output"),
    [
        ("cond_embedder_ss", Modality.IMAGE, "image", "dino_image_tokens"),
        ("cond_embedder_ss", Modality.MASK, "mask", "dino_mask_tokens"),
        ("cond_embedder_ss", Modality.POINTS, "pointmap", "pointpatch_tokens"),
        ("cond_embedder_slat", Modality.IMAGE, "image", "dino_image_tokens"),
        ("cond_embedder_slat", Modality.MASK, "mask", "dino_mask_tokens"),
    ],
)
def test_each_embedder_is_the_reference_s(
    golden: Callable[[str], Golden], name: str, modality: Modality, source: str, output: str
) -> None:
    fixture = golden(name)

    tokens = loaded(fixture).module_list[modality](fixture.inputs[source])

    fixture.close(tokens, output)


def test_dropping_point_maps_is_the_reference_s(golden: Callable[[str], Golden]) -> None:
    fixture = golden("cond_embedder_ss")

    tokens = loaded(fixture)(ConditionInputs(**fixture.inputs), dropped=[Modality.POINTS])

    fixture.close(tokens, "tokens_force_drop_pointmap")


@pytest.mark.parametrize(
    ("checkpoint", "config"),
    [("ss_generator", GEOMETRY), ("slat_generator", REFINEMENT)],
    ids=["geometry", "refinement"],
)
def test_the_released_model_holds_exactly_the_tensors_of_the_manifest(
    manifest: Callable[..., dict[str, tuple[int, ...]]], checkpoint: str, config: ConditionConfig
) -> None:
    expected = manifest(checkpoint, "_base_models.condition_embedder.")

    with torch.device("meta"):
        model = ConditionEmbedder(config)

    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == expected


@pytest.mark.parametrize(("config", "num_tokens"), [(GEOMETRY, 7528), (REFINEMENT, 5496)])
def test_the_released_models_have_as_many_tokens_as_specified(
    config: ConditionConfig, num_tokens: int
) -> None:
    assert config.num_tokens == num_tokens
