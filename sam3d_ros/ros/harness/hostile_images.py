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

"""Hostile images: colour, depth, masks."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.harness.attack import (
    ANY,
    INF,
    MAX_I32,
    MAX_U32,
    NAN,
    OK,
    REFUSED,
    Attack,
    Change,
    filled,
    header_attacks,
    raw_string,
    resized_data,
    setting,
)


def image_attacks() -> Iterator[Attack]:
    """Sizes, steps and encodings that contradict the data, on every image."""
    for topic in ("image", "depth", "masks"):
        yield from header_attacks(topic)
        for name, change in (
            ("unknown encoding", setting(encoding="rgb7")),
            ("empty encoding", setting(encoding="")),
            ("endless encoding", setting(encoding="q" * 100_000)),
            ("64FC4", setting(encoding="64FC4")),
            ("encoding is not UTF-8", raw_string("encoding")),
            ("step 0", setting(step=0)),
            ("step 1", setting(step=1)),
            ("step of 4 GB", setting(step=MAX_U32)),
            ("height of 4 billion", setting(height=MAX_U32)),
            ("width of 4 billion", setting(width=MAX_U32)),
            ("all sizes of 4 billion", setting(height=MAX_U32, width=MAX_U32, step=MAX_U32)),
            ("no rows", setting(height=0)),
            ("no columns", setting(width=0)),
            ("no data", resized_data(lambda data: b"")),
            ("one byte", resized_data(lambda data: b"x")),
            ("half of the data", resized_data(lambda data: data[: len(data) // 2])),
            ("one byte less", resized_data(lambda data: data[:-1])),
            ("more rows than data", setting(height=241)),
        ):
            yield Attack(topic=topic, name=name, change=change, codes=REFUSED)
        longer = resized_data(lambda data: data * 2)
        yield Attack(topic=topic, name="twice the data", change=longer, codes=frozenset({OK}))
        yield Attack(topic=topic, name="one pixel", change=_one_pixel, codes=REFUSED)


def _one_pixel(message: Any, rng: np.random.Generator) -> None:
    message.step //= message.width
    message.width = message.height = 1
    message.data = array("B", bytes(message.data)[: message.step])


def colour_attacks() -> Iterator[Attack]:
    """Encodings that the data do not have."""
    for encoding in ("16UC1", "32FC1"):
        change = setting(encoding=encoding)
        yield Attack(topic="image", name=f"{encoding} as colour", change=change, codes=REFUSED)
    for encoding in ("bgr8", "mono8", "bayer_rggb8", "yuv422_yuy2"):
        # Colours are wrong then, and nothing else.
        change = setting(encoding=encoding)
        yield Attack(
            topic="image", name=f"{encoding} it is not", change=change, codes=frozenset({OK})
        )


def depth_attacks() -> Iterator[Attack]:
    """Values that are no depth, and units that are not those of the encoding."""
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
        change = filled(dtype, _constant(value), encoding)
        yield Attack(topic="depth", name=name, change=change, codes=codes)
    holes = _holes(NAN, INF, -INF, 0.0, -1.0)
    yield Attack(topic="depth", name="holes of NaN and inf", change=holes, codes=ANY)
    spikes = _holes(3.4e38, 1e30, 1e-42)
    yield Attack(topic="depth", name="spikes beyond all measure", change=spikes, codes=ANY)
    for encoding in ("rgb8", "8UC1", "64FC1"):
        change = setting(encoding=encoding)
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


def mask_attacks() -> Iterator[Attack]:
    """Ids at the limits of their encodings, and masks of no image."""
    empty = frozenset({ReportCode.MASK_EMPTY})
    for name, dtype, value, encoding, codes in (
        ("nothing", "u1", 0, "mono8", empty),
        ("only negative ids", "i4", -1, "32SC1", empty),
        ("lowest id everywhere", "i4", -MAX_I32 - 1, "32SC1", empty),
    ):
        change = filled(dtype, _constant(value), encoding)
        yield Attack(topic="masks", name=name, change=change, codes=codes)
    change = filled("u2", lambda rng, num: rng.integers(0, 65536, num), "16UC1")
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
