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

"""People as collision objects of their own, with stand-ins for moveit_msgs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import planning_stand_ins as stand_ins
import pytest
from bodies import person
from rig import CAMERA, BoxBackend, empty_masks, tf
from test_people import PEOPLE, PeopleRig, near, one_of_two
from test_planning import BoxMaker, MoveGroup

from sam3d_ros.errors import TransformError
from sam3d_ros.ros.planning import planner, start
from sam3d_ros.ros.planning.people import PeopleObstacles
from sam3d_ros.structures import (
    NUM_KEYPOINTS,
    CollisionShape,
    DepthFit,
    PeopleSnapshot,
    ScenePerson,
    Similarity,
)

pytestmark = pytest.mark.ros
WORLD_FROM_CAMERA = Similarity(np.eye(3), np.array([5.0, 0.0, 0.0]))


def people_at(*places: tuple[float, float, float], measured: bool = True) -> PeopleSnapshot:
    fit = DepthFit(correction_m=0.0, residual_m=0.01, inlier_fraction=1.0)
    return PeopleSnapshot(
        stamp_ns=7,
        people=tuple(
            ScenePerson(
                person_id=number + 1,
                body=replace(person(place), fit=fit if measured else DepthFit()),
                contacts=np.zeros(NUM_KEYPOINTS, dtype=bool),
                first_seen_ns=0,
                last_seen_ns=7,
            )
            for number, place in enumerate(places)
        ),
    )


def obstacles() -> PeopleObstacles:
    return PeopleObstacles("world", "", 0.003, lambda shape: [shape])


def lookup(target: str, source: str, stamp_ns: int) -> Similarity:
    assert (target, source, stamp_ns) == ("world", CAMERA, 7)
    return WORLD_FROM_CAMERA


def test_a_hull_encloses_the_whole_body_with_room_for_clothes() -> None:
    people = obstacles()
    people.see(people_at((0.0, 0.1, 3.0)), CAMERA)
    obstacle, shaped = people.placed(lookup)["body_1"]
    shape: CollisionShape = shaped.shape
    (part,) = shape.parts
    corners = obstacle.planning_from_object.apply(part.vertices)
    body = WORLD_FROM_CAMERA.apply(person((0.0, 0.1, 3.0)).vertices_camera.astype(float))
    assert (corners.min(axis=0) < body.min(axis=0) - 0.015).all()
    assert (corners.max(axis=0) > body.max(axis=0) + 0.015).all()
    assert np.ptp(corners, axis=0) == pytest.approx(np.ptp(body, axis=0), abs=0.1)
    assert len(part.vertices) <= 32
    assert obstacle.class_id == "person"


def test_people_whose_distance_is_a_guess_are_no_obstacles() -> None:
    people = obstacles()
    people.see(people_at((0.0, 0.1, 3.0), measured=False), CAMERA)
    assert not people.placed(lookup)


def test_who_is_out_of_view_is_no_obstacle_any_more() -> None:
    people = obstacles()
    people.see(people_at((0.0, 0.1, 3.0), (1.0, 0.1, 3.0)), CAMERA)
    assert set(people.placed(lookup)) == {"body_1", "body_2"}
    people.see(people_at((0.0, 0.1, 3.0)), CAMERA)
    assert set(people.placed(lookup)) == {"body_1"}
    people.forget()
    assert not people.placed(lookup)


def test_without_a_transform_people_stay_where_they_were() -> None:
    def missing(*_: object) -> Similarity:
        raise TransformError("not yet")

    people = obstacles()
    people.see(people_at((0.0, 0.1, 3.0)), CAMERA)
    assert not people.placed(missing)
    before = people.placed(lookup)["body_1"]
    people.see(people_at((0.5, 0.1, 3.0)), CAMERA)
    assert people.placed(missing)["body_1"] is before


@pytest.fixture
def rig(make_box: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PeopleRig]:
    """Return a rig whose node tells a planner of objects and people."""
    monkeypatch.setattr(start, "planning_messages", stand_ins.sendable)
    monkeypatch.setattr(start, "CollisionProcess", BoxMaker)
    monkeypatch.setattr(planner, "CollisionEncoder", stand_ins.TextEncoder)
    monkeypatch.setattr(planner, "attached_after", stand_ins.attached_after)
    mesh = make_box(0.1, 0.1, 0.1)
    parameters = {
        "body.enabled": True,
        "body.first_label": PEOPLE,
        "body.collision": True,
        "planning.enabled": True,
        "planning.frame": "world",
    }
    PeopleRig.bodies = near()
    rig = PeopleRig(mesh, parameters, BoxBackend(mesh))
    yield rig
    PeopleRig.bodies = None
    rig.close()


def test_a_planner_hears_of_people_beside_objects_until_they_leave(rig: PeopleRig) -> None:
    group = MoveGroup(rig)
    rig.start()
    rig.send(**{"tf_static": tf("world", CAMERA, x_m=5.0)})
    rig.settle(0.3)
    rig.send_frame(0, masks=one_of_two(0))
    rig.until(lambda: group.operations("body_1") == ["ADD"], "a person")
    told = group.last("body_1")
    assert (told["frame"], told["class"], told["num_meshes"]) == ("world", "person", 1)
    assert told["position"][0] > 5.1
    rig.until(lambda: group.operations("sam3d_object_1"), "the object beside")
    assert not group.operations("sam3d_object_2")
    rig.send_frame(1, masks=empty_masks(1))
    rig.until(lambda: group.operations("body_1") == ["ADD", "REMOVE"], "the end of the person")
