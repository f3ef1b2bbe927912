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

"""Tokens about people: what they begin with, and how they follow what is predicted of them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.body.architecture import NUM_CAMERA_VALUES, NUM_POSE_VALUES, BodyArchitecture
from sam3d_ros.body.camera_head import CameraHead, Placement
from sam3d_ros.body.decoder import TokenDecoder, TokenStream
from sam3d_ros.body.estimates import LayerEstimate
from sam3d_ros.body.head_rig import HeadRig
from sam3d_ros.body.layers import TwoLayers
from sam3d_ros.body.pose_head import HandPoseHead, PoseHead
from sam3d_ros.body.rays import RayConditioning
from sam3d_ros.body.views import CropViews
from sam3d_ros.structures.people import NUM_KEYPOINTS

NUM_CONDITION_VALUES = 3  # where a crop lies
LEAST_DEPTH_M = 1e-5  # of keypoints that are looked up in the image
HIPS = slice(9, 11)  # keypoints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecoderLayers:
    """What the decoder of bodies and the decoder of hands have each of their own.

    Fields are named as in the released checkpoints, which hold one set under these names and
    another, of hands, with ``_hand`` behind them.
    """

    init_pose: nn.Embedding
    init_camera: nn.Embedding
    init_to_token_mhr: nn.Linear
    prev_to_token_mhr: nn.Linear
    keypoint_embedding: nn.Embedding
    keypoint_posemb_linear: TwoLayers
    keypoint_feat_linear: nn.Linear
    keypoint3d_embedding: nn.Embedding
    keypoint3d_posemb_linear: TwoLayers
    ray_cond_emb: RayConditioning
    decoder: TokenDecoder
    head_pose: PoseHead
    head_camera: CameraHead

    def begin(self, condition: Tensor, previous: Tensor | None, said: TokenStream) -> TokenStream:
        """Return the tokens of N people before the first layer.

        Args:
            condition: ``(N, 3)`` where their crops lie.
            previous: ``(N, 522)`` an answer that exists already; see ``Estimate``.
            said: Tokens ``(N, T, D)`` that are the same for both decoders.

        Returns:
            One token of the pose, one of the previous answer, those given, and two of each
            keypoint: in the image, in space.
        """
        num = len(condition)
        first = torch.cat((self.init_pose.weight, self.init_camera.weight), dim=-1)
        first = first.expand(num, -1)
        pose = self.init_to_token_mhr(torch.cat((condition, first), dim=-1))[:, None]
        answer = self.prev_to_token_mhr(first if previous is None else previous)[:, None]
        keypoints = torch.cat((self.keypoint_embedding.weight, self.keypoint3d_embedding.weight))
        keypoints = keypoints.expand(num, -1, -1)
        unplaced = torch.zeros_like
        return TokenStream(
            values=torch.cat((pose, answer, said.values, keypoints), dim=1),
            places=torch.cat((unplaced(pose), answer, said.places, unplaced(keypoints)), dim=1),
        )

    def estimate(self, token: Tensor, views: CropViews, rig: HeadRig) -> LayerEstimate:
        """Return what pose tokens ``(N, D)`` say, as far as the next layer needs it.

        Each layer answers anew: it corrects the first guess, not the layer before it.
        """
        raw = self.head_pose(token, self.init_pose.weight)
        values = self.head_pose.values(raw)
        keypoints_m = self.head_pose.keypoints_m(values, rig)
        placement = self.place(token, keypoints_m, views)
        return LayerEstimate(raw=raw, values=values, keypoints_m=keypoints_m, placement=placement)

    def place(self, token: Tensor, keypoints_m: Tensor, views: CropViews) -> Placement:
        """Return where bodies with keypoints ``(N, 70, 3)`` are, as tokens ``(N, D)`` say."""
        camera = self.head_camera(token, self.init_camera.weight)
        return self.head_camera.place(camera, keypoints_m, views)

    def follow(self, tokens: TokenStream, estimate: LayerEstimate, features: Tensor) -> TokenStream:
        """Return tokens of which those of keypoints know where these now are.

        Args:
            tokens: ``(N, L, D)``, keypoints in the image and in space last.
            estimate: Of the layer that the tokens come from.
            features: ``(N, C, h, w)`` of the image, from which keypoints take what is there.
        """
        placement = estimate.placement
        seen = _are_seen(placement)[..., None]
        at_keypoints = torch.where(seen, _sampled(features, placement.keypoints_crop), 0.0)
        in_image = torch.where(seen, self.keypoint_posemb_linear(placement.keypoints_crop), 0.0)
        hips = estimate.keypoints_m[:, HIPS].mean(dim=1, keepdim=True)
        in_space = self.keypoint3d_posemb_linear(estimate.keypoints_m - hips)
        num_others = tokens.values.shape[1] - 2 * NUM_KEYPOINTS
        others, image, space = torch.split(
            tokens.values, [num_others, NUM_KEYPOINTS, NUM_KEYPOINTS], dim=1
        )
        # The layer's bias reaches keypoints that are not seen, too.
        image = image + self.keypoint_feat_linear(at_keypoints)
        return TokenStream(
            values=torch.cat((others, image, space), dim=1),
            places=torch.cat((tokens.places[:, :num_others], in_image, in_space), dim=1),
        )


def body_layers(architecture: BodyArchitecture) -> DecoderLayers:
    """Build what the decoder of bodies has of its own."""
    dim = architecture.decoder.dim
    head = PoseHead(dim, architecture.rig)
    return _layers(architecture, head, CameraHead(dim, scale=1.0))


def hand_layers(architecture: BodyArchitecture) -> DecoderLayers:
    """Build what the decoder of hands has of its own."""
    dim = architecture.decoder.dim
    head = HandPoseHead(dim, architecture.rig)
    return _layers(architecture, head, CameraHead(dim, architecture.decoder.hand_scale))


def _layers(architecture: BodyArchitecture, pose: PoseHead, camera: CameraHead) -> DecoderLayers:
    dim, channels = architecture.decoder.dim, architecture.backbone.dim
    num_values = NUM_POSE_VALUES + NUM_CAMERA_VALUES
    return DecoderLayers(
        init_pose=nn.Embedding(1, NUM_POSE_VALUES),
        init_camera=nn.Embedding(1, NUM_CAMERA_VALUES),
        init_to_token_mhr=nn.Linear(NUM_CONDITION_VALUES + num_values, dim),
        prev_to_token_mhr=nn.Linear(num_values, dim),
        keypoint_embedding=nn.Embedding(NUM_KEYPOINTS, dim),
        keypoint_posemb_linear=TwoLayers(2, dim, dim),
        keypoint_feat_linear=nn.Linear(channels, dim),
        keypoint3d_embedding=nn.Embedding(NUM_KEYPOINTS, dim),
        keypoint3d_posemb_linear=TwoLayers(3, dim, dim),
        ray_cond_emb=RayConditioning(channels),
        decoder=TokenDecoder(architecture.decoder, channels),
        head_pose=pose,
        head_camera=camera,
    )


def _are_seen(placement: Placement) -> Tensor:
    """Tell which keypoints ``(N, 70)`` are in the crop and before the camera."""
    inside = ((placement.keypoints_crop + 0.5).clamp(0, 1) == placement.keypoints_crop + 0.5).all(
        -1
    )
    return inside & (placement.keypoints_depth_m >= LEAST_DEPTH_M)


def _sampled(features: Tensor, keypoints_crop: Tensor) -> Tensor:
    """Return the features ``(N, 70, C)`` at places in units of the crop, 0 in its middle.

    Features ``(N, C, h, w)`` that are less wide than high are of the middle of the crop.
    """
    rows, columns = features.shape[-2:]
    x, y = (2.0 * keypoints_crop).unbind(-1)
    grid = torch.stack((x * (rows / columns), y), dim=-1)[:, :, None]
    return F.grid_sample(features, grid, align_corners=False)[..., 0].mT
