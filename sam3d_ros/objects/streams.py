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

"""The two token streams of the geometry model, and how latents become tokens and back.

Everything a checkpoint calls by the name of a latent or a stream is called so here and only here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from sam3d_ros.nn.embeddings import grid_positions, position_embedding
from sam3d_ros.nn.linear import Float32Linear
from sam3d_ros.nn.norms import Float32LayerNorm
from sam3d_ros.objects.architecture import GeometryConfig
from sam3d_ros.objects.latents import GeometryLatents

# What checkpoints call the latents; the order is that of the tokens.
LATENT_NAMES = {
    "shape": "shape",
    "rotation": "6drotation_normalized",
    "translation": "translation",
    "scale": "scale",
    "translation_scale": "translation_scale",
}
LAYOUT = ("rotation", "translation", "scale", "translation_scale")
# Checkpoints call the stream of all layout tokens by its first latent.
SHAPE_STREAM, LAYOUT_STREAM = "shape", "6drotation_normalized"

T = TypeVar("T")
U = TypeVar("U")
LayerT = TypeVar("LayerT", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class Streams(Generic[T]):
    """One thing for each of the two streams: tokens, or what attention needs of a condition."""

    shape: T  # tokens: (B, R^3, D)
    layout: T  # tokens: (B, 4, D), in the order of LAYOUT

    def map(self, function: Callable[[T], U]) -> "Streams[U]":
        """Apply a function to both."""
        return Streams(function(self.shape), function(self.layout))


class PerStream(nn.ModuleDict, Generic[LayerT]):
    """One layer per stream, with weights of its own."""

    def __init__(self, build: Callable[[], LayerT]) -> None:
        super().__init__({SHAPE_STREAM: build(), LAYOUT_STREAM: build()})

    @property
    def layers(self) -> Streams[LayerT]:
        """The two layers."""
        return Streams(cast(LayerT, self[SHAPE_STREAM]), cast(LayerT, self[LAYOUT_STREAM]))

    def forward(self, x: Streams[Tensor]) -> Streams[Tensor]:
        """Apply to each stream its layer."""
        return Streams(self[SHAPE_STREAM](x.shape), self[LAYOUT_STREAM](x.layout))


def latent_sizes(config: GeometryConfig) -> dict[str, tuple[int, int]]:
    """Return (tokens, channels) of each latent, by the names of ``GeometryLatents``."""
    return {
        "shape": (config.resolution**3, config.shape_channels),
        "rotation": (1, 6),
        "translation": (1, 3),
        "scale": (1, 3),
        "translation_scale": (1, 1),
    }


class LatentProjection(nn.Module):
    """From one latent to its tokens and back, in float32."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.input_layer = Float32Linear(channels, dim)
        self.out_layer = Float32Linear(dim, channels)
        self.out_norm = Float32LayerNorm(dim, eps=1e-5, elementwise_affine=False)
        self.pos_emb: Tensor  # (tokens, dim)

    def tokens(self, latent: Tensor) -> Tensor:
        """Map ``(B, L, C)`` to tokens ``(B, L, D)``."""
        return self.input_layer(latent) + self.pos_emb

    def latent(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(B, L, D)`` to ``(B, L, C)``."""
        return self.out_layer(self.out_norm(tokens))


class LatentMapping(nn.ModuleDict):
    """From the five latents to the two streams and back."""

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        for name, (num_tokens, channels) in latent_sizes(config).items():
            projection = LatentProjection(channels, config.dim)
            if name == "shape":  # fixed, and stored nevertheless
                cells = grid_positions(config.resolution)
                projection.register_buffer("pos_emb", position_embedding(cells, config.dim))
            else:
                projection.pos_emb = nn.Parameter(torch.zeros(num_tokens, config.dim))
            self[LATENT_NAMES[name]] = projection

    def tokens(self, latents: GeometryLatents) -> Streams[Tensor]:
        """Return the tokens of both streams."""
        layout = [self._projection(name).tokens(getattr(latents, name)) for name in LAYOUT]
        return Streams(self._projection("shape").tokens(latents.shape), torch.cat(layout, dim=1))

    def latents(self, streams: Streams[Tensor]) -> GeometryLatents:
        """Return what the tokens say, latent by latent."""
        tokens = {name: streams.layout[:, i : i + 1] for i, name in enumerate(LAYOUT)}
        tokens["shape"] = streams.shape
        return GeometryLatents(
            **{name: self._projection(name).latent(tokens[name]) for name in LATENT_NAMES}
        )

    def _projection(self, name: str) -> LatentProjection:
        return cast(LatentProjection, self[LATENT_NAMES[name]])
