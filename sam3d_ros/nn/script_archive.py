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

"""Reads the tensors of a TorchScript archive as data: nothing of its code is parsed or run.

Such an archive is a zip with one pickle of nested objects, one record of raw values per storage,
and source code, which is not looked at. The pickle may name nothing but what is listed here, and
what it names is made anew for every file and can only hold values.
"""

import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

PICKLE = "data.pkl"
MARK_OF_SCRIPTS = "constants.pkl"  # which a file of torch.save does not have
MAX_PICKLE_BYTES = 64 * 2**20  # names and numbers only, values lie elsewhere
LOCAL_HEADER = struct.Struct("<26xHH")  # of a record in a zip: lengths of its name and extra field
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OverflowError)
ALIGNMENT = 8  # of values that may stay in the mapped file

SCRIPT_CLASSES = "__torch__."
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# They say what is in a list or dict, which it says itself.
TAGGERS = {"restore_type_tag"} | {
    f"build_{kind}list" for kind in ("int", "double", "bool", "tensor")
}


def is_script_archive(path: Path) -> bool:
    """Whether a zip is an archive of TorchScript, not one of torch.save.

    Raises:
        ValueError: The zip is damaged.
    """
    with _opened(path) as archive:
        return any(name.endswith(f"/{MARK_OF_SCRIPTS}") for name in archive.namelist())


def read_script_archive(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of an archive by their dotted names, mapped from the file, not read.

    Raises:
        pickle.UnpicklingError: Its pickle names what is not needed for tensors.
        ValueError: The archive is damaged.
    """
    with _opened(path) as archive:
        (name,) = (name for name in archive.namelist() if name.split("/")[1:] == [PICKLE])
        root = name.removesuffix(PICKLE)
        storages = _Storages(path, archive, root)
        if archive.getinfo(name).file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"its {PICKLE} has more than {MAX_PICKLE_BYTES} bytes")
        with archive.open(name) as file:
            return dict(_named_tensors(_Unpickler(file, storages).load()))


class _Object:
    """An object of the script: its attributes, and nothing that could be called."""

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


@dataclass(frozen=True, slots=True)
class _Kind:
    """Which values a storage holds."""

    dtype: torch.dtype


class _Unpickler(pickle.Unpickler):
    """Unpickles attributes and tensors; whatever else is named is refused."""

    def __init__(self, file: IO[bytes], storages: "_Storages") -> None:
        super().__init__(file)
        self._storages = storages
        # Of this file alone, as a pickle can set attributes of the classes that it names.
        self._object = type("ScriptObject", (_Object,), {})
        self._ordered = type("ScriptDict", (OrderedDict,), {})

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name."""
        if module == "__torch__" or module.startswith(SCRIPT_CLASSES):
            return self._object
        if module == "torch" and name in DTYPES:
            return _Kind(DTYPES[name])
        if (module, name) == ("collections", "OrderedDict"):
            return self._ordered
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if module == "torch.jit._pickle" and name in TAGGERS:
            return self._untagged
        raise pickle.UnpicklingError(f"GLOBAL {module}.{name} is not needed for tensors")

    def persistent_load(self, pid: Any) -> Tensor:
        """Return the values of a storage, flat."""
        _, kind, key, _, length = pid
        return self._storages.flat(str(key), kind.dtype, int(length))

    def _tensor(
        self, flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> Tensor:
        if min((0, offset, *size, *stride)) < 0:
            raise ValueError("a tensor has a negative size")
        return flat.as_strided(size, stride, offset)  # which checks that all lies in the storage

    def _untagged(self, value: object, *_: object) -> object:
        return value


class _Storages:
    """The records of raw values in an archive."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str) -> None:
        order = f"{root}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("its values are not little-endian")
        self._path, self._archive, self._root = path, archive, root
        size = path.stat().st_size
        self._mapped = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=size)

    def flat(self, key: str, dtype: torch.dtype, length: int) -> Tensor:
        """Return ``(length,)`` values of a record."""
        record = self._archive.getinfo(f"{self._root}data/{key}")
        num_bytes = length * dtype.itemsize
        if not 0 <= num_bytes <= record.file_size:
            raise ValueError(f"record {key} has {record.file_size} bytes, not {num_bytes}")
        start = self._start(record)
        if record.compress_type != zipfile.ZIP_STORED or start % ALIGNMENT:
            values = bytearray(self._archive.read(record))[:num_bytes]
            return torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
        if start + num_bytes > len(self._mapped):
            raise ValueError(f"record {key} ends beyond the file")
        storage = self._mapped[start : start + num_bytes]
        return torch.empty(0, dtype=dtype).set_(storage)

    def _start(self, record: zipfile.ZipInfo) -> int:
        """Return where in the file a record's values begin."""
        with self._path.open("rb") as file:
            file.seek(record.header_offset)
            lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        return record.header_offset + LOCAL_HEADER.size + sum(lengths)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip; whatever is found wrong with it while it is read is a ``ValueError``."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except ZIP_DAMAGE as error:
        raise ValueError(str(error)) from error


def _named_tensors(script: object) -> Iterator[tuple[str, Tensor]]:
    """Return all tensors that are attributes of a script's objects, each object once."""
    waiting, seen = [("", script)], set[int]()
    while waiting:
        prefix, each = waiting.pop()
        if not isinstance(each, _Object) or id(each) in seen:
            continue
        seen.add(id(each))
        for name, value in getattr(each, "attributes", {}).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
            waiting.append((f"{prefix}{name}.", value))
