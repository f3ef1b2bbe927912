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

"""Settings of a body model's release: what they may leave open, and what they must not say."""

from pathlib import Path

import pytest
import yaml

from sam3d_ros.body.architecture import (
    BackboneConfig,
    BackboneKind,
    BodyArchitecture,
    BodyDecoderConfig,
    released_architecture,
)
from sam3d_ros.body.model_config import described_architecture, read_model_config, settings_of
from sam3d_ros.errors import ConfigError, WeightsError


def test_empty_settings_describe_the_release() -> None:
    assert described_architecture({}, "here") == BodyArchitecture()


@pytest.mark.parametrize("kind", BackboneKind)
def test_settings_of_a_release_describe_it(kind: BackboneKind) -> None:
    settings = settings_of(released_architecture(kind))

    assert described_architecture(settings, "here") == released_architecture(kind)


def test_sizes_are_those_that_settings_say() -> None:
    settings = {
        "TRAIN": {"USE_FP16": True},
        "MODEL": {
            "IMAGE_SIZE": [128, 128],
            "DECODER": {"DIM": 48, "DEPTH": 3, "HEADS": 2, "DIM_HEAD": 16, "MLP_DIM": 40},
        },
    }

    architecture = described_architecture(settings, "here")

    expected = BodyDecoderConfig(dim=48, depth=3, num_heads=2, head_dim=16, mlp_dim=40)
    assert architecture.decoder == expected
    assert architecture.image_size == 128


def test_what_is_not_resolved_is_as_in_the_release() -> None:
    text = """
    OUTPUT: ${oc.env:HOME}/out
    MODEL:
      IMAGE_SIZE: ${DATA.SIZE}
      DECODER: {DIM: "${MODEL.DIM}", DEPTH: 2}
      BACKBONE: ${BACKBONE}
    """

    architecture = described_architecture(yaml.safe_load(text), "here")

    assert architecture.image_size == 512
    assert (architecture.decoder.dim, architecture.decoder.depth) == (1024, 2)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"BACKBONE": {"TYPE": "resnet"}}, r"BACKBONE\.TYPE must be one of dinov3_vith16plus,"),
        ({"DECODER": {"ENABLE_TWOWAY": True}}, r"ENABLE_TWOWAY must be False, got True"),
        ({"DECODER": {"DIM": 0}}, r"DECODER\.DIM must be a positive whole number, got 0"),
        ({"DECODER": {"DEPTH": "six"}}, r"DEPTH must be a positive whole number, got 'six'"),
        ({"IMAGE_SIZE": [512, 384]}, r"IMAGE_SIZE must be two equal lengths, got \[512, 384\]"),
        ({"IMAGE_MEAN": [0.5, 0.5, 0.5]}, r"IMAGE_MEAN must be \[0\.485"),
    ],
)
def test_settings_of_another_model_are_refused_by_name(
    settings: dict[str, object], text: str
) -> None:
    with pytest.raises(WeightsError, match=rf"here: MODEL\..*{text.removeprefix('MODEL.')}"):
        described_architecture({"MODEL": settings}, "here")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("- a\n- b\n", "must hold settings by name"),
        ("MODEL: [", "cannot be read"),
        ("!!python/object/apply:os.system ['touch made']", "cannot be read"),
        ("\udcff", "cannot be read"),
    ],
    ids=["list", "broken", "code", "no text"],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "model_config.yaml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(WeightsError, match=rf"model_config\.yaml {text}"):
        read_model_config(path)


def test_vit_h_sees_the_middle_three_quarters_of_a_crop() -> None:
    architecture = released_architecture(BackboneKind.VITH)

    assert architecture.columns == slice(64, 448)
    assert architecture.grid_columns == slice(4, 28)
    assert architecture.grid == (32, 24)
    assert released_architecture(BackboneKind.DINOV3).grid == (32, 32)


@pytest.mark.parametrize(("kind", "size"), [(BackboneKind.DINOV3, 500), (BackboneKind.VITH, 192)])
def test_crops_must_be_whole_patches(kind: BackboneKind, size: int) -> None:
    with pytest.raises(ConfigError, match=f"image_size must be a multiple of .* got {size}"):
        BodyArchitecture(image_size=size, backbone=BackboneConfig(kind=kind))
