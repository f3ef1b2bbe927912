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


"""The released weights files of SAM 3D Objects and of its depth model, opened and loaded.

Each file is opened once and compared with the modules it belongs to, by names and shapes, before
anything of it is read. A folder may be the download itself or the ``checkpoints`` in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from sam3d_ros.nn.weights import FittedWeights, ModuleT, fit, read_weights, split
from sam3d_ros.objects.architecture import ConditionConfig, ObjectsArchitecture
from sam3d_ros.objects.condition import ConditionEmbedder, share_encoders
from sam3d_ros.objects.decoder_trunk import DecoderTrunk
from sam3d_ros.objects.depth_model import DepthModel
from sam3d_ros.objects.depth_model_config import told_config
from sam3d_ros.objects.files import (
    DEPTH_MODEL_FILE,
    FEW_SPLATS_FILE,
    GEOMETRY_FILE,
    MESH_FILE,
    OCCUPANCY_FILE,
    REFINEMENT_FILE,
    SPLATS_FILE,
    SUBFOLDER,
    weights_path,
)
from sam3d_ros.objects.gaussian_decoder import SplatDecoder
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.mesh_decoder import MeshDecoder
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.refinement_model import RefinementModel

EMBEDDER_PREFIX = "_base_models.condition_embedder."
# The solver and its guidance wrap the network and have no weights of their own.
GENERATOR_PREFIX = "_base_models.generator.reverse_fn.backbone."

Fitted = (
    FittedWeights[ConditionEmbedder]
    | FittedWeights[GeometryModel]
    | FittedWeights[OccupancyDecoder]
    | FittedWeights[RefinementModel]
    | FittedWeights[SplatDecoder]
    | FittedWeights[MeshDecoder]
    | FittedWeights[DepthModel]
)
DecoderT = TypeVar("DecoderT", bound=DecoderTrunk)
Opener = Callable[[Path, ObjectsArchitecture], tuple[Fitted, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class GeometryStage:
    """The networks that turn model inputs into coarse shape and layout."""

    condition: ConditionEmbedder
    geometry: GeometryModel
    occupancy: OccupancyDecoder


@dataclass(frozen=True, slots=True, eq=False)
class RefinementStage:
    """The networks that turn model inputs and voxels into structured latents."""

    condition: ConditionEmbedder
    refinement: RefinementModel


def load_geometry_stage(
    folder: Path,
    architecture: ObjectsArchitecture | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> GeometryStage:
    """Load the networks of the first stage, at their released sizes if no others are given.

    Raises:
        WeightsError: A file is missing, cannot be read or does not fit the architecture.
    """
    architecture = architecture or ObjectsArchitecture()
    condition, geometry = open_generator(folder, architecture)
    (occupancy,) = open_occupancy(folder, architecture)
    embedder = condition.load(device=device, dtype=dtype)
    share_encoders(embedder)  # before the rest is read: this frees memory
    return GeometryStage(
        condition=embedder,
        geometry=geometry.load(device=device, dtype=dtype),
        occupancy=occupancy.load(device=device, dtype=dtype),
    )


def load_refinement_stage(
    folder: Path,
    architecture: ObjectsArchitecture | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    loaded: Sequence[ConditionEmbedder] = (),
) -> RefinementStage:
    """Load the networks of the second stage, at their released sizes if no others are given.

    Image encoders that are equal to those of embedders already ``loaded`` share their memory.

    Raises:
        WeightsError: The file is missing, cannot be read or does not fit the architecture.
    """
    condition, refinement = open_refinement(folder, architecture or ObjectsArchitecture())
    embedder = condition.load(device=device, dtype=dtype)
    share_encoders(*loaded, embedder)  # before the rest is read: this frees memory
    return RefinementStage(embedder, refinement.load(device=device, dtype=dtype))


def load_mesh_decoder(
    folder: Path,
    architecture: ObjectsArchitecture | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> MeshDecoder:
    """Load the decoder of meshes; its outermost layers stay in float32.

    Raises:
        WeightsError: The file is missing, cannot be read or does not fit the architecture.
    """
    (opened,) = open_mesh_decoder(folder, architecture or ObjectsArchitecture())
    return _loaded_decoder(opened, device, dtype)


def load_splat_decoder(
    folder: Path,
    architecture: ObjectsArchitecture | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> SplatDecoder:
    """Load the decoder of splats, 32 of each voxel; its outermost layers stay in float32.

    Raises:
        WeightsError: The file is missing, cannot be read or does not fit the architecture.
    """
    (opened,) = open_splat_decoder(folder, architecture or ObjectsArchitecture())
    return _loaded_decoder(opened, device, dtype)


def load_few_splats_decoder(
    folder: Path,
    architecture: ObjectsArchitecture | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> SplatDecoder:
    """Load the decoder of fewer splats, 4 of each voxel, in the manner of the other one.

    Raises:
        WeightsError: The file is missing, cannot be read or does not fit the architecture.
    """
    (opened,) = open_few_splats_decoder(folder, architecture or ObjectsArchitecture())
    return _loaded_decoder(opened, device, dtype)


def load_depth_model(
    folder: Path,
    architecture: ObjectsArchitecture | None = None,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> DepthModel:
    """Load the depth model, at the sizes that its file tells.

    Raises:
        WeightsError: The file is missing, cannot be read or is of a model in another form.
    """
    (depth_model,) = open_depth_model(folder, architecture or ObjectsArchitecture())
    return depth_model.load(device=device, dtype=dtype)


def open_generator(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[ConditionEmbedder], FittedWeights[GeometryModel]]:
    """Open the file of the geometry model, which holds its condition embedder, too."""
    build = partial(GeometryModel, architecture.geometry)
    return _generator_file(folder, GEOMETRY_FILE, architecture.geometry_condition, build)


def open_refinement(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[ConditionEmbedder], FittedWeights[RefinementModel]]:
    """Open the file of the refinement model, which holds its condition embedder, too."""
    build = partial(RefinementModel, architecture.refinement)
    return _generator_file(folder, REFINEMENT_FILE, architecture.refinement_condition, build)


def open_occupancy(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[OccupancyDecoder]]:
    """Open the file of the occupancy decoder."""
    return (_whole_file(folder, OCCUPANCY_FILE, partial(OccupancyDecoder, architecture.occupancy)),)


def open_mesh_decoder(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[MeshDecoder]]:
    """Open the file of the mesh decoder."""
    return (_whole_file(folder, MESH_FILE, partial(MeshDecoder, architecture.mesh)),)


def open_splat_decoder(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[SplatDecoder]]:
    """Open the file of the decoder of splats."""
    return (_whole_file(folder, SPLATS_FILE, partial(SplatDecoder, architecture.splats)),)


def open_few_splats_decoder(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[SplatDecoder]]:
    """Open the file of the decoder of fewer splats."""
    return (_whole_file(folder, FEW_SPLATS_FILE, partial(SplatDecoder, architecture.few_splats)),)


def open_depth_model(
    folder: Path, architecture: ObjectsArchitecture
) -> tuple[FittedWeights[DepthModel]]:
    """Open the file of the depth model; sizes that it tells go before those given."""
    stored = read_weights(weights_path(folder, DEPTH_MODEL_FILE))
    told = stored.settings.get("model_config")
    config = architecture.depth_model
    if isinstance(told, Mapping):
        config = told_config(told, config)
    (part,) = split(stored, [""])
    return (fit(partial(DepthModel, config), part),)


def _loaded_decoder(
    opened: FittedWeights[DecoderT], device: torch.device | str, dtype: torch.dtype
) -> DecoderT:
    """Load a decoder of the structured latent; its outermost layers stay in float32."""
    return opened.load(device=device, dtype=torch.float32).with_inner_dtype(dtype)


def _generator_file(
    folder: Path, name: str, embedder: ConditionConfig, build: Callable[[], ModuleT]
) -> tuple[FittedWeights[ConditionEmbedder], FittedWeights[ModuleT]]:
    """Open a file that holds a condition embedder and the network that it conditions."""
    stored = read_weights(weights_path(folder, name))
    condition, network = split(stored, [EMBEDDER_PREFIX, GENERATOR_PREFIX])
    return fit(partial(ConditionEmbedder, embedder), condition), fit(build, network)


def _whole_file(folder: Path, name: str, build: Callable[[], ModuleT]) -> FittedWeights[ModuleT]:
    """Open a file that holds one network and nothing else."""
    (part,) = split(read_weights(weights_path(folder, name)), [""])
    return fit(build, part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedFile:
    """One weights file: what it is for, and where it comes from."""

    name: str  # in a weights folder
    purpose: str
    required: bool  # by the first stage
    repository: str
    path: str  # in the repository
    target: str  # folder in a weights folder that the repository is downloaded to
    gated: bool
    open: Opener


def _gated(name: str, purpose: str, opener: Opener, *, required: bool = False) -> ReleasedFile:
    """Describe a file of SAM 3D Objects' own repository."""
    return ReleasedFile(
        name=name,
        purpose=purpose,
        required=required,
        repository="facebook/sam-3d-objects",
        path=f"{SUBFOLDER}/{name}",
        target=".",
        gated=True,
        open=opener,
    )


RELEASED_FILES = (
    _gated(GEOMETRY_FILE, "condition embedder and geometry model", open_generator, required=True),
    _gated(OCCUPANCY_FILE, "occupancy decoder", open_occupancy, required=True),
    _gated(
        REFINEMENT_FILE,
        "condition embedder and refinement model, for full meshes and splats",
        open_refinement,
    ),
    _gated(MESH_FILE, "mesh decoder, for full meshes", open_mesh_decoder),
    _gated(SPLATS_FILE, "decoder of splats, 32 of each voxel", open_splat_decoder),
    _gated(FEW_SPLATS_FILE, "decoder of fewer splats, 4 of each voxel", open_few_splats_decoder),
    ReleasedFile(
        name=DEPTH_MODEL_FILE,
        purpose="depth model, for cameras without depth",
        required=False,
        repository="Ruicheng/moge-vitl",
        path="model.pt",
        target="moge-vitl",
        gated=False,
        open=open_depth_model,
    ),
)
