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

"""How fast people are reconstructed, and how much faster than one pass after the other.

Needs torch and NumPy, no ROS and no weights.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.body.architecture import (
    BackboneConfig,
    BodyArchitecture,
    BodyDecoderConfig,
    released_architecture,
)
from sam3d_ros.body.asked import asked_person
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.passes import Passes, PassRules, PeopleImage
from sam3d_ros.body.random_weights import random_body, rig_sizes
from sam3d_ros.body.synthetic_rig import OFFICIAL_SIZE, SyntheticRigConfig
from sam3d_ros.body.weights import LoadedBody
from sam3d_ros.evaluation.benchmarks.body_reference import ReferencePasses
from sam3d_ros.evaluation.benchmarks.command import DTYPES, main_of
from sam3d_ros.evaluation.benchmarks.measuring import (
    Outputs,
    device_name,
    measured,
    peak_bytes,
    usable_device,
    verdict,
)
from sam3d_ros.evaluation.benchmarks.results import write_csv, write_json
from sam3d_ros.structures import Camera
from sam3d_ros.structures.people import PersonPrompt

DESCRIPTION = """\
Measure the reconstruction of people with random weights and a made-up rig, from the image to the
vertices, beside one that sends bodies, left hands and right hands through the backbone one after
the other and poses the whole surface after every layer: same weights, same results. `reduced` sizes
take seconds on a CPU, `official` ones want a GPU. Writes body.json and body.csv.
"""
REDUCED_RIG = SyntheticRigConfig(rings=90, segments=52, num_hidden=750)
REDUCED = BodyArchitecture(
    image_size=256,
    backbone=BackboneConfig(dim=128, depth=4, num_heads=2),
    decoder=BodyDecoderConfig(dim=256, depth=6, num_heads=4, mlp_dim=256),
    rig=rig_sizes(REDUCED_RIG),
)
SIZES = {
    "reduced": (REDUCED, REDUCED_RIG),
    "official": (released_architecture(BackboneConfig().kind), OFFICIAL_SIZE),
}
ONE, ALONE, EIGHT = "1 person", "1 person, no hands", "8 people"
CASES = {ONE: (1, True), ALONE: (1, False), EIGHT: (8, True)}  # people, and whether with hands
# Of the official sizes on one H200 in bfloat16.
LIMITS_MS = {ONE: 40.0, EIGHT: 160.0}
LIMIT_PEAK_GB = 5.0
LIMIT_DIFFERENCE = 1e-4  # of vertices in float32, m
LIMITS_OF = "official sizes on a GPU in bfloat16"
# What others say of one person with hands; not measured here, on other machines than this one.
PUBLISHED = """\
published, one person with hands, not measured here:
  65 ms on an RTX 5090: Fast SAM 3D Body (arXiv 2603.15603), TensorRT and approximations: hand boxes
    of a detector of their own, all crops in one backbone call
  0.6 to 1.0 images per second (1000 to 1700 ms): the released code as it is"""
GIGA, WIDTH, HEIGHT = 1e9, 1280, 720


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFigures:
    """What was measured of one case."""

    case: str
    ms: float
    reference_ms: float | None = None
    difference_m: float | None = None  # of vertices, largest

    @property
    def ratio(self) -> float:
        """How many times as long the reference takes; NaN where there is none."""
        return float("nan") if self.reference_ms is None else self.reference_ms / self.ms


@torch.no_grad()
def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return 0.

    Raises:
        ConfigError: The device is not there.
    """
    device = usable_device(arguments.device)
    name = arguments.dtype or ("float32" if device.type == "cpu" else "bfloat16")
    print(f"{arguments.size} sizes, backbone in {name}, {device_name(device)}")
    architecture, rig = SIZES[arguments.size]
    generator = torch.Generator(device).manual_seed(0)
    body = random_body(architecture, rig, generator, DTYPES[name])
    rows, peak_gb = [], 0.0
    print(f"\n{_HEAD}\n{'-' * len(_HEAD)}")
    for case, figures, peak in cases(body, device):
        rows.append(figures)
        peak_gb = max(peak_gb, peak / GIGA)
        print(_line(case, figures), flush=True)
    limited = arguments.size == "official" and device.type == "cuda"
    print(f"\n{_verdicts(rows, peak_gb, limited=limited, exact=name == 'float32')}")
    print(f"\n{PUBLISHED}\n")
    settings = {"size": arguments.size, "dtype": name, "device": device_name(device)}
    written = [{**asdict(row)} for row in rows]
    write_json(
        {**settings, "torch": torch.__version__, "peak_gb": peak_gb, "cases": written},
        arguments.output / "body.json",
    )
    write_csv(written, arguments.output / "body.csv")
    print(f"written: {arguments.output / 'body.json'}, body.csv")
    return 0


def cases(body: LoadedBody, device: torch.device) -> Iterator[tuple[str, CaseFigures, int]]:
    """Yield the name of each case, what was measured, and the most bytes of memory, all in all."""
    rig = BodyRig.of(body.rig).to(device)
    passes = Passes(body.model, rig, device)
    reference = ReferencePasses(body.model, rig, device)
    weights = sum(t.numel() * t.element_size() for t in _held(body.model, rig))
    for case, (num_people, hands) in CASES.items():
        image = people_image(num_people)
        # The reference tells several people together what their hands say.
        rules = PassRules(hands=hands, together=True)

        def ours(image: PeopleImage = image, rules: PassRules = rules) -> Outputs:
            return (passes.run(image, rules).posed.vertices_m,)

        def theirs(image: PeopleImage = image) -> Outputs:
            return (reference.vertices_m(image),)

        figures = _figures(case, ours, theirs if hands else None, device)
        yield case, figures, weights + peak_bytes(ours, device)


def people_image(num_people: int) -> PeopleImage:
    """Return an image of noise with people as large as they are in rooms, whose hands are seen."""
    camera = Camera(
        width=WIDTH,
        height=HEIGHT,
        matrix_px=np.array([[900.0, 0, WIDTH / 2], [0, 900, HEIGHT / 2], [0, 0, 1]]),
    )
    step = (WIDTH - 300) / max(num_people, 2)
    people = [
        PersonPrompt(instance_id=place, box_px=np.array([0.0, 40, 280, 700]) + place * step * _X)
        for place in range(num_people)
    ]
    rng = np.random.default_rng(0)
    return PeopleImage(
        rgb=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        camera=camera,
        people=[asked_person(person, camera) for person in people],
    )


def _held(*modules: torch.nn.Module) -> Iterator[Tensor]:
    for module in modules:
        yield from module.parameters()
        yield from module.buffers()


def _figures(
    case: str,
    ours: Callable[[], Outputs],
    theirs: Callable[[], Outputs] | None,
    device: torch.device,
) -> CaseFigures:
    if theirs is None:
        ((ms, _),) = measured([ours], device)
        return CaseFigures(case=case, ms=ms)
    (ms, outputs), (reference_ms, expected) = measured([ours, theirs], device)
    return CaseFigures(
        case=case,
        ms=ms,
        reference_ms=reference_ms,
        difference_m=float((outputs[0] - expected[0]).abs().max()),
    )


_X = np.array([1.0, 0.0, 1.0, 0.0])  # moves boxes to the right
_HEAD = f"{'case':24} {'ms':>9} {'reference ms':>13} {'ratio':>6} {'difference m':>13}"


def _line(case: str, row: CaseFigures) -> str:
    """Lay out the figures of a case."""
    line = f"{case:24} {row.ms:9.2f}"
    if row.reference_ms is None:
        return line
    return f"{line} {row.reference_ms:13.2f} {row.ratio:6.2f} {row.difference_m:13.1e}"


def _verdicts(rows: Sequence[CaseFigures], peak_gb: float, *, limited: bool, exact: bool) -> str:
    """Lay out what has a limit: times and memory have theirs on a GPU, elsewhere it is only named.

    Rounding in half precision is no error, so that differences are judged in float32 only.
    """
    figures = [
        (row.case, row.ms, LIMITS_MS[row.case], "ms") for row in rows if row.case in LIMITS_MS
    ]
    figures.append(("peak memory of tensors", peak_gb, LIMIT_PEAK_GB, "GB"))
    lines = [verdict(*each, judged=limited, holds_for=LIMITS_OF) for each in figures]
    largest = max(row.difference_m or 0.0 for row in rows)
    difference = ("largest difference of vertices", largest, LIMIT_DIFFERENCE, "m")
    lines.append(verdict(*difference, judged=exact, holds_for="float32"))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 1 for a failure said in one sentence."""
    return main_of("body", DESCRIPTION, SIZES, run, argv)


if __name__ == "__main__":
    sys.exit(main())
