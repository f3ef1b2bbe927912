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

"""``sam3d check --weights`` for SAM 3D Body: whether a release is complete and fits the model.

Files are compared by names and shapes; their values are not read.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sam3d_ros.apps.check_weights import HUB, in_units, report
from sam3d_ros.body.architecture import BackboneKind, BodyArchitecture
from sam3d_ros.body.files import CONFIG_FILE, MODEL_FILE, REPOSITORIES, RIG_FILE, body_file
from sam3d_ros.body.model_config import read_model_config
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.weights import OpenBody, open_body, open_rig
from sam3d_ros.errors import WeightsError, WeightsMissingError

BACKBONES = {BackboneKind.DINOV3: "DINOv3 ViT-H+", BackboneKind.VITH: "ViT-H"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one file."""

    name: str
    text: str
    usable: bool


def report_body_weights(folder: Path) -> int:
    """Print one line per file of a release; 0 when the model can be loaded."""
    print(f"weights of SAM 3D Body in {folder}")
    findings = [
        _finding(folder, CONFIG_FILE, lambda: _described(read_model_config(_path(folder)))),
        _finding(folder, RIG_FILE, lambda: _counted(open_rig(folder))),
        _finding(folder, MODEL_FILE, lambda: _fitting(open_body(folder))),
    ]
    for finding in findings:
        report(finding.name, finding.text)
    useless = [finding.name for finding in findings if not finding.usable]
    print("\npeople")
    report("sam3d body", f"NOT ready, needs {', '.join(useless)}" if useless else "ready")
    if useless:
        report_body_downloads(folder)
    return 1 if useless else 0


def report_body_downloads(folder: Path) -> None:
    """Print how to fetch a release, either of the two."""
    print("\nto fetch SAM 3D Body, one of (hf comes with pip install huggingface_hub)")
    for repository in REPOSITORIES:
        print(f"  gated: ask for access on {HUB}/{repository} first, then hf auth login")
        print(f"  {shlex.join(['hf', 'download', repository, '--local-dir', str(folder)])}")


def _finding(folder: Path, name: str, look: Callable[[], str]) -> Finding:
    try:
        path = body_file(folder, name)
    except WeightsMissingError:
        return Finding(name, "missing", usable=False)
    size = in_units(path.stat().st_size)
    try:
        return Finding(name, f"{size}, {look()}", usable=True)
    except WeightsMissingError:
        return Finding(name, f"{size}, not checked: needs the other files", usable=False)
    except WeightsError as error:
        return Finding(name, f"{size}, NOT usable: {error}", usable=False)


def _path(folder: Path) -> Path:
    return body_file(folder, CONFIG_FILE)


def _described(architecture: BodyArchitecture) -> str:
    return f"describes a model with {BACKBONES[architecture.backbone.kind]}"


def _counted(rig: RigTensors) -> str:
    return f"a rig of {len(rig.surface.base_shape)} vertices; nothing of its code was run"


def _fitting(opened: OpenBody) -> str:
    parts = (opened.backbone.part, opened.heads.part)
    tensors = [tensor for part in parts for tensor in part.tensors.values()]
    floats = {str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point()}
    size = opened.architecture.backbone
    return (
        f"{len(tensors)} tensors of {' and '.join(sorted(floats))}, fits: "
        f"{BACKBONES[size.kind]} of {size.depth} layers, decoders and heads of bodies and hands"
    )
