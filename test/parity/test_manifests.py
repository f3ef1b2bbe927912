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


"""The models at their released sizes hold exactly the tensors of the released files."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.condition import ConditionEmbedder
from sam3d_ros.objects.depth_model import DepthModel
from sam3d_ros.objects.gaussian_decoder import SplatDecoder
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.mesh_decoder import MeshDecoder
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.weights import EMBEDDER_PREFIX, GENERATOR_PREFIX

RELEASED = ObjectsArchitecture()
# Of each file: the modules that it fills, by the prefix of their tensors.
FILES: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "ss_generator": {
        EMBEDDER_PREFIX: lambda: ConditionEmbedder(RELEASED.geometry_condition),
        GENERATOR_PREFIX: lambda: GeometryModel(RELEASED.geometry),
    },
    "slat_generator": {
        EMBEDDER_PREFIX: lambda: ConditionEmbedder(RELEASED.refinement_condition),
        GENERATOR_PREFIX: lambda: RefinementModel(RELEASED.refinement),
    },
    "ss_decoder": {"": lambda: OccupancyDecoder(RELEASED.occupancy)},
    "slat_decoder_gs": {"": lambda: SplatDecoder(RELEASED.splats)},
    "slat_decoder_gs_4": {"": lambda: SplatDecoder(RELEASED.few_splats)},
    "slat_decoder_mesh": {"": lambda: MeshDecoder(RELEASED.mesh)},
    "moge_vitl": {"": lambda: DepthModel(RELEASED.depth_model)},
}


@pytest.mark.parametrize("file", FILES)
def test_names_and_shapes_are_those_of_the_released_file(
    manifest: Callable[[str], dict[str, tuple[int, ...]]], file: str
) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix, build in FILES[file].items():
        with torch.device("meta"):
            tensors = build().state_dict()
        shapes |= {prefix + name: tuple(tensor.shape) for name, tensor in tensors.items()}

    expected = manifest(file)

    assert sorted(expected.keys() - shapes.keys()) == [], "missing"
    assert sorted(shapes.keys() - expected.keys()) == [], "unexpected"
    assert shapes == expected
