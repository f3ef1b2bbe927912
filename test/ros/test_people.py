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

"""People over DDS: bodies, frames, markers, reports and diagnostics, with a stand-in model."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bodies import StandInBodies, person
from rig import (
    CAMERA,
    HEIGHT,
    WIDTH,
    BoxBackend,
    Rig,
    empty_masks,
    image_msg,
    label_image,
    stamp_ns,
    tf,
)
from sam3d_ros.msg import Body, BodyArray, FrameReport, ObjectMesh
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.protocols import OneByOne
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.people.humans import SKELETON, Humans
from sam3d_ros.ros.qos import latched, reliable
from sam3d_ros.scene.people.backends import wired_people
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.structures import (
    NUM_KEYPOINTS,
    Mesh,
    PeopleSnapshot,
    ScenePerson,
)
from sam3d_ros.structures.mhr import JOINT_NAMES, KEYPOINT_NAMES

pytestmark = pytest.mark.ros

PEOPLE = 100  # labels from this one up
LINKS = {"waist", "torso", "head", "l_wrist", "r_wrist", "l_ankle", "r_hip"}


class PeopleRig(Rig):
    """A rig whose node has a body model, or none."""

    bodies: StandInBodies | None = None

    def _pipeline(self, config: SceneConfig) -> ScenePipeline:
        people = wired_people(config, self.bodies)
        reconstructor = FrameReconstructor(config, OneByOne(self.backend), people=people)
        return ScenePipeline(config, reconstructor, None)


@pytest.fixture
def make_people_rig(make_box: Callable[..., Mesh]) -> Iterator[Callable[..., PeopleRig]]:
    """Return a maker of rigs that hear bodies, with parameters and a model."""
    rigs = []

    def make(bodies: StandInBodies | None, **parameters: Any) -> PeopleRig:
        given = {"body.enabled": True, "body.first_label": PEOPLE}
        given |= {name.replace("__", "."): value for name, value in parameters.items()}
        rig = PeopleRig(make_box(0.1, 0.1, 0.1), given, BoxBackend(make_box(0.1, 0.1, 0.1)))
        rig.bodies = bodies
        rigs.append(rig)
        for topic, kind, qos in (
            ("bodies", BodyArray, reliable(10)),
            ("body_markers", MarkerArray, reliable(10)),
            ("body_topology", ObjectMesh, latched(1)),
        ):
            rig.listen(f"/sam3d_node/{topic}", kind, qos)
        return rig

    yield make
    for rig in rigs:
        rig.close()


def one_of_two(number: int = 0) -> Any:
    """Return a mask image in which the right thing is a person."""
    labels = label_image()
    labels[labels == 2] = PEOPLE
    return image_msg(labels, "mono8", number)


def near() -> StandInBodies:
    """Return a model that takes masks of 40 pixels for people at about 1 m."""
    return StandInBodies(factor=0.18)


def send_person(rig: PeopleRig, number: int = 0, **changed: Any) -> FrameReport:
    num = len(rig.heard["/report"])
    rig.send_frame(number, **{"masks": one_of_two(number), **changed})
    report: FrameReport = rig.reports(num + 1)[num]
    return report


def test_a_person_is_a_body_beside_objects_at_the_stamp_of_the_image(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near())
    rig.start()
    report = send_person(rig, 3)
    assert report.code == ReportCode.OK, report.message
    assert list(report.object_ids) == ["sam3d_object_1", "body_1"]
    assert {stage.name for stage in report.stages} >= {"bodies", "people"}
    rig.until(lambda: rig.heard["/bodies"] and rig.heard["/objects"], "bodies")
    array: BodyArray = rig.heard["/bodies"][0]
    assert (array.header.frame_id, stamp_ns_from_msg(array.header.stamp)) == (CAMERA, stamp_ns(3))
    assert list(array.joint_names) == list(JOINT_NAMES)
    assert list(array.keypoint_names) == list(KEYPOINT_NAMES)
    assert [each.id for each in rig.heard["/objects"][-1].objects] == ["sam3d_object_1"]
    (body,) = array.bodies
    assert (body.id, body.track_id, body.scale_source) == ("body_1", 1, Body.DEPTH)
    assert body.root.position.x > 0.1
    assert body.root.position.z == pytest.approx(1.15, abs=0.02)  # the chest is 15 cm before it
    assert body.depth_residual < 0.01
    assert body.inlier_fraction > 0.9
    assert body.depth_correction == pytest.approx(1.15 - 0.18 * 150 * 1.7 / 40, abs=0.02)
    sizes = (len(body.joint_positions), len(body.joint_rotations), len(body.keypoints_3d))
    assert sizes == (3 * 127, 4 * 127, 3 * 70)
    assert (len(body.keypoints_2d), len(body.contacts), len(body.vertices)) == (140, 70, 0)
    assert (len(body.shape), len(body.pose_parameters), len(body.box)) == (45, 204, 4)


def test_frames_of_a_person_hang_in_the_camera_and_its_joints_below_it(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near(), output_frame="odom")
    rig.start()
    rig.send(**{"tf_static": tf("odom", CAMERA, x_m=5.0)})
    send_person(rig, 2)
    rig.until(lambda: {"body_1", "sam3d_object_1"} <= set(frames_of(rig)), "frames")
    frames = frames_of(rig)
    body = frames["body_1"]
    assert body.header.frame_id == CAMERA  # REP-155, whatever the output frame is
    assert stamp_ns_from_msg(body.header.stamp) == stamp_ns(2)
    assert {f"{link}_1" for link in LINKS} <= set(frames)
    for link in LINKS:
        assert frames[f"{link}_1"].header.frame_id == "body_1"
    assert frames["l_wrist_1"].transform.translation.y == pytest.approx(0.25, abs=0.01)
    assert frames["head_1"].transform.translation.z == pytest.approx(0.68, abs=0.01)
    assert frames["sam3d_object_1"].header.frame_id == "odom"


def frames_of(rig: Rig) -> dict[str, Any]:
    return {
        transform.child_frame_id: transform
        for message in rig.heard.get("/tf", [])
        for transform in message.transforms
    }


def test_people_come_in_the_output_frame_where_that_is_asked_for(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(
        near(), output_frame="odom", body__parent="output_frame", body__joint_frames=False
    )
    rig.start()
    rig.send(**{"tf_static": tf("odom", CAMERA, x_m=5.0)})
    send_person(rig, 0)
    rig.until(lambda: "body_1" in frames_of(rig) and rig.heard["/bodies"], "a person")
    assert frames_of(rig)["body_1"].header.frame_id == "odom"
    assert "head_1" not in frames_of(rig)
    (body,) = rig.heard["/bodies"][0].bodies
    assert body.header.frame_id == "odom"
    assert body.root.position.x > 5.1
    assert np.array(body.keypoints_3d).reshape(70, 3)[:, 0].mean() > 5.0


def test_who_leaves_the_view_leaves_the_markers_and_comes_back_with_the_same_id(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near())
    rig.start()
    send_person(rig, 0)
    rig.until(lambda: shown(rig), "markers")
    kinds = {(marker.ns, marker.id, marker.type) for marker in shown(rig)}
    assert kinds == {
        ("sam3d/bodies", 1, Marker.TRIANGLE_LIST),
        ("sam3d/skeletons", 1, Marker.LINE_LIST),
        ("sam3d/body_text", 1, Marker.TEXT_VIEW_FACING),
    }
    mesh = next(marker for marker in shown(rig) if marker.type == Marker.TRIANGLE_LIST)
    assert mesh.header.frame_id == CAMERA
    assert stamp_ns_from_msg(mesh.header.stamp) == stamp_ns(0)
    assert mesh.lifetime.sec >= 1
    assert len(mesh.points) % 3 == 0
    assert len(mesh.points) == len(mesh.colors) > 100
    send_person(rig, 1, masks=empty_masks(1))
    rig.until(lambda: len(rig.heard["/bodies"]) == 2, "an empty array")
    assert not rig.heard["/bodies"][1].bodies
    rig.until(lambda: gone(rig), "deletions")
    assert gone(rig) == {("sam3d/bodies", 1), ("sam3d/skeletons", 1), ("sam3d/body_text", 1)}
    send_person(rig, 2)
    rig.until(lambda: len(rig.heard["/bodies"]) == 3, "somebody")
    assert [body.id for body in rig.heard["/bodies"][2].bodies] == ["body_1"]


def markers_of(rig: Rig) -> list[Any]:
    return [marker for message in rig.heard["/body_markers"] for marker in message.markers]


def shown(rig: Rig) -> list[Any]:
    added = [marker for marker in markers_of(rig) if marker.action == Marker.ADD]
    return added if any(marker.ns == "sam3d/bodies" for marker in added) else []


def gone(rig: Rig) -> set[tuple[str, int]]:
    return {(each.ns, each.id) for each in markers_of(rig) if each.action == Marker.DELETE}


def test_vertices_come_with_every_body_and_triangles_once_where_meshes_are_asked_for(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near(), body__mesh=True)
    rig.start()
    send_person(rig, 0)
    send_person(rig, 1)
    rig.until(lambda: len(rig.heard["/bodies"]) == 2 and rig.heard["/body_topology"], "meshes")
    (topology,) = rig.heard["/body_topology"]
    truth = person((0.0, 0.0, 1.0))
    assert len(topology.triangles) == truth.triangles.size
    for array in rig.heard["/bodies"]:
        assert len(array.bodies[0].vertices) == truth.vertices_camera.size
    assert max(topology.triangles) < truth.vertices_camera.size // 3


def test_without_weights_people_are_off_and_diagnostics_and_report_say_why(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(None)
    rig.start()
    report = send_person(rig, 0)
    assert report.code == ReportCode.OK  # of the object beside
    assert list(report.object_ids) == ["sam3d_object_1"]
    assert "mask 100: NO_WEIGHTS" in report.message
    assert "weights.body names no folder" in report.message
    status = rig.diagnostics("people", lambda each: "off" in each.message)
    assert "weights.body names no folder" in status.message
    rig.until(lambda: rig.heard["/bodies"], "an empty array")
    assert not rig.heard["/bodies"][0].bodies


def test_bodies_that_nobody_asked_for_are_off_and_a_person_is_an_object(rig: Rig) -> None:
    rig.start()
    rig.send_frame(masks=one_of_two())
    assert list(rig.report().object_ids) == ["sam3d_object_1", "sam3d_object_2"]
    status = rig.diagnostics("people", lambda _: True)
    assert {pair.key: pair.value for pair in status.values}["state"] == (
        "off: body.enabled is false"
    )
    status = rig.diagnostics("outputs", lambda _: True)
    assert "~/bodies" in {pair.key for pair in status.values}


def test_diagnostics_say_who_is_in_view_and_how_well_they_fit(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near())
    rig.start()
    send_person(rig, 0)
    status = rig.diagnostics("people", lambda each: len(each.values) > 3)
    values = {pair.key: pair.value for pair in status.values}
    assert values["backend"] == "stand-in"
    assert values["people in view"] == "1"
    assert values["placed by measured depth"] == "1 of 1"
    assert "mm" in values["depth residual, correction (median)"]


def test_a_person_that_fails_has_its_code_in_the_report_and_objects_go_on(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    bodies = near()
    bodies.failing = (PEOPLE,)
    rig = make_people_rig(bodies)
    rig.start()
    report = send_person(rig, 0)
    assert list(report.object_ids) == ["sam3d_object_1"]
    assert "mask 100: RECONSTRUCTION, mask 100 shows a ghost" in report.message


def test_a_looped_bag_gives_people_the_same_ids_at_its_stamps_again(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near())
    rig.start()
    send_person(rig, 300)
    send_person(rig, 0)
    rig.until(lambda: len(rig.heard["/bodies"]) == 2, "bodies after the jump")
    assert stamp_ns_from_msg(rig.heard["/bodies"][1].header.stamp) == stamp_ns(0)
    assert [body.id for body in rig.heard["/bodies"][1].bodies] == ["body_1"]


def test_clearing_takes_people_out_of_viewers_and_begins_with_new_ones(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near())
    rig.start()
    send_person(rig, 0)
    rig.until(lambda: shown(rig), "markers")
    num = sum(marker.action == Marker.DELETEALL for marker in markers_of(rig))
    rig.node.session.clear()
    rig.until(
        lambda: sum(each.action == Marker.DELETEALL for each in markers_of(rig)) == num + 1,
        "a clearing",
    )
    send_person(rig, 1)
    rig.until(lambda: len(rig.heard["/bodies"]) == 2, "somebody new")
    assert [body.id for body in rig.heard["/bodies"][1].bodies] == ["body_2"]


def test_diagnostics_say_before_the_first_mask_that_no_weights_are_named(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(None)
    rig.start()
    status = rig.diagnostics("people", lambda each: bool(each.message))
    assert "weights.body names no folder" in status.message


class Message(SimpleNamespace):
    """Stands in for every message of hri_msgs, which has no wheel."""


HRI: Any = SimpleNamespace(
    IdsList=Message,
    Skeleton2D=Message,
    NormalizedRegionOfInterest2D=Message,
    NormalizedPointOfInterest2D=Message,
)


class Topic:
    """A publisher that keeps what it is given."""

    def __init__(self, kind: Any, name: str, qos: Any) -> None:
        self.name, self.sent, self.is_there = name, list[Any](), True

    def publish(self, message: Any) -> None:
        self.sent.append(message)

    def take_down(self) -> None:
        self.is_there = False


def people_at(*places: tuple[int, tuple[float, float, float]]) -> PeopleSnapshot:
    people = tuple(
        ScenePerson(
            person_id=number,
            body=person(place),
            contacts=np.zeros(NUM_KEYPOINTS, dtype=bool),
            first_seen_ns=0,
            last_seen_ns=7,
        )
        for number, place in places
    )
    return PeopleSnapshot(stamp_ns=7, people=people, image_size=(640, 480))


def test_topics_of_rep_155_come_and_go_with_people() -> None:
    topics: list[Topic] = []

    def make(*arguments: Any) -> Topic:
        topics.append(Topic(*arguments))
        return topics[-1]

    humans = Humans(HRI, make, Topic.take_down)
    humans.send(people_at((3, (0.0, 0.0, 3.0)), (4, (5.0, 0.0, 3.0))), CAMERA)
    humans.send(people_at((4, (5.0, 0.0, 3.0))), CAMERA)
    by_name = {topic.name: topic for topic in topics}
    assert [list(each.ids) for each in by_name["/humans/bodies/tracked"].sent] == [
        ["3", "4"],
        ["4"],
    ]
    assert not by_name["/humans/bodies/3/roi"].is_there
    assert by_name["/humans/bodies/4/skeleton2d"].is_there
    (skeleton,) = by_name["/humans/bodies/3/skeleton2d"].sent
    assert len(skeleton.skeleton) == len(SKELETON) == 18
    nose = skeleton.skeleton[SKELETON.index("nose")]
    assert (nose.x, nose.c) == (pytest.approx(0.5, abs=0.01), 1.0)
    outside = by_name["/humans/bodies/4/skeleton2d"].sent[0].skeleton[0]
    assert (outside.x, outside.c) == (1.0, 0.0)
    (roi,) = by_name["/humans/bodies/3/roi"].sent
    assert 0.0 <= roi.xmin < 0.5 < roi.xmax <= 1.0
    humans.clear()
    assert [topic.name for topic in topics if topic.is_there] == ["/humans/bodies/tracked"]
    humans.close()
    assert not any(topic.is_there for topic in topics)
    humans.send(people_at((4, (5.0, 0.0, 3.0))), CAMERA)  # of a thread that does not know it
    assert not any(topic.is_there for topic in topics)


assert (WIDTH, HEIGHT) == (160, 120)
