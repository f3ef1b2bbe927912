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

"""Weights files of an untrained body model, small enough for tests, which nevertheless sees people.

Weights are random, but for a few that are planted: without them nobody would stand upright. The
first guess of a pose is the rig at rest and as high as its box, boxes of hands are where it has
its hands, and the first guess of a hand is that hand. All layers run as they always do and move all
that a little.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.body.architecture import (
    NUM_BODY_PARAMETERS,
    NUM_POSE_VALUES,
    BackboneConfig,
    BackboneKind,
    BodyArchitecture,
    BodyDecoderConfig,
    RigConfig,
)
from sam3d_ros.body.backbone import build_backbone
from sam3d_ros.body.crop import ASPECT, BODY_PADDING, HAND_PADDING
from sam3d_ros.body.files import CONFIG_FILE, MODEL_FILE, RIG_FILE
from sam3d_ros.body.model import BodyModel
from sam3d_ros.body.model_config import settings_of
from sam3d_ros.body.parameters import continuous_from_body
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.synthetic_head import synthetic_head_constants
from sam3d_ros.body.synthetic_joints import LEFT_WRIST, joint_tree
from sam3d_ros.body.synthetic_rig import HEIGHT_CM, SyntheticRigConfig, synthetic_rig
from sam3d_ros.body.weights import BACKBONE_PREFIX, NOT_RELEASED, LoadedBody
from sam3d_ros.nn.dinov3 import KeylessBiasLinear, RotaryEmbedding
from sam3d_ros.nn.random_state import State, random_state
from sam3d_ros.nn.weights import WeightsPart, fit

TINY_RIG = SyntheticRigConfig()
HEADS = ("head_pose.", "head_pose_hand.")
SIGNAL = 10.0  # of what tells hands apart, so large that a norm is hardly moved by the rest
HEIGHT_M = HEIGHT_CM / 100
HAND_REACH_M = 0.1  # of the middle of a hand below its wrist
HAND_SIZE_M = 0.4  # of its box
SETTINGS_WIDTH = 100


def tiny_body_architecture(kind: BackboneKind = BackboneKind.DINOV3) -> BodyArchitecture:
    """Return the released architecture at sizes that a CPU runs in a fraction of a second."""
    return BodyArchitecture(
        image_size=128,
        backbone=BackboneConfig(kind=kind, dim=32, depth=2, num_heads=2),
        decoder=BodyDecoderConfig(dim=48, depth=3, num_heads=2, head_dim=16, mlp_dim=40),
        rig=rig_sizes(TINY_RIG),
    )


def rig_sizes(rig: SyntheticRigConfig) -> RigConfig:
    """Return the sizes of a made-up rig, a lathe with two ends."""
    around = rig.rings * rig.segments
    return RigConfig(num_vertices=around + 2, num_triangles=2 * around)


def write_random_body(
    folder: Path,
    architecture: BodyArchitecture | None = None,
    rig: SyntheticRigConfig = TINY_RIG,
    seed: int = 0,
) -> BodyArchitecture:
    """Write the files of a release for an untrained model; return its architecture.

    Args:
        folder: Where to; made if it does not exist.
        architecture: Whose ``rig`` has the sizes of the next; tiny if none is given.
        rig: What is posed.
        seed: Of all that is random.
    """
    architecture = architecture or tiny_body_architecture()
    tensors = synthetic_rig(rig)
    state = random_body_state(architecture, RigTensors.read(tensors, "rig"), _generator(seed))
    (folder / RIG_FILE).parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, folder / RIG_FILE)
    released = {name: tensor for name, tensor in state.items() if name not in NOT_RELEASED}
    torch.save({"state_dict": released}, folder / MODEL_FILE)
    text = yaml.safe_dump(settings_of(architecture), sort_keys=False, width=SETTINGS_WIDTH)
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    return architecture


def random_body(
    architecture: BodyArchitecture,
    rig: SyntheticRigConfig,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> LoadedBody:
    """Return an untrained model without files, on the device of the generator.

    Args:
        architecture: Whose ``rig`` has the sizes of the next.
        rig: What is posed.
        generator: Of all that is random.
        dtype: Of the backbone.
    """
    tensors = RigTensors.read(synthetic_rig(rig), "rig")
    state, device = random_body_state(architecture, tensors, generator), generator.device
    within = {n: t for n, t in state.items() if n.startswith(BACKBONE_PREFIX)}
    rest = {n: t for n, t in state.items() if n not in within}
    model = fit(partial(BodyModel, architecture, nn.Identity()), _part(rest, "")).load(
        device=device, dtype=torch.float32
    )
    backbone = fit(partial(build_backbone, architecture), _part(within, BACKBONE_PREFIX))
    model.backbone = backbone.load(device=device, dtype=dtype)
    return LoadedBody(architecture=architecture, model=model, rig=tensors)


def random_body_state(
    architecture: BodyArchitecture, rig: RigTensors, generator: torch.Generator
) -> State:
    """Return all tensors of an untrained model by their official names."""
    state = random_state(
        lambda: BodyModel(architecture, build_backbone(architecture)), generator, torch.float32
    )
    constants = synthetic_head_constants(rig, torch.Generator().manual_seed(0))
    for head in HEADS:
        state |= {head + name: tensor for name, tensor in constants.items()}
    plant_positions(state, architecture)
    plant_bodies(state)
    plant_hands(state, architecture.decoder.dim)
    return {name: tensor.to(generator.device) for name, tensor in state.items()}


def plant_positions(state: State, architecture: BodyArchitecture) -> None:
    """Give position encodings their usual scale, and DINOv3 the constants that it stores."""
    for name in [name for name in state if name.endswith("gaussian_matrix")]:
        state[name] = state[name] / state[name].std()
    with torch.device("meta"):
        backbone = build_backbone(architecture)
    for name, module in backbone.named_modules():
        if isinstance(module, RotaryEmbedding):
            state[f"{BACKBONE_PREFIX}{name}.periods"] = module.exact_periods("cpu")
        if isinstance(module, KeylessBiasLinear):
            state[f"{BACKBONE_PREFIX}{name}.bias_mask"] = module.full_mask("cpu")


def plant_bodies(state: State) -> None:
    """Let the first guess be a person at rest who fills the unpadded box and looks at us."""
    state["init_pose.weight"] = _pose_at_rest()
    # The rig stands on its origin, and has to be as far below the middle as it is high over it.
    scale = 2 / (HEIGHT_M * BODY_PADDING)
    state["init_camera.weight"] = torch.tensor([[-scale, 0.0, -HEIGHT_M / 2]])


def plant_hands(state: State, dim: int) -> None:
    """Let boxes of hands be where a person at rest has them, and the first guess be that hand."""
    x, y, _ = (joint_tree()[1][LEFT_WRIST] / 100).tolist()
    width_m = HEIGHT_M * BODY_PADDING  # of a crop
    beside, above = x / width_m, (y - HAND_REACH_M - HEIGHT_M / 2) / width_m
    _plant_boxes(state, dim, beside, -above, HAND_SIZE_M / width_m)
    state["init_pose_hand.weight"] = _pose_at_rest()
    crop_m = HAND_SIZE_M * HAND_PADDING / ASPECT
    scale = 2 / (crop_m * BodyDecoderConfig().hand_scale)
    state["init_camera_hand.weight"] = torch.tensor([[-scale, 0.0, HAND_REACH_M]])


def _plant_boxes(state: State, dim: int, beside: float, below: float, size: float) -> None:
    """Let boxes be on both sides of a crop's middle, told apart by one channel of their tokens."""
    state["hand_box_embedding.weight"][:, 0] = torch.tensor([SIGNAL, -SIGNAL])
    channel = math.sqrt(dim - 1)  # what a norm makes of a channel without which there is nothing
    first, second, last = (f"bbox_embed.layers.{layer}." for layer in range(3))
    state[f"{first}weight"][:2, 0] = torch.tensor([1.0, -1.0]) / channel
    state[f"{second}weight"][:2, :2] = torch.eye(2)
    state[f"{last}weight"][0, :2] = torch.tensor([1.0, -1.0]) * _logit(0.5 + beside)
    state[f"{last}bias"][:] = torch.tensor([0.0, _logit(0.5 + below), _logit(size), _logit(size)])


def _pose_at_rest() -> Tensor:
    """Return what a pose head answers ``(1, 519)`` for a rig that is not moved at all."""
    rotation = torch.eye(3)[:2].flatten()
    body = continuous_from_body(torch.zeros(NUM_BODY_PARAMETERS))
    moved = torch.cat((rotation, body))
    return F.pad(moved, (0, NUM_POSE_VALUES - len(moved)))[None]


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> WeightsPart:
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return WeightsPart(path=Path("random"), prefix=prefix, tensors=named)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
