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

"""The support is found where it is, and nowhere where there is none."""

import numpy as np
import pytest
import trimesh
from scenes import Scene, box, camera_from_world, can, mesh_from, placed, scene

from sam3d_ros.geometry.depth import unproject
from sam3d_ros.geometry.planes import fit_support_plane
from sam3d_ros.structures import Floats, Similarity, SupportPlane

WALL = placed(mesh_from(trimesh.creation.box((0.04, 4.0, 3.0))), 0.0, (-0.7, 0.0, 0.0))


def fitted(made: Scene, up_camera: Floats | None = None) -> SupportPlane | None:
    assert made.frame.depth is not None
    points = unproject(made.frame.depth.depth_m, made.frame.camera)
    masks = np.any([mask.mask for mask in made.frame.masks], axis=0)
    return fit_support_plane(points, masks, up_camera)


def rolled(camera_from_world: Similarity, roll_deg: float) -> Similarity:
    """Turn a camera about its optical axis."""
    cosine, sine = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    turn = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return Similarity(turn, np.zeros(3)) @ camera_from_world


@pytest.mark.parametrize("pitch_deg", [15, 35, 60, 90])
def test_the_table_is_found_from_level_to_straight_above(pitch_deg: float) -> None:
    view = camera_from_world(np.radians(pitch_deg), 0.9)
    objects = [box(0.08, 0.06, 0.12), placed(can(0.04, 0.1), 0.0, (0.0, 0.2, 0.0))]
    made = scene(objects, view, noise=1.0)
    plane = fitted(made)
    assert plane is not None
    assert plane.normal_camera @ made.up_camera > np.cos(np.radians(0.5))
    foot = view.apply(np.zeros(3))
    assert plane.height_m(foot) == pytest.approx(0.0, abs=0.002)
    assert plane.confidence > 0.8


@pytest.mark.parametrize("pitch_deg", [20, 35, 50])
@pytest.mark.parametrize("roll_deg", [-90, 70, 135, 180])
def test_the_table_is_found_by_a_rolled_camera(roll_deg: float, pitch_deg: float) -> None:
    view = rolled(camera_from_world(np.radians(pitch_deg), 0.9), roll_deg)
    objects = [box(0.08, 0.06, 0.12), placed(can(0.04, 0.1), 0.0, (0.0, 0.2, 0.0))]
    made = scene(objects, view, noise=1.0, background=[WALL])
    plane = fitted(made)
    assert plane is not None
    assert plane.normal_camera @ made.up_camera > np.cos(np.radians(0.5))
    assert plane.height_m(view.apply(np.zeros(3))) == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize("azimuth_deg", [-60, 60])
def test_a_wall_seen_from_the_side_supports_nothing(azimuth_deg: float) -> None:
    view = camera_from_world(np.radians(5), 0.9, azimuth_rad=np.radians(azimuth_deg))
    wall = placed(WALL, 0.0, (0.56, 0.0, 0.0))
    made = scene([box(0.08, 0.06, 0.12)], view, table=False, background=[wall])
    assert fitted(made) is None


def test_a_wall_that_the_camera_looks_down_at_supports_nothing() -> None:
    view = camera_from_world(np.radians(30), 0.9)
    wall = placed(WALL, 0.0, (0.62, 0.0, 0.0))
    made = scene([box(0.08, 0.06, 0.12)], view, table=False, background=[wall])
    assert fitted(made) is None


def test_a_wall_behind_the_objects_is_not_their_support() -> None:
    made = scene([box(0.08, 0.06, 0.12)], camera_from_world(np.radians(25), 0.9), background=[WALL])
    plane = fitted(made)
    assert plane is not None
    assert plane.normal_camera @ made.up_camera > 0.999


def test_a_wall_alone_supports_nothing() -> None:
    made = scene(
        [box(0.08, 0.06, 0.12)],
        camera_from_world(np.radians(10), 0.9),
        table=False,
        background=[WALL],
    )
    assert fitted(made) is None


def test_a_plane_that_is_not_level_is_refused_when_gravity_is_known() -> None:
    made = scene([box(0.08, 0.06, 0.12)], camera_from_world(np.radians(40), 0.9))
    assert fitted(made, made.up_camera) is not None
    assert fitted(made, np.array([1.0, 0.0, 0.0])) is None


def test_nothing_around_the_objects_gives_no_plane() -> None:
    made = scene([can(0.04, 0.1)], camera_from_world(np.radians(40), 0.9), table=False)
    assert fitted(made) is None


def test_the_same_points_give_the_same_plane() -> None:
    made = scene([can(0.04, 0.1)], camera_from_world(np.radians(40), 0.9), noise=1.0)
    first, second = fitted(made), fitted(made)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.normal_camera, second.normal_camera)
    assert first.offset_m == second.offset_m
