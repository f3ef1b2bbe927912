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

"""Objects of families that nothing learned from: repeatable, each another one, true to its view."""

import numpy as np
import pytest

from sam3d_ros.evaluation.families import FamilyObject, family_objects
from sam3d_ros.evaluation.solids import distance_to_surface
from sam3d_ros.geometry.meshes import is_watertight
from sam3d_ros.training.scenes.pool import PoolSize
from sam3d_ros.training.scenes.source import SampleSize
from sam3d_ros.training.shapes import HELD_OUT_FAMILIES, TRAINING_FAMILIES

ONE_FAMILY = {"stone": 1.0}
SMALL = SampleSize(resolution=8, pool=PoolSize(group=4, window=1, views=2, resolution=48))


@pytest.fixture(scope="module")
def objects() -> list[FamilyObject]:
    return list(family_objects(4, 0, "isolated", ONE_FAMILY, SMALL))


def test_no_model_learns_from_a_family_that_is_evaluated() -> None:
    assert len(HELD_OUT_FAMILIES) >= 4
    assert not set(HELD_OUT_FAMILIES) & set(TRAINING_FAMILIES)


def test_the_same_seed_gives_the_same_objects(objects: list[FamilyObject]) -> None:
    again = list(family_objects(4, 0, "isolated", ONE_FAMILY, SMALL))
    for first, second in zip(objects, again, strict=True):
        np.testing.assert_array_equal(
            first.observation.points_camera, second.observation.points_camera
        )
        assert first.truth.name == second.truth.name
    other = next(family_objects(1, 1, "isolated", ONE_FAMILY, SMALL))
    assert other.truth.name != objects[0].truth.name


def test_each_object_comes_once(objects: list[FamilyObject]) -> None:
    assert len({each.truth.name for each in objects}) == 4


def test_what_is_seen_lies_on_the_true_mesh(objects: list[FamilyObject]) -> None:
    for each in objects:
        assert each.truth.mesh is not None
        assert each.truth.mesh_camera is not None
        assert is_watertight(each.truth.mesh)
        points = each.observation.object_points_camera
        off_m = distance_to_surface(each.truth.mesh_camera, points)
        assert np.median(off_m) < 0.004


def test_shares_of_families_are_equal() -> None:
    two = {"stone": 1.0, "bracket": 1.0}
    found = [each.family for each in family_objects(5, 0, "isolated", two, SMALL)]
    assert sorted(found) == ["bracket", "bracket", "stone", "stone", "stone"]
