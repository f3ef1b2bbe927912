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

"""The catalogue of rendered objects: closed, metric, painted, each standing on its base.

Every object has its origin in the middle of its base and z up, so it stands on a table at z = 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.synthetic_solids import (
    Solid,
    difference,
    moved,
    revolved,
    rounded_box,
    smooth_union,
    surface,
    tube,
    union,
)
from sam3d_ros.structures import Bytes, Floats, Mesh, Similarity

Paint = Callable[[Floats], Floats]

VOXEL_M = 0.002
ARC = np.linspace(0.0, 1.0, 25)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """What an object is, before it has a place."""

    name: str
    solid: Solid
    paint: Paint  # points (..., 3) in the object frame -> sRGB (..., 3) in [0, 1]
    bounds_m: Floats  # (2, 3)
    gloss: float = 0.2  # strength of the highlight

    def resized(self, scale: float) -> "Model":
        """Return the same object ``scale`` times as large."""
        growth = Similarity(np.eye(3), np.zeros(3), scale)
        paint = self.paint
        return Model(
            name=self.name,
            solid=moved(self.solid, growth),
            paint=lambda points: paint(points / scale),
            bounds_m=self.bounds_m * scale,
            gloss=self.gloss,
        )

    def mesh(self, voxel_m: float = VOXEL_M) -> Mesh:
        """Return the closed mesh in the object frame, metres, painted per vertex."""
        vertices, triangles = surface(self.solid, self.bounds_m, voxel_m)
        return Mesh(
            vertices=vertices.astype(np.float32),
            triangles=triangles.astype(np.int32),
            colors=bytes_from_unit(self.paint(vertices)),
            observed=np.ones(len(vertices), dtype=np.float32),
        )


def model(name: str) -> Model:
    """Return a model of the catalogue.

    Raises:
        DatasetError: For a name that is not in it.
    """
    if name not in CATALOGUE:
        raise DatasetError(f"rendered object must be one of {', '.join(CATALOGUE)}, got {name!r}")
    return CATALOGUE[name]()


def bytes_from_unit(values: Floats) -> Bytes:
    """Map [0, 1] to 0..255."""
    return (np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _box() -> Model:
    half = np.array([0.058, 0.032, 0.085])
    solid = moved(rounded_box(half, 0.003), Similarity(np.eye(3), np.array([0.0, 0.0, half[2]])))
    return Model(
        name="box", solid=solid, paint=_paint_box, bounds_m=_standing(*half * (1, 1, 2)), gloss=0.15
    )


def _can() -> Model:
    wall, rim, top = 0.033, 0.0345, 0.1
    profile = [
        (0.0, 0.003),
        (wall - 0.004, 0.003),
        (wall - 0.003, 0.0),
        (rim, 0.0),
        (rim, 0.004),
        (wall, 0.006),
        (wall, top - 0.006),
        (rim, top - 0.004),
        (rim, top),
        (wall - 0.002, top),
        (wall - 0.003, top - 0.005),
        (0.0, top - 0.005),
    ]
    return Model(
        name="can",
        solid=revolved(profile),
        paint=_paint_can,
        bounds_m=_standing(rim, rim, top),
        gloss=0.6,
    )


def _bowl() -> Model:
    angles = np.linspace(0.32, 1.42, 14)
    outer = [(0.085 * np.sin(a), 0.088 - 0.088 * np.cos(a)) for a in angles]
    inner = [(0.08 * np.sin(a), 0.089 - 0.082 * np.cos(a)) for a in angles[::-1]]
    foot = [(0.0, 0.002), (0.028, 0.002), (0.029, 0.0), (0.034, 0.0), (0.035, 0.006)]
    profile = [*foot, *outer[2:], *inner, (0.0, 0.007)]
    solid = revolved(profile)
    return Model(
        name="bowl",
        solid=solid,
        paint=_paint_bowl,
        bounds_m=_standing(0.086, 0.086, 0.082),
        gloss=0.5,
    )


def _mug() -> Model:
    radius, height = 0.041, 0.094
    shell = revolved(
        [(0.0, 0.0), (radius - 0.003, 0.0), (radius, 0.003), (radius, height), (0.0, height)]
    )
    hollow = revolved(
        [
            (0.0, 0.006),
            (radius - 0.009, 0.006),
            (radius - 0.0045, 0.011),
            (radius - 0.0045, height + 0.01),
            (0.0, height + 0.01),
        ]
    )
    turn = np.pi * (ARC - 0.5)
    handle = np.stack(
        [radius - 0.002 + 0.03 * np.cos(turn), 0.0 * turn, 0.05 + 0.029 * np.sin(turn)], axis=-1
    )
    outside = smooth_union(shell, tube(handle.tolist(), 0.0055), 0.006)
    return Model(
        name="mug",
        solid=difference(outside, hollow),
        paint=_paint_mug,
        bounds_m=np.array([[-radius, -radius, 0.0], [radius + 0.036, radius, height]]),
        gloss=0.5,
    )


def _bottle() -> Model:
    radius = 0.031
    shoulder = [
        (0.013 + (radius - 0.013) * (1 + np.cos(np.pi * t)) / 2, 0.115 + 0.05 * t) for t in ARC
    ]
    base = [(0.0, 0.002), (0.018, 0.002), (0.021, 0.0), (0.027, 0.0), (radius, 0.005)]
    neck = [(0.013, 0.172), (0.0155, 0.1725), (0.0155, 0.1765), (0.0145, 0.177), (0.0145, 0.193)]
    return Model(
        name="bottle",
        solid=revolved([*base, *shoulder, *neck, (0.013, 0.195), (0.0, 0.195)]),
        paint=_paint_bottle,
        bounds_m=_standing(radius, radius, 0.195),
        gloss=0.7,
    )


def _drill() -> Model:
    battery = moved(_bar(0.05, 0.034, 0.0225, 0.007), _lifted(-0.004, 0.0225))
    grip = tube([(-0.008, 0.0, 0.035), (-0.024, 0.0, 0.135)], 0.0185)
    body = tube([(-0.06, 0.0, 0.152), (0.035, 0.0, 0.152)], 0.029)
    collar = tube([(0.04, 0.0, 0.152), (0.07, 0.0, 0.152)], 0.0215)
    chuck = tube([(0.085, 0.0, 0.152), (0.1, 0.0, 0.152)], 0.0145)
    bit = tube([(0.1, 0.0, 0.152), (0.15, 0.0, 0.152)], 0.004)
    trigger = tube([(0.006, 0.0, 0.12), (0.002, 0.0, 0.1)], 0.007)
    handle = smooth_union(smooth_union(battery, grip, 0.012), body, 0.014)
    return Model(
        name="drill",
        solid=union(handle, collar, chuck, bit, trigger),
        paint=_paint_drill,
        bounds_m=np.array([[-0.092, -0.036, 0.0], [0.156, 0.036, 0.184]]),
        gloss=0.3,
    )


def _bar(x: float, y: float, z: float, radius_m: float) -> Solid:
    return rounded_box((x, y, z), radius_m)


def _lifted(x: float, z: float) -> Similarity:
    return Similarity(np.eye(3), np.array([x, 0.0, z]))


def _standing(x: float, y: float, height: float) -> Floats:
    return np.array([[-x, -y, 0.0], [x, y, height]])


def _layers(points: Floats, base: str, *layers: tuple[object, str]) -> Floats:
    """Fill with one colour, then each layer where its condition holds."""
    colors = np.broadcast_to(_rgb(base), points.shape).copy()
    for condition, color in layers:
        colors[np.asarray(condition)] = _rgb(color)
    return colors


def _rgb(color: str) -> Floats:
    return np.array([int(color[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0


def _paint_box(points: Floats) -> Floats:
    x, y, z = np.moveaxis(points, -1, 0)
    front = np.abs(y) > 0.0315
    side = ~front & (np.abs(x) > 0.0575)
    sun = np.hypot(x - 0.012, z - 0.072)
    waves = z < 0.045 + 0.006 * np.sin(x * 90.0)
    lines = (np.sin(z * 620.0) > 0.2) & (z > 0.03) & (z < 0.12) & (np.abs(y) < 0.022)
    title = (np.abs(z - 0.145) < 0.011) & (np.abs(x) < 0.042)
    letters = title & (np.abs(z - 0.145) < 0.007) & (np.sin((x + 0.04) * 420.0) > -0.1)
    return _layers(
        points,
        "c8342b",
        (front & (sun < 0.034), "f6c343"),
        (front & (sun < 0.026), "f39a2d"),
        (front & waves, "8c1f22"),
        (front & title, "fff3dc"),
        (front & letters & title, "30475e"),
        (side & lines, "f3d9b1"),
    )


def _paint_can(points: Floats) -> Floats:
    x, y, z = np.moveaxis(points, -1, 0)
    angle = np.arctan2(y, x)
    label = (z > 0.008) & (z < 0.092) & (np.hypot(x, y) > 0.0325)
    leaf = np.hypot(np.mod(angle * 0.033, 0.0345) - 0.017, (z - 0.047) * 0.8)
    return _layers(
        points,
        "b9bec4",
        (label, "2f7d4f"),
        (label & (np.abs(z - 0.047) < 0.021), "f2efe2"),
        (label & (leaf < 0.0125), "d8472f"),
        (label & (leaf < 0.0055), "f7d06b"),
        (label & (np.abs(np.abs(z - 0.047) - 0.024) < 0.0015), "e8c25a"),
    )


def _paint_bowl(points: Floats) -> Floats:
    x, y, z = np.moveaxis(points, -1, 0)
    outer_radius = 0.0825 * np.sqrt(np.clip(1.0 - ((0.0885 - z) / 0.085) ** 2, 0.0, 1.0))
    outside = np.hypot(x, y) > outer_radius
    dots = np.sin(np.arctan2(y, x) * 18.0) * np.sin((z - 0.045) * 260.0) > 0.62
    return _layers(
        points,
        "f1ece0",
        (outside, "2d6ca8"),
        (outside & dots & (z > 0.02) & (z < 0.07), "e9eef2"),
        (z > 0.0765, "d9a441"),
    )


def _paint_mug(points: Floats) -> Floats:
    x, y, z = np.moveaxis(points, -1, 0)
    outside = np.hypot(x, y) > 0.039
    zigzag = np.abs(z - 0.05 - 0.009 * _triangle(np.arctan2(y, x) * 9.0 / np.pi))
    return _layers(
        points,
        "f4efe6",
        (outside, "1f8a8c"),
        (outside & (zigzag < 0.0055) & (x < 0.039), "f4efe6"),
        (outside & (z > 0.084), "e2704a"),
        (x > 0.0425, "e2704a"),
    )


def _paint_bottle(points: Floats) -> Floats:
    x, y, z = np.moveaxis(points, -1, 0)
    angle = np.arctan2(y, x)
    label = (z > 0.03) & (z < 0.105)
    diagonal = np.mod(angle * 0.031 + z, 0.0325) < 0.011
    return _layers(
        points,
        "5b2a86",
        (label, "f7e9c8"),
        (label & diagonal & (np.abs(z - 0.067) < 0.022), "e4572e"),
        (label & (np.abs(np.abs(z - 0.067) - 0.028) < 0.002), "5b2a86"),
        (z > 0.174, "f2b134"),
    )


def _paint_drill(points: Floats) -> Floats:
    x, z = points[..., 0], points[..., 2]
    vents = (np.sin(x * 520.0) > 0.25) & (np.abs(z - 0.155) < 0.011) & (x < -0.035) & (x > -0.075)
    badge = (np.abs(z - 0.152) < 0.012) & (np.abs(x + 0.002) < 0.026)
    return _layers(
        points,
        "e8a317",
        (z < 0.046, "2b2d31"),
        ((z < 0.046) & (np.abs(z - 0.022) < 0.006) & (np.abs(x) < 0.03), "d8d3c4"),
        ((z > 0.06) & (z < 0.118) & (x < -0.018 + (z - 0.06) * -0.12), "34373c"),
        (vents | badge, "2b2d31"),
        (badge & (np.abs(z - 0.152) < 0.006) & (np.sin(x * 800.0) > -0.2), "f4f1e8"),
        ((x > -0.002) & (z > 0.09) & (z < 0.128), "b3271e"),
        ((x > 0.056) & (z > 0.128), "3a3d42"),
        ((x > 0.088) & (z > 0.128), "9aa0a6"),
    )


def _triangle(x: Floats) -> Floats:
    """Return a triangle wave in [-1, 1] of period 2."""
    wave: Floats = 2.0 * np.abs(np.mod(x, 2.0) - 1.0) - 1.0
    return wave


CATALOGUE: dict[str, Callable[[], Model]] = {
    "box": _box,
    "can": _can,
    "bowl": _bowl,
    "mug": _mug,
    "bottle": _bottle,
    "drill": _drill,
}
