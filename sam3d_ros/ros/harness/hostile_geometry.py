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

"""Hostile geometry: cameras, clouds, transforms."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.harness.attack import (
    ANY,
    GEOMETRY,
    INF,
    MAX_I32,
    MAX_U32,
    NAN,
    NOT_UTF8,
    OK,
    PLACEHOLDER,
    REFUSED,
    Attack,
    Change,
    garbage,
    header_attacks,
    raw_string,
    resized_data,
    setting,
    truncated,
)


def camera_attacks() -> Iterator[Attack]:
    """Cameras that cannot be; K is row by row, fx 0, cx 2, fy 4, cy 5."""
    for topic in ("camera_info", "depth/camera_info"):
        yield from header_attacks(topic)
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
            ("size zero", setting(width=0, height=0)),
            ("size of 4 billion", setting(width=MAX_U32, height=MAX_U32)),
            ("unknown model", setting(distortion_model="wavy", d=[0.1])),
            ("endless model", setting(distortion_model="w" * 100_000, d=[0.1])),
            ("model is not UTF-8", raw_string("distortion_model")),
            ("a million coefficients", setting(d=array("d", [0.1]) * 1_000_000)),
            ("coefficients NaN", setting(d=[NAN] * 5)),
            ("coefficients inf", setting(d=[INF, -INF, 0.0, 0.0, 1e300])),
            ("coefficients of 1e300", setting(d=[1e300] * 5)),
            (
                "roi beyond everything",
                setting(roi__x_offset=MAX_U32, roi__width=320, roi__height=240),
            ),
            ("roi of 4 billion", setting(roi__width=MAX_U32, roi__height=MAX_U32)),
            ("binning of 4 billion", setting(binning_x=MAX_U32, binning_y=MAX_U32)),
        ):
            yield Attack(topic=topic, name=name, change=change, codes=GEOMETRY)
        zeros = frozenset({OK}) if topic.startswith("depth") else GEOMETRY
        yield Attack(topic=topic, name="not calibrated", change=setting(k=[0.0] * 9), codes=zeros)
        nonsense = setting(r=[NAN] * 9, p=[INF] * 12)  # not read, unless images are rectified
        yield Attack(topic=topic, name="R and P", change=nonsense, codes=frozenset({OK}))


def _element(place: int, value: float) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        matrix = [float(each) for each in message.k]
        matrix[place] = value
        message.k = matrix

    return change


def cloud_attacks() -> Iterator[Attack]:
    """Layouts that contradict the data, and values that are no points."""
    topic = "points"
    yield from header_attacks(topic)
    for name, change in (
        ("no fields", setting(fields=[])),
        ("point step 0", setting(point_step=0)),
        ("point step 3", setting(point_step=3)),
        ("point step of 4 GB", setting(point_step=MAX_U32)),
        ("row step 0", setting(row_step=0)),
        ("width of 4 billion", setting(width=MAX_U32)),
        ("height of 4 billion", setting(height=MAX_U32)),
        ("all sizes of 4 billion", setting(width=MAX_U32, height=MAX_U32, row_step=MAX_U32)),
        ("no data", resized_data(lambda data: b"")),
        ("one byte less", resized_data(lambda data: data[:-1])),
        ("z is missing", _field(2, name="")),
        ("twice the same field", _field(2, name="x")),
        ("x is an integer", _field(0, datatype=1)),
        ("x has no type", _field(0, datatype=255)),
        ("x lies beyond the point", _field(0, offset=4096)),
        ("x lies at 4 GB", _field(0, offset=MAX_U32)),
    ):
        yield Attack(topic=topic, name=name, change=change, codes=REFUSED)
    for name, change in (
        ("no points", setting(width=0, height=0, row_step=0)),
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
        setting(**values)(fields[index], rng)
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


def transform_attacks() -> Iterator[Attack]:
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
    yield Attack(
        topic="/tf", name="no transforms", change=setting(transforms=[]), codes=no_transform
    )
    yield Attack(topic="/tf", name="loop", change=_loop, codes=no_transform)
    yield Attack(topic="/tf", name="child is not UTF-8", change=_raw_child, codes=no_transform)
    for name, broken in (("truncated", truncated), ("garbage", garbage)):
        yield Attack(topic="/tf", name=name, change=broken, codes=ANY, is_readable=False)


def _transform(**values: Any) -> Change:
    def change(message: Any, rng: np.random.Generator) -> None:
        transforms = list(message.transforms)
        for each in transforms:
            setting(**values)(each, rng)
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
