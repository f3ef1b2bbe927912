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

"""SAM 3D Body without its rig: from crops of people to estimates of their bodies and hands.

Attribute names are those of the released checkpoints.
"""

from dataclasses import dataclass, fields
from enum import Enum

import torch
from torch import Tensor, nn

from sam3d_ros.body.architecture import BodyArchitecture
from sam3d_ros.body.decoder import ImageContext, TokenStream
from sam3d_ros.body.estimates import Estimate, LayerEstimate
from sam3d_ros.body.head_rig import HeadRig, Rig
from sam3d_ros.body.layers import BoxLayers
from sam3d_ros.body.prompts import FourierPositions, PromptEncoder, no_keypoints
from sam3d_ros.body.rays import cliff_condition, patch_rays
from sam3d_ros.body.tokens import DecoderLayers, body_layers, hand_layers
from sam3d_ros.body.views import CropViews
from sam3d_ros.structures.people import NUM_KEYPOINTS

NUM_HANDS = 2  # left, right


class Part(Enum):
    """Whose decoder; the value is what stands behind the names of its layers."""

    BODY = ""
    HAND = "_hand"  # knows right hands only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crops:
    """N crops as a decoder takes them."""

    features: Tensor  # (N, C, h, w) of ``BodyModel.features``
    views: CropViews

    def __len__(self) -> int:
        """Return how many crops there are."""
        return len(self.views)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What is known of people before their crops are looked at."""

    keypoints: Tensor | None = None  # (N, K, 3) see ``PromptEncoder``
    previous: Tensor | None = None  # (N, 522) of another pass; see ``Estimate``


class BodyModel(nn.Module):
    """Backbone, prompt encoder, and the decoders and heads of bodies and of hands.

    The backbone may be stored in half precision, all the rest is float32.
    """

    def __init__(self, architecture: BodyArchitecture, backbone: nn.Module) -> None:
        super().__init__()
        dim, channels = architecture.decoder.dim, architecture.backbone.dim
        self.architecture = architecture
        self.backbone = backbone
        self.prompt_encoder = PromptEncoder(channels)
        self.prompt_to_token = nn.Linear(channels, dim)
        self.hand_pe_layer = FourierPositions(channels)
        self.hand_box_embedding = nn.Embedding(NUM_HANDS, dim)
        self.hand_cls_embed = nn.Linear(dim, 2)
        self.bbox_embed = BoxLayers(dim)
        self._register(body_layers(architecture), Part.BODY)
        self._register(hand_layers(architecture), Part.HAND)

    def layers(self, part: Part) -> DecoderLayers:
        """Return what one of the decoders has of its own."""
        names = [each.name for each in fields(DecoderLayers)]
        return DecoderLayers(**{name: getattr(self, name + part.value) for name in names})

    def prepared(self, rig: Rig) -> dict[Part, HeadRig]:
        """Return a rig as the heads of both decoders use it; waits for the device."""
        return {part: self.layers(part).head_pose.prepared(rig) for part in Part}

    def features(self, images: Tensor) -> Tensor:
        """Return what the backbone sees in normalised crops: float32 features ``(N, C, h, w)``.

        Decoders want ``prompt_encoder.add_masks`` or ``add_no_masks`` of them.
        """
        return self.backbone(images).float()

    def forward(self, part: Part, crops: Crops, told: Told, rig: HeadRig) -> Estimate:
        """Estimate what is in crops.

        Args:
            part: Whether these are bodies or right hands.
            crops: With all that masks say of their features.
            told: What is known already.
            rig: As ``prepared`` for this part.
        """
        layers, views = self.layers(part), crops.views
        rays = patch_rays(views.crop_from_image, views.matrix_px, self.architecture)
        features = layers.ray_cond_emb(crops.features, rays)
        earlier: list[LayerEstimate] = []

        def refine(tokens: TokenStream, normed: Tensor) -> TokenStream:
            earlier.append(layers.estimate(normed[:, 0], views, rig))
            return layers.follow(tokens, earlier[-1], features)

        condition = cliff_condition(views.centers_px, views.sides_px, views.matrix_px)
        tokens = layers.begin(condition, told.previous, self._said(crops, told))
        answer = layers.decoder(tokens, self._context(part, features), refine)
        raw = layers.head_pose(answer[:, 0], layers.init_pose.weight)
        values = layers.head_pose.values(raw)
        posed = layers.head_pose.joints(values, rig)
        hands = answer[:, -2 * NUM_KEYPOINTS - NUM_HANDS : -2 * NUM_KEYPOINTS]
        return Estimate(
            raw=raw,
            values=values,
            posed=posed,
            placement=layers.place(answer[:, 0], posed.keypoints_m, views),
            hand_boxes=self.bbox_embed(hands),
            hand_logits=self.hand_cls_embed(hands),
            earlier=tuple(earlier),
        )

    def _said(self, crops: Crops, told: Told) -> TokenStream:
        """Return tokens ``(N, K + 2, D)`` of prompts, and of hands to find."""
        features = crops.features
        keypoints = no_keypoints(features) if told.keypoints is None else told.keypoints
        prompts = self.prompt_to_token(self.prompt_encoder(keypoints))
        hands = self.hand_box_embedding.weight.expand(len(crops), -1, -1)
        return TokenStream(
            values=torch.cat((prompts, hands), dim=1),
            places=torch.cat((prompts, torch.zeros_like(hands)), dim=1),
        )

    def _context(self, part: Part, features: Tensor) -> ImageContext:
        """Return features ``(N, C, h, w)`` as patches, and where these are."""
        positions = self.prompt_encoder.pe_layer if part is Part.BODY else self.hand_pe_layer
        places = positions.grid(*features.shape[-2:])
        return ImageContext(patches=features.flatten(2).mT, places=places.flatten(2).mT)

    def _register(self, layers: DecoderLayers, part: Part) -> None:
        for each in fields(layers):
            self.add_module(each.name + part.value, getattr(layers, each.name))
