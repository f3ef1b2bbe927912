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

"""The released weights files of SAM 3D Body, opened, compared with the model, and loaded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from sam3d_ros.body.architecture import BackboneConfig, BackboneKind, BodyArchitecture, RigConfig
from sam3d_ros.body.backbone import Backbone, build_backbone
from sam3d_ros.body.files import CONFIG_FILE, MODEL_FILE, RIG_FILE, body_file
from sam3d_ros.body.model import BodyModel
from sam3d_ros.body.model_config import read_model_config
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.errors import ConfigError, WeightsError
from sam3d_ros.nn.dinov3 import ANGLES_PER_AXIS, RotaryEmbedding
from sam3d_ros.nn.weights import FittedWeights, StoredWeights, WeightsPart, fit, read_weights
from sam3d_ros.structures.people import NUM_JOINTS

BACKBONE_PREFIX = "backbone."
# Tensors of the model that the released files do not have. It does not use them either: one is of
# the backbone's training, the others are copies of what ``hand_pose_comps`` once was.
NOT_RELEASED = {
    "backbone.encoder.mask_token",
    "head_pose.hand_pose_comps_ori",
    "head_pose_hand.hand_pose_comps_ori",
}
RIG_IN_MODEL = ("head_pose.mhr.", "head_pose_hand.mhr.")  # copies of what the rig's file holds
MAPPING, FACES = "head_pose.keypoint_mapping", "head_pose.faces"
IMAGE_KERNEL_AXES = 4
ROUNDED = 0.01  # relative error that half precision leaves, and more

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenBody:
    """The files of a release, which fit each other and the model; hardly anything is read yet."""

    architecture: BodyArchitecture
    backbone: FittedWeights[Backbone]
    heads: FittedWeights[BodyModel]  # all but the backbone
    rig: RigTensors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedBody:
    """The model of a release, ready, and the rig that it poses."""

    architecture: BodyArchitecture
    model: BodyModel
    rig: RigTensors  # on the CPU


def load_body(folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> LoadedBody:
    """Load the model that lies in a folder.

    Args:
        folder: With the files of a release.
        device: Where the model shall be.
        dtype: Of the backbone; all that follows it computes in float32, as in the release.

    Raises:
        WeightsError: A file is missing, cannot be read, does not fit, or holds more than values.
    """
    opened = open_body(folder)
    model = opened.heads.load(device=device, dtype=torch.float32)
    model.backbone = opened.backbone.load(device=device, dtype=dtype)
    return LoadedBody(architecture=opened.architecture, model=model, rig=opened.rig)


def open_body(folder: Path) -> OpenBody:
    """Open the files in a folder and compare names and shapes.

    Raises:
        WeightsError: A file is missing, cannot be read, does not fit, or holds more than values.
    """
    rig = open_rig(folder)
    stored = read_weights(body_file(folder, MODEL_FILE))
    described = read_model_config(body_file(folder, CONFIG_FILE))
    architecture = _at_stored_sizes(stored, described)
    _check_rig(rig, stored, architecture.rig)
    with torch.device("meta"):
        whole = BodyModel(architecture, build_backbone(architecture)).state_dict()
    tensors = _released(stored, whole)
    seen = _part(stored, tensors, BACKBONE_PREFIX)
    backbone = fit(partial(build_backbone, architecture), seen)
    _check_periods(backbone.module, seen)
    return OpenBody(
        architecture=architecture,
        backbone=backbone,
        heads=fit(lambda: BodyModel(architecture, nn.Identity()), _part(stored, tensors, "")),
        rig=rig,
    )


def open_rig(folder: Path) -> RigTensors:
    """Open the rig of a folder.

    Raises:
        WeightsError: The file is missing, cannot be read, or is not a rig.
    """
    path = body_file(folder, RIG_FILE)
    return RigTensors.read(read_weights(path).tensors, str(path))


def stored_architecture(
    tensors: Mapping[str, Tensor], described: BodyArchitecture
) -> BodyArchitecture:
    """Return a described architecture at the sizes of backbone and rig that tensors have.

    Settings of a release do not say these. Where tensors do not tell, the described size stays.

    Raises:
        ConfigError: The backbone cannot have as many heads as are described.
    """
    backbone = _stored_backbone(tensors, described.backbone)
    if backbone.dim % backbone.num_heads:
        raise ConfigError(
            f"its backbone's {backbone.dim} channels must be a multiple of {backbone.num_heads} "
            "heads"
        )
    return replace(described, backbone=backbone, rig=_stored_rig(tensors, described.rig))


def _at_stored_sizes(stored: StoredWeights, described: BodyArchitecture) -> BodyArchitecture:
    try:
        return stored_architecture(stored.tensors, described)
    except ConfigError as error:
        raise WeightsError(f"{stored.path} does not fit {CONFIG_FILE}: {error}") from error


def _stored_backbone(tensors: Mapping[str, Tensor], described: BackboneConfig) -> BackboneConfig:
    encoder = BACKBONE_PREFIX + "encoder." * (described.kind is BackboneKind.DINOV3)
    patches, periods = f"{encoder}patch_embed.proj.weight", f"{encoder}rope_embed.periods"
    blocks = f"{encoder}blocks."
    if patches not in tensors or tensors[patches].ndim != IMAGE_KERNEL_AXES:
        return described
    dim, _, _, patch_size = tensors[patches].shape
    num_heads = described.num_heads
    if periods in tensors:
        num_heads = dim // (ANGLES_PER_AXIS * max(len(tensors[periods]), 1))
    return replace(
        described,
        dim=dim,
        depth=len(
            {name.split(".")[blocks.count(".")] for name in tensors if name.startswith(blocks)}
        ),
        num_heads=max(num_heads, 1),
        patch_size=patch_size,
    )


def _stored_rig(tensors: Mapping[str, Tensor], described: RigConfig) -> RigConfig:
    if not {MAPPING, FACES} <= tensors.keys():
        return described
    return RigConfig(
        num_vertices=tensors[MAPPING].shape[-1] - NUM_JOINTS, num_triangles=len(tensors[FACES])
    )


def _check_rig(rig: RigTensors, stored: StoredWeights, expected: RigConfig) -> None:
    """Raise unless the heads of a model and the triangles in them are made for the rig beside it.

    Triangles are those of the model; the rig's file need not have any.
    """
    num_vertices = len(rig.surface.base_shape)
    if num_vertices != expected.num_vertices:
        raise WeightsError(
            f"{stored.path}: heads expect {expected.num_vertices} vertices, {RIG_FILE} beside it "
            f"has {num_vertices}; take both from one release"
        )
    faces = stored.tensors.get(FACES)
    if faces is not None and faces.numel() and not 0 <= faces.min() <= faces.max() < num_vertices:
        raise WeightsError(
            f"{stored.path}: {FACES} points beyond the {num_vertices} vertices; fetch it again"
        )


def _released(stored: StoredWeights, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file that the model has, and zeros for what no release stores."""
    others = [name for name in stored.tensors if name not in expected]
    if foreign := [name for name in others if not name.startswith(RIG_IN_MODEL)]:
        text = "%s: ignored %d tensors that belong to no part of this model, such as %s"
        _log.info(text, stored.path, len(foreign), foreign[0])
    tensors = {name: stored.tensors[name] for name in expected if name in stored.tensors}
    absent = NOT_RELEASED & (expected.keys() - tensors.keys())
    return tensors | {name: torch.zeros(expected[name].shape) for name in absent}


def _part(stored: StoredWeights, tensors: Mapping[str, Tensor], prefix: str) -> WeightsPart:
    """Return the backbone of a model, or all the rest where there is no prefix."""
    chosen = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(BACKBONE_PREFIX) == bool(prefix)
    }
    return WeightsPart(path=stored.path, prefix=prefix, tensors=chosen)


def _check_periods(backbone: nn.Module, part: WeightsPart) -> None:
    """Raise where patches were told apart by other turns than the released ones.

    The model makes them from a formula, so that half precision does not round them.
    """
    for name, module in backbone.named_modules():
        if not isinstance(module, RotaryEmbedding):
            continue
        stored, exact = part.tensors[f"{name}.periods"].float(), module.exact_periods("cpu")
        if not torch.allclose(stored, exact, rtol=ROUNDED, atol=0.0):
            raise WeightsError(
                f"{part.path}: {part.prefix}{name}.periods must be {exact.tolist()}, got "
                f"{stored.tolist()}; take the files of a release"
            )
