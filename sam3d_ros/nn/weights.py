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


"""Reads weights files and gives them to modules; every model's loader stands on this one.

A loader opens each file once with ``read_weights``, takes the parts it knows with ``split`` and
joins each with its module by ``fit``; ``load`` then fills the module. Tensors of a file are
memory-mapped: what is only looked at is never read, and where neither device nor dtype change, a
module's weights stay in the file. Leave such a file in place while the module lives.
"""

import logging
import pickle
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from sam3d_ros.errors import WeightsError, WeightsMissingError
from sam3d_ros.nn.script_archive import is_script_archive, read_script_archive

CONTAINERS = ("state_dict", "model")  # under which training tools keep the tensors of a file
SHOWN = 3  # names of one kind that a message lists
ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"
LFS_START = b"version https://git-lfs"
# What torch and its unpickler raise for damaged archives; the refusal of code is UnpicklingError.
DAMAGE = (RuntimeError, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError)

_log = logging.getLogger(__name__)
ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredWeights:
    """An open weights file: its tensors, not read yet, and what lies beside them."""

    path: Path
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, object]  # such as the sizes of the model that it was trained as


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightsPart:
    """The tensors of one module within a file, under the names that the module gives them."""

    path: Path
    prefix: str  # of their names in the file
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class FittedWeights(Generic[ModuleT]):
    """A module without memory, and the stored tensors that fit it; nothing is read yet."""

    module: ModuleT  # on meta
    part: WeightsPart

    def load(self, *, device: torch.device | str, dtype: torch.dtype) -> ModuleT:
        """Give the module its weights, ready for inference, and return it.

        Tensors are moved and converted one by one, so that no second copy of the whole exists;
        those of integers keep their dtype.
        """
        converted = {name: _converted(self.part, name, device, dtype) for name in self.part.tensors}
        self.module.load_state_dict(converted, strict=True, assign=True)
        self.module.to(device=device, dtype=dtype)  # the buffers that are not stored
        return self.module.eval().requires_grad_(False)


def read_weights(path: Path) -> StoredWeights:
    """Open a ``torch.save`` archive or a safetensors file; what it holds is not read yet.

    An archive of TorchScript gives its tensors, too; its code is not run.
    """
    content = _reader(path)(path)
    everything = content if isinstance(content, Mapping) else {}
    containers = [key for key in CONTAINERS if isinstance(everything.get(key), Mapping)]
    named = everything[containers[0]] if containers else everything
    tensors = {k: v for k, v in named.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise WeightsError(
            f"{path} holds no named tensors, expected them at its top or under one of "
            f"{', '.join(CONTAINERS)}; check that it is the weights file of this model"
        )
    settings = {k: v for k, v in everything.items() if containers and k != containers[0]}
    return StoredWeights(path=path, tensors=tensors, settings=settings)


def split(stored: StoredWeights, prefixes: Sequence[str]) -> tuple[WeightsPart, ...]:
    """Return the part of a file under each prefix; log once which tensors belong to none."""
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    foreign = Counter[str]()
    for name, tensor in stored.tensors.items():
        prefix = next(filter(name.startswith, prefixes), None)
        if prefix is None:
            foreign[".".join(name.split(".")[:2])] += 1
        else:
            parts[prefix][name.removeprefix(prefix)] = tensor
    if foreign:
        text = "%s: ignored %d tensors that belong to no part of this model, under %s"
        _log.info(text, stored.path, foreign.total(), _listed(list(foreign)))
    return tuple(
        WeightsPart(path=stored.path, prefix=prefix, tensors=tensors)
        for prefix, tensors in parts.items()
    )


def fit(build: Callable[[], ModuleT], part: WeightsPart) -> FittedWeights[ModuleT]:
    """Build a module on ``meta`` and check that a part has exactly its tensors.

    Buffers that are not stored have to carry their values: modules make them on ``device="cpu"``.

    Raises:
        WeightsError: With the first misfits, unless all names and shapes are the module's.
    """
    with torch.device("meta"):
        module = build()
    expected = module.state_dict()
    if misfits := _misfits(expected, part):
        raise WeightsError(
            f"{part.path} does not fit {type(module).__name__}: expected {len(expected)} tensors, "
            f"found {len(part.tensors)} under {part.prefix or 'no prefix'}; {'; '.join(misfits)}; "
            "check that it is this model's file, and that the architecture has the sizes that "
            "the file was trained with"
        )
    return FittedWeights(module, part)


def _converted(
    part: WeightsPart, name: str, device: torch.device | str, dtype: torch.dtype
) -> Tensor:
    """Return one tensor as the module shall have it; refuse what is not finite."""
    stored = part.tensors[name]
    if not stored.is_floating_point():
        return stored.to(device)
    tensor = stored.to(device, dtype)
    if not _is_finite(tensor):
        fits = "take torch.bfloat16 or torch.float32, which have the range for them"
        raise WeightsError(
            f"{part.path}: {part.prefix}{name} has values that are not finite in {dtype}; "
            f"{fits if _is_finite(stored) else 'the file is damaged, fetch it again'}"
        )
    return tensor


def _is_finite(tensor: Tensor) -> bool:
    # The extremes tell: NaN spreads to both, and no copy is made as isfinite would.
    return not tensor.numel() or all(bool(extreme.isfinite()) for extreme in tensor.aminmax())


def _misfits(expected: Mapping[str, Tensor], part: WeightsPart) -> list[str]:
    """Return one phrase for each way in which a part differs from what a module expects."""
    found, prefix = part.tensors, part.prefix
    missing = [f"{prefix}{n} {_form(t)}" for n, t in expected.items() if n not in found]
    unexpected = [f"{prefix}{n} {_form(t)}" for n, t in found.items() if n not in expected]
    wrong = [
        f"{prefix}{name} must be {_form(tensor)}, got {_got(found[name])}"
        for name, tensor in expected.items()
        if name in found and not _alike(tensor, found[name])
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": wrong}
    return [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names]


def _alike(expected: Tensor, found: Tensor) -> bool:
    """Whether a stored tensor can become the expected one; the width of its floats may differ."""
    same_kind = expected.is_floating_point() == found.is_floating_point()
    return same_kind and expected.shape == found.shape and not found.is_meta


def _got(tensor: Tensor) -> str:
    return "no values" if tensor.is_meta else _form(tensor)


def _form(tensor: Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" of {tensor.dtype}"
    return f"{tuple(tensor.shape)}{kind}"


def _listed(items: Sequence[str]) -> str:
    """Join the first few items and say how many more there are."""
    more = [f"and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return ", ".join([*items[:SHOWN], *more])


def _reader(path: Path) -> Callable[[Path], object]:
    """Return what reads a file, by its first bytes; raise for what is no weights file."""
    start = _first_bytes(path)
    if start.startswith(LFS_START):
        raise WeightsError(
            f"{path} is a git-lfs pointer of {path.stat().st_size} bytes, not the weights "
            "themselves; run git lfs pull in its folder, or fetch it with hf download"
        )
    if start[8:9] == b"{" or path.suffix == ".safetensors":  # torch goes by that suffix, too
        return _read_safetensors
    if start.startswith(ZIP_START):
        return _read_archive
    if start.startswith(PICKLE_START):
        raise _refusal(path, "a bare Python object")
    raise WeightsError(
        f"{path} is neither a torch.save archive nor a safetensors file (it begins with "
        f"{start[:16]!r}); fetch it again, a download may have saved an error page in its place"
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError as error:
        raise WeightsMissingError(
            f"{path} is not there; sam3d check --weights {path.parent} says how to fetch it"
        ) from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path} is a folder, expected a file; name the file in it") from error
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be opened ({error.strerror}); check its name and its rights"
        ) from error
    if not start:
        raise WeightsError(f"{path} is empty, expected weights; fetch it again")
    return start


def _read_archive(path: Path) -> object:
    try:
        if is_script_archive(path):
            return read_script_archive(path)
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise _refusal(path, named[1] if named else "more than tensors") from error
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _read_safetensors(path: Path) -> object:
    try:
        from safetensors import SafetensorError  # noqa: PLC0415  # has no rosdep key
        from safetensors.torch import load_file  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path} needs the safetensors package, which is not installed; "
            "run python3 -m pip install safetensors"
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _refusal(path: Path, found: str) -> WeightsError:
    return WeightsError(
        f"{path} is refused, nothing in it was run: it pickles {found}, and unpickling that can "
        "run code; take the official file, or one converted to safetensors by someone you trust"
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
    return WeightsError(
        f"{path} cannot be read ({reason}); it has {path.stat().st_size} bytes and may be cut "
        "short or damaged: compare with the size it has where it comes from, and fetch it again"
    )
