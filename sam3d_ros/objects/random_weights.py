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

"""Weights files of an untrained model, small enough for tests, which nevertheless sees a ball.

Weights are random, but for a few that are planted: they lead the shape latent towards a ball in
the middle of the cube, and the layout towards one pose, in front of the camera and of about the
object's size. The rest of every network runs as it always does, and moves all that a little.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sam3d_ros.nn.embeddings import grid_positions
from sam3d_ros.nn.random_state import State, random_state
from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import (
    ConditionConfig,
    DecoderTrunkConfig,
    DepthModelConfig,
    GeometryConfig,
    MeshDecoderConfig,
    ObjectsArchitecture,
    OccupancyConfig,
    PointPatchConfig,
    RefinementConfig,
    SplatDecoderConfig,
)
from sam3d_ros.objects.architecture_file import write_architecture
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.depth_model import DepthModel
from sam3d_ros.objects.files import (
    DEPTH_MODEL_FILE,
    FEW_SPLATS_FILE,
    GEOMETRY_FILE,
    MESH_FILE,
    OCCUPANCY_FILE,
    REFINEMENT_FILE,
    SPLATS_FILE,
)
from sam3d_ros.objects.gaussian_decoder import SplatDecoder
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.mesh_decoder import MeshDecoder
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.streams import LATENT_NAMES, LAYOUT
from sam3d_ros.objects.weights import EMBEDDER_PREFIX, GENERATOR_PREFIX

SIGNAL = 10.0  # of the planted channels, so large that a norm is hardly moved by the others
BALL = (-1.0, 0.6)  # inner and outer radius in halves of the cube; below 0 there is no cavity
PULL = 2.0  # of the layout towards its pose: velocity over distance
LOG_SCALE = -0.6  # of the object, in units of its scene

TILT = 0.5  # of the plane that the depth model sees: change of the depth's logarithm

CORNERS = 8  # channels of a cube: signed distances
CUT = 0.15  # where the mesh ends along x, from the middle, in units of the cube


def tiny_architecture() -> ObjectsArchitecture:
    """Return the released architecture at sizes that a CPU runs in a second."""
    encoder = VitConfig(dim=32, depth=2, num_heads=2, image_size=28)
    condition = ConditionConfig(
        encoder=encoder,
        point_patch=PointPatchConfig(dim=32, input_size=16, num_heads=2),
        hidden_multiple_of=16,
    )
    trunk = DecoderTrunkConfig(resolution=16, dim=32, num_blocks=2, num_heads=2, window=4)
    return ObjectsArchitecture(
        image_size=28,
        geometry_condition=condition,
        geometry=GeometryConfig(dim=32, num_blocks=2, num_heads=2, condition_dim=32, resolution=8),
        occupancy=OccupancyConfig(channels=(8, 8), num_res_blocks=1, num_middle_blocks=1),
        refinement_condition=replace(condition, point_patch=None, prenorm_features=True),
        refinement=RefinementConfig(
            dim=32, num_blocks=2, num_heads=2, condition_dim=32, resolution=16, io_channels=16
        ),
        splats=SplatDecoderConfig(trunk=trunk, num_splats=4),
        few_splats=SplatDecoderConfig(trunk=trunk, num_splats=2),
        mesh=MeshDecoderConfig(trunk=trunk, channels=(8,), num_groups=4),
        depth_model=DepthModelConfig(
            encoder=replace(encoder, num_registers=0),
            num_features=2,
            projection_dim=8,
            upsample_dims=(32,),
            hidden_ratio=1,
            num_res_blocks=1,
            min_tokens=50,
            max_tokens=100,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomWeights:
    """The tensors of all networks that reconstruct, under the names that their modules give them.

    The image encoders of both condition embedders are one, as those of the release probably are.
    """

    geometry_condition: State
    geometry: State
    occupancy: State
    refinement_condition: State
    refinement: State
    mesh: State
    splats: State


def random_weights(
    architecture: ObjectsArchitecture,
    generator: torch.Generator,
    dtype: torch.dtype,
    radii: tuple[float, float] = BALL,
) -> RandomWeights:
    """Draw and plant weights on the generator's device; they see a ball with these radii."""

    def drawn(build: Callable[[], nn.Module]) -> State:
        return random_state(build, generator, dtype)

    condition = drawn(lambda: ConditionEmbedder(architecture.geometry_condition))
    refinement_condition = drawn(lambda: ConditionEmbedder(architecture.refinement_condition))
    for state in (condition, refinement_condition):
        for name in filter(lambda name: name.startswith("module_list.1."), list(state)):
            state[name] = state[name.replace(".1.", ".0.", 1)]
    for name in filter(lambda name: name.startswith("module_list."), list(refinement_condition)):
        refinement_condition[name] = condition[name]
    weights = RandomWeights(
        geometry_condition=condition,
        geometry=drawn(lambda: GeometryModel(architecture.geometry)),
        occupancy=drawn(lambda: OccupancyDecoder(architecture.occupancy)),
        refinement_condition=refinement_condition,
        refinement=drawn(lambda: RefinementModel(architecture.refinement)),
        mesh=drawn(lambda: MeshDecoder(architecture.mesh)),
        splats=drawn(lambda: SplatDecoder(architecture.splats)),
    )
    plant_ball(weights.geometry, architecture.geometry, radii)
    plant_pose(weights.geometry)
    plant_occupancy(weights.occupancy)
    plant_surface(weights.mesh, architecture.mesh)
    return weights


def write_random_weights(
    folder: Path, architecture: ObjectsArchitecture | None = None, seed: int = 0
) -> Path:
    """Write weights under their released names, with ``architecture.json``; return the folder."""
    architecture = architecture or tiny_architecture()
    folder.mkdir(parents=True, exist_ok=True)
    write_architecture(architecture, folder)
    generator = torch.Generator().manual_seed(seed)
    weights = random_weights(architecture, generator, torch.float32)
    first = _named(weights.geometry_condition, EMBEDDER_PREFIX)
    second = _named(weights.refinement_condition, EMBEDDER_PREFIX)
    first |= _named(weights.geometry, GENERATOR_PREFIX)
    second |= _named(weights.refinement, GENERATOR_PREFIX)
    torch.save({"state_dict": first}, folder / GEOMETRY_FILE)
    torch.save({"state_dict": second}, folder / REFINEMENT_FILE)
    torch.save(weights.occupancy, folder / OCCUPANCY_FILE)
    torch.save(weights.mesh, folder / MESH_FILE)
    torch.save(weights.splats, folder / SPLATS_FILE)
    few = random_state(lambda: SplatDecoder(architecture.few_splats), generator, torch.float32)
    torch.save(few, folder / FEW_SPLATS_FILE)
    depth = random_state(lambda: DepthModel(architecture.depth_model), generator, torch.float32)
    plant_plane(depth)
    (folder / DEPTH_MODEL_FILE).parent.mkdir(exist_ok=True)
    torch.save({"model": depth}, folder / DEPTH_MODEL_FILE)
    return folder


def plant_ball(state: State, config: GeometryConfig, radii: tuple[float, float]) -> None:
    """Lead the first channel of the shape latent to +4 within a ball and to -4 around it."""
    middle = (config.resolution - 1) / 2
    distance = (grid_positions(config.resolution) - middle).norm(dim=1) / (middle + 0.5)
    inside = torch.minimum(radii[1] - distance, distance - radii[0])
    _plant_channel(state, "shape", inside.clamp(-0.1, 0.1) * 10 * SIGNAL)
    out = state["latent_mapping.shape.out_layer.weight"]
    out[0, 0], out[0, 1] = 0.5, -0.5
    for name in state:  # guidance multiplies what the condition does by eight
        if "cross_attn" in name and "to_out" in name:
            state[name] *= 0.1


def plant_pose(state: State) -> None:
    """Pull each layout latent towards one value, whatever the noise was."""
    for latent in LAYOUT:
        name = LATENT_NAMES[latent]
        _plant_channel(state, latent, torch.tensor([SIGNAL]))
        into = state[f"latent_mapping.{name}.input_layer.weight"]  # (D, C)
        out = state[f"latent_mapping.{name}.out_layer.weight"]  # (C, D)
        dim, channels = into.shape
        deviation = SIGNAL * (2 / dim) ** 0.5  # of a token, by which the norm before out divides
        for channel in range(channels):
            into[2 + channel, channel] = 1.0
            out[channel, 2 + channel] = -PULL * deviation
    bias = state[f"latent_mapping.{LATENT_NAMES['scale']}.out_layer.bias"]
    bias += PULL * LOG_SCALE


def plant_occupancy(state: State) -> None:
    """Let the sign of the latent's first channel decide what is occupied."""
    middle = (slice(None), slice(None), 1, 1, 1)  # of a kernel
    state["input_layer.weight"][middle][:2, 0] = torch.tensor([1.0, -1.0])
    for name in [name for name in state if name.endswith(".conv.weight")]:  # upsampling
        kernel = state[name][middle]  # eight finer voxels for each channel
        kernel[:8, 0] = 1.0
        kernel[8:16, 1] = 1.0
    state["out_layer.2.weight"][middle][0, :2] = torch.tensor([2.0, -2.0])


def plant_surface(state: State, config: MeshDecoderConfig) -> None:
    """Let the mesh decoder cut a slice off the ball along x, and keep the rest of its voxels.

    ``sin(w (x - m))`` rises through the middle m; position embeddings hold the sine and the cosine
    of ``w x`` that make it up.
    """
    num_waves = config.trunk.dim // 6
    frequency, middle = 10_000.0 ** (-1 / num_waves), (config.trunk.resolution - 1) / 2
    into = state["upsample.0.skip_connection.conv.weight"][0, 0, 0, 0]
    into[1], into[1 + num_waves] = math.cos(frequency * middle), -math.sin(frequency * middle)
    for index in range(1, len(config.channels)):
        state[f"upsample.{index}.skip_connection.conv.weight"][0, 0, 0, 0, 0] = 1.0
    state["out_layer.weight"][:CORNERS, 0] = 1.0
    state["out_layer.bias"][:CORNERS] = -math.sin(frequency * CUT * config.trunk.resolution)


def plant_plane(state: State) -> None:
    """Let the depth model see a surface that comes nearer towards the lower edge of the image.

    The head's last features get the place in the image, which the layers before it append to their
    own, and the negative of it: one of both outlives the activation.
    """
    into, out = (state[f"head.output_block.0.{layer}.weight"] for layer in (0, 2))
    into *= 0.1
    for axis in range(2):
        into[2 * axis, axis - 2, 1, 1], into[2 * axis + 1, axis - 2, 1, 1] = 1.0, -1.0
        out[axis, 2 * axis], out[axis, 2 * axis + 1] = 1.0, -1.0
    out[2, 2], out[2, 3] = -TILT, TILT
    state["head.output_block.1.2.bias"] += 1.0  # all of it is a surface


def _plant_channel(state: State, latent: str, values: Tensor) -> None:
    """Give the tokens of a latent two channels that no norm confuses: values and their opposite."""
    embedding = state[f"latent_mapping.{LATENT_NAMES[latent]}.pos_emb"]
    embedding[:, 0], embedding[:, 1] = values, -values


def _named(state: Mapping[str, Tensor], prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}
