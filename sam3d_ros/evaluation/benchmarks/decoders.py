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

"""How fast structured latents are decoded to splats, cubes and meshes, and in how much memory.

Needs torch and NumPy, no ROS and no weights.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.evaluation.benchmarks.command import DTYPES, main_of
from sam3d_ros.evaluation.benchmarks.measuring import (
    Compute,
    device_name,
    measured,
    peak_bytes,
    usable_device,
    verdict,
)
from sam3d_ros.evaluation.benchmarks.random_models import random_model
from sam3d_ros.evaluation.benchmarks.results import write_json
from sam3d_ros.evaluation.benchmarks.sparse_cases import CELLS, SIDE, surface_voxels
from sam3d_ros.nn.sparse.convolution import SparseConv
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels
from sam3d_ros.objects.architecture import (
    DecoderTrunkConfig,
    MeshDecoderConfig,
    SplatDecoderConfig,
)
from sam3d_ros.objects.cube_cases import CORNERS
from sam3d_ros.objects.flexicubes import extract_surface
from sam3d_ros.objects.gaussian_decoder import SplatDecoder, decode_splats
from sam3d_ros.objects.mesh_decoder import MeshDecoder, SubdividingConv, decode_cubes

DESCRIPTION = """\
Measure the decoders of structured latents with random weights, on voxels along a surface. `reduced`
sizes take less than half a minute on a CPU, `official` ones want a GPU. Writes decoders.json.
"""
SPLATS, MESH = "splats", "cubes and their mesh"
LIMITS_MS = {SPLATS: 40.0, MESH: 900.0}  # official sizes on one H200 in bfloat16
LIMIT_DIFFERENCE = 1e-4  # of outputs in float32, relative to the largest value
MEGA = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSizes:
    """The decoders, and how many voxels they are given."""

    num_voxels: int
    splats: SplatDecoderConfig
    few_splats: SplatDecoderConfig
    mesh: MeshDecoderConfig


_SMALL = DecoderTrunkConfig(dim=96, num_blocks=2, num_heads=4)
SIZES = {
    "reduced": DecoderSizes(
        num_voxels=1000,
        splats=SplatDecoderConfig(trunk=_SMALL),
        few_splats=SplatDecoderConfig(trunk=_SMALL, num_splats=4),
        mesh=MeshDecoderConfig(trunk=_SMALL, channels=(24, 12), num_groups=4),
    ),
    "official": DecoderSizes(
        num_voxels=25_000,
        splats=SplatDecoderConfig(),
        few_splats=SplatDecoderConfig(num_splats=4),
        mesh=MeshDecoderConfig(),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something to measure, and another way to the same outputs where there is one."""

    name: str
    compute: Compute
    plain: Compute | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of a part."""

    part: str
    ms: float
    peak_mb: float  # of tensors, beside weights and inputs
    plain_ms: float | None = None
    plain_peak_mb: float | None = None
    difference: float | None = None  # of the outputs, largest, relative to the largest value


class PlainSubdividingConv(SparseConv):
    """A convolution that copies the features eight times first, as it was meant."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Map features ``(N, I)`` of voxels to ``(8 N, O)`` of their children."""
        return super().forward(x.subdivided())


@torch.no_grad()
def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        ConfigError: The device is not there.
    """
    device, sizes = usable_device(arguments.device), SIZES[arguments.size]
    name = arguments.dtype or ("float32" if device.type == "cpu" else "bfloat16")
    voxels = f"{sizes.num_voxels} voxels"
    print(f"{arguments.size} sizes, {voxels}, {name}, {device_name(device)}, {torch.__version__}")
    print(f"\n{_HEAD}\n{'-' * len(_HEAD)}")
    rows = []
    for part in parts(sizes, device, DTYPES[name]):
        rows.append(_figures(part, device))
        print(_line(rows[-1]), flush=True)
    limited = arguments.size == "official" and device.type == "cuda"
    print(f"\n{_verdicts(rows, limited=limited, exact=name == 'float32')}")
    settings = {"size": arguments.size, "dtype": name, "device": device_name(device)}
    settings |= {"torch": torch.__version__, "voxels": sizes.num_voxels}
    _write(rows, settings, arguments.output)
    return 0


def parts(sizes: DecoderSizes, device: torch.device, dtype: torch.dtype) -> Iterator[Part]:
    """Yield what is measured; the decoders of one part are gone before those of the next."""
    latent = _latent(sizes, device)
    for name, config in ((SPLATS, sizes.splats), ("fewer splats", sizes.few_splats)):
        yield _splats(name, config, latent, dtype)
    decoder = random_model(lambda: MeshDecoder(sizes.mesh), device, torch.float32)
    decoder.with_inner_dtype(dtype)
    yield Part(name="cubes", compute=lambda: (decode_cubes(decoder, _anew(latent)).feats,))
    yield Part(name=MESH, compute=lambda: _mesh(decoder, latent))
    yield _last_subdivision(decoder, latent.voxels, dtype)


def _splats(
    name: str, config: SplatDecoderConfig, latent: SparseTensor, dtype: torch.dtype
) -> Part:
    decoder = random_model(lambda: SplatDecoder(config), latent.feats.device, torch.float32)
    decoder.with_inner_dtype(dtype)

    def compute() -> tuple[Tensor, ...]:
        (splats,) = decode_splats(decoder, _anew(latent))
        return (torch.from_numpy(splats.means),)

    return Part(name=name, compute=compute)


def _mesh(decoder: MeshDecoder, latent: SparseTensor) -> tuple[Tensor, ...]:
    """Decode cubes and extract a mesh from them.

    Random distances would cross every cube, which no object does: a surface's take their place.
    """
    cubes, resolution = decode_cubes(decoder, _anew(latent)), decoder.config.resolution
    coords = cubes.voxels.coords[:, 1:]
    cubes.feats[:, : len(CORNERS)] = _distances(coords, resolution)
    surface = extract_surface(coords, cubes.feats, resolution)
    return surface.vertices, surface.attributes


def _last_subdivision(decoder: MeshDecoder, voxels: Voxels, dtype: torch.dtype) -> Part:
    """Return the convolution that subdivides last, beside the same after copying features."""
    conv = decoder.upsample[-1].get_submodule("out_layers.0")
    assert isinstance(conv, SubdividingConv)
    out_channels, *_, in_channels = conv.conv.weight.shape
    plain = PlainSubdividingConv(in_channels, out_channels)
    plain.conv = conv.conv
    for _ in decoder.upsample[1:]:
        voxels = voxels.subdivided()
    feats = _random(len(voxels), in_channels, voxels.coords.device).to(dtype)

    def convolved(by: SparseConv) -> tuple[Tensor, ...]:
        return (by(SparseTensor(Voxels(voxels.coords, voxels.sizes), feats)).feats,)

    return Part(
        name="last subdividing convolution",
        compute=lambda: convolved(conv),
        plain=lambda: convolved(plain),
    )


def _latent(sizes: DecoderSizes, device: torch.device) -> SparseTensor:
    voxels = surface_voxels(sizes.num_voxels, device)
    return SparseTensor(voxels, _random(len(voxels), sizes.mesh.trunk.latent_channels, device))


def _anew(x: SparseTensor) -> SparseTensor:
    """Return the same without what was computed of its voxels before."""
    return SparseTensor(Voxels(x.voxels.coords, x.voxels.sizes), x.feats)


def _random(num: int, channels: int, device: torch.device) -> Tensor:
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(num, channels, generator=generator, device=device)


def _distances(coords: Tensor, resolution: int) -> Tensor:
    """Return distances ``(N, 8)`` at the corners of cubes from the surface of the voxels."""
    corners = coords[:, None] + coords.new_tensor(CORNERS)
    voxels = corners * (SIDE / resolution) - 0.5
    x, y, z = (voxels * (CELLS * 2 * torch.pi / (SIDE - 1))).unbind(-1)
    return x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()


def _figures(part: Part, device: torch.device) -> Figures:
    peak_mb = peak_bytes(part.compute, device) / MEGA
    if part.plain is None:
        ((ms, _),) = measured([part.compute], device)
        return Figures(part=part.name, ms=ms, peak_mb=peak_mb)
    (ms, (ours,)), (plain_ms, (expected,)) = measured([part.compute, part.plain], device)
    return Figures(
        part=part.name,
        ms=ms,
        peak_mb=peak_mb,
        plain_ms=plain_ms,
        plain_peak_mb=peak_bytes(part.plain, device) / MEGA,
        difference=float((ours - expected).abs().max() / expected.abs().max()),
    )


_HEAD = (
    f"{'part':28} {'ms':>9} {'peak MB':>8} {'plain ms':>9} {'plain MB':>9} "
    f"{'ratio':>6} {'difference':>11}"
)


def _line(row: Figures) -> str:
    """Lay out a part's figures."""
    line = f"{row.part:28} {row.ms:9.2f} {row.peak_mb:8.1f}"
    if row.plain_ms is None:
        return line
    ratio = row.plain_ms / row.ms
    return (
        f"{line} {row.plain_ms:9.2f} {row.plain_peak_mb:9.1f} {ratio:6.2f} {row.difference:11.1e}"
    )


def _verdicts(rows: Sequence[Figures], *, limited: bool, exact: bool) -> str:
    """Lay out what has a limit; those of times are judged where they hold, on a GPU."""
    lines = [
        verdict(row.part, row.ms, LIMITS_MS[row.part], "ms", judged=limited)
        for row in rows
        if row.part in LIMITS_MS
    ]
    largest = max(row.difference or 0.0 for row in rows)
    text = "largest relative difference between ours and plain"
    return "\n".join([*lines, verdict(text, largest, LIMIT_DIFFERENCE if exact else None, "")])


def _write(rows: Sequence[Figures], settings: dict[str, object], folder: Path) -> None:
    path = folder / "decoders.json"
    write_json({**settings, "parts": [asdict(row) for row in rows]}, path)
    print(f"written: {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    return main_of("decoders", DESCRIPTION, SIZES, run, argv)


if __name__ == "__main__":
    sys.exit(main())
