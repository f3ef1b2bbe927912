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

"""SAM 3D Body at its released sizes holds exactly the tensors of the released files."""

from collections.abc import Callable

import pytest
import torch

from sam3d_ros.body.architecture import BackboneKind, RigConfig, released_architecture
from sam3d_ros.body.backbone import build_backbone
from sam3d_ros.body.model import BodyModel
from sam3d_ros.body.rig_tensors import RigTensors

Manifest = Callable[[str], dict[str, tuple[int, ...]]]
CHECKPOINTS = {
    BackboneKind.DINOV3: "body/sam-3d-body-dinov3",
    BackboneKind.VITH: "body/sam-3d-body-vith",
}
BIG = "pose_correctives_model.pose_dirs_predictor.2.weight"
INDICES = {
    "joint_parents",
    "faces",
    "skin_indices_flattened",
    "vert_indices_flattened",
    "sparse_indices",
}
UNKNOWN = 17  # stands for lengths that the manifest leaves open


@pytest.mark.parametrize("kind", BackboneKind)
def test_names_and_shapes_are_those_of_the_released_file(
    manifest: Manifest, kind: BackboneKind
) -> None:
    architecture = released_architecture(kind)
    with torch.device("meta"):
        model = BodyModel(architecture, build_backbone(architecture))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}

    expected = manifest(CHECKPOINTS[kind])

    assert sorted(expected.keys() - shapes.keys()) == [], "missing"
    assert sorted(shapes.keys() - expected.keys()) == [], "unexpected"
    assert shapes == expected


def test_a_rig_with_the_shapes_of_the_released_file_is_taken(manifest: Manifest) -> None:
    shapes = manifest("body/mhr_model_pt")
    tensors = {
        name: torch.zeros(
            [length if isinstance(length, int) else UNKNOWN for length in shape],
            dtype=torch.int32 if INDICES & {*name.split(".")} else torch.float32,
        )
        for name, shape in shapes.items()
        if BIG not in name
    }
    # Of 660 MB: one zero for all of its values.
    tensors[BIG] = torch.zeros(1, 1).expand(shapes[BIG])
    tensors["character_torch.skeleton.joint_parents"] = torch.arange(-1, 126)

    rig = RigTensors.read(tensors, "manifest")

    sizes = RigConfig()
    assert len(rig.surface.base_shape) == sizes.num_vertices
    assert len(rig.surface.triangles) == sizes.num_triangles
    assert len(rig.skeleton.parents) == 127
