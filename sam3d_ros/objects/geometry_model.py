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

"""The geometry model: a two-stream Mixture-of-Transformers from noise to shape and layout.

Shape tokens and layout tokens each have weights of their own in every layer; they meet only in
self-attention, where layout tokens also read the shape tokens, and never the other way round.
Attribute names are those of the released checkpoint.

A step of the flow needs three things, kept apart because they change at different rates: the
modulation depends on time alone, the context on the condition alone, the velocity on the latents.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.attention import (
    CrossAttention,
    CrossContext,
    add_cross_attention,
    attend,
    queries_keys_values,
)
from sam3d_ros.nn.embeddings import TimestepEmbedder
from sam3d_ros.nn.flow import TIME_SCALE
from sam3d_ros.nn.linear import FeedForward, Linear, modulation_layer
from sam3d_ros.nn.norms import Float32LayerNorm, HeadRmsNorm, modulated_norm
from sam3d_ros.objects.architecture import GeometryConfig
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.streams import LatentMapping, PerStream, Streams, latent_sizes

LEAST_LEFT = 0.02  # of the flow, to divide by; 100 steps, the most there are, begin none later


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Modulation:
    """All that a model needs of T times."""

    blocks: Tensor  # (T, blocks, 6, D), of their layers
    left: Tensor  # (T,) of the flow, 1 at the noise

    def __getitem__(self, times: slice) -> "Modulation":
        """Return that of some of the times."""
        return Modulation(blocks=self.blocks[times], left=self.left[times])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeometryContext:
    """All that a model needs of the condition of the first R samples; the same at every step."""

    crosses: tuple[Streams[CrossContext], ...] = ()  # for the cross-attention of each block
    # Of models with ``token_condition``, see ``GeometryConfig``.
    added: Tensor | None = None  # (R, tokens, D), to the shape tokens
    guess: Tensor | None = None  # (R, tokens, C), of the shape latent

    def expanded(self, num_samples: int) -> "GeometryContext":
        """Let ``num_samples`` samples share the only one's condition, without a copy."""
        shape = (num_samples, -1, -1)
        return GeometryContext(
            crosses=tuple(
                each.map(lambda only: only.expanded(num_samples)) for each in self.crosses
            ),
            added=None if self.added is None else self.added.expand(shape),
            guess=None if self.guess is None else self.guess.expand(shape),
        )


class TwoStreamSelfAttention(nn.Module):
    """Shape tokens attend to shape tokens, layout tokens to all."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.to_qkv = PerStream(lambda: Linear(dim, 3 * dim))
        self.q_rms_norm = PerStream(lambda: HeadRmsNorm(num_heads, dim // num_heads))
        self.k_rms_norm = PerStream(lambda: HeadRmsNorm(num_heads, dim // num_heads))
        self.to_out = PerStream(lambda: Linear(dim, dim))

    def forward(self, x: Streams[Tensor]) -> Streams[Tensor]:
        """Map the tokens of both streams to tokens."""
        qkv, q_norm, k_norm = self.to_qkv(x), self.q_rms_norm.layers, self.k_rms_norm.layers
        q, k, v = queries_keys_values(qkv.shape, q_norm.shape, k_norm.shape)
        layout_q, layout_k, layout_v = queries_keys_values(qkv.layout, q_norm.layout, k_norm.layout)
        all_k, all_v = torch.cat((layout_k, k), dim=2), torch.cat((layout_v, v), dim=2)
        return self.to_out(Streams(attend(q, k, v), attend(layout_q, all_k, all_v)))


class GeometryBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward layers, each added to the streams.

    With ``token_condition`` there is no cross-attention.
    """

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        dim, num_heads = config.dim, config.num_heads
        self.adaLN_modulation = modulation_layer(dim)
        self.self_attn = TwoStreamSelfAttention(dim, num_heads)
        if not config.token_condition:
            self.norm2 = PerStream(lambda: Float32LayerNorm(dim, eps=1e-6))
            self.cross_attn = PerStream(
                lambda: CrossAttention(dim, config.condition_dim, num_heads)
            )
        self.mlp = PerStream(lambda: FeedForward(dim, int(dim * config.mlp_ratio)))

    def forward(
        self, x: Streams[Tensor], modulation: Tensor, context: Streams[CrossContext] | None
    ) -> Streams[Tensor]:
        """Map tokens, float32, to tokens; ``modulation`` is ``(B or 1, 6, D)``."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation[:, :, None].unbind(1)
        h = self.self_attn(x.map(lambda tokens: modulated_norm(tokens, shift_a, scale_a)))
        x = _add_gated(x, h, gate_a)
        if context is not None:
            x = self._add_condition(x, context)
        h = self.mlp(x.map(lambda tokens: modulated_norm(tokens, shift_m, scale_m)))
        return _add_gated(x, h, gate_m)

    def context(self, condition: Tensor) -> Streams[CrossContext]:
        """Prepare condition tokens ``(R, N, C)`` for both streams."""
        return self.cross_attn.layers.map(lambda attention: attention.context(condition))

    def unconditional_context(self) -> Streams[CrossContext]:
        """Prepare for no condition."""
        return self.cross_attn.layers.map(CrossAttention.unconditional_context)

    def _add_condition(self, x: Streams[Tensor], context: Streams[CrossContext]) -> Streams[Tensor]:
        norm, attention = self.norm2.layers, self.cross_attn.layers
        return Streams(
            add_cross_attention(x.shape, norm.shape, attention.shape, context.shape),
            add_cross_attention(x.layout, norm.layout, attention.layout, context.layout),
        )


class GeometryModel(nn.Module):
    """Velocity of shape and layout latents, given a time, a step size and condition tokens."""

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        self.config = config
        self.t_embedder = TimestepEmbedder(config.dim)
        self.d_embedder = TimestepEmbedder(config.dim)
        self.latent_mapping = LatentMapping(config)
        self.blocks = nn.ModuleList(GeometryBlock(config) for _ in range(config.num_blocks))

    def forward(
        self, x: GeometryLatents, time: Tensor, condition: Tensor, step_size: Tensor | None = None
    ) -> GeometryLatents:
        """Return the velocity of latents, with everything computed on the spot.

        The readable reference of what samplers do with prepared parts; the velocity without
        condition is the one for a ``condition`` of zeros.

        Args:
            x: Latents of B samples.
            time: ``(B,)`` or ``(1,)``, in thousandths of the flow.
            condition: Tokens ``(B, N, C)``.
            step_size: Like ``time``; 0 for infinitely small steps, which is not the same as None
                (the released model always gets one).
        """
        return self.velocity(x, self.modulation(time, step_size), self.context(condition))

    def velocity(
        self, x: GeometryLatents, modulation: Modulation, context: GeometryContext
    ) -> GeometryLatents:
        """Return the velocity of latents.

        Args:
            x: Latents of B samples.
            modulation: Of B times, or of one.
            context: Of the first samples; those beyond are unconditional.
        """
        streams = self.latent_mapping.tokens(x)
        if context.added is not None:
            streams = Streams(_added(streams.shape, context.added), streams.layout)
        for index, block in enumerate(self.blocks):
            cross = context.crosses[index] if context.crosses else None
            streams = block(streams, modulation.blocks[:, index], cross)
        answer = self.latent_mapping.latents(streams)
        if context.guess is None:
            return answer
        data = replace(answer, shape=_added(answer.shape, context.guess))
        return _divided(data + x * -1.0, modulation.left.clamp_min(LEAST_LEFT))

    def modulation(self, time: Tensor, step_size: Tensor | None = None) -> Modulation:
        """Return the modulation at times ``(T,)``, in thousandths of the flow."""
        embedding = self.t_embedder(time)
        if step_size is not None:
            embedding = embedding + self.d_embedder(step_size)
        modulations = torch.stack([each.adaLN_modulation(embedding) for each in self._blocks()], 1)
        return Modulation(
            blocks=modulations.reshape(*modulations.shape[:2], 6, -1), left=1.0 - time / TIME_SCALE
        )

    def context(self, condition: Tensor) -> GeometryContext:
        """Prepare condition tokens ``(R, N, C)``: keys and values of every cross-attention."""
        if self.config.token_condition:
            channels = [self.config.dim, self.config.shape_channels]
            added, guess = torch.split(condition.float(), channels, dim=-1)
            return GeometryContext(added=added, guess=guess)
        return GeometryContext(crosses=tuple(block.context(condition) for block in self._blocks()))

    def unconditional_context(self) -> GeometryContext:
        """Return the context of a batch without any condition."""
        if self.config.token_condition:
            num_tokens, channels = latent_sizes(self.config)["shape"]
            zeros = next(self.parameters()).new_zeros(0, num_tokens, self.config.dim + channels)
            return self.context(zeros)
        return GeometryContext(crosses=tuple(b.unconditional_context() for b in self._blocks()))

    def _blocks(self) -> Iterable[GeometryBlock]:
        return cast(Iterable[GeometryBlock], self.blocks)


def _add_gated(x: Streams[Tensor], h: Streams[Tensor], gate: Tensor) -> Streams[Tensor]:
    """Return ``x + gate * h``, in the precision of ``x``."""
    return Streams(torch.addcmul(x.shape, gate, h.shape), torch.addcmul(x.layout, gate, h.layout))


def _divided(latents: GeometryLatents, by: Tensor) -> GeometryLatents:
    """Return each sample's latents over its number, ``(B or 1,)``."""
    parts = (getattr(latents, each.name) / by[:, None, None] for each in fields(latents))
    return GeometryLatents(*parts)


def _added(values: Tensor, of_first: Tensor) -> Tensor:
    """Add to the first samples ``(B, L, D)`` what is known of them, ``(R, L, D)``."""
    return values + F.pad(of_first, (0, 0, 0, 0, 0, len(values) - len(of_first)))
