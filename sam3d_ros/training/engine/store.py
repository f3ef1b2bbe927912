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

"""Judged candidates on disk: a folder of parts, each complete or not there at all.

=====================================  ===========================================================
``engine.json``                        ``format`` 1; what was asked: ``candidates`` and ``steps``,
                                       ``seed``, ``judge``, ``source``; SHA-256 of the ``codec``
                                       whose latents these are and of the ``model`` that answered
``part_000012.json``                   ``format``; ``sha256`` of the tensors; ``cases``: for each
                                       its ``id`` (part and number in it), its ``name`` and its
                                       ``scores``, one per candidate, 0 to 1
``part_000012.safetensors``            tensors of the part's S cases with N candidates each
... ``view.depth_m``, ``view.mask``    ``(S, P, P)`` and the view's other fields, see ``VolumeView``
... ``box.rotation`` and so on         ``(S, ...)``, see ``VolumeBox``
... ``rgb``                            ``(S, 3, P, P)`` uint8
... ``latents.shape`` and so on        ``(S, N, tokens, channels)``: ``shape`` in float16, the
                                       others in float32, see ``GeometryLatents``
``choices.txt``                        a person's, in place of the scores: see ``choices``
``sheets/CASE.png``                    pictures of the candidates for that person
=====================================  ===========================================================

A case's best candidate becomes training data, best and worst become a pair of preferences.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam3d_ros.errors import ConfigError, TrainingError
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.training.files import digest_of_file, read_object, write_object

FORMAT = 1
INDEX_FILE = "engine.json"
ADVICE = "a folder of candidates is made by `sam3d engine data`"
PART = "part_{:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """How the candidates of a folder were made; all parts alike."""

    candidates: int
    steps: int  # of the flow
    seed: int
    judge: str
    source: str  # a recipe, or the folder of captures
    codec: str  # SHA-256 of its tensors
    model: str  # SHA-256 of its tensors

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ConfigError(f"candidates must be at least 2, got {self.candidates}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedPart:
    """S cases, N candidates for each, and what the judge said of them."""

    view: VolumeView
    box: VolumeBox
    rgb: Tensor  # (S, 3, P, P) uint8
    latents: GeometryLatents  # of S N samples, those of one case together
    ids: tuple[str, ...]
    names: tuple[str, ...]
    scores: Tensor  # (S, N)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.ids)


class EngineStore:
    """A folder of judged candidates, opened to add to or to read."""

    def __init__(self, folder: Path, record: EngineRecord) -> None:
        self.folder = folder
        self.record = record

    @classmethod
    def create(cls, folder: Path, record: EngineRecord) -> "EngineStore":
        """Begin a folder, or go on with one that was begun in the same way.

        Raises:
            TrainingError: The folder holds candidates that were made in another way.
        """
        if (folder / INDEX_FILE).exists():
            store = cls.open(folder)
            if store.record != record:
                raise TrainingError(
                    f"{folder / INDEX_FILE} says {_difference(store.record, record)}; go on with "
                    "the same settings and weights, or write to another folder"
                )
            return store
        folder.mkdir(parents=True, exist_ok=True)
        write_object(folder / INDEX_FILE, {"format": FORMAT, **asdict(record)})
        return cls(folder, record)

    @classmethod
    def open(cls, folder: Path) -> "EngineStore":
        """Open a folder to read.

        Raises:
            TrainingError: It is not there, or of another format.
        """
        stated = read_object(folder / INDEX_FILE, ADVICE)
        if stated.pop("format", None) != FORMAT:
            raise TrainingError(
                f"{folder / INDEX_FILE} is not of format {FORMAT}; make the candidates again"
            )
        try:
            return cls(folder, EngineRecord(**stated))
        except TypeError as error:
            raise TrainingError(f"{folder / INDEX_FILE}: {error}") from error

    def parts(self) -> list[int]:
        """Return the numbers of the parts that are complete."""
        found = (path.stem.removeprefix("part_") for path in self.folder.glob("part_*.json"))
        return sorted(int(number) for number in found if number.isdigit())

    def write(self, number: int, part: JudgedPart) -> None:
        """Write a part; its description, written last, makes it complete."""
        stem = self.folder / PART.format(number)
        tensors = stem.with_suffix(".safetensors")
        partial = tensors.with_suffix(".partial")
        save_file(_tensors(part, self.record.candidates), partial)
        digest = digest_of_file(partial)
        partial.replace(tensors)
        cases = [
            {"id": part.ids[i], "name": part.names[i], "scores": part.scores[i].tolist()}
            for i in range(len(part))
        ]
        stated = {"format": FORMAT, "sha256": digest, "cases": cases}
        write_object(stem.with_suffix(".json"), stated)

    def read(self, number: int) -> JudgedPart:
        """Read a part.

        Raises:
            TrainingError: It is damaged; names the file and what to do.
        """
        stem = self.folder / PART.format(number)
        path = stem.with_suffix(".safetensors")
        stated = read_object(stem.with_suffix(".json"), ADVICE)
        try:
            if digest_of_file(path) != stated["sha256"]:
                raise _damaged(path, "its SHA-256 is not the one that its description states")
            tensors = load_file(path)
            cases = stated["cases"]
            return JudgedPart(
                view=VolumeView(**_fields_of(tensors, "view.")),
                box=VolumeBox(**_fields_of(tensors, "box.")),
                rgb=tensors["rgb"],
                latents=GeometryLatents(
                    **{
                        k: v.flatten(0, 1).float()
                        for k, v in _fields_of(tensors, "latents.").items()
                    }
                ),
                ids=tuple(case["id"] for case in cases),
                names=tuple(case["name"] for case in cases),
                scores=torch.tensor([case["scores"] for case in cases]),
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, TrainingError):
                raise
            raise _damaged(path, str(error)) from error


def case_ids(number: int, num: int) -> tuple[str, ...]:
    """Return the ids of a part's cases."""
    return tuple(f"{number:06d}-{index:02d}" for index in range(num))


def _tensors(part: JudgedPart, num: int) -> dict[str, Tensor]:
    tensors = {"rgb": part.rgb}
    tensors |= {f"view.{f.name}": getattr(part.view, f.name) for f in fields(part.view)}
    tensors |= {f"box.{f.name}": getattr(part.box, f.name) for f in fields(part.box)}
    for f in fields(part.latents):
        latent = getattr(part.latents, f.name).unflatten(0, (-1, num))
        tensors[f"latents.{f.name}"] = latent.half() if f.name == "shape" else latent
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _fields_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _difference(first: EngineRecord, second: EngineRecord) -> str:
    changed = [
        f"{f.name} {getattr(first, f.name)!r}, not {getattr(second, f.name)!r}"
        for f in fields(first)
        if getattr(first, f.name) != getattr(second, f.name)
    ]
    return "; ".join(changed)


def _damaged(path: Path, reason: str) -> TrainingError:
    return TrainingError(
        f"{path} cannot be read: {reason}; remove it and its .json and run `sam3d engine data` "
        "again, which makes what is missing"
    )
