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

"""Splats as `.ply` files in the layout that 3D Gaussian Splatting tools share.

Such a file is a binary PLY of one element ``vertex`` with a float property per attribute: opacity
as a logit, scales as logarithms, quaternions ``wxyz`` of any length. What is written here has no
``f_rest`` properties, colours that change with the direction of view; those of other files are
left out, as are all properties that are not known.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import ConfigError, SplatFileError
from sam3d_ros.structures import Floats, Splats

MEANS, NORMALS, SH_DC = ("x", "y", "z"), ("nx", "ny", "nz"), ("f_dc_0", "f_dc_1", "f_dc_2")
OPACITY, SCALES = ("opacity",), ("scale_0", "scale_1", "scale_2")
QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")
COLUMNS = (*MEANS, *NORMALS, *SH_DC, *OPACITY, *SCALES, *QUATS)  # as they are written
NEEDED = (*MEANS, *SH_DC, *OPACITY, *SCALES, *QUATS)

BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
HEADER = re.compile(rb"ply\r?\n(.*?)end_header\r?\n", re.DOTALL)
# Opacities nearer to 0 or 1, and smaller scales, would be infinite as logits and logarithms.
OPACITY_MARGIN = 1e-7
SMALLEST_SCALE = float(np.finfo(np.float32).tiny)

_log = logging.getLogger(__name__)


def write_splats(path: Path, splats: Splats) -> None:
    """Write splats as a `.ply` file.

    Raises:
        ConfigError: The name of the file has another suffix.
    """
    if path.suffix != ".ply":
        raise ConfigError(f"a file of splats must end in .ply, got {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ply_from_splats(splats))


def read_splats(path: Path) -> Splats:
    """Read splats from a `.ply` file of this package or another writer.

    Raises:
        SplatFileError: It is missing, damaged or no file of splats.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SplatFileError(f"{path} cannot be read ({error.strerror}); check its name") from error
    try:
        return splats_from_ply(content)
    except SplatFileError as error:
        raise SplatFileError(f"{path}: {error}") from error


def ply_rows(splats: Splats) -> Floats:
    """Return what a file holds of each splat, ``(N, 17)`` float32 in the order of COLUMNS."""
    opacities = splats.opacities.astype(np.float64).clip(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    logits = np.log(opacities) - np.log1p(-opacities)
    scales = np.log(splats.scales.clip(SMALLEST_SCALE))
    parts = (
        splats.means,
        np.zeros_like(splats.means),
        splats.sh_dc,
        logits[:, None],
        scales,
        splats.quats_wxyz,
    )
    return np.concatenate(parts, axis=1).astype(np.float32)


def ply_from_splats(splats: Splats) -> bytes:
    """Return the content of a `.ply` file."""
    lines = (
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(splats)}",
        *(f"property float {name}" for name in COLUMNS),
        "end_header\n",
    )
    return "\n".join(lines).encode("ascii") + ply_rows(splats).astype("<f4").tobytes()


def splats_from_ply(content: bytes) -> Splats:
    """Return the splats in the content of a `.ply` file.

    Raises:
        SplatFileError: It is damaged, or not of splats.
    """
    table = _table(content)
    values = {name: table[name].astype(np.float64) for name in NEEDED}
    opacities = np.exp(-np.logaddexp(0.0, -values["opacity"]))
    splats = Splats(
        means=_stacked(values, MEANS),
        scales=np.exp(_stacked(values, SCALES)),
        quats_wxyz=_stacked(values, QUATS),
        opacities=opacities.astype(np.float32),
        sh_dc=_stacked(values, SH_DC),
    )
    _check_values(splats)
    return splats


def _table(content: bytes) -> NDArray[np.void]:
    """Return the rows of the splats with all of their properties."""
    if not (header := HEADER.match(content)):
        raise SplatFileError("expected a PLY file, which begins with ply and has an end_header")
    count, row = _declared(header[1].decode("ascii", errors="replace"))
    names = row.names or ()
    if missing := [name for name in NEEDED if name not in names]:
        raise SplatFileError(
            f"expected vertices with {', '.join(NEEDED)}, found {', '.join(names) or 'none'}, "
            f"without {', '.join(missing)}; take a file of 3D Gaussian Splatting that is not "
            "compressed, not a point cloud or a mesh"
        )
    if any(name.startswith("f_rest_") for name in names):
        _log.info("colours that change with the direction of view (f_rest) are left out")
    found, needed = len(content) - header.end(), count * row.itemsize
    if found < needed:
        raise SplatFileError(
            f"expected {count} splats of {row.itemsize} bytes, found {found} bytes; the file may "
            "be cut short: copy or download it again"
        )
    return np.frombuffer(content, row, count, header.end())


def _declared(header: str) -> tuple[int, np.dtype[np.void]]:
    """Return how many vertices a header declares, and the structure of one; they come first."""
    form, *elements = re.split(r"^element[ \t]*", header, flags=re.MULTILINE)
    order = next((BYTE_ORDERS[word] for word in form.split() if word in BYTE_ORDERS), None)
    if order is None:
        raise SplatFileError(
            f"expected the format {' or '.join(BYTE_ORDERS)}, got {form.strip()!r}; save the file "
            "as binary with the tool that wrote it"
        )
    lines = [line.split() for line in "".join(elements[:1]).splitlines()] or [[]]
    match lines[0]:
        case ["vertex", count] if count.isdigit():
            num = int(count)
        case found:
            raise SplatFileError(
                f"expected vertices and their number first, got {' '.join(found)!r}; "
                "take a file of 3D Gaussian Splatting, not compressed"
            )
    properties = [_property(line, order) for line in lines[1:] if line[:1] == ["property"]]
    names = [name for name, _ in properties]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SplatFileError(f"expected properties of different names, got {twice[0]} twice")
    return num, np.dtype(properties)


def _property(words: Sequence[str], order: str) -> tuple[str, str]:
    """Return name and type of a property of vertices."""
    if len(words) != 3 or words[1] not in TYPES:
        raise SplatFileError(
            f"expected properties of one number, got {' '.join(words)!r}; is this a mesh?"
        )
    return words[2], order + TYPES[words[1]]


def _stacked(values: Mapping[str, Floats], names: Sequence[str]) -> Floats:
    return np.stack([values[name] for name in names], axis=1).astype(np.float32)


def _check_values(splats: Splats) -> None:
    """Raise for values that are no Gaussian."""
    fields = (splats.means, splats.scales, splats.quats_wxyz, splats.sh_dc)
    finite = np.all([np.isfinite(values).all(axis=1) for values in fields], axis=0)
    turned = np.linalg.norm(splats.quats_wxyz, axis=1) > 0
    if bad := int((~(finite & turned & np.isfinite(splats.opacities))).sum()):
        raise SplatFileError(
            f"{bad} of {len(splats)} splats have values that are not finite, or a quaternion of "
            "zeros; remove them with the tool that wrote the file"
        )
