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

"""The condition embedder: what the models see of an object, as one sequence of tokens.

Each modality has one embedder, which sees two views: cropped around the object, and whole. The
sequence is modality after modality, in each the cropped view before the whole one.
"""

from collections.abc import Collection
from enum import IntEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.errors import ConditionError
from sam3d_ros.nn.sharing import share_equal_parameters
from sam3d_ros.nn.vit import VisionTransformer, VitConfig, normalise_colors
from sam3d_ros.objects.architecture import ConditionConfig
from sam3d_ros.objects.inputs import ConditionInputs
from sam3d_ros.objects.point_patch import PointPatchEmbedder
from sam3d_ros.shapes import check_shape

CROPPED, FULL = 0, 1  # rows of the group embedding


class Modality(IntEnum):
    """What an embedder sees; the order is that of the embedders, and of their tokens."""

    IMAGE = 0
    MASK = 1
    POINTS = 2


class ImageEmbedder(nn.Module):
    """Images, or masks as grey images, to the class token and the patches of DINOv2."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.backbone = VisionTransformer(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, 3, T, T)`` or ``(B, 1, T, T)`` in [0, 1] to tokens ``(B, L, D)``."""
        return self.backbone.without_registers(self.backbone(self._prepared(images)))

    def _prepared(self, images: Tensor) -> Tensor:
        size = self.backbone.config.image_size
        if images.shape[-1] != size:
            images = F.interpolate(images, size=(size, size), mode="bilinear")
        return normalise_colors(images.expand(-1, 3, -1, -1))


class PrenormImageEmbedder(ImageEmbedder):
    """All tokens of DINOv2, with a plain norm in place of its learned last one."""

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, 3, T, T)`` or ``(B, 1, T, T)`` in [0, 1] to tokens ``(B, L, D)``."""
        tokens = self.backbone.prenorm_tokens(self._prepared(images))
        return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-5)


class SwiGlu(nn.Module):
    """A gated linear layer."""

    def __init__(self, dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, out_dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., D_out)``."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class ConditionEmbedder(nn.Module):
    """Images, masks and point maps to the tokens that the models attend to.

    The checkpoints call the embedders ``module_list`` and the group embedding ``idx_emb``.
    """

    def __init__(self, config: ConditionConfig) -> None:
        super().__init__()
        self.config = config
        embedder = PrenormImageEmbedder if config.prenorm_features else ImageEmbedder
        self.module_list = nn.ModuleList(embedder(config.encoder) for _ in range(2))
        if config.point_patch is not None:
            self.module_list.append(PointPatchEmbedder(config.point_patch))
        self.projection_nets = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim, eps=1e-5), SwiGlu(dim, config.hidden_dim, config.width))
            for dim in config.embedder_dims
        )
        self.idx_emb = nn.Parameter(torch.zeros(config.num_groups, config.width))

    def forward(self, inputs: ConditionInputs, dropped: Collection[Modality] = ()) -> Tensor:
        """Return the tokens ``(B, L, C)``; those of ``dropped`` modalities are zero.

        Point maps are needed only where the model has an embedder for them, and they are not
        dropped.

        Raises:
            ShapeError: The inputs are not square images of one size and number.
            ConditionError: A point map is needed but missing.
        """
        batch = check_inputs(inputs)
        tokens = []
        for modality, num_tokens in zip(Modality, self.config.tokens_per_view, strict=False):
            if modality in dropped:
                tokens.append(self.idx_emb.new_zeros(batch, 2 * num_tokens, self.config.width))
            else:
                tokens.append(self._tokens(modality, *_views(inputs, modality)))
        return torch.cat(tokens, dim=1)

    def _tokens(self, modality: Modality, cropped: Tensor, full: Tensor) -> Tensor:
        """Return a modality's tokens ``(B, 2 L, C)``; both views go through as one batch."""
        embedded = self.module_list[modality](torch.cat((cropped, full)))
        of_cropped, of_full = self.projection_nets[modality](embedded).chunk(2)
        return torch.cat((of_cropped + self.idx_emb[CROPPED], of_full + self.idx_emb[FULL]), dim=1)


def share_encoders(*embedders: ConditionEmbedder) -> int:
    """Let equal image encoders of condition embedders share memory; return the bytes freed.

    Each released model carries two copies of DINOv2, which was frozen when they were trained.
    """
    encoders = (module.get_submodule("backbone") for e in embedders for module in e.module_list[:2])
    return share_equal_parameters(encoders)


def check_inputs(inputs: ConditionInputs) -> int:
    """Check that all inputs are square, of one size and number; return the number."""
    sizes = check_shape(inputs.image, "B 3 T T", "image")
    batch, side = sizes["B"], sizes["T"]
    check_shape(inputs.rgb_image, f"{batch} 3 {side} {side}", "rgb_image")
    check_shape(inputs.mask, f"{batch} 1 {side} {side}", "mask")
    check_shape(inputs.rgb_image_mask, f"{batch} 1 {side} {side}", "rgb_image_mask")
    if inputs.pointmap is not None:
        check_shape(inputs.pointmap, f"{batch} 3 {side} {side}", "pointmap")
    if inputs.rgb_pointmap is not None:
        check_shape(inputs.rgb_pointmap, f"{batch} 3 {side} {side}", "rgb_pointmap")
    return batch


def _views(inputs: ConditionInputs, modality: Modality) -> tuple[Tensor, Tensor]:
    """Return the cropped and the whole view of a modality."""
    if modality is Modality.IMAGE:
        return inputs.image, inputs.rgb_image
    if modality is Modality.MASK:
        return inputs.mask, inputs.rgb_image_mask
    if inputs.pointmap is None or inputs.rgb_pointmap is None:
        missing = "pointmap" if inputs.pointmap is None else "rgb_pointmap"
        raise ConditionError(
            f"the model needs a cropped and a whole point map, got no {missing}; "
            "give depth or a depth model, or drop Modality.POINTS"
        )
    return inputs.pointmap, inputs.rgb_pointmap
