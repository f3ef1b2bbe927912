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
from fixtures import load_manifest_dtypes

from sam3d_ros.body.architecture import BackboneKind, RigConfig, released_architecture
from sam3d_ros.body.backbone import build_backbone
from sam3d_ros.body.model import BodyModel
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.synthetic_rig import SyntheticRigConfig, synthetic_rig

Manifest = Callable[[str], dict[str, tuple[int, ...]]]
CHECKPOINTS = {
    BackboneKind.DINOV3: "body/sam-3d-body-dinov3",
    BackboneKind.VITH: "body/sam-3d-body-vith",
}
BIG = "pose_correctives_model.pose_dirs_predictor.2.weight"
RIG = "body/mhr_model_pt"
ANY_INTEGER = "int32 (any integer)"
UNKNOWN = 17  # stands for lengths that the manifest leaves open


@pytest.mark.parametrize("kind", BackboneKind)
def test_names_shapes_and_kinds_are_those_of_the_released_file(
    manifest: Manifest, kind: BackboneKind
) -> None:
    architecture = released_architecture(kind)
    with torch.device("meta"):
        model = BodyModel(architecture, build_backbone(architecture))
    state = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    kinds = {name: kind_of(tensor.dtype) for name, tensor in state.items()}

    expected = manifest(CHECKPOINTS[kind])

    assert sorted(expected.keys() - shapes.keys()) == [], "missing"
    assert sorted(shapes.keys() - expected.keys()) == [], "unexpected"
    assert shapes == expected
    assert kinds == load_manifest_dtypes(CHECKPOINTS[kind])


@pytest.mark.parametrize("integer", ["int32", "int64"])
def test_a_rig_with_the_shapes_and_kinds_of_the_released_file_is_taken(
    manifest: Manifest, integer: str
) -> None:
    shapes, kinds = manifest(RIG), load_manifest_dtypes(RIG)
    tensors = {
        name: torch.zeros(
            [length if isinstance(length, int) else UNKNOWN for length in shape],
            dtype=getattr(torch, kinds[name].replace(ANY_INTEGER, integer)),
        )
        for name, shape in shapes.items()
        if BIG not in name
    }
    # Of 660 MB: one zero for all of its values.
    tensors[BIG] = torch.zeros(1, 1).expand(shapes[BIG])
    parents = tensors["character_torch.skeleton.joint_parents"]
    parents.copy_(torch.arange(-1, 126))

    rig = RigTensors.read(tensors, "manifest")

    sizes = RigConfig()
    assert len(rig.surface.base_shape) == sizes.num_vertices
    assert len(rig.surface.triangles) == sizes.num_triangles
    assert len(rig.skeleton.parents) == 127
    assert rig.surface.base_shape.dtype == rig.skeleton.parameter_transform.dtype == torch.float32
    assert rig.surface.triangles.dtype == torch.int64  # whatever integers the file has


def test_a_made_up_rig_has_tensors_of_the_kinds_of_the_released_file() -> None:
    expected = load_manifest_dtypes(RIG)
    made_up = synthetic_rig(SyntheticRigConfig(rings=6, segments=5, num_hidden=16))

    kinds = {name: kind_of(tensor.dtype) for name, tensor in made_up.items()}

    assert kinds.keys() <= expected.keys()
    for name, kind in kinds.items():
        assert kind in ({"int32", "int64"} if expected[name] == ANY_INTEGER else {expected[name]})


def kind_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
