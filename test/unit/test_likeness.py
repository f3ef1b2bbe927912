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


"""What makes two meshes one object, and what does not."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import at, ball, brick

from sam3d_ros.scene.likeness import Box, Looks
from sam3d_ros.structures import Mesh

RED = (200, 30, 30)


def test_a_thing_turned_on_its_side_looks_the_same() -> None:
    first, second = (
        Looks.of(brick(*size, RED)) for size in ((0.10, 0.06, 0.08), (0.08, 0.10, 0.06))
    )
    assert first.likeness(second) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("other", "is_alike"),
    [
        (brick(0.12, 0.06, 0.08, RED), True),
        (brick(0.13, 0.06, 0.08, RED), False),
        (brick(0.10, 0.06, 0.08, (170, 25, 25)), True),  # in the shade
        (brick(0.10, 0.06, 0.08, (30, 160, 40)), False),
    ],
    ids=["a fifth longer", "a third longer", "darker", "green"],
)
def test_size_and_colour_must_be_alike(other: Mesh, is_alike: bool) -> None:
    known = Looks.of(brick(0.10, 0.06, 0.08, RED))
    assert (known.likeness(Looks.of(other)) > 0.0) is is_alike
    assert known.likeness(Looks.of(other)) == pytest.approx(Looks.of(other).likeness(known))


def test_guessed_colours_of_the_unseen_side_do_not_count() -> None:
    known = brick(0.10, 0.06, 0.08, RED)
    colors, observed = known.colors.copy(), known.observed.copy()
    back = known.vertices[:, 0] < 0
    colors[back], observed[back] = (0, 0, 255), 0.0
    guessed = replace(known, colors=colors, observed=observed)
    assert Looks.of(known).likeness(Looks.of(guessed)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shift_m", "is_one"), [(0.0, True), (0.02, True), (0.06, False), (0.2, False)]
)
def test_two_boxes_are_in_one_place_if_they_share_most_of_it(shift_m: float, is_one: bool) -> None:
    mesh = brick(0.10, 0.10, 0.10)
    first, second = (Box.of(mesh, at(x, 0.0, 0.0, 0.3)) for x in (0.0, shift_m))
    assert first.is_filled_by(second) is is_one


def test_a_small_thing_in_a_large_one_is_another_thing() -> None:
    large, small = Box.of(brick(0.2, 0.2, 0.1), at(0, 0, 0)), Box.of(ball(0.03), at(0, 0, 0))
    assert not large.is_filled_by(small)
    assert not small.is_filled_by(large)


def test_a_mesh_without_seen_vertices_is_judged_by_all_its_colours() -> None:
    mesh = brick(0.1, 0.1, 0.1, RED)
    unseen = replace(mesh, observed=np.zeros_like(mesh.observed))
    assert Looks.of(mesh).likeness(Looks.of(unseen)) == pytest.approx(1.0)
