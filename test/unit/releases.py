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


"""Released files at toy sizes, for tests of what reads them."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

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
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.depth_model import DepthModel
from sam3d_ros.objects.gaussian_decoder import SplatDecoder
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.mesh_decoder import MeshDecoder
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.weights import EMBEDDER_PREFIX, GENERATOR_PREFIX

ENCODERS = ("module_list.0.", "module_list.1.")

TRUNK = DecoderTrunkConfig(resolution=8, dim=16, num_blocks=2, num_heads=2, window=4)
TINY = ObjectsArchitecture(
    image_size=28,
    geometry_condition=ConditionConfig(
        encoder=VitConfig(dim=32, depth=2, num_heads=2, image_size=28),
        point_patch=PointPatchConfig(dim=16, input_size=16, num_heads=2),
        hidden_multiple_of=16,
    ),
    geometry=GeometryConfig(
        dim=32, num_blocks=2, num_heads=2, condition_dim=32, resolution=4, shape_channels=8
    ),
    occupancy=OccupancyConfig(channels=(8, 4), num_res_blocks=1, num_middle_blocks=1),
    refinement_condition=ConditionConfig(
        encoder=VitConfig(dim=32, depth=2, num_heads=2, image_size=28),
        point_patch=None,
        prenorm_features=True,
        hidden_multiple_of=16,
    ),
    refinement=RefinementConfig(
        dim=32, num_blocks=2, num_heads=2, condition_dim=32, resolution=8, io_channels=16
    ),
    splats=SplatDecoderConfig(trunk=TRUNK, num_splats=8),
    few_splats=SplatDecoderConfig(trunk=TRUNK, num_splats=2),
    mesh=MeshDecoderConfig(trunk=TRUNK, channels=(8, 4), num_groups=4),
    depth_model=DepthModelConfig(
        encoder=VitConfig(dim=32, depth=2, num_heads=2, image_size=28, num_registers=0),
        num_features=2,
        projection_dim=8,
        upsample_dims=(32,),
        hidden_ratio=1,
        num_res_blocks=1,
    ),
)


State = dict[str, Tensor]


def random_state(build: Callable[[], nn.Module], dtype: torch.dtype = torch.float32) -> State:
    """Return weights of a module, drawn anew."""
    generator = torch.Generator().manual_seed(0)
    shapes = {name: tensor.shape for name, tensor in build().state_dict().items()}
    return {
        name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()
    }


def released_shapes(build: Callable[[], nn.Module], dtype: torch.dtype = torch.float32) -> State:
    """Return zeros of a module's shapes that take next to no room in a file."""
    with torch.device("meta"):
        expected = build().state_dict()
    return {
        name: torch.zeros(1, dtype=dtype).expand(tensor.shape) for name, tensor in expected.items()
    }


def write_release(
    folder: Path,
    architecture: ObjectsArchitecture = TINY,
    values: Callable[..., State] = random_state,
) -> Path:
    """Write all files as they are when downloaded; the two image encoders of each are equal."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    (folder / "moge-vitl").mkdir()
    geometry = values(lambda: GeometryModel(architecture.geometry))
    state = generator_state(architecture.geometry_condition, geometry, values)
    state["_base_models.decoder.out.weight"] = torch.ones(3)
    torch.save({"state_dict": state, "epoch": 3}, checkpoints / "ss_generator.ckpt")
    refinement = values(lambda: RefinementModel(architecture.refinement))
    state = generator_state(architecture.refinement_condition, refinement, values)
    torch.save({"state_dict": state, "epoch": 3}, checkpoints / "slat_generator.ckpt")
    flat: dict[str, State] = {
        "ss_decoder": values(lambda: OccupancyDecoder(architecture.occupancy), torch.float16),
        "slat_decoder_gs": values(lambda: SplatDecoder(architecture.splats), torch.float16),
        "slat_decoder_gs_4": values(lambda: SplatDecoder(architecture.few_splats), torch.float16),
        "slat_decoder_mesh": values(lambda: MeshDecoder(architecture.mesh)),
    }
    for name, decoder in flat.items():
        torch.save(decoder, checkpoints / f"{name}.ckpt")
    depth_model = values(lambda: DepthModel(architecture.depth_model))
    told = {"remap_output": "exp", "output_mask": True, "split_head": True}
    torch.save({"model_config": told, "model": depth_model}, folder / "moge-vitl/model.pt")
    return folder


def generator_state(config: ConditionConfig, model: State, values: Callable[..., State]) -> State:
    """Return what a generator's file holds: a model, and the embedder of its conditions."""
    condition, again = (values(lambda: ConditionEmbedder(config)) for _ in range(2))
    for name in filter(lambda name: name.startswith(ENCODERS[1]), condition):
        condition[name] = again[name.replace(ENCODERS[1], ENCODERS[0])]
    state = {EMBEDDER_PREFIX + name: value for name, value in condition.items()}
    return state | {GENERATOR_PREFIX + name: value for name, value in model.items()}


def line_of(text: str, start: str) -> str:
    """Return the one line of a report that begins with a name."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return line
