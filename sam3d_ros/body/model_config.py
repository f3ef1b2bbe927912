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

"""``model_config.yaml`` of a release: the sizes of its decoders, and that it is a model we know."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sam3d_ros.body.architecture import (
    BackboneKind,
    BodyArchitecture,
    BodyDecoderConfig,
    released_architecture,
)
from sam3d_ros.errors import WeightsError
from sam3d_ros.nn.vit import IMAGENET_MEAN, IMAGENET_STD

UNRESOLVED = "${"  # begins what the authors' own tools would fill in
BACKBONE = "MODEL.BACKBONE.TYPE"
NUM_HEADS = "MODEL.BACKBONE.HEADS"  # ours, of models that are smaller than any release
IMAGE_SIZE = "MODEL.IMAGE_SIZE"
SIZES = {  # of the decoders
    "dim": "MODEL.DECODER.DIM",
    "depth": "MODEL.DECODER.DEPTH",
    "num_heads": "MODEL.DECODER.HEADS",
    "head_dim": "MODEL.DECODER.DIM_HEAD",
    "mlp_dim": "MODEL.DECODER.MLP_DIM",
}
HAND_SCALE = "MODEL.CAMERA_HEAD.DEFAULT_SCALE_FACTOR_HAND"
KNOWN: Mapping[str, object] = {  # what other values of would make another model
    "MODEL.IMAGE_MEAN": list(IMAGENET_MEAN),
    "MODEL.IMAGE_STD": list(IMAGENET_STD),
    "MODEL.DECODER.TYPE": "sam",
    "MODEL.DECODER.LAYER_SCALE_INIT": 0,
    "MODEL.DECODER.FFN_TYPE": "origin",
    "MODEL.DECODER.ENABLE_TWOWAY": False,
    "MODEL.DECODER.REPEAT_PE": True,
    "MODEL.DECODER.CONDITION_TYPE": "cliff",
    "MODEL.DECODER.USE_INTRIN_CENTER": True,
    "MODEL.DECODER.DO_INTERM_PREDS": True,
    "MODEL.DECODER.DO_KEYPOINT_TOKENS": True,
    "MODEL.DECODER.DO_HAND_DETECT_TOKENS": True,
    "MODEL.DECODER.KEYPOINT_TOKEN_UPDATE": "v2",
    "MODEL.DECODER.DO_KEYPOINT3D_TOKENS": True,
    "MODEL.PROMPT_ENCODER.ENABLE": True,
    "MODEL.PROMPT_ENCODER.PROMPT_KEYPOINTS": "mhr70",
    "MODEL.PROMPT_ENCODER.MASK_EMBED_TYPE": "v2",
    "MODEL.PROMPT_ENCODER.MASK_PROMPT": "v1",
    "MODEL.PERSON_HEAD.POSE_TYPE": "mhr",
    "MODEL.PERSON_HEAD.CAMERA_TYPE": "perspective",
    "MODEL.MHR_HEAD.MLP_DEPTH": 2,
    "MODEL.MHR_HEAD.MLP_CHANNEL_DIV_FACTOR": 1,
    "MODEL.CAMERA_HEAD.MLP_DEPTH": 2,
    "MODEL.CAMERA_HEAD.MLP_CHANNEL_DIV_FACTOR": 1,
}


def read_model_config(path: Path) -> BodyArchitecture:
    """Return the architecture that a file describes; see ``described_architecture``.

    Raises:
        WeightsError: The file cannot be read, or describes another model.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; fetch it again") from error
    if not isinstance(settings, Mapping):
        raise WeightsError(f"{path} must hold settings by name, got {settings!r}; fetch it again")
    return described_architecture(settings, str(path))


def described_architecture(settings: Mapping[str, object], source: str) -> BodyArchitecture:
    """Return the architecture that settings describe, at the released sizes of its backbone.

    What they do not say is as in the release, and what is not about the model is not read.

    Raises:
        WeightsError: They describe another model than the released ones.
    """
    said = _Said(settings, source)
    for key, known in KNOWN.items():
        if (value := said.value(key, known)) != known:
            raise said.wrong(key, f"{known!r}", value)
    kinds = [kind.value for kind in BackboneKind]
    if (kind := said.value(BACKBONE, kinds[0])) not in kinds:
        raise said.wrong(BACKBONE, f"one of {', '.join(kinds)}", kind)
    released = released_architecture(BackboneKind(str(kind)))
    decoder = replace(
        released.decoder,
        **{name: said.size(key, _default(name)) for name, key in SIZES.items()},
        hand_scale=float(said.size(HAND_SCALE, int(released.decoder.hand_scale))),
    )
    num_heads = said.size(NUM_HEADS, released.backbone.num_heads)
    return replace(
        released,
        image_size=said.square(IMAGE_SIZE),
        backbone=replace(released.backbone, num_heads=num_heads),
        decoder=decoder,
    )


def settings_of(architecture: BodyArchitecture) -> dict[str, Any]:
    """Return settings that describe an architecture; see ``described_architecture``."""
    decoder, backbone = architecture.decoder, architecture.backbone
    side = architecture.image_size
    values = {
        IMAGE_SIZE: [side, side],
        BACKBONE: backbone.kind.value,
        NUM_HEADS: backbone.num_heads,
        HAND_SCALE: int(decoder.hand_scale),
        **{key: getattr(decoder, name) for name, key in SIZES.items()},
        **KNOWN,
    }
    settings: dict[str, Any] = {}
    for key, value in values.items():
        *parts, last = key.split(".")
        room = settings
        for part in parts:
            room = room.setdefault(part, {})
        room[last] = value
    return settings


class _Said:
    """Settings by dotted names."""

    def __init__(self, settings: Mapping[str, object], source: str) -> None:
        self._settings, self._source = settings, source

    def value(self, key: str, default: object) -> object:
        """Return what is said under a name, or the default where nothing definite is."""
        value: object = self._settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        unsaid = value is None or (isinstance(value, str) and UNRESOLVED in value)
        return default if unsaid else value

    def size(self, key: str, default: int) -> int:
        """Return a positive whole number."""
        value = self.value(key, default)
        if type(value) is not int or value < 1:
            raise self.wrong(key, "a positive whole number", value)
        return value

    def square(self, key: str) -> int:
        """Return the side of a square that is said as two equal lengths."""
        default = BodyArchitecture().image_size
        value = self.value(key, [default, default])
        match value:
            case [int(height), int(width)] if height == width > 0:
                return height
        raise self.wrong(key, "two equal lengths", value)

    def wrong(self, key: str, expected: str, value: object) -> WeightsError:
        """Return the error about a value."""
        return WeightsError(
            f"{self._source}: {key} must be {expected}, got {value!r}; it belongs to another "
            "model than SAM 3D Body as released, or is damaged: fetch it again"
        )


def _default(name: str) -> int:
    """Return a released size of the decoders."""
    size: int = getattr(BodyDecoderConfig(), name)
    return size
