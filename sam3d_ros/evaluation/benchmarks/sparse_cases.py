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


"""Cases of sparse voxels to be measured: ours, and the best that plain torch offers for the same.

Alternatives give the same numbers. Where one would not fit in memory there is none.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.evaluation.benchmarks import arithmetic
from sam3d_ros.evaluation.benchmarks.measuring import Compute
from sam3d_ros.evaluation.benchmarks.random_models import random_model
from sam3d_ros.nn.flow import schedule
from sam3d_ros.nn.sparse.attention import full_attention, window_attention
from sam3d_ros.nn.sparse.convolution import SparseConv
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels, voxels_of_objects
from sam3d_ros.objects.architecture import RefinementConfig
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.refinement_sampling import (
    TIMES_DTYPE,
    CachedVelocity,
    ReferenceVelocity,
    initial_noise,
    refinement_flow,
)

SIDE, WINDOW = 64, 8
NUM_OBJECTS = 4  # whose voxels the case of full attention divides
MAX_MASK = 7000**2  # voxels that masked attention is given
CELLS = 1.25  # of the surface, along the side; 25000 voxels are 6200 at half the resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseSizes:
    """How wide the layers are."""

    conv_channels: int
    window_heads: int
    window_dim: int
    refinement: RefinementConfig
    num_condition: int


REDUCED = SparseSizes(
    conv_channels=32,
    window_heads=4,
    window_dim=64,
    refinement=RefinementConfig(
        dim=64, num_blocks=1, num_heads=1, condition_dim=64, io_channels=16
    ),
    num_condition=2000,
)
OFFICIAL = SparseSizes(
    conv_channels=128,
    window_heads=12,
    window_dim=768,
    refinement=RefinementConfig(),
    num_condition=5496,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another way to the same outputs."""

    name: str
    compute: Compute | None  # none where it does not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operation on some voxels."""

    name: str
    compute: Compute
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where, and in which precision, to compute."""

    device: torch.device
    dtype: torch.dtype

    def random(self, *shape: int) -> Tensor:
        """Return normal numbers, always the same."""
        generator = torch.Generator(self.device).manual_seed(0)
        return torch.randn(shape, generator=generator, device=self.device).to(self.dtype)


def surface_voxels(num: int, device: torch.device) -> Voxels:
    """Return ``num`` voxels along a surface with many folds: a gyroid."""
    axis = torch.linspace(0, CELLS * 2 * torch.pi, SIDE)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    height = x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()
    chosen = height.abs().flatten().argsort()[:num].sort().values
    xyz = torch.stack((chosen // SIDE**2, chosen // SIDE % SIDE, chosen % SIDE), dim=1)
    return voxels_of_objects([xyz.int().to(device)])


def cases(num: int, sizes: SparseSizes, place: Place) -> Iterator[Case]:
    """Yield what is measured on ``num`` voxels."""
    voxels = surface_voxels(num, place.device)
    yield _neighbours(voxels)
    yield _convolution(voxels, sizes.conv_channels, place)
    yield _windows(voxels, sizes, place)
    yield _full(voxels, sizes, place)
    yield _guided(voxels, sizes, place)


def _neighbours(voxels: Voxels) -> Case:
    """Build the table of neighbours, which convolutions find ready."""
    return Case(
        name="neighbour table", compute=lambda: (Voxels(voxels.coords, voxels.sizes).neighbours,)
    )


def _convolution(voxels: Voxels, channels: int, place: Place) -> Case:
    conv = random_model(lambda: SparseConv(channels, channels), place.device, place.dtype)
    x = SparseTensor(voxels, place.random(len(voxels), channels))
    kernel = conv.conv.weight.permute(0, 4, 1, 2, 3).contiguous()
    at = tuple(voxels.coords.long().T)

    def dense() -> tuple[Tensor, ...]:
        grid = x.feats.new_zeros(1, SIDE, SIDE, SIDE, channels)
        grid[at] = x.feats
        out = F.conv3d(grid.permute(0, 4, 1, 2, 3), kernel, conv.conv.bias, padding=1)
        return (out.permute(0, 2, 3, 4, 1)[at],)

    product = None if place.dtype != torch.float32 else _sparse_product(x, conv)
    return Case(
        name="convolution",
        compute=lambda: (conv(x).feats,),
        alternatives=(
            Alternative(name="dense Conv3d", compute=dense),
            Alternative(name="torch.sparse", compute=product),
        ),
    )


def _sparse_product(x: SparseTensor, conv: SparseConv) -> Compute:
    """Return a convolution as the product of a sparse matrix with features times kernels.

    Torch has no convolution of sparse tensors; this is what it has for one.
    """
    table, num = x.voxels.neighbours, len(x.voxels)
    channels = len(conv.conv.bias)
    present = table < num
    columns = (table * table.shape[1] + torch.arange(27, device=table.device))[present]
    rows = torch.cat((present.new_zeros(1).long(), present.sum(dim=1).cumsum(dim=0)))
    ones = x.feats.new_ones(len(columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says that this is still new
        matrix = torch.sparse_csr_tensor(rows, columns.long(), ones, size=(num, 27 * num))
    kernel = conv.conv.weight.flatten(1, 3).permute(2, 1, 0).flatten(1)  # (I, 27 O)
    return lambda: (conv.conv.bias + matrix @ (x.feats @ kernel).view(-1, channels),)


def _windows(voxels: Voxels, sizes: SparseSizes, place: Place) -> Case:
    """Attend within windows, sorted anew each time as no model does."""
    heads, dim = sizes.window_heads, sizes.window_dim
    qkv = place.random(len(voxels), 3, heads, dim // heads)
    shift = WINDOW // 2

    def compute() -> tuple[Tensor, ...]:
        anew = Voxels(voxels.coords, voxels.sizes)
        return (window_attention(qkv, anew.windows(WINDOW, shift)),)

    return Case(
        name="windows of 8, with sorting",
        compute=compute,
        alternatives=(_masked(qkv, (voxels.coords[:, 1:] + shift) // WINDOW),),
    )


def _full(voxels: Voxels, sizes: SparseSizes, place: Place) -> Case:
    """Attend within objects, of which each has some of the halved voxels."""
    config, num = sizes.refinement, len(voxels) // 4 // NUM_OBJECTS
    xyz = surface_voxels(num, place.device).coords[:, 1:]
    objects = voxels_of_objects([xyz] * NUM_OBJECTS)
    qkv = place.random(len(objects), 3, config.num_heads, config.dim // config.num_heads)
    return Case(
        name=f"full, {NUM_OBJECTS} objects of N/{4 * NUM_OBJECTS}",
        compute=lambda: (full_attention(qkv, objects),),
        alternatives=(_masked(qkv, objects.coords[:, :1]),),
    )


def _masked(qkv: Tensor, groups: Tensor) -> Alternative:
    """Return attention of all to all, with a mask for those of equal rows ``(N, K)``."""

    def compute() -> tuple[Tensor, ...]:
        mask = (groups[:, None] == groups).all(dim=-1)
        q, k, v = qkv.permute(1, 2, 0, 3)[:, None]
        return (F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[0].transpose(0, 1),)

    fits = len(qkv) ** 2 <= MAX_MASK
    return Alternative(name="N x N mask", compute=compute if fits else None)


def _guided(voxels: Voxels, sizes: SparseSizes, place: Place) -> Case:
    """Compute the velocities with and without condition of one step, from prepared parts."""
    inputs = _refinement_inputs(voxels, sizes, place)
    flow = refinement_flow()
    now = schedule(flow, TIMES_DTYPE)[0]
    prepared = CachedVelocity(inputs.model, inputs.condition, inputs.noise, flow)

    def naive() -> tuple[Tensor, ...]:
        anew = Voxels(voxels.coords, voxels.sizes)
        velocity = ReferenceVelocity(inputs.model, inputs.condition, anew)
        return (velocity(inputs.noise.feats, now),)

    return Case(
        name="guided velocity",
        compute=lambda: (prepared(inputs.noise.feats, now),),
        alternatives=(Alternative(name="on the spot", compute=naive),),
    )


def velocity_case(voxels: Voxels, sizes: SparseSizes, place: Place) -> Case:
    """Return one velocity of the refinement model with condition, from prepared parts."""
    inputs = _refinement_inputs(voxels, sizes, place)
    model, latents = inputs.model, inputs.noise.feats
    now = torch.full((1,), 300.0, device=place.device)
    grid, modulation = model.grid(voxels), model.modulation(now)
    context = model.context(inputs.condition)

    def compute() -> tuple[Tensor, ...]:
        encoded = model.encode(latents, grid, modulation)
        return (model.velocity(encoded, grid, modulation, context),)

    return Case(name="velocity", compute=compute)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RefinementInputs:
    model: RefinementModel
    condition: Tensor
    noise: SparseTensor


def _refinement_inputs(voxels: Voxels, sizes: SparseSizes, place: Place) -> _RefinementInputs:
    config, device = sizes.refinement, place.device
    generators = [torch.Generator(device).manual_seed(0)]
    return _RefinementInputs(
        model=random_model(lambda: RefinementModel(config), device, place.dtype),
        condition=place.random(1, sizes.num_condition, config.condition_dim),
        noise=SparseTensor(voxels, initial_noise(config, voxels.sizes, generators)),
    )


def velocity_flop(voxels: Voxels, config: RefinementConfig, num_condition: int) -> int:
    """Count one velocity of the refinement model, given prepared parts."""
    fine, coarse, dim, io = len(voxels), len(voxels.halved.coarse), config.dim, config.io_channels
    taps = arithmetic.TAPS
    block = (
        arithmetic.linear_flop(coarse, dim, 6 * dim)  # queries, keys, values; query; outputs
        + arithmetic.attention_flop(coarse, coarse + num_condition, dim)
        + 2 * arithmetic.linear_flop(coarse, dim, int(config.mlp_ratio * dim))
    )
    convolutions = (
        4 * arithmetic.linear_flop(fine, taps * io, io)  # of all blocks but the wider ones below
        + arithmetic.linear_flop(fine, taps * 2 * io, io)
        + arithmetic.linear_flop(coarse, taps * io, dim)
        + arithmetic.linear_flop(coarse, taps * dim, dim)
        + arithmetic.linear_flop(coarse, taps * 2 * dim, io)
    )
    skips = arithmetic.linear_flop(fine, 2 * io, io) + arithmetic.linear_flop(coarse, 3 * io, dim)
    outermost = 2 * arithmetic.linear_flop(fine, config.latent_channels, io)
    return config.num_blocks * block + convolutions + skips + outermost
