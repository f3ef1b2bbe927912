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

"""Decoders of structured latents keep objects apart, bound memory and refuse what is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from releases import TINY, TRUNK, random_state, write_release
from torch import Tensor

from sam3d_ros.errors import DecodingError, ReportCode, Sam3dError, ShapeError, VoxelError
from sam3d_ros.evaluation.benchmarks.measuring import peak_bytes
from sam3d_ros.nn.sparse.convolution import SparseConv
from sam3d_ros.nn.sparse.voxels import SparseTensor, voxels_of_objects
from sam3d_ros.objects import mesh_decoder as module
from sam3d_ros.objects.architecture import (
    DecoderTrunkConfig,
    MeshDecoderConfig,
    SplatActivation,
    SplatDecoderConfig,
)
from sam3d_ros.objects.gaussian_decoder import SplatDecoder, decode_splats, spread
from sam3d_ros.objects.mesh_decoder import MeshDecoder, SubdividingConv, decode_cubes
from sam3d_ros.objects.voxels import MAX_VOXELS
from sam3d_ros.objects.weights import (
    load_few_splats_decoder,
    load_mesh_decoder,
    load_splat_decoder,
)

SIDE, CHANNELS = TRUNK.resolution, TRUNK.latent_channels
SPLATS = SplatDecoderConfig(trunk=TRUNK, num_splats=8)
MESH = MeshDecoderConfig(trunk=TRUNK, channels=(8, 4), num_groups=4)
Decode = Callable[[SparseTensor], object]


def random_latent(*sizes: int, seed: int = 0) -> SparseTensor:
    generator = torch.Generator().manual_seed(seed)
    coords = []
    for size in sizes:
        cells = torch.randperm(SIDE**3, generator=generator)[:size]
        coords.append(torch.stack((cells // SIDE**2, cells // SIDE % SIDE, cells % SIDE), 1).int())
    return SparseTensor(
        voxels_of_objects(coords), torch.randn(sum(sizes), CHANNELS, generator=generator)
    )


def alone(latent: SparseTensor, index: int) -> SparseTensor:
    """Return one object of a latent."""
    rows = rows_of(latent, index)
    return SparseTensor(voxels_of_objects([latent.voxels.coords[rows, 1:]]), latent.feats[rows])


def rows_of(x: SparseTensor, index: int) -> slice:
    start = sum(x.voxels.sizes[:index])
    return slice(start, start + x.voxels.sizes[index])


@pytest.fixture
def splat_decoder() -> SplatDecoder:
    decoder = SplatDecoder(SPLATS)
    state = random_state(lambda: SplatDecoder(SPLATS))
    state["offset_perturbation"] = decoder.offset_perturbation.clone()
    decoder.load_state_dict(tamed(state))
    return decoder.eval().requires_grad_(False)


@pytest.fixture
def mesh_decoder() -> MeshDecoder:
    decoder = MeshDecoder(MESH)
    decoder.load_state_dict(tamed(random_state(lambda: MeshDecoder(MESH))))
    return decoder.eval().requires_grad_(False)


def tamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scale random weights so that features keep their size from layer to layer."""
    return {
        name: tensor / tensor[0].numel() ** 0.5
        if tensor.ndim > 1 and "offset" not in name
        else tensor
        for name, tensor in state.items()
    }


def as_rows(decoder: SplatDecoder, latent: SparseTensor) -> list[np.ndarray]:
    return [
        np.hstack((s.means, s.scales, s.quats_wxyz, s.opacities[:, None], s.sh_dc))
        for s in decode_splats(decoder, latent)
    ]


# Laws


def test_splats_of_several_objects_are_those_of_each(splat_decoder: SplatDecoder) -> None:
    latent = random_latent(40, 1, 70)

    together = as_rows(splat_decoder, latent)

    assert [len(rows) for rows in together] == [320, 8, 560]
    for index, rows in enumerate(together):
        (expected,) = as_rows(splat_decoder, alone(latent, index))
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)


def test_cubes_of_several_objects_are_those_of_each(mesh_decoder: MeshDecoder) -> None:
    latent = random_latent(40, 1, 70)

    together = decode_cubes(mesh_decoder, latent)

    assert together.voxels.sizes == (2560, 64, 4480)
    for index, feats in enumerate(together.objects()):
        expected = decode_cubes(mesh_decoder, alone(latent, index))
        rows = rows_of(together, index)
        assert torch.equal(together.voxels.coords[rows, 1:], expected.voxels.coords[:, 1:])
        torch.testing.assert_close(feats, expected.feats, rtol=1e-4, atol=1e-4)


def test_cubes_do_not_depend_on_the_order_of_voxels(mesh_decoder: MeshDecoder) -> None:
    latent = random_latent(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    mixed = SparseTensor(voxels_of_objects([latent.voxels.coords[order, 1:]]), latent.feats[order])

    cubes = decode_cubes(mesh_decoder, latent).feats.unflatten(0, (60, 64))

    torch.testing.assert_close(
        decode_cubes(mesh_decoder, mixed).feats.unflatten(0, (60, 64)),
        cubes[order],
        rtol=1e-4,
        atol=1e-4,
    )


def test_splats_lie_in_reach_of_their_voxel(splat_decoder: SplatDecoder) -> None:
    latent = random_latent(50)

    (splats,) = decode_splats(splat_decoder, latent)

    centers = (latent.voxels.coords[:, 1:].numpy() + 0.5) / SIDE - 0.5
    offsets = np.abs(splats.means.reshape(50, 8, 3) - centers[:, None])
    assert offsets.max() <= SPLATS.reach / 2 / SIDE * (1 + 1e-5)
    assert splats.scales.min() >= SplatActivation().min_scale
    assert splats.min_scale == SplatActivation().min_scale


def test_untrained_splats_fill_the_middle_of_their_voxel_evenly() -> None:
    offsets = torch.tanh(spread(1024, 1.5)) * 1.5 / 2  # of a voxel

    torch.testing.assert_close(offsets.amin(dim=0), torch.full((3,), -0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(offsets.amax(dim=0), torch.full((3,), 0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(offsets.mean(dim=0), torch.zeros(3), atol=0.01, rtol=0)


def test_subdividing_and_convolving_at_once_is_doing_both() -> None:
    conv, latent = SubdividingConv(CHANNELS, 6), random_latent(50, 20)
    plain = SparseConv(CHANNELS, 6)
    plain.load_state_dict(conv.state_dict())

    at_once, expected = conv(latent), plain(latent.subdivided())

    assert torch.equal(at_once.voxels.coords, expected.voxels.coords)
    torch.testing.assert_close(at_once.feats, expected.feats, rtol=1e-4, atol=1e-5)


def test_its_gradients_are_those_of_both() -> None:
    conv, latent = SubdividingConv(CHANNELS, 6), random_latent(30)
    plain = SparseConv(CHANNELS, 6)
    plain.load_state_dict(conv.state_dict())
    weights = torch.randn(240, 6, generator=torch.Generator().manual_seed(2))
    gradients = []
    for layer in (conv, plain):
        feats = latent.feats.clone().requires_grad_()
        x = latent.replace(feats)
        fine = layer(x if layer is conv else x.subdivided())
        fine.feats.mul(weights).sum().backward()
        gradients.append((feats.grad, layer.conv.weight.grad, layer.conv.bias.grad))

    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_weight_of_the_mesh_decoder(mesh_decoder: MeshDecoder) -> None:
    mesh_decoder.requires_grad_(True)

    mesh_decoder(random_latent(20)).feats.square().mean().backward()

    for name, parameter in mesh_decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


# Precision


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.005), (torch.bfloat16, 0.03)])
def test_half_precision_changes_little(
    mesh_decoder: MeshDecoder, splat_decoder: SplatDecoder, dtype: torch.dtype, bound: float
) -> None:
    latent = random_latent(60)
    cubes = decode_cubes(mesh_decoder, latent).feats
    (rows,) = as_rows(splat_decoder, latent)

    halved = decode_cubes(mesh_decoder.with_inner_dtype(dtype), latent).feats
    (halved_rows,) = as_rows(splat_decoder.with_inner_dtype(dtype), latent)

    assert halved.dtype == torch.float32
    assert 0 < (halved - cubes).norm() / cubes.norm() < bound
    assert 0 < np.linalg.norm(halved_rows - rows) / np.linalg.norm(rows) < bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loaded_decoders_have_their_inner_weights_alone_in_half_precision(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    folder = write_release(tmp_path / "release")
    for load, name in (
        (load_splat_decoder, "slat_decoder_gs"),
        (load_few_splats_decoder, "slat_decoder_gs_4"),
        (load_mesh_decoder, "slat_decoder_mesh"),
    ):
        stored = torch.load(folder / f"checkpoints/{name}.ckpt")
        decoder = load(folder, TINY, device="cpu", dtype=dtype)

        for key, tensor in decoder.state_dict().items():
            inner = key.startswith(("blocks.", "upsample."))
            assert tensor.dtype == (dtype if inner else torch.float32)
            assert torch.equal(tensor, stored[key].float().to(tensor.dtype))
        assert not any(parameter.requires_grad for parameter in decoder.parameters())


# Memory


def test_memory_of_cubes_grows_by_a_bounded_amount_with_each(
    mesh_decoder: MeshDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 1000)
    narrow, out = MESH.channels[-1], MESH.out_channels

    def peak(num: int) -> int:
        latent = random_latent(num)
        return peak_bytes(lambda: (decode_cubes(mesh_decoder, latent).feats,), torch.device("cpu"))

    slope = (peak(400) - peak(200)) / (64 * 200)  # bytes

    # Of each cube: its channels, its coordinates, and four times as much as its last features.
    assert slope < 4 * out + 4 * 4 + 4 * 4 * narrow


def test_the_last_layer_maps_some_rows_at_a_time_to_the_same(
    mesh_decoder: MeshDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    latent = random_latent(20)
    at_once = decode_cubes(mesh_decoder, latent).feats

    monkeypatch.setattr(module, "ROWS", 1000)  # of 1280

    torch.testing.assert_close(decode_cubes(mesh_decoder, latent).feats, at_once)


def test_what_is_decoded_holds_on_to_no_neighbours(mesh_decoder: MeshDecoder) -> None:
    cubes = decode_cubes(mesh_decoder, random_latent(20))

    assert "neighbours" not in vars(cubes.voxels)
    assert not cubes.feats.requires_grad


# What cannot be decoded


@pytest.fixture(params=["splats", "cubes"])
def decode(
    request: pytest.FixtureRequest, splat_decoder: SplatDecoder, mesh_decoder: MeshDecoder
) -> Decode:
    if request.param == "splats":
        return lambda latent: decode_splats(splat_decoder, latent)
    return lambda latent: decode_cubes(mesh_decoder, latent)


def test_an_object_without_voxels_is_refused(decode: Decode) -> None:
    with pytest.raises(VoxelError, match=r"objects \[1\] of 2 have none"):
        decode(random_latent(5, 0))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_latent_that_is_not_finite_is_refused_by_the_object_it_is_of(
    decode: Decode, value: float
) -> None:
    latent = random_latent(5, 6)
    latent.feats[7, 2] = value

    with pytest.raises(DecodingError, match="latent of object 1 must be finite") as raised:
        decode(latent)

    assert raised.value.code == ReportCode.RECONSTRUCTION


def test_voxels_beyond_the_grid_are_refused(decode: Decode) -> None:
    latent = random_latent(5)
    latent.voxels.coords[3, 2] = SIDE

    with pytest.raises(VoxelError, match=f"must be below {SIDE}, got up to {SIDE}"):
        decode(latent)


def test_a_latent_of_other_channels_is_refused(decode: Decode) -> None:
    latent = random_latent(5)

    with pytest.raises(ShapeError, match=r"latent must have shape \(5, 8\), got \(5, 7\)"):
        decode(latent.replace(latent.feats[:, :7]))


def test_too_many_voxels_are_refused_before_anything_is_computed() -> None:
    config = DecoderTrunkConfig(dim=12, num_blocks=0, num_heads=2)
    decoder = SplatDecoder(SplatDecoderConfig(trunk=config, num_splats=1))
    axis = torch.arange(config.resolution, dtype=torch.int32)
    coords = torch.cartesian_prod(axis, axis, axis)

    def latent(num: int) -> SparseTensor:
        return SparseTensor(voxels_of_objects([coords[:num]]), torch.zeros(num, 8))

    decoder.check(latent(MAX_VOXELS))
    with pytest.raises(VoxelError, match=r"at most 42000 voxels, object 0 has 42001; .* halves"):
        decode_splats(decoder, latent(MAX_VOXELS + 1))


def test_splats_that_are_not_finite_are_an_error(splat_decoder: SplatDecoder) -> None:
    splat_decoder.out_layer.bias[0] = torch.nan

    with pytest.raises(DecodingError, match="splats must be finite") as raised:
        decode_splats(splat_decoder, random_latent(3))

    assert isinstance(raised.value, Sam3dError)


def test_one_voxel_has_splats_and_cubes(
    splat_decoder: SplatDecoder, mesh_decoder: MeshDecoder
) -> None:
    (splats,) = decode_splats(splat_decoder, random_latent(1))

    assert len(splats) == SPLATS.num_splats
    assert decode_cubes(mesh_decoder, random_latent(1)).feats.isfinite().all()
