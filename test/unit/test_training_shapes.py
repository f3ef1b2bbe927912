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

"""Laws of the language of shapes and of its families."""

import hashlib
import math

import pytest
import torch

from sam3d_ros.errors import ShapeProgramError
from sam3d_ros.training.shapes import (
    HELD_OUT_FAMILIES,
    TRAINING_FAMILIES,
    Program,
    described,
    parsed,
    shape_of,
)
from sam3d_ros.training.shapes.combining import Common, Cut, Moved, Ring, Row, Union, Wall
from sam3d_ros.training.shapes.deforming import Bent, Tapered, Twisted
from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families import BUILDERS
from sam3d_ros.training.shapes.flats import Polygon, Rectangle
from sam3d_ros.training.shapes.language import skeleton
from sam3d_ros.training.shapes.nodes import Solid
from sam3d_ros.training.shapes.painting import Masked, Mixed, Plain, Spots
from sam3d_ros.training.shapes.primitives import Ball, Box, Extruded, Hoop, Revolved, Tube
from sam3d_ros.training.shapes.shape import measured

GREY = Plain((0.5, 0.5, 0.5))
UNIT_BOX = Box((1.0, 1.0, 1.0))


def _distance(solid: Solid, *point: float) -> float:
    return float(Program(solid, GREY).distance(torch.tensor(point, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("solid", "point", "expected"),
    [
        (Ball((2.0, 2.0, 2.0)), (3.0, 0.0, 0.0), 1.0),
        (Ball((2.0, 2.0, 2.0)), (0.0, 0.0, 0.0), -2.0),
        (UNIT_BOX, (2.0, 2.0, 0.0), math.sqrt(2.0)),
        (UNIT_BOX, (0.5, 0.0, 0.0), -0.5),
        (Extruded(Rectangle((1.0, 2.0)), 3.0), (0.0, 3.0, 4.0), math.sqrt(2.0)),
        (Revolved(Polygon(((0.0, 0.0), (2.0, 0.0), (2.0, 5.0), (0.0, 5.0)))), (0.0, 3.0, 1.0), 1.0),
        (
            Revolved(Polygon(((0.0, 0.0), (2.0, 0.0), (2.0, 5.0), (0.0, 5.0)))),
            (0.0, 0.0, 2.0),
            -2.0,
        ),
        (Tube(((0.0, 0.0, 0.0), (0.0, 0.0, 4.0)), (1.0, 1.0)), (3.0, 0.0, 2.0), 2.0),
        (Hoop((2.0, 2.0), 2.0, (0.5, 0.5)), (3.0, 0.0, 0.0), 0.5),
        (Union((UNIT_BOX, Moved(UNIT_BOX, (3.0, 0.0, 0.0)))), (5.0, 0.0, 0.0), 1.0),
        (Common((UNIT_BOX, Moved(UNIT_BOX, (1.5, 0.0, 0.0)))), (0.75, 0.0, 0.0), -0.25),
        (Cut(UNIT_BOX, (Ball((0.5, 0.5, 0.5)),)), (0.0, 0.0, 0.0), 0.5),
        (Wall(Ball((2.0, 2.0, 2.0)), 0.5), (0.0, 0.0, 1.75), -0.25),
        (Moved(Box((2.0, 1.0, 1.0)), turn=(0.0, 0.0, math.pi / 2)), (0.0, 3.0, 0.0), 1.0),
        (Ring(Moved(Ball((1.0, 1.0, 1.0)), (4.0, 0.0, 0.0)), 4), (0.0, -6.0, 0.0), 1.0),
        (Row(Ball((1.0, 1.0, 1.0)), 3, 4.0), (6.0, 0.0, 0.0), 1.0),
        (Bent(Box((0.1, 0.1, 2.0)), math.pi / 4), (0.37292322, 0.0, 0.90031632), -0.1),
        (Twisted(Box((2.0, 1.0, 9.0)), math.pi / 2), (0.0, 1.5, 1.0), -0.5),
        (Tapered(Box((2.0, 2.0, 2.0)), (-0.25, -0.25)), (0.75, 0.0, 1.9), -0.0525),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Solid) else None,
)
def test_a_solid_is_as_far_away_as_its_geometry_says(
    solid: Solid, point: tuple[float, ...], expected: float
) -> None:
    assert _distance(solid, *point) == pytest.approx(expected, abs=1e-6)


def test_a_blend_fills_the_seam_and_nothing_else() -> None:
    parts = (UNIT_BOX, Moved(UNIT_BOX, (1.5, 0.0, 1.5)))
    sharp, smooth = Union(parts), Union(parts, 0.4)

    assert _distance(smooth, 1.05, 0.0, 0.45) < 0.0 < _distance(sharp, 1.05, 0.0, 0.45)
    assert _distance(smooth, -1.5, 0.0, 0.0) == _distance(sharp, -1.5, 0.0, 0.0)


@pytest.mark.parametrize("family", BUILDERS)
def test_a_solid_lies_within_its_reach(family: str) -> None:
    program = shape_of(family, 5).program
    low, high = torch.tensor(program.solid.reach())
    generator = torch.Generator().manual_seed(0)
    spread = torch.rand(4000, 3, generator=generator) * 3.0 - 1.0
    points = low + spread * (high - low)

    inside = points[program.distance(points) < 0.0]

    assert bool(((inside >= low) & (inside <= high)).all())


@pytest.mark.parametrize("family", BUILDERS)
def test_a_description_gives_the_program_back(family: str) -> None:
    program = shape_of(family, 3).program

    assert parsed(described(program)) == program


def test_a_description_can_be_written_by_hand() -> None:
    text = """{"is": "Program", "paint": {"is": "Plain", "rgb": [1, 0, 0]},
               "solid": {"is": "Union", "parts": [{"is": "Box", "half": [1, 2, 3]}]}}"""

    program = parsed(text)

    assert program == Program(Union((Box((1.0, 2.0, 3.0)),)), Plain((1.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("solid", "message"),
    [
        ('{"is": "Sphere"}', "program.solid must be one of .*Ball.*got 'Sphere'"),
        ("3", "got 3"),
        ('{"is": "Disc", "radius": 1}', "program.solid must be a Solid, got the Disc"),
        ('{"is": "Box", "half": [1, 1]}', "program.solid.half must be 3 values, got 2"),
        ('{"is": "Box", "half": 1}', "program.solid.half must be a list, got 1"),
        ('{"is": "Box", "half": [1, 1, "1"]}', r"half\[2\] must be a number \(float\), got '1'"),
        ('{"is": "Box", "half": [1, 1, 1], "size": 2}', "Box has no size, but half, radius"),
        ('{"is": "Box"}', "program.solid: .*missing.*half"),
        ('{"is": "Ring", "solid": {"is": "Box", "half": [1, 1, 1]}, "count": 2.5}', "int"),
        ('{"is": "Union", "parts": [{"is": "Plain", "rgb": [1, 1, 1]}]}', r"parts\[0\] must be"),
    ],
)
def test_a_wrong_description_names_the_place_and_what_was_expected(
    solid: str, message: str
) -> None:
    paint = '{"is": "Plain", "rgb": [1, 0, 0]}'
    text = f'{{"is": "Program", "paint": {paint}, "solid": {solid}}}'

    with pytest.raises(ShapeProgramError, match=message):
        parsed(text)


def test_a_description_that_is_not_json_is_refused() -> None:
    with pytest.raises(ShapeProgramError, match="must be JSON"):
        parsed("Box(1, 2, 3)")


def test_an_unknown_family_is_told_the_known_ones() -> None:
    with pytest.raises(ShapeProgramError, match=r"one of can, bottle.*got 'teacup'"):
        shape_of("teacup", 0)


@pytest.mark.parametrize("family", BUILDERS)
def test_a_seed_gives_the_same_object_again_and_another_seed_another(family: str) -> None:
    assert shape_of(family, 11) == shape_of(family, 11)
    assert shape_of(family, 11).program != shape_of(family, 12).program


def test_seeds_give_the_programs_on_which_weights_were_trained() -> None:
    """A change of this digest changes the data of every training: state it in the commit."""
    texts = [described(BUILDERS[family](Draw(family, 0, 0))) for family in sorted(BUILDERS)]

    assert hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] == "66da614ebcc95698"


def test_every_family_is_either_trained_on_or_held_out() -> None:
    assert set(TRAINING_FAMILIES) & set(HELD_OUT_FAMILIES) == set()
    assert set(TRAINING_FAMILIES) | set(HELD_OUT_FAMILIES) == set(BUILDERS)
    assert len(TRAINING_FAMILIES) >= 10
    assert len(HELD_OUT_FAMILIES) >= 4
    assert min(*TRAINING_FAMILIES.values(), *HELD_OUT_FAMILIES.values()) > 0.0


def test_no_held_out_object_is_built_like_one_of_the_training_families() -> None:
    trained, held_out = (
        {
            skeleton(BUILDERS[family](Draw(family, seed, 0)))
            for family in families
            for seed in range(40)
        }
        for families in (TRAINING_FAMILIES, HELD_OUT_FAMILIES)
    )

    assert trained & held_out == set()


def test_bounds_are_those_of_the_surface() -> None:
    solid = Moved(Ball((0.05, 0.04, 0.03)), (0.2, 0.0, -0.1))

    low, high = measured(Union((solid, Cut(Box((0.01, 0.01, 0.3)), (Box((1.0, 1.0, 1.0)),)))))

    assert low == pytest.approx((0.15, -0.04, -0.13), abs=2e-3)
    assert high == pytest.approx((0.25, 0.04, -0.07), abs=2e-3)


def test_paints_change_where_their_pattern_or_stencil_says() -> None:
    red, blue = Plain((1.0, 0.0, 0.0)), Plain((0.0, 0.0, 1.0))
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]])

    masked = Program(UNIT_BOX, Masked(UNIT_BOX, red, blue)).color(points)
    mixed = Program(UNIT_BOX, Mixed(Spots(4.0), red, blue, 9.0)).color(points[:1])

    assert masked.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert mixed.tolist() == [[1.0, 0.0, 0.0]]
