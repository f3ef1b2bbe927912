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

"""Recorded fixtures of the reference implementation, and how close our outputs must come to them.

A fixture is two files, ``NAME.json`` and ``NAME.safetensors``; how they were made says the
README.md beside them. SAM3D_GOLDEN names another folder of fixtures with the same names. Those of
SAM 3D Body are called ``body/NAME``; SAM3D_GOLDEN_BODY names another folder for them.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

T = TypeVar("T")

DEFAULT_FOLDER = Path(__file__).resolve().parent / "golden"
FOLDER_VARIABLE = "SAM3D_GOLDEN"
BODY = "body/"
BODY_FOLDER_VARIABLE = "SAM3D_GOLDEN_BODY"
MAPPING = "head_pose.keypoint_mapping"
HAND_HEAD = "head_pose_hand."
HAND_MAPPING = f"{HAND_HEAD}keypoint_mapping"  # left out where it equals the other


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest allowed difference: ``atol + rtol * |expected|``."""

    atol: float = 2e-5
    rtol: float = 1e-4


# The tolerances suggested with the fixtures. They are stated here, not read from the files, so
# that no fixture can make its own test easier.
TOLERANCES: dict[str, Tolerance] = {
    "body/backbone_dinov3": Tolerance(atol=2e-4),
    "body/backbone_vith": Tolerance(atol=2e-4),
    "body/camera_head": Tolerance(atol=1e-3),
    "body/crop_affine": Tolerance(atol=1e-4, rtol=1e-5),
    "body/decoder_body": Tolerance(atol=1e-3, rtol=1e-3),
    "body/decoder_hand": Tolerance(atol=1e-3, rtol=1e-3),
    "body/decoder_plain": Tolerance(),
    "body/full_model": Tolerance(atol=2e-3, rtol=2e-3),
    "body/full_model_vith": Tolerance(atol=2e-3, rtol=2e-3),
    "body/hand_body_merge": Tolerance(atol=1e-3, rtol=1e-3),
    "body/hand_body_merge_none": Tolerance(atol=1e-3, rtol=1e-3),
    "body/hand_body_merge_none_one": Tolerance(atol=1e-3, rtol=1e-3),
    "body/hand_body_merge_one": Tolerance(atol=1e-3, rtol=1e-3),
    "body/mhr_head": Tolerance(atol=2e-4),
    "body/mhr_lbs": Tolerance(atol=2e-3, rtol=1e-5),
    "body/mhr_params": Tolerance(),
    "body/prompt_encoder": Tolerance(atol=1e-4),
    "body/ray_conditioning": Tolerance(atol=2e-4),
    "cond_embedder_slat": Tolerance(),
    "cond_embedder_ss": Tolerance(),
    "embeddings": Tolerance(atol=1e-4),
    "flexicubes_noise": Tolerance(),
    "flexicubes_sphere": Tolerance(),
    "gaussian_decoder": Tolerance(),
    "layout_helpers": Tolerance(atol=1e-4),
    "make_scene": Tolerance(atol=1e-5),
    "mesh_decoder": Tolerance(atol=5e-5),
    "mesh_extract": Tolerance(),
    "mesh_subdivide_block": Tolerance(),
    "moge_focal_shift": Tolerance(atol=2e-3, rtol=2e-3),
    "moge_v1": Tolerance(atol=2e-4, rtol=1e-3),
    "mot_flow_forward": Tolerance(),
    "pose_decode": Tolerance(atol=1e-5),
    "preprocess_border": Tolerance(),
    "preprocess_centre": Tolerance(),
    "preprocess_lowres_map": Tolerance(),
    "rotations": Tolerance(atol=1e-6, rtol=1e-5),
    "slat_flow_forward": Tolerance(),
    "slat_flow_sampling": Tolerance(atol=1e-4, rtol=1e-3),
    "sparse_ops": Tolerance(),
    "ss_decoder": Tolerance(),
    "ss_flow_sampling": Tolerance(atol=1e-4, rtol=1e-3),
}


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """One fixture: a configuration, the weights and inputs for it, the expected outputs."""

    name: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    rig: dict[str, Tensor] = field(default_factory=dict)  # of body fixtures, as in mhr_model.pt

    def close(self, actual: Any, output: str, tolerance: Tolerance | None = None) -> None:
        """Assert that ``actual``, tensor or array, is the recorded ``output``.

        Shapes, NaN, infinities, integers and booleans must agree exactly; numbers within the
        fixture's tolerance unless another is given, compared in float64 (an integer type may have
        another width).
        """
        expected, actual = self.outputs[output], torch.as_tensor(actual).detach().cpu()
        message = f"{self.name}: output {output!r}"
        if not expected.is_floating_point():
            assert not actual.is_floating_point(), f"{message} must be integers or booleans"
            assert torch.equal(actual.long(), expected.long()), f"{message} differs"
            return
        assert actual.is_floating_point(), f"{message} must be floating point"
        tolerance = tolerance or TOLERANCES[self.name]
        torch.testing.assert_close(
            actual.double(),
            expected.double(),
            atol=tolerance.atol,
            rtol=tolerance.rtol,
            equal_nan=True,
            msg=lambda text: f"{message}: {text}",
        )


def fixture_file(name: str) -> Path:
    """Return the path of a file of the fixture folder; skip where another folder lacks it."""
    variable = BODY_FOLDER_VARIABLE if name.startswith(BODY) else FOLDER_VARIABLE
    if not (named := os.environ.get(variable)):
        path = DEFAULT_FOLDER / name
        if not path.is_file():
            pytest.fail(f"{path} belongs to this repository but is not there")
        return path
    folder = Path(named).expanduser().resolve()
    path = folder / name.removeprefix(BODY)
    if not path.is_file():
        pytest.skip(f"{variable}={folder} has no {path.name}")
    return path


def load_golden(name: str) -> Golden:
    """Read the fixture ``name`` of the folder in force."""
    config = json.loads(fixture_file(f"{name}.json").read_text())["config"]
    tensors = _tensors(name)
    return Golden(
        name=name,
        config=config,
        weights=_with_hand_mapping(_below("w.", tensors)),
        inputs=_below("in.", tensors),
        outputs=_below("out.", tensors),
        rig=_below("mhr.", tensors),
    )


def load_manifest(checkpoint: str, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Return the shapes of a released checkpoint's tensors below ``prefix``, by name without it.

    Checkpoints of SAM 3D Body are called ``body/NAME``. A length that nobody has seen is a string.
    """
    content = _manifest(checkpoint)
    if checkpoint.startswith(BODY):
        content = {key: tensor["shape"] for key, tensor in content["tensors"].items()}
    return {key: tuple(shape) for key, shape in _below(prefix, content).items()}


def load_manifest_dtypes(checkpoint: str) -> dict[str, str]:
    """Return what kind of numbers tensors of SAM 3D Body hold, by name, such as ``float32``.

    An integer of which nobody has seen the size is ``int32 (any integer)``.
    """
    return {key: tensor["dtype"] for key, tensor in _manifest(checkpoint)["tensors"].items()}


def _manifest(checkpoint: str) -> dict[str, Any]:
    folder, name = BODY * checkpoint.startswith(BODY), checkpoint.removeprefix(BODY)
    content: dict[str, Any] = json.loads(
        fixture_file(f"{folder}official_manifest_{name}.json").read_text()
    )
    return content


def _tensors(name: str) -> dict[str, Tensor]:
    """Read all tensors of a fixture, and those that it shares with another and does not hold."""
    description = json.loads(fixture_file(f"{name}.json").read_text())
    tensors = load_file(fixture_file(f"{name}.safetensors"))
    if owner := description.get("weights_from"):
        shared = _tensors(name.removesuffix(Path(name).name) + owner)
        tensors |= {key: shared[key] for key in description["weights_from_keys"]}
    return tensors


def _with_hand_mapping(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the mapping of the hand decoder's head, where a fixture has that head."""
    has_hands = any(name.startswith(HAND_HEAD) for name in weights)
    if has_hands and HAND_MAPPING not in weights and MAPPING in weights:
        weights[HAND_MAPPING] = weights[MAPPING]
    return weights


def _below(prefix: str, items: Mapping[str, T]) -> dict[str, T]:
    return {k.removeprefix(prefix): v for k, v in items.items() if k.startswith(prefix)}
