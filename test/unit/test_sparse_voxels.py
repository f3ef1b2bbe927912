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


"""Laws of sparse voxels: they are dense grids of which the empty part is left out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from sam3d_ros.errors import VoxelError
from sam3d_ros.nn.sparse.attention import full_attention, window_attention
from sam3d_ros.nn.sparse.convolution import SparseConv, gather_conv, multiplied_conv
from sam3d_ros.nn.sparse.norms import SparseGroupNorm
from sam3d_ros.nn.sparse.voxels import (
    SparseTensor,
    Voxels,
    check_occupied,
    voxels_of,
    voxels_of_objects,
)

SIDE = 12


def random_voxels(*sizes: int, side: int = SIDE, seed: int = 0) -> Voxels:
    """Return objects of some voxels each, in no order."""
    generator = torch.Generator().manual_seed(seed)
    objects = []
    for size in sizes:
        chosen = torch.randperm(side**3, generator=generator)[:size]
        xyz = torch.stack((chosen // side**2, chosen // side % side, chosen % side), dim=1)
        objects.append(xyz.int())
    return voxels_of_objects(objects)


def random_features(
    voxels: Voxels, channels: int = 6, dtype: torch.dtype = torch.float64
) -> SparseTensor:
    generator = torch.Generator().manual_seed(1)
    feats = torch.randn(len(voxels), channels, generator=generator, dtype=torch.float64)
    return SparseTensor(voxels, feats.to(dtype))


def random_conv(kernel_size: int = 3, channels: int = 6, out_channels: int = 4) -> SparseConv:
    torch.manual_seed(2)
    conv = SparseConv(channels, out_channels, kernel_size).double()
    nn.init.normal_(conv.conv.bias)
    return conv


def random_qkv(voxels: Voxels, heads: int = 2, channels: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(voxels), 3, heads, channels, generator=generator, dtype=torch.float64)


def dense(x: SparseTensor, side: int = SIDE) -> Tensor:
    """Return features on the grid ``(B, C, S, S, S)``, zeros where there is no voxel."""
    grid = x.feats.new_zeros(x.voxels.num_objects, side, side, side, x.feats.shape[1])
    grid[tuple(x.voxels.coords.long().T)] = x.feats
    return grid.permute(0, 4, 1, 2, 3)


def at_voxels(grid: Tensor, voxels: Voxels) -> Tensor:
    return grid.permute(0, 2, 3, 4, 1)[tuple(voxels.coords.long().T)]


# Few, many and all voxels of a grid; none; one; objects of different numbers.
SETS = {
    "few": (40,),
    "many": (900,),
    "all": (SIDE**3,),
    "none": (0,),
    "one": (1,),
    "several": (300, 1, 0, 500),
}


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_a_sparse_convolution_is_a_dense_one_at_the_voxels(
    sizes: tuple[int, ...], kernel_size: int
) -> None:
    x, conv = random_features(random_voxels(*sizes)), random_conv(kernel_size)

    out = conv(x).feats

    kernel = conv.conv.weight.permute(0, 4, 1, 2, 3)
    expected = F.conv3d(dense(x), kernel, conv.conv.bias, padding="same")
    torch.testing.assert_close(out, at_voxels(expected, x.voxels))


@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_convolving_before_unpooling_is_convolving_after(sizes: tuple[int, ...]) -> None:
    voxels, conv = random_voxels(*sizes), random_conv()
    coarse = random_features(voxels.halved.coarse).feats

    out = conv.unpooled(coarse, voxels).feats

    unpooled = SparseTensor(voxels, voxels.halved.unpool(coarse))
    torch.testing.assert_close(out, conv(unpooled).feats)


@pytest.mark.parametrize("convolve", [gather_conv, multiplied_conv])
@pytest.mark.parametrize("max_bytes", [1, 5000, 70000, 10**9])
def test_how_much_is_gathered_at_once_changes_nothing(
    convolve: Callable[..., Tensor], max_bytes: int
) -> None:
    x, conv = random_features(random_voxels(300, 200)), random_conv().conv
    arguments = (x.feats, x.voxels.neighbours, conv.weight, conv.bias)

    torch.testing.assert_close(convolve(*arguments, max_bytes), convolve(*arguments))


class LargestResult(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation makes."""

    num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.num_bytes = max(self.num_bytes, result.numel() * result.element_size())
        return result


@pytest.mark.parametrize("convolve", [gather_conv, multiplied_conv])
def test_no_more_is_gathered_at_once_than_allowed(convolve: Callable[..., Tensor]) -> None:
    x, conv = random_features(random_voxels(1000)), random_conv(out_channels=5).conv
    table, all_bytes = x.voxels.neighbours, 1000 * 27 * 5 * 8
    allowed = 60_000  # more than features (48 kB), less than what is around all voxels

    with LargestResult() as largest, torch.no_grad():
        convolve(x.feats, table, conv.weight, conv.bias, allowed)

    assert allowed < all_bytes
    assert largest.num_bytes <= max(allowed, table.nbytes)


def test_gradients_of_a_convolution_gather_no_more_either() -> None:
    x, conv = random_features(random_voxels(1000)), random_conv().conv
    feats = x.feats.requires_grad_()
    out = gather_conv(feats, x.voxels.neighbours, conv.weight, conv.bias, 60_000)

    with LargestResult() as largest:
        out.sum().backward()

    assert largest.num_bytes <= 60_000


@pytest.mark.parametrize("max_bytes", [3000, 10**9])
@pytest.mark.parametrize("convolve", [gather_conv, multiplied_conv])
def test_gradients_of_convolutions_are_right(
    convolve: Callable[..., Tensor], max_bytes: int
) -> None:
    voxels = random_voxels(20, 8, side=4)
    x = random_features(voxels, channels=3).feats.requires_grad_()
    conv = random_conv(channels=3, out_channels=2).conv

    def function(feats: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(feats, voxels.neighbours, weight, bias, max_bytes)

    assert torch.autograd.gradcheck(function, (x, conv.weight, conv.bias))


def test_gradients_of_the_other_operations_are_right() -> None:
    voxels = random_voxels(20, 8, side=4)
    x = random_features(voxels, channels=4).feats.requires_grad_()
    qkv = random_qkv(voxels, heads=1, channels=2).requires_grad_()
    norm = SparseGroupNorm(2, 4).double()

    assert torch.autograd.gradcheck(voxels.halved.pool, x)
    assert torch.autograd.gradcheck(voxels.halved.unpool, x[: len(voxels.halved.coarse)])
    assert torch.autograd.gradcheck(lambda feats: norm(SparseTensor(voxels, feats)).feats, x)
    assert torch.autograd.gradcheck(lambda each: full_attention(each, voxels), qkv)
    assert torch.autograd.gradcheck(lambda each: window_attention(each, voxels.windows(2)), qkv)


@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_neighbours_of_subdivided_voxels_are_those_that_a_search_finds(
    sizes: tuple[int, ...],
) -> None:
    subdivided = random_voxels(*sizes).subdivided().subdivided()

    searched = voxels_of(subdivided.coords, len(sizes))

    assert torch.equal(subdivided.neighbours, searched.neighbours)
    assert subdivided.sizes == searched.sizes


@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_halving_undoes_subdividing(sizes: tuple[int, ...]) -> None:
    voxels = random_voxels(*sizes)

    halved = voxels.subdivided().halved

    assert halved.coarse.sizes == voxels.sizes
    assert torch.equal(halved.coarse.coords[halved.parents[::8]], voxels.coords)


def test_pooling_takes_means_with_one_zero_more() -> None:
    coords = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 1, 0], [0, 7, 7, 7]]).int()
    feats = torch.tensor([[1.0], [2.0], [6.0], [5.0]])

    halved = voxels_of(coords).halved

    assert halved.coarse.coords.tolist() == [[0, 0, 0, 0], [0, 3, 3, 3]]
    assert halved.pool(feats).tolist() == [[9 / 4], [5 / 2]]
    assert halved.unpool(torch.tensor([[1.0], [2.0]])).flatten().tolist() == [1, 1, 1, 2]


def masked_attention(qkv: Tensor, allowed: Tensor) -> Tensor:
    q, k, v = qkv.permute(1, 2, 0, 3)[:, None]
    read = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return read[0].transpose(0, 1)


@pytest.mark.parametrize("shift", [0, 2, 3])
@pytest.mark.parametrize("sizes", [(300, 1, 500), (SIDE**3,), (3, 2)], ids=str)
def test_window_attention_is_full_attention_with_a_mask(sizes: tuple[int, ...], shift: int) -> None:
    voxels = random_voxels(*sizes)
    qkv = random_qkv(voxels)

    out = window_attention(qkv, voxels.windows(4, shift))

    index, xyz = voxels.coords[:, :1], voxels.coords[:, 1:]
    window = torch.cat((index, (xyz + shift) // 4), dim=1)
    same = (window[:, None] == window).all(dim=-1)
    torch.testing.assert_close(out, masked_attention(qkv, same))


def test_full_attention_does_not_mix_objects() -> None:
    voxels = random_voxels(30, 1, 50)
    qkv, index = random_qkv(voxels), voxels.coords[:, 0]

    expected = masked_attention(qkv, index[:, None] == index)

    torch.testing.assert_close(full_attention(qkv, voxels), expected)


@pytest.mark.parametrize(("size", "shift"), [(2, 0), (4, 2), (8, 4)])
def test_windows_are_padded_to_less_than_twice_the_voxels(size: int, shift: int) -> None:
    voxels = random_voxels(900, 100)

    windows = voxels.windows(size, shift)

    assert sum(batch.rows.numel() for batch in windows.batches) < 2 * len(voxels)


def operations(voxels: Voxels) -> dict[str, Tensor]:
    """Return what every operation makes of features that depend on the place alone."""
    device = voxels.coords.device
    places = (voxels.coords[:, 1:] * torch.tensor([0.7, 1.1, 1.7], device=device)).sum(dim=1)
    feats = torch.sin(places.double()[:, None] * torch.arange(1, 7, device=device))
    x, qkv = SparseTensor(voxels, feats), feats.unflatten(1, (3, 1, 2))
    return {
        "conv": random_conv().to(device)(x).feats,
        "norm": SparseGroupNorm(3, 6).double().to(device)(x).feats,
        "pool": voxels.halved.unpool(voxels.halved.pool(feats)),
        "full": full_attention(qkv, voxels),
        "windows": window_attention(qkv, voxels.windows(4, 2)),
    }


def test_another_order_of_voxels_gives_the_same_in_that_order() -> None:
    voxels = random_voxels(400)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(5))

    expected, permuted = operations(voxels), operations(voxels_of(voxels.coords[order]))

    for name, out in permuted.items():
        torch.testing.assert_close(out, expected[name][order], msg=name)


def test_objects_of_a_batch_are_what_they_are_alone() -> None:
    voxels = random_voxels(300, 0, 1, 200)

    together = operations(voxels)

    alone = [operations(each) for each in voxels.objects()]
    for name, out in together.items():
        torch.testing.assert_close(out, torch.cat([each[name] for each in alone]), msg=name)


def test_group_norm_is_that_of_all_voxels_as_one_image() -> None:
    x = random_features(random_voxels(200))
    norm, plain = SparseGroupNorm(3, 6).double(), nn.GroupNorm(3, 6).double()
    for each in (norm, plain):
        each.load_state_dict({"weight": torch.arange(6.0), "bias": torch.arange(6.0) - 2})

    torch.testing.assert_close(norm(x).feats, plain(x.feats.T[None])[0].T)


def test_group_norm_in_half_precision_takes_its_statistics_in_float32() -> None:
    x = random_features(random_voxels(1700), dtype=torch.float32)
    shifted = x.replace((x.feats + 30).bfloat16())  # its mean is no number of bfloat16
    norm = SparseGroupNorm(3, 6)

    out = norm.bfloat16()(shifted).feats

    exact = SparseGroupNorm(3, 6)(shifted.replace(shifted.feats.float())).feats
    assert (out.float() - exact).abs().max() < 0.02


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close_to_float64(dtype: torch.dtype) -> None:
    x, conv = random_features(random_voxels(500)), random_conv()
    qkv = random_qkv(x.voxels)
    windows, expected = x.voxels.windows(4), conv(x).feats

    out = conv.to(dtype)(x).feats
    read = window_attention(qkv.to(dtype), windows)

    assert out.dtype == read.dtype == dtype
    torch.testing.assert_close(out.double(), expected, atol=0.03, rtol=0.03)
    torch.testing.assert_close(read.double(), window_attention(qkv, windows), atol=0.03, rtol=0.03)


def test_what_depends_on_coordinates_is_computed_once() -> None:
    voxels = random_voxels(50)

    assert voxels.neighbours is voxels.neighbours
    assert voxels.halved is voxels.halved
    assert voxels.windows(4, 2) is voxels.windows(4, 2)
    assert voxels.windows(4, 2) is not voxels.windows(4)


def rows(*coords: tuple[int, int, int, int]) -> Tensor:
    return torch.tensor(coords).int()


@pytest.mark.parametrize(
    ("coords", "text"),
    [
        (rows((0, 0, 0, 0), (0, 0, 0, 0)), "twice"),
        (rows((1, 0, 0, 0), (0, 0, 0, 1)), "ascending order"),
        (rows((0, 0, -1, 0)), "from 0 to"),
        (rows((0, 0, 40_000, 0)), "from 0 to"),
        (rows((0, 0, 0, 0)).long(), "int32"),
        (rows((5, 0, 0, 0)), "object 5"),
    ],
)
def test_coordinates_that_are_no_set_of_voxels_are_refused(coords: Tensor, text: str) -> None:
    with pytest.raises(VoxelError, match=text):
        voxels_of(coords, 3)


def test_objects_without_voxels_are_named() -> None:
    check_occupied(random_voxels(1, 2))
    with pytest.raises(VoxelError, match=r"\[1, 2\] of 4 have none"):
        check_occupied(random_voxels(5, 0, 0, 1))
    with pytest.raises(VoxelError, match="one or more objects"):
        voxels_of_objects([])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_a_gpu_computes_what_a_cpu_computes(sizes: tuple[int, ...]) -> None:
    voxels = random_voxels(*sizes)
    on_gpu = voxels_of(voxels.coords.cuda(), len(sizes))

    assert torch.equal(on_gpu.subdivided().neighbours.cpu(), voxels.subdivided().neighbours)
    for name, out in operations(on_gpu).items():
        torch.testing.assert_close(out.cpu(), operations(voxels)[name], msg=name)
