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

"""Norms of transformers; means and squares are taken in float32 whatever the input's precision."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of a mean of squares. The reference bounds the length of a vector from below by 1e-12; this is as
# good as that: nothing but to make no NaN of a vector of zeros.
RMS_EPS = 1e-24


class Float32LayerNorm(nn.LayerNorm):
    """A layer norm whose output is float32; the linear layer that follows converts it."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of ``(..., D)``."""
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel or voxel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, ...)`` to the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class HeadRmsNorm(nn.Module):
    """Scales every head's vector to the length sqrt(D), then its channels by learned factors."""

    def __init__(self, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_heads, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(..., H, D)``."""
        if hasattr(F, "rms_norm"):  # from torch 2.4 on; Ubuntu 24.04 has 2.1
            return F.rms_norm(x, x.shape[-1:], eps=RMS_EPS) * self.gamma
        return rms_scaled(x) * self.gamma


def rms_scaled(x: Tensor) -> Tensor:
    """Scale vectors ``(..., D)`` to the length sqrt(D), in float32, as torch's own does."""
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + RMS_EPS)
    return scaled.to(x.dtype)


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor, eps: float = 1e-6) -> Tensor:
    """Normalise tokens ``(B, L, D)``, then scale by ``1 + scale`` and shift, in float32.

    Args:
        x: Tokens.
        shift: ``(B, 1, D)``, or ``(1, 1, D)`` for all of the batch.
        scale: Likewise.
        eps: Of the norm.
    """
    size = x.shape[-1:]
    if len(shift) == 1:  # the norm's own factors, and no further pass over the tokens
        factors = 1.0 + scale.flatten().float()  # of the norm's type, whatever autocast made them
        return F.layer_norm(x.float(), size, factors, shift.flatten().float(), eps)
    return torch.addcmul(shift, F.layer_norm(x.float(), size, eps=eps), 1.0 + scale)
