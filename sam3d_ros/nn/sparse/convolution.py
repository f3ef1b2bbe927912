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


"""Convolution over the voxels that are there.

Outputs are where inputs are; voxels that are not there count as zeros. The features around some
voxels are gathered side by side and multiplied by the kernel as one matrix, then those around the
next. On a CPU the gathered ones stay in its cache, on a GPU they fill it; either way what is
gathered at once is bounded, forwards and backwards.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels, with_zero_row

# Of features gathered at once, or of products. On a CPU about its second cache for the former: with
# more, a convolution was up to twice as slow.
CPU_GATHERED_BYTES = 2 * 2**20
GPU_GATHERED_BYTES = 256 * 2**20


class KernelWeights(nn.Module):
    """The weights of a convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        shape = (out_channels, kernel_size, kernel_size, kernel_size, in_channels)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_uniform_(self.weight.detach().flatten(1), a=math.sqrt(5))


class SparseConv(nn.Module):
    """A submanifold convolution with a kernel of 3 x 3 x 3, or of one voxel.

    It computes in the precision of its weights. The axes of the kernel are those of coordinates,
    so that ``weight.permute(0, 4, 1, 2, 3)`` is the kernel of a dense convolution. The released
    checkpoints have one more level of names, of the library that they were trained with.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = KernelWeights(in_channels, out_channels, kernel_size)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Map features ``(N, I)`` to ``(N, O)`` on the same voxels."""
        weight, bias = self.conv.weight, self.conv.bias
        feats = x.feats.to(weight.dtype)
        if weight.shape[1] == 1:
            return x.replace(F.linear(feats, weight.flatten(1), bias))
        return x.replace(gather_conv(feats, x.voxels.neighbours, weight, bias))

    def unpooled(self, feats: Tensor, voxels: Voxels) -> SparseTensor:
        """Convolve what unpooling features ``(M, I)`` of halved voxels to ``voxels`` would give.

        The same as doing so, with a fraction of the products: they are made before there are more.
        """
        weight, table = self.conv.weight, voxels.coarse_neighbours
        return SparseTensor(
            voxels, multiplied_conv(feats.to(weight.dtype), table, weight, self.conv.bias)
        )


def gather_conv(
    feats: Tensor, table: Tensor, weight: Tensor, bias: Tensor, max_bytes: int | None = None
) -> Tensor:
    """Convolve features that a table of neighbours finds.

    Args:
        feats: ``(M, I)``.
        table: ``(N, 27)`` int32, rows of ``feats``; M for a neighbour that is not there.
        weight: ``(O, 3, 3, 3, I)``.
        bias: ``(O,)``.
        max_bytes: How much may be gathered at once, for one voxel at least; by device if not
            given.

    Returns:
        ``(N, O)``.
    """
    if max_bytes is None:
        max_bytes = CPU_GATHERED_BYTES if feats.device.type == "cpu" else GPU_GATHERED_BYTES
    kernel = weight.flatten(1)
    num_rows = max(1, max_bytes // (kernel.shape[1] * feats.element_size()))
    return _GatherConv.apply(feats, table, kernel, bias, num_rows)  # type: ignore[no-untyped-call]


def multiplied_conv(
    feats: Tensor, table: Tensor, weight: Tensor, bias: Tensor, max_bytes: int = GPU_GATHERED_BYTES
) -> Tensor:
    """Do as ``gather_conv``, but multiply all features by the kernel first, then gather products.

    Better where there are fewer features than outputs. Some taps of the kernel follow the other,
    so that the products at once are at most ``max_bytes``, or those of one tap.
    """
    out_channels = len(weight)
    kernel = weight.flatten(1, 3).permute(2, 1, 0)  # (I, 27, O)
    padded = with_zero_row(feats)
    num_taps = max(1, max_bytes // (len(padded) * out_channels * feats.element_size()))
    out = bias.to(torch.promote_types(bias.dtype, torch.float32))
    for some, rows in zip(
        torch.split(kernel, num_taps, dim=1), torch.split(table, num_taps, dim=1), strict=True
    ):
        products = (padded @ some.flatten(1)).view(-1, out_channels)
        taps = torch.arange(some.shape[1], dtype=table.dtype, device=table.device)
        # A bag sums the rows it names, without a copy of them.
        out = out + F.embedding_bag(rows * some.shape[1] + taps, products, mode="sum")
    return out.to(feats.dtype)


class _GatherConv(torch.autograd.Function):
    """Keeps only its inputs for the gradient, where autograd would keep all that is gathered."""

    @staticmethod
    def forward(
        ctx: Any, feats: Tensor, table: Tensor, kernel: Tensor, bias: Tensor, num_rows: int
    ) -> Tensor:
        """Return the outputs, ``num_rows`` at a time."""
        ctx.save_for_backward(feats, table, kernel)
        ctx.num_rows = num_rows
        padded, transposed = with_zero_row(feats), kernel.t()
        out = feats.new_empty(len(table), len(kernel))
        for some, rows in _parts(out, table, num_rows):
            torch.addmm(bias, _gathered(padded, rows), transposed, out=some)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of features, kernel and bias."""
        feats, table, kernel = ctx.saved_tensors
        needs_feats, _, needs_kernel, needs_bias, _ = ctx.needs_input_grad
        padded = with_zero_row(feats)
        grad_padded, grad_kernel = torch.zeros_like(padded), torch.zeros_like(kernel)
        for some, rows in _parts(grad, table, ctx.num_rows):
            if needs_feats:
                grad_padded.index_add_(0, rows.flatten(), (some @ kernel).view(-1, feats.shape[1]))
            if needs_kernel:
                grad_kernel.addmm_(some.t(), _gathered(padded, rows))
        return (
            grad_padded[:-1] if needs_feats else None,
            None,
            grad_kernel if needs_kernel else None,
            grad.sum(dim=0) if needs_bias else None,
            None,
        )


def _parts(outputs: Tensor, table: Tensor, num_rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield some rows of both after the other."""
    return zip(torch.split(outputs, num_rows), torch.split(table, num_rows), strict=True)


def _gathered(padded: Tensor, rows: Tensor) -> Tensor:
    """Return features side by side: of ``(M, I)`` by rows ``(n, 27)`` to ``(n, 27 I)``."""
    size = (rows.shape[0], rows.shape[1] * padded.shape[1])
    return padded.index_select(0, rows.flatten()).view(size)
