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

"""What makes a good message hostile, whatever it is about."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from rclpy.serialization import serialize_message

from sam3d_ros.errors import ReportCode

MAX_U32 = 2**32 - 1
MAX_I32 = 2**31 - 1
NAN, INF = float("nan"), float("inf")
PLACEHOLDER = b"placeholder_for_raw_bytes"  # of a string that no encoder would write
NOT_UTF8 = b"\xff\xfe\xc0\xaf\xed\xa0\x80 frame \x80\x81\xf5\xff\xc3\x28"

# Changes a message in place, or returns bytes that are sent in its place.
Change: TypeAlias = Callable[[Any, np.random.Generator], bytes | None]
OK = ReportCode.OK
# Of a camera that cannot be. Where nothing about it is wrong by itself, nothing is left in view.
GEOMETRY = frozenset(
    {
        ReportCode.NO_INTRINSICS,
        ReportCode.DISTORTION,
        ReportCode.DEPTH_ALIGN,
        ReportCode.DEPTH_SPARSE,
        ReportCode.MASK_EMPTY,
    }
)
# Of the next exposure, where a message with a stamp of another time may come in the midst of it.
OUT_OF_TIME = frozenset(
    {
        ReportCode.TIME_JUMP,
        ReportCode.MASK_STALE,
        ReportCode.NOT_SYNCED,
        ReportCode.NO_TRANSFORM,
    }
)
ANY = frozenset(ReportCode)
REFUSED = ANY - {OK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One way to do harm."""

    topic: str  # a name of the node's inputs, or of TF
    name: str
    change: Change
    codes: frozenset[ReportCode]  # what the report on the exposure may say
    is_readable: bool = True  # by the middleware; no mask that is not gets a report
    moves_time: bool = False  # its stamp is of another time


def setting(**values: Any) -> Change:
    """Set fields; a dot in a name is written as two underscores."""

    def change(message: Any, rng: np.random.Generator) -> None:
        for path, value in values.items():
            *parents, last = path.split("__")
            target = message
            for parent in parents:
                target = getattr(target, parent)
            setattr(target, last, value)

    return change


def raw_string(path: str) -> Change:
    """Put bytes that are not UTF-8 where a string is."""

    def change(message: Any, rng: np.random.Generator) -> bytes:
        content = NOT_UTF8.ljust(len(PLACEHOLDER), b"\xff")[: len(PLACEHOLDER)]
        setting(**{path: PLACEHOLDER.decode()})(message, rng)
        return bytes(serialize_message(message)).replace(PLACEHOLDER, content)

    return change


def truncated(message: Any, rng: np.random.Generator) -> bytes:
    """Return a message whose end is missing."""
    data = bytes(serialize_message(message))
    return data[: int(rng.integers(4, len(data)))]


def garbage(message: Any, rng: np.random.Generator) -> bytes:
    """Return what is no message, behind four bytes that say that one follows."""
    return b"\x00\x01\x00\x00" + rng.bytes(64)


def length_lies(message: Any, rng: np.random.Generator) -> bytes:
    """Let the length of the frame's name, which comes first, be that of four billion letters."""
    data = bytes(serialize_message(message))
    return data[:12] + b"\xff\xff\xff\xff" + data[16:]


def resized_data(change: Callable[[bytes], bytes]) -> Change:
    """Change the data, and nothing that is said about them."""

    def changed(message: Any, rng: np.random.Generator) -> None:
        message.data = array("B", change(bytes(message.data)))

    return changed


def filled(dtype: str, value: Callable[[np.random.Generator, int], Any], encoding: str) -> Change:
    """Replace all pixels."""

    def change(message: Any, rng: np.random.Generator) -> None:
        num = message.height * message.width
        pixels = np.resize(np.asarray(value(rng, num)), num).astype(dtype)
        message.encoding, message.step = encoding, message.width * pixels.itemsize
        message.data = array("B", pixels.tobytes())

    return change


def header_attacks(topic: str) -> Iterator[Attack]:
    """Wrong stamps and frames, on any topic whose messages have a header."""
    # A message with a wrong stamp is one that the exposure lacks; CameraInfo and LiDAR may lack.
    for name, sec, nanosec in (
        ("negative stamp", -1, 0),
        ("most negative stamp", -MAX_I32 - 1, 0),
        ("stamp zero", 0, 0),
        ("last stamp", MAX_I32, 999_999_999),
        ("too many nanoseconds", MAX_I32, MAX_U32),
        ("nanoseconds of four seconds", 1_700_000_000, MAX_U32),
    ):
        change = setting(header__stamp__sec=sec, header__stamp__nanosec=nanosec)
        yield Attack(topic=topic, name=name, change=change, codes=ANY, moves_time=True)
    for name, frame in (
        ("empty frame", ""),
        ("slash as frame", "/"),
        ("unknown frame", "nobody_knows_this"),
        ("endless frame", "x" * 100_000),
        ("frame with line breaks", "a\n\r\t\x1b[31mb"),
        ("emoji as frame", "\U0001f600\u202e\u0000x".replace("\u0000", "")),
    ):
        yield Attack(topic=topic, name=name, change=setting(header__frame_id=frame), codes=ANY)
    change = raw_string("header__frame_id")
    yield Attack(topic=topic, name="frame is not UTF-8", change=change, codes=ANY)
    for name, broken in (
        ("truncated", truncated),
        ("garbage", garbage),
        ("string length that lies", length_lies),
    ):
        yield Attack(topic=topic, name=name, change=broken, codes=ANY, is_readable=False)
