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


"""Messages that no node may die of: each is one of a good exposure with something wrong in it.

What is wrong can be told from the messages alone. Lies that are plausible, a focal length that is
off by a fifth or the depth of another scene, are no part of this: nobody could refuse them.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
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


def attacks() -> list[Attack]:
    """Return all of them."""
    return list(chain(_images(), _colour(), _depth(), _masks(), _infos(), _clouds(), _transforms()))


def _set(**values: Any) -> Change:
    """Set fields; a dot in a name is written as two underscores."""

    def change(message: Any, rng: np.random.Generator) -> None:
        for path, value in values.items():
            *parents, last = path.split("__")
            target = message
            for parent in parents:
                target = getattr(target, parent)
            setattr(target, last, value)

    return change


def _raw_string(path: str) -> Change:
    """Put bytes that are not UTF-8 where a string is."""

    def change(message: Any, rng: np.random.Generator) -> bytes:
        content = NOT_UTF8.ljust(len(PLACEHOLDER), b"\xff")[: len(PLACEHOLDER)]
        _set(**{path: PLACEHOLDER.decode()})(message, rng)
        return bytes(serialize_message(message)).replace(PLACEHOLDER, content)

    return change


def _truncated(message: Any, rng: np.random.Generator) -> bytes:
    data = bytes(serialize_message(message))
    return data[: int(rng.integers(4, len(data)))]


def _garbage(message: Any, rng: np.random.Generator) -> bytes:
    data = bytearray(serialize_message(message))
    places = rng.integers(4, len(data), 8)
    for place in places:
        data[place] = int(rng.integers(256))
    return b"\x00\x01\x00\x00" + rng.bytes(64)


def _length_lies(message: Any, rng: np.random.Generator) -> bytes:
    """Let the length of the frame's name, which comes first, be that of four billion letters."""
    data = bytes(serialize_message(message))
    return data[:12] + b"\xff\xff\xff\xff" + data[16:]


def _resized_data(change: Callable[[bytes], bytes]) -> Change:
    def changed(message: Any, rng: np.random.Generator) -> None:
        message.data = array("B", change(bytes(message.data)))

    return changed


def _filled(dtype: str, value: Callable[[np.random.Generator, int], Any], encoding: str) -> Change:
    """Replace all pixels."""

    def change(message: Any, rng: np.random.Generator) -> None:
        num = message.height * message.width
        pixels = np.resize(np.asarray(value(rng, num)), num).astype(dtype)
        message.encoding, message.step = encoding, message.width * pixels.itemsize
        message.data = array("B", pixels.tobytes())

    return change


def _headers(topic: str) -> Iterator[Attack]:
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
        change = _set(header__stamp__sec=sec, header__stamp__nanosec=nanosec)
        yield Attack(topic=topic, name=name, change=change, codes=ANY, moves_time=True)
    for name, frame in (
        ("empty frame", ""),
        ("slash as frame", "/"),
        ("unknown frame", "nobody_knows_this"),
        ("endless frame", "x" * 100_000),
        ("frame with line breaks", "a\n\r\t\x1b[31mb"),
        ("emoji as frame", "\U0001f600\u202e\u0000x".replace("\u0000", "")),
    ):
        yield Attack(topic=topic, name=name, change=_set(header__frame_id=frame), codes=ANY)
    change = _raw_string("header__frame_id")
    yield Attack(topic=topic, name="frame is not UTF-8", change=change, codes=ANY)
    for name, broken in (
        ("truncated", _truncated),
        ("garbage", _garbage),
        ("string length that lies", _length_lies),
    ):
        yield Attack(topic=topic, name=name, change=broken, codes=ANY, is_readable=False)


def _images() -> Iterator[Attack]:
    """Sizes, steps and encodings that contradict the data, on every image."""
    for topic in ("image", "depth", "masks"):
        yield from _headers(topic)
        for name, change in (
            ("unknown encoding", _set(encoding="rgb7")),
            ("empty encoding", _set(encoding="")),
            ("endless encoding", _set(encoding="q" * 100_000)),
            ("64FC4", _set(encoding="64FC4")),
            ("encoding is not UTF-8", _raw_string("encoding")),
            ("step 0", _set(step=0)),
            ("step 1", _set(step=1)),
            ("step of 4 GB", _set(step=MAX_U32)),
            ("height of 4 billion", _set(height=MAX_U32)),
            ("width of 4 billion", _set(width=MAX_U32)),
            ("all sizes of 4 billion", _set(height=MAX_U32, width=MAX_U32, step=MAX_U32)),
            ("no rows", _set(height=0)),
            ("no columns", _set(width=0)),
            ("no data", _resized_data(lambda data: b"")),
            ("one byte", _resized_data(lambda data: b"x")),
            ("half of the data", _resized_data(lambda data: data[: len(data) // 2])),
            ("one byte less", _resized_data(lambda data: data[:-1])),
            ("more rows than data", _set(height=241)),
        ):
            yield Attack(topic=topic, name=name, change=change, codes=REFUSED)
        longer = _resized_data(lambda data: data * 2)
        yield Attack(topic=topic, name="twice the data", change=longer, codes=frozenset({OK}))
        yield Attack(topic=topic, name="one pixel", change=_one_pixel, codes=REFUSED)


def _one_pixel(message: Any, rng: np.random.Generator) -> None:
    message.step //= message.width
    message.width = message.height = 1
    message.data = array("B", bytes(message.data)[: message.step])


def _colour() -> Iterator[Attack]:
    for encoding in ("16UC1", "32FC1"):
        change = _set(encoding=encoding)
        yield Attack(topic="image", name=f"{encoding} as colour", change=change, codes=REFUSED)
    for encoding in ("bgr8", "mono8", "bayer_rggb8", "yuv422_yuy2"):
        # Colours are wrong then, and nothing else.
        change = _set(encoding=encoding)
        yield Attack(
            topic="image", name=f"{encoding} it is not", change=change, codes=frozenset({OK})
        )


def _depth() -> Iterator[Attack]:
    sparse = frozenset({OK, ReportCode.DEPTH_SPARSE, ReportCode.RECONSTRUCTION})
    wrong_unit = frozenset({ReportCode.DEPTH_UNIT})
    for name, dtype, value, encoding, codes in (
        ("only NaN", "f4", NAN, "32FC1", sparse),
        ("only inf", "f4", INF, "32FC1", sparse),
        ("only -inf", "f4", -INF, "32FC1", sparse),
        ("only zeros", "f4", 0.0, "32FC1", sparse),
        ("negative", "f4", -1.0, "32FC1", sparse),
        ("denormal", "f4", 1e-42, "32FC1", sparse),
        ("largest float", "f4", 3.4e38, "32FC1", wrong_unit),
        ("millimetres as metres", "f4", 800.0, "32FC1", wrong_unit),
        ("metres as millimetres", "u2", 1, "16UC1", wrong_unit),
        ("largest integer", "u2", 65535, "16UC1", sparse | wrong_unit),
    ):
        change = _filled(dtype, _constant(value), encoding)
        yield Attack(topic="depth", name=name, change=change, codes=codes)
    holes = _holes(NAN, INF, -INF, 0.0, -1.0)
    yield Attack(topic="depth", name="holes of NaN and inf", change=holes, codes=ANY)
    spikes = _holes(3.4e38, 1e30, 1e-42)
    yield Attack(topic="depth", name="spikes beyond all measure", change=spikes, codes=ANY)
    for encoding in ("rgb8", "8UC1", "64FC1"):
        change = _set(encoding=encoding)
        yield Attack(topic="depth", name=f"{encoding} as depth", change=change, codes=REFUSED)


def _constant(value: float) -> Callable[[np.random.Generator, int], Any]:
    return lambda rng, num: value


def _holes(*values: float) -> Change:
    """Put some of the values in place of every third reading."""

    def change(message: Any, rng: np.random.Generator) -> None:
        pixels = np.frombuffer(bytes(message.data), dtype=np.float32).copy()
        is_hole = rng.random(len(pixels)) < 0.3
        pixels[is_hole] = rng.choice(values, is_hole.sum()).astype(np.float32)
        message.data = array("B", pixels.tobytes())

    return change


def _masks() -> Iterator[Attack]:
    empty = frozenset({ReportCode.MASK_EMPTY})
    for name, dtype, value, encoding, codes in (
        ("nothing", "u1", 0, "mono8", empty),
        ("only negative ids", "i4", -1, "32SC1", empty),
        ("lowest id everywhere", "i4", -MAX_I32 - 1, "32SC1", empty),
    ):
        change = _filled(dtype, _constant(value), encoding)
        yield Attack(topic="masks", name=name, change=change, codes=codes)
    change = _filled("u2", lambda rng, num: rng.integers(0, 65536, num), "16UC1")
    yield Attack(topic="masks", name="noise", change=change, codes=REFUSED)
    for encoding, dtype, top in (
        ("8UC1", "u1", 255),
        ("16UC1", "u2", 65535),
        ("32SC1", "i4", MAX_I32),
    ):
        yield Attack(
            topic="masks",
            name=f"highest ids of {encoding}",
            change=_shifted_ids(encoding, dtype, top),
            codes=frozenset({OK}),
        )
    for name, shape in (("tall", (240, 2)), ("flat", (2, 320)), ("square", (240, 240))):
        yield Attack(
            topic="masks",
            name=f"{name} mask",
            change=_of_shape(shape),
            codes=frozenset({ReportCode.MASK_SIZE}),
        )


def _shifted_ids(encoding: str, dtype: str, top: int) -> Change:
    """Count ids down from the highest one of an encoding."""

    def change(message: Any, rng: np.random.Generator) -> None:
        labels = np.frombuffer(bytes(message.data), dtype=np.uint8).astype(np.int64)
        shifted = np.where(labels > 0, top + 1 - labels, 0).astype(dtype)
        message.encoding, message.step = encoding, message.width * shifted.itemsize
        message.data = array("B", shifted.tobytes())

    return change


def _of_shape(shape: tuple[int, int]) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        message.height, message.width = shape
        message.encoding, message.step = "mono8", shape[1]
        message.data = array("B", bytes([1]) * (shape[0] * shape[1]))

    return change


def _infos() -> Iterator[Attack]:
    """Cameras that cannot be; K is row by row, fx 0, cx 2, fy 4, cy 5."""
    for topic in ("camera_info", "depth/camera_info"):
        yield from _headers(topic)
        for name, place, value in (
            ("negative focal length", 0, -300.0),
            ("focal length zero", 4, 0.0),
            ("focal length NaN", 0, NAN),
            ("focal length inf", 4, INF),
            ("tiny focal length", 0, 1e-300),
            ("huge focal length", 4, 1e300),
            ("principal point NaN", 2, NAN),
            ("principal point inf", 5, -INF),
            ("principal point far away", 2, 1e9),
            ("last element zero", 8, 0.0),
            ("last element NaN", 8, NAN),
        ):
            yield Attack(topic=topic, name=name, change=_element(place, value), codes=GEOMETRY)
        for name, change in (
            ("size zero", _set(width=0, height=0)),
            ("size of 4 billion", _set(width=MAX_U32, height=MAX_U32)),
            ("unknown model", _set(distortion_model="wavy", d=[0.1])),
            ("endless model", _set(distortion_model="w" * 100_000, d=[0.1])),
            ("model is not UTF-8", _raw_string("distortion_model")),
            ("a million coefficients", _set(d=array("d", [0.1]) * 1_000_000)),
            ("coefficients NaN", _set(d=[NAN] * 5)),
            ("coefficients inf", _set(d=[INF, -INF, 0.0, 0.0, 1e300])),
            ("coefficients of 1e300", _set(d=[1e300] * 5)),
            ("roi beyond everything", _set(roi__x_offset=MAX_U32, roi__width=320, roi__height=240)),
            ("roi of 4 billion", _set(roi__width=MAX_U32, roi__height=MAX_U32)),
            ("binning of 4 billion", _set(binning_x=MAX_U32, binning_y=MAX_U32)),
        ):
            yield Attack(topic=topic, name=name, change=change, codes=GEOMETRY)
        zeros = frozenset({OK}) if topic.startswith("depth") else GEOMETRY
        yield Attack(topic=topic, name="not calibrated", change=_set(k=[0.0] * 9), codes=zeros)
        nonsense = _set(r=[NAN] * 9, p=[INF] * 12)  # not read, unless images are rectified
        yield Attack(topic=topic, name="R and P", change=nonsense, codes=frozenset({OK}))


def _element(place: int, value: float) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        matrix = [float(each) for each in message.k]
        matrix[place] = value
        message.k = matrix

    return change


def _clouds() -> Iterator[Attack]:
    """Layouts that contradict the data, and values that are no points."""
    topic = "points"
    yield from _headers(topic)
    for name, change in (
        ("no fields", _set(fields=[])),
        ("point step 0", _set(point_step=0)),
        ("point step 3", _set(point_step=3)),
        ("point step of 4 GB", _set(point_step=MAX_U32)),
        ("row step 0", _set(row_step=0)),
        ("width of 4 billion", _set(width=MAX_U32)),
        ("height of 4 billion", _set(height=MAX_U32)),
        ("all sizes of 4 billion", _set(width=MAX_U32, height=MAX_U32, row_step=MAX_U32)),
        ("no data", _resized_data(lambda data: b"")),
        ("one byte less", _resized_data(lambda data: data[:-1])),
        ("z is missing", _field(2, name="")),
        ("twice the same field", _field(2, name="x")),
        ("x is an integer", _field(0, datatype=1)),
        ("x has no type", _field(0, datatype=255)),
        ("x lies beyond the point", _field(0, offset=4096)),
        ("x lies at 4 GB", _field(0, offset=MAX_U32)),
    ):
        yield Attack(topic=topic, name=name, change=change, codes=REFUSED)
    for name, change in (
        ("no points", _set(width=0, height=0, row_step=0)),
        ("fields of 4 billion elements", _field(1, count=MAX_U32)),
        ("only NaN", _points(lambda rng, num: np.full((num, 3), NAN))),
        ("only inf", _points(lambda rng, num: np.full((num, 3), INF))),
        ("largest floats", _points(lambda rng, num: np.full((num, 3), 3.4e38))),
        ("behind the camera", _points(lambda rng, num: rng.uniform(-5, -1, (num, 3)))),
        ("all in the origin", _points(lambda rng, num: np.zeros((num, 3)))),
        ("a million points", _repeated(1_000_000)),
    ):
        yield Attack(topic=topic, name=name, change=change, codes=ANY)


def _field(index: int, **values: Any) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        fields = list(message.fields)
        _set(**values)(fields[index], rng)
        message.fields = fields

    return change


def _points(values: Callable[[np.random.Generator, int], Any]) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        points = np.asarray(values(rng, message.width), dtype=np.float32)
        message.data = array("B", points.tobytes())

    return change


def _repeated(num: int) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        points = np.frombuffer(bytes(message.data), dtype=np.float32).reshape(-1, 3)
        points = points[np.arange(num) % len(points)]
        message.width, message.row_step = num, 12 * num
        message.data = array("B", points.tobytes())

    return change


def _transforms() -> Iterator[Attack]:
    """Transforms that are none, frames that are each other's parents; only of the camera."""
    no_transform = frozenset({ReportCode.NO_TRANSFORM})
    for name, path, value in (
        ("quaternion NaN", "w", NAN),
        ("quaternion inf", "x", INF),
        ("translation NaN", "x", NAN),
        ("translation inf", "y", -INF),
    ):
        part = "rotation" if name.startswith("quaternion") else "translation"
        change = _transform(**{f"transform__{part}__{path}": value})
        yield Attack(topic="/tf", name=name, change=change, codes=no_transform)
    zero = {f"transform__rotation__{axis}": 0.0 for axis in "wxyz"}
    for name, values, codes in (
        ("quaternion zero", zero, no_transform),
        ("own parent", {"header__frame_id": "camera_color_optical_frame"}, no_transform),
        ("empty parent", {"header__frame_id": ""}, no_transform),
        ("empty child", {"child_frame_id": ""}, no_transform),
        ("endless child", {"child_frame_id": "x" * 100_000}, no_transform),
        ("parent with line breaks", {"header__frame_id": "a\n\r\x1b"}, no_transform),
        ("negative stamp", {"header__stamp__sec": -1}, no_transform),
        ("last stamp", {"header__stamp__sec": MAX_I32, "header__stamp__nanosec": MAX_U32}, ANY),
    ):
        yield Attack(topic="/tf", name=name, change=_transform(**values), codes=codes)
    yield Attack(topic="/tf", name="no transforms", change=_set(transforms=[]), codes=no_transform)
    yield Attack(topic="/tf", name="loop", change=_loop, codes=no_transform)
    yield Attack(topic="/tf", name="child is not UTF-8", change=_raw_child, codes=no_transform)
    for name, broken in (("truncated", _truncated), ("garbage", _garbage)):
        yield Attack(topic="/tf", name=name, change=broken, codes=ANY, is_readable=False)


def _transform(**values: Any) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        transforms = list(message.transforms)
        for each in transforms:
            _set(**values)(each, rng)
        message.transforms = transforms

    return change


def _loop(message: Any, rng: np.random.Generator) -> None:
    """Make camera and world each other's parents, at the stamp of one exposure."""
    (forth,) = message.transforms
    back = type(forth)(header=forth.header, child_frame_id=forth.header.frame_id)
    back.header = type(forth.header)(stamp=forth.header.stamp, frame_id=forth.child_frame_id)
    back.transform.rotation.w = 1.0
    message.transforms = [forth, back]


def _raw_child(message: Any, rng: np.random.Generator) -> bytes:
    _transform(child_frame_id=PLACEHOLDER.decode())(message, rng)
    content = NOT_UTF8.ljust(len(PLACEHOLDER), b"\xff")[: len(PLACEHOLDER)]
    return bytes(serialize_message(message)).replace(PLACEHOLDER, content)
