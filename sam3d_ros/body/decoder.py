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

"""The transformer from tokens about a person to an answer, given the features of an image.

Attribute names are those of the released checkpoints. Tokens attend to each other, then to the
image; what tokens and patches are said to be where is normalised anew by every layer. The image
itself does not change.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from sam3d_ros.body.architecture import BodyDecoderConfig
from sam3d_ros.body.layers import TwoLayers
from sam3d_ros.nn.attention import attend, split_heads

NORM_EPS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenStream:
    """Tokens, and what says where each is; both ``(N, L, D)``."""

    values: Tensor
    places: Tensor

    def with_values(self, values: Tensor) -> "TokenStream":
        """Return these tokens with other values at the same places."""
        return replace(self, values=values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageContext:
    """Patches of images ``(N, P, C)``, and what says where each is, ``(1, P, C)``."""

    patches: Tensor
    places: Tensor


# What becomes of the tokens between two layers, given also their normalised values (N, L, D).
Refine = Callable[[TokenStream, Tensor], TokenStream]


class ProjectedAttention(nn.Module):
    """Attention whose heads together may be narrower than the tokens."""

    def __init__(self, config: BodyDecoderConfig, context_dim: int) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        inner = config.num_heads * config.head_dim
        self.q_proj = nn.Linear(config.dim, inner)
        self.k_proj = nn.Linear(context_dim, inner)
        self.v_proj = nn.Linear(context_dim, inner)
        self.proj = nn.Linear(inner, config.dim)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return what ``(N, L, D)`` read from ``(N, P, C)``, ``(N, L, D)``."""
        q, k, v = (
            split_heads(projected, self.num_heads)
            for projected in (self.q_proj(queries), self.k_proj(keys), self.v_proj(values))
        )
        return self.proj(attend(q, k, v))


class DecoderLayer(nn.Module):
    """Attention of tokens to each other and to the image, then two linear layers."""

    def __init__(self, config: BodyDecoderConfig, context_dim: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.ln_pe_1 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.ln_pe_2 = nn.LayerNorm(context_dim, eps=NORM_EPS)
        self.ln1 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.self_attn = ProjectedAttention(config, config.dim)
        self.ln2_1 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.ln2_2 = nn.LayerNorm(context_dim, eps=NORM_EPS)
        self.cross_attn = ProjectedAttention(config, context_dim)
        self.ln3 = nn.LayerNorm(config.dim, eps=NORM_EPS)
        self.ffn = TwoLayers(config.dim, config.mlp_dim, config.dim, nn.GELU)

    def forward(self, tokens: TokenStream, image: ImageContext) -> TokenStream:
        """Return tokens that have read from each other and from the image."""
        places = self.ln_pe_1(tokens.places)
        x, normed = tokens.values, self.ln1(tokens.values)
        # The first layer compares tokens without their places, the released weights want it so.
        placed = normed if self.first else normed + places
        x = x + self.self_attn(placed, placed, normed)
        patches = self.ln2_2(image.patches)
        keys = patches + self.ln_pe_2(image.places)
        x = x + self.cross_attn(self.ln2_1(x) + places, keys, patches)
        return tokens.with_values(x + self.ffn(self.ln3(x)))


class TokenDecoder(nn.Module):
    """Layers one after the other, between which tokens may be brought up to date."""

    def __init__(self, config: BodyDecoderConfig, context_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(config, context_dim, first=index == 0) for index in range(config.depth)
        )
        self.norm_final = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def forward(
        self, tokens: TokenStream, image: ImageContext, refine: Refine | None = None
    ) -> Tensor:
        """Return the normalised tokens ``(N, L, D)`` after the last layer."""
        for layer in self.layers[:-1]:
            tokens = layer(tokens, image)
            if refine is not None:
                tokens = refine(tokens, self.norm_final(tokens.values))
        return self.norm_final(self.layers[-1](tokens, image).values)
