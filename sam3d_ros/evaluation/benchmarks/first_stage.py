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

"""How fast the parts of SAM 3D Objects are, and how much faster than computed without thought.

Needs torch and NumPy, no ROS and no weights.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from sam3d_ros.evaluation.benchmarks import arithmetic
from sam3d_ros.evaluation.benchmarks.command import DTYPES, main_of
from sam3d_ros.evaluation.benchmarks.measuring import (
    MS_PER_S,
    Compute,
    Outputs,
    device_name,
    measured,
    usable_device,
    verdict,
)
from sam3d_ros.evaluation.benchmarks.process_memory import process_peak_bytes
from sam3d_ros.evaluation.benchmarks.random_models import REDUCED, Bench, make_bench
from sam3d_ros.evaluation.benchmarks.results import write_csv, write_json
from sam3d_ros.nn.flow import FlowConfig, integrate, schedule
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.geometry_model import GeometryContext
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.sampling import ReferenceVelocity, sample_geometry

DESCRIPTION = """\
Measure the parts of SAM 3D Objects with random weights. `reduced` sizes take seconds on a CPU,
`official` ones want a GPU. Prepared parts are measured beside the naive path, which computes
everything at every step. Writes objects.json and objects.csv.
"""
SIZES = {"reduced": REDUCED, "official": ObjectsArchitecture()}
GUIDED, SHORTCUT = FlowConfig(num_steps=25), FlowConfig.with_shortcut(4)
CONDITIONAL, FOUR_STEPS, GUIDED_STEPS = (
    "conditional velocity",
    "4 shortcut steps",
    "25 guided steps",
)
# Of the official sizes on one H200 in bfloat16.
LIMITS_MS = {CONDITIONAL: 25.0, FOUR_STEPS: 150.0, GUIDED_STEPS: 1000.0}
LIMIT_PEAK_GB = 6.0
LIMIT_DIFFERENCE = 1e-4  # of outputs in float32, relative to the largest value
TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One way to compute a part."""

    flop: int
    compute: Compute


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFigures:
    """What was measured of one part."""

    part: str
    tflop: float
    ms: float
    naive_tflop: float | None = None
    naive_ms: float | None = None
    difference: float | None = None  # of the outputs, largest, relative to the largest value

    @property
    def tflops(self) -> float:
        """Arithmetic per time, TFLOP/s."""
        return MS_PER_S * self.tflop / self.ms


@torch.no_grad()
def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        ConfigError: The device is not there.
    """
    device = usable_device(arguments.device)
    name = arguments.dtype or ("float32" if device.type == "cpu" else "bfloat16")
    print(f"{arguments.size} sizes, {name}, {device_name(device)}, torch {torch.__version__}")
    bench = make_bench(SIZES[arguments.size], device, DTYPES[name])
    peak_gb = _peak_gb(bench, device)
    rows = []
    print(f"\n{_HEAD}\n{'-' * len(_HEAD)}")
    for part, prepared, naive in parts(bench):
        rows.append(_figures(part, prepared, naive, device))
        print(_line(rows[-1]), flush=True)
    limited = arguments.size == "official" and device.type == "cuda"
    print(f"\n{_verdicts(rows, peak_gb, limited=limited, exact=name == 'float32')}")
    settings = {"size": arguments.size, "dtype": name, "device": device_name(device)}
    _write(rows, {**settings, "torch": torch.__version__, "peak_gb": peak_gb}, arguments.output)
    return 0


def parts(bench: Bench) -> Iterator[tuple[str, Run, Run | None]]:
    """Yield what is measured: its name, how it is computed, and how it would be naively."""
    architecture = bench.architecture
    embed = Run(
        flop=arithmetic.condition_flop(architecture.geometry_condition),
        compute=lambda: (bench.embedder(bench.inputs),),
    )
    decode = Run(
        flop=arithmetic.occupancy_flop(architecture.occupancy, architecture.geometry.resolution),
        compute=lambda: (bench.decoder(bench.noise.shape),),
    )
    yield "condition tokens", embed, None
    yield from _velocities(bench)
    yield FOUR_STEPS, *_sampling(bench, SHORTCUT)
    yield GUIDED_STEPS, *_sampling(bench, GUIDED)
    yield "occupancy", decode, None


def _velocities(bench: Bench) -> Iterator[tuple[str, Run, Run]]:
    """Yield one velocity with condition, then one without."""
    model, condition, config = bench.model, bench.condition, bench.architecture.geometry
    num_tokens = condition.shape[1]
    flop = arithmetic.conditional_flop(config, num_tokens)
    yield CONDITIONAL, *_velocity(bench, flop, model.context(condition), condition)
    flop = arithmetic.unconditional_flop(config)
    context = model.unconditional_context()
    yield "unconditional velocity", *_velocity(bench, flop, context, condition * 0.0)


def _velocity(
    bench: Bench, flop: int, context: GeometryContext, condition: Tensor
) -> tuple[Run, Run]:
    """Return a velocity from prepared parts, and one from the condition."""
    model, x = bench.model, bench.noise
    now = torch.full((1,), 300.0, device=condition.device)
    step_size = torch.zeros_like(now)
    modulation = model.modulation(now, step_size)
    naive_flop = arithmetic.reference_flop(bench.architecture.geometry, condition.shape[1])
    return (
        Run(flop=flop, compute=lambda: _tensors(model.velocity(x, modulation, context))),
        Run(flop=naive_flop, compute=lambda: _tensors(model(x, now, condition, step_size))),
    )


def _sampling(bench: Bench, flow: FlowConfig) -> tuple[Run, Run]:
    """Return a run of the flow, preparation included, and the naive one."""
    model, condition, config = bench.model, bench.condition, bench.architecture.geometry
    velocity, num = ReferenceVelocity(model, condition, flow), condition.shape[1]
    return (
        Run(
            flop=arithmetic.sampling_flop(config, num, flow),
            compute=lambda: _tensors(sample_geometry(model, condition, bench.noise, flow)),
        ),
        Run(
            flop=arithmetic.reference_sampling_flop(config, num, flow),
            compute=lambda: _tensors(integrate(velocity, bench.noise, schedule(flow))),
        ),
    )


def _figures(part: str, prepared: Run, naive: Run | None, device: torch.device) -> PartFigures:
    """Measure a part."""
    if naive is None:
        ((ms, _),) = measured([prepared.compute], device)
        return PartFigures(part=part, tflop=prepared.flop / TERA, ms=ms)
    (ms, outputs), (naive_ms, expected) = measured([prepared.compute, naive.compute], device)
    pairs = zip(outputs, expected, strict=True)
    return PartFigures(
        part=part,
        tflop=prepared.flop / TERA,
        ms=ms,
        naive_tflop=naive.flop / TERA,
        naive_ms=naive_ms,
        difference=max(float((a - e).abs().max() / e.abs().max()) for a, e in pairs),
    )


def _peak_gb(bench: Bench, device: torch.device) -> float:
    """Return the most memory in GB while an object goes through all parts, all weights there.

    On a GPU, what tensors take; otherwise what the process takes, libraries included.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    condition = bench.embedder(bench.inputs)
    bench.decoder(sample_geometry(bench.model, condition, bench.noise, GUIDED).shape)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIGA
    return process_peak_bytes() / GIGA


def _tensors(latents: GeometryLatents) -> Outputs:
    return tuple(getattr(latents, each.name) for each in fields(latents))


_HEAD = (
    f"{'part':24} {'TFLOP':>9} {'ms':>9} {'TFLOP/s':>8} "
    f"{'naive TFLOP':>12} {'naive ms':>9} {'ratio':>6} {'difference':>11}"
)


def _line(row: PartFigures) -> str:
    """Lay out a part's figures."""
    line = f"{row.part:24} {row.tflop:9.4g} {row.ms:9.2f} {row.tflops:8.3g}"
    if row.naive_tflop is None or row.naive_ms is None:
        return line
    ratio = row.naive_ms / row.ms
    return f"{line} {row.naive_tflop:12.4g} {row.naive_ms:9.2f} {ratio:6.2f} {row.difference:11.1e}"


def _verdicts(rows: Sequence[PartFigures], peak_gb: float, *, limited: bool, exact: bool) -> str:
    """Lay out what has a limit, with the limit where it holds: for times and memory on a GPU.

    Rounding in half precision is no error, so that differences are judged in float32 only.
    """
    timed = [row for row in rows if limited and row.part in LIMITS_MS]
    lines = [verdict(row.part, row.ms, LIMITS_MS[row.part], "ms") for row in timed]
    lines.append(verdict("peak memory", peak_gb, LIMIT_PEAK_GB if limited else None, "GB"))
    largest = max(row.difference or 0.0 for row in rows)
    text = "largest relative difference between prepared and naive"
    return "\n".join([*lines, verdict(text, largest, LIMIT_DIFFERENCE if exact else None, "")])


def _write(rows: Sequence[PartFigures], settings: dict[str, object], folder: Path) -> None:
    """Write the figures as JSON and CSV."""
    written = [{**asdict(row), "tflops": row.tflops} for row in rows]
    write_json({**settings, "parts": written}, folder / "objects.json")
    write_csv(written, folder / "objects.csv")
    print(f"written: {folder / 'objects.json'}, objects.csv")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    return main_of("first_stage", DESCRIPTION, SIZES, run, argv)


if __name__ == "__main__":
    sys.exit(main())
