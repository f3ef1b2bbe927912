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

"""Parts of the body model as recorded fixtures describe them."""

from dataclasses import fields, replace

from fixtures import Golden
from torch import nn

from sam3d_ros.body.architecture import BackboneConfig, BodyArchitecture, RigConfig
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.model import BodyModel, Part
from sam3d_ros.body.model_config import described_architecture
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.tokens import DecoderLayers


def recorded_rig(golden: Golden) -> BodyRig:
    return BodyRig.of(RigTensors.read(golden.rig, golden.name))


def recorded_architecture(golden: Golden) -> BodyArchitecture:
    sizes = golden.config["backbone_dims"]
    described = described_architecture(golden.config["model_config"], golden.name)
    num_triangles = next(len(v) for name, v in golden.weights.items() if name.endswith(".faces"))
    return replace(
        described,
        backbone=BackboneConfig(
            kind=described.backbone.kind,
            dim=sizes["dim"],
            depth=sizes["depth"],
            num_heads=sizes["heads"],
        ),
        rig=RigConfig(num_vertices=golden.config["rig"]["V"], num_triangles=num_triangles),
    )


def recorded_decoder(golden: Golden, part: Part) -> BodyModel:
    """Build the model of a fixture that has one decoder and no backbone."""
    model = BodyModel(recorded_architecture(golden), nn.Identity()).requires_grad_(False)
    missing, unknown = model.load_state_dict(golden.weights, strict=False)
    assert not unknown
    own = {each.name + part.value for each in fields(DecoderLayers)}
    assert not [name for name in missing if name.partition(".")[0] in own]
    return model
