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

"""Captures as the released geometry model sees them, prepared once and kept on disk.

An example takes a pass of the image encoders and a descent to its latent, far longer than a step
of training; and tokens of many do not fit in memory. One file holds one example::

    NAME.safetensors    tokens (1, N, C) float16, latents.shape (1, R^3, C) and the others float32

``examples.json`` beside them says of which weights these are the tokens and the latents.
"""

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam3d_ros.errors import TrainingError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.preprocess import prepare_observation
from sam3d_ros.objects.sampling import initial_noise, sample_geometry
from sam3d_ros.objects.weights import GeometryStage
from sam3d_ros.structures import Mesh
from sam3d_ros.training.captures.reading import Capture
from sam3d_ros.training.captures.solids import check_closed
from sam3d_ros.training.files import digest_of
from sam3d_ros.training.released.flow_loss import GeometryExamples
from sam3d_ros.training.released.layout_targets import layout_targets, object_from_cube
from sam3d_ros.training.released.shape_targets import FitConfig, fitted_shapes, surface_occupancy
from sam3d_ros.training.sources import shuffled_rounds

INDEX_FILE = "examples.json"
DIGITS, NUM_PRINTED = 16, 32
MIN_IOU = 0.6  # of a fitted shape; less is worth a warning

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleConfig:
    """How examples are made."""

    image_size: int = 518
    fit: FitConfig = field(default_factory=FitConfig)
    # Of the model's own answer, from which the descent begins.
    start: FlowConfig = field(default_factory=FlowConfig)
    seed: int = 0


def prepare_examples(
    captures: Iterable[Capture], stage: GeometryStage, folder: Path, config: ExampleConfig
) -> list[Path]:
    """Prepare the captures whose examples are not there yet; return the files of all.

    Raises:
        TrainingError: The folder holds examples of other weights, or made in another way.
        DatasetError: A mesh is not closed.
    """
    _check_index(folder, config, stage)
    paths = []
    for capture in captures:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", capture.name)
        path = folder / f"{name}-{_digest_of(capture)}.safetensors"  # changed ones are made anew
        if path in paths:
            raise TrainingError(f"two captures are called {capture.name}; rename one's folder")
        paths.append(path)
        if not path.exists():
            check_closed(capture.mesh_object, capture.mesh_path)
            partial = path.with_suffix(".partial")
            save_file(_stored(_example(capture, stage, config)), partial)
            partial.replace(path)
    return paths


class ExampleSource:
    """A ``SampleSource`` of examples on disk; all once before any twice."""

    def __init__(self, paths: list[Path], device: torch.device, seed: int) -> None:
        self._paths = paths
        self._device = device
        self._seed = seed

    def batch(self, step: int, size: int) -> GeometryExamples:
        """Return the examples of a step."""
        index = shuffled_rounds(len(self._paths), step * size, size, self._seed).tolist()
        read = [load_file(self._paths[each]) for each in index]
        joined = {  # in float32: where matrix products are bfloat16, float16 mixes with nothing
            name: torch.cat([each[name].to(self._device, torch.float32) for each in read])
            for name in read[0]
        }
        latents = {f.name: joined[f"latents.{f.name}"] for f in fields(GeometryLatents)}
        return GeometryExamples(tokens=joined["tokens"], latents=GeometryLatents(**latents))


@torch.no_grad()
def _example(capture: Capture, stage: GeometryStage, config: ExampleConfig) -> GeometryExamples:
    """Return what the model is told of a capture, and what it should answer."""
    parameter = next(stage.geometry.parameters())
    device, dtype = parameter.device, parameter.dtype
    prepared = prepare_observation(capture.observation, config.image_size, device)
    tokens = stage.condition(prepared.conditions)
    generator = torch.Generator(device).manual_seed(config.seed)
    noise = initial_noise(stage.geometry.config, [generator])
    start = sample_geometry(stage.geometry, tokens.to(dtype), noise, config.start).shape
    cube = object_from_cube(capture.mesh_object)
    shape = _shape(
        capture.name, capture.mesh_object.transformed(cube.inverse()), stage, start, config
    )
    layout = layout_targets([capture.camera_from_object @ cube], prepared.normaliser)
    return GeometryExamples(
        tokens=tokens,
        latents=GeometryLatents(
            shape=shape,
            rotation=layout.rotation,
            translation=layout.translation,
            scale=layout.scale,
            translation_scale=torch.zeros_like(layout.scale[..., :1]),
        ),
    )


def _shape(
    name: str, mesh_cube: Mesh, stage: GeometryStage, start: Tensor, config: ExampleConfig
) -> Tensor:
    """Return the shape latent of a mesh."""
    with torch.no_grad():
        resolution = stage.occupancy(start[:1]).shape[-1]
    occupied = surface_occupancy(mesh_cube, resolution)[None]
    fitted = fitted_shapes(stage.occupancy, occupied, start, config.fit)
    iou = float(fitted.iou[0])
    tell = logger.warning if iou < MIN_IOU else logger.info
    tell("%s: the decoder makes its shape of the fitted latent with an IoU of %.2f", name, iou)
    return fitted.shape


def _stored(example: GeometryExamples) -> dict[str, Tensor]:
    tensors = {"tokens": example.tokens.half()}
    tensors |= {
        f"latents.{f.name}": getattr(example.latents, f.name).float()
        for f in fields(example.latents)
    }
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def _check_index(folder: Path, config: ExampleConfig, stage: GeometryStage) -> None:
    """Note how examples are made; raise where others were made otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    made = asdict(config) | {"weights": _print_of(stage)}
    path, stated = folder / INDEX_FILE, json.dumps(made, indent=1) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != stated:
        raise TrainingError(
            f"{path} says that the examples beside it were made in another way, or with other "
            "weights; remove the folder to have them made again"
        )
    path.write_text(stated, encoding="utf-8")


def _digest_of(capture: Capture) -> str:
    """Return what tells a capture from one of the same name with other files."""
    seen, mesh = capture.observation, capture.mesh_object
    values = {
        "rgb": seen.rgb,
        "points": seen.points_camera,
        "silhouette": seen.silhouette,
        "vertices": mesh.vertices,
        "triangles": mesh.triangles,
        "pose": capture.camera_from_object.matrix,
    }
    return digest_of({k: torch.from_numpy(np.array(v)) for k, v in values.items()})[:DIGITS]


def _print_of(stage: GeometryStage) -> str:
    """Return what tells weights from others: a few numbers of each tensor."""
    modules = {each.name: getattr(stage, each.name) for each in fields(stage)}
    tensors = {f"{k}.{n}": t for k, m in modules.items() for n, t in m.state_dict().items()}
    some = {
        name: tensor.flatten()[:: max(1, tensor.numel() // NUM_PRINTED)]
        for name, tensor in tensors.items()
    }
    return digest_of(some)[:DIGITS]
