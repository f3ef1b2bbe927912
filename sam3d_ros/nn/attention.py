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

"""Multi-head attention: of tokens to themselves, and of tokens to a condition.

Layers are called as in the released checkpoints of SAM 3D Objects; the two-stream geometry model
puts the same parts together for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.linear import Linear
from sam3d_ros.nn.norms import HeadRmsNorm


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Rearrange ``(B, L, H * D)`` to ``(B, H, L, D)``."""
    return x.reshape(*x.shape[:-1], num_heads, -1).transpose(1, 2)


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return what queries ``(B, H, L, D)`` read from ``(B, H, N, D)``, as ``(B, L, H * D)``."""
    read = F.scaled_dot_product_attention(queries, keys, values)
    return read.transpose(1, 2).flatten(2)


def attend_in_parts(queries: Tensor, keys: Tensor, values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Cut ``(B, H, L, D)`` into parts that attend to themselves only; return ``(B, L, H * D)``."""
    parts = zip(*(torch.split(x, list(sizes), dim=2) for x in (queries, keys, values)), strict=True)
    return torch.cat([attend(*part) for part in parts], dim=1)


def queries_keys_values(
    qkv: Tensor, q_rms_norm: HeadRmsNorm, k_rms_norm: HeadRmsNorm
) -> tuple[Tensor, Tensor, Tensor]:
    """Split ``(B, L, 3 * H * D)`` into queries and keys, both normalised, and values.

    Each is ``(B, H, L, D)``.
    """
    heads = qkv.reshape(*qkv.shape[:-1], 3, *q_rms_norm.gamma.shape)
    q, k, v = heads.unbind(2)  # each (B, L, H, D)
    return q_rms_norm(q).transpose(1, 2), k_rms_norm(k).transpose(1, 2), v.transpose(1, 2)


class SelfAttention(nn.Module):
    """Attention of tokens to each other, with normalised queries and keys."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.to_qkv = Linear(dim, 3 * dim)
        self.q_rms_norm = HeadRmsNorm(num_heads, dim // num_heads)
        self.k_rms_norm = HeadRmsNorm(num_heads, dim // num_heads)
        self.to_out = Linear(dim, dim)

    def forward(self, x: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Map tokens ``(B, L, D)``; parts of them with ``sizes`` do not see each other."""
        q, k, v = queries_keys_values(self.to_qkv(x), self.q_rms_norm, self.k_rms_norm)
        return self.to_out(attend_in_parts(q, k, v, sizes or (x.shape[1],)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossContext:
    """All that cross-attention needs of a condition; the same for every query and every step."""

    keys: Tensor  # (R, H, N, D) for the first R samples of a batch
    values: Tensor  # (R, H, N, D)
    unconditional: Tensor  # (C,), what every query of the other samples receives

    def expanded(self, num_samples: int) -> "CrossContext":
        """Let ``num_samples`` samples share the only one's condition, without a copy."""
        shape = (num_samples, -1, -1, -1)
        return CrossContext(
            keys=self.keys.expand(shape),
            values=self.values.expand(shape),
            unconditional=self.unconditional,
        )


class CrossAttention(nn.Module):
    """Attention of tokens to the tokens of a condition."""

    def __init__(self, dim: int, condition_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_q = Linear(dim, dim)
        self.to_kv = Linear(condition_dim, 2 * dim)
        self.to_out = Linear(dim, dim)

    def context(self, condition: Tensor) -> CrossContext:
        """Prepare tokens ``(R, N, C)`` for queries to come."""
        keys, values = self.to_kv(condition).chunk(2, dim=-1)
        return CrossContext(
            keys=split_heads(keys, self.num_heads),
            values=split_heads(values, self.num_heads),
            unconditional=self._unconditional(),
        )

    def unconditional_context(self) -> CrossContext:
        """Prepare for queries without any condition."""
        head_dim = self.to_q.out_features // self.num_heads
        none = self.to_kv.bias.new_empty(0, self.num_heads, 0, head_dim)
        return CrossContext(keys=none, values=none, unconditional=self._unconditional())

    def forward(self, x: Tensor, context: CrossContext) -> Tensor:
        """Return what tokens ``(R, L, D)`` read from the condition."""
        q = split_heads(self.to_q(x), self.num_heads)
        return self.to_out(attend(q, context.keys, context.values))

    def in_parts(self, x: Tensor, context: CrossContext, sizes: Sequence[int]) -> Tensor:
        """Return what parts of tokens ``(1, L, D)`` read, each from its sample of the context."""
        parts = torch.split(split_heads(self.to_q(x), self.num_heads), list(sizes), dim=2)
        samples = zip(
            parts, torch.split(context.keys, 1), torch.split(context.values, 1), strict=True
        )
        return self.to_out(torch.cat([attend(*sample) for sample in samples], dim=1))

    def _unconditional(self) -> Tensor:
        """Return the output for a condition of zeros.

        All of its keys are equal and all of its values are the bias, so that every mean of values
        is the bias, and no attention is needed to find it.
        """
        return self.to_out(self.to_kv.bias.chunk(2)[1])


def add_cross_attention(
    x: Tensor, norm: nn.Module, attention: CrossAttention, context: CrossContext
) -> Tensor:
    """Return tokens ``(B, L, D)`` plus what they read from the condition.

    Samples beyond the context's are unconditional: they read a constant.
    """
    num_conditional = len(context.keys)
    if num_conditional == 0:
        return x + context.unconditional
    conditional, unconditional = x[:num_conditional], x[num_conditional:]
    conditional = conditional + attention(norm(conditional), context)
    if len(unconditional) == 0:
        return conditional
    return torch.cat((conditional, unconditional + context.unconditional))
