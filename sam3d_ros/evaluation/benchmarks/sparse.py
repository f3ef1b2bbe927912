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


"""How fast operations on sparse voxels are, and how they grow, beside what plain torch offers.

Needs torch and NumPy, no ROS and no weights.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from sam3d_ros.evaluation.benchmarks.command import DTYPES, main_of
from sam3d_ros.evaluation.benchmarks.measuring import (
    MS_PER_S,
    NOT_JUDGED,
    Outputs,
    device_name,
    growth,
    measured,
    peak_bytes,
    usable_device,
    verdict,
)
from sam3d_ros.evaluation.benchmarks.results import write_json
from sam3d_ros.evaluation.benchmarks.sparse_cases import (
    OFFICIAL,
    REDUCED,
    Alternative,
    Case,
    Place,
    cases,
    surface_voxels,
    velocity_case,
    velocity_flop,
)

DESCRIPTION = """\
Measure operations on sparse voxels, and one velocity of the refinement model with random weights,
on voxels along a surface. `reduced` sizes take less than a minute on a CPU, `official` ones want a
GPU. Each is measured beside the best that plain torch offers for the same. Writes sparse.json.
"""
SIZES = {"reduced": REDUCED, "official": OFFICIAL}
NUMBERS = (5000, 20_000, 40_000)  # of voxels
VELOCITY_NUMBER, VELOCITY_LIMIT_MS = 25_000, 45.0  # official sizes on one H200 in bfloat16
LIMIT_DIFFERENCE = 1e-4  # of outputs in float32, relative to the largest value
TERA, MEGA = 1e12, 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one way to compute something on some voxels."""

    case: str
    way: str  # empty for ours
    voxels: int
    ms: float | None = None  # none where it does not fit
    peak_mb: float | None = None  # of tensors, beside the inputs
    ratio: float | None = None  # of the time to ours
    difference: float | None = None  # from ours, largest, relative to the largest value


@torch.no_grad()
def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        ConfigError: The device is not there.
    """
    device, sizes = usable_device(arguments.device), SIZES[arguments.size]
    name = arguments.dtype or ("float32" if device.type == "cpu" else "bfloat16")
    place = Place(device=device, dtype=DTYPES[name])
    print(f"{arguments.size} sizes, {name}, {device_name(device)}, torch {torch.__version__}")
    print(f"\n{_HEAD}\n{'-' * len(_HEAD)}")
    rows = []
    for num in NUMBERS:
        for case in cases(num, sizes, place):
            for row in _figures(case, num, device):
                rows.append(row)
                print(_line(row), flush=True)
    print(f"\n{_growth_text(rows)}")
    exact = name == "float32"
    largest = max(row.difference or 0.0 for row in rows)
    text = "largest relative difference between ours and others"
    print(verdict(text, largest, LIMIT_DIFFERENCE if exact else None, ""))
    if arguments.size == "official":
        print(_velocity_text(place))
    else:
        print(f"velocity of {VELOCITY_NUMBER} voxels at official sizes: not measured", end="  ")
        print(f"(limit {VELOCITY_LIMIT_MS:g} ms: {NOT_JUDGED})")
    settings = {"size": arguments.size, "dtype": name, "device": device_name(device)}
    _write(rows, {**settings, "torch": torch.__version__}, arguments.output)
    return 0


def _figures(case: Case, num: int, device: torch.device) -> Iterator[Figures]:
    """Measure a case, then what stands beside it."""
    fitting = [each for each in case.alternatives if each.compute is not None]
    computes = [case.compute, *(each.compute for each in fitting if each.compute is not None)]
    (ms, expected), *others = measured(computes, device)
    peak_mb = peak_bytes(case.compute, device) / MEGA
    yield Figures(case=case.name, way="", voxels=num, ms=ms, peak_mb=peak_mb)
    found = dict(zip((each.name for each in fitting), others, strict=True))
    for each in case.alternatives:
        yield _alternative_figures(case.name, num, each, found.get(each.name), (ms, expected))


def _alternative_figures(
    case: str,
    num: int,
    alternative: Alternative,
    found: tuple[float, Outputs] | None,
    ours: tuple[float, Outputs],
) -> Figures:
    if found is None or alternative.compute is None:
        return Figures(case=case, way=alternative.name, voxels=num)
    (ms, outputs), (our_ms, expected) = found, ours
    pairs = zip(outputs, expected, strict=True)
    return Figures(
        case=case,
        way=alternative.name,
        voxels=num,
        ms=ms,
        peak_mb=peak_bytes(alternative.compute, outputs[0].device) / MEGA,
        ratio=ms / our_ms,
        difference=max(float((a - e).abs().max() / e.abs().max()) for a, e in pairs),
    )


_HEAD = (
    f"{'voxels':>6} {'operation':29} {'other way':13} {'ms':>9} {'peak MB':>8} "
    f"{'ratio':>7} {'difference':>11}"
)


def _line(row: Figures) -> str:
    """Lay out one way to compute something."""
    line = f"{row.voxels:6} {row.case:29} {row.way:13} "
    if row.ms is None or row.peak_mb is None:
        return f"{line}{'does not fit, or is not there':>29}"
    line += f"{row.ms:9.2f} {row.peak_mb:8.1f}"
    return line if row.ratio is None else f"{line} {row.ratio:7.2f} {row.difference:11.1e}"


def _growth_text(rows: Sequence[Figures]) -> str:
    """Say with which exponent our times and memory grow with the number of voxels."""
    lines = [f"growth from {min(NUMBERS)} to {max(NUMBERS)} voxels: exponent of time, of memory"]
    for case in dict.fromkeys(row.case for row in rows):
        ours = [row for row in rows if row.case == case and not row.way]
        of_time = growth({row.voxels: row.ms for row in ours if row.ms})
        of_memory = growth({row.voxels: row.peak_mb for row in ours if row.peak_mb})
        lines.append(f"  {case:29} {of_time:5.2f} {of_memory:5.2f}")
    return "\n".join(lines)


def _velocity_text(place: Place) -> str:
    """Measure one velocity at the released sizes; say whether it is fast enough."""
    voxels, config = surface_voxels(VELOCITY_NUMBER, place.device), OFFICIAL.refinement
    case = velocity_case(voxels, OFFICIAL, place)
    ((ms, _),) = measured([case.compute], place.device)
    tflop = velocity_flop(voxels, config, OFFICIAL.num_condition) / TERA
    tokens = len(voxels.halved.coarse)
    name = f"velocity of {VELOCITY_NUMBER} voxels, {tokens} tokens, {tflop:.3g} TFLOP"
    said = verdict(name, ms, VELOCITY_LIMIT_MS, "ms", judged=place.device.type == "cuda")
    peak = f"peak {peak_bytes(case.compute, place.device) / MEGA:.0f} MB beside weights and inputs"
    return f"{said}, {MS_PER_S * tflop / ms:.3g} TFLOP/s, {peak}"


def _write(rows: Sequence[Figures], settings: dict[str, object], folder: Path) -> None:
    path = folder / "sparse.json"
    write_json({**settings, "figures": [asdict(row) for row in rows]}, path)
    print(f"written: {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    return main_of("sparse", DESCRIPTION, SIZES, run, argv)


if __name__ == "__main__":
    sys.exit(main())
