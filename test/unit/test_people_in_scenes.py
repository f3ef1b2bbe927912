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

"""People and objects in one frame, through the pipeline, with a stand-in for the body model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from bodies import VGA, StandInBodies, frame_of, person
from provided import array, vision_detection

from sam3d_ros.config import BodyConfig, SceneConfig
from sam3d_ros.errors import CancelledError, ReportCode
from sam3d_ros.geometry.cameras import rectification_of
from sam3d_ros.protocols import OneByOne
from sam3d_ros.ros.instances import Provided, instances_from
from sam3d_ros.scene.boxes import with_objects_in_boxes
from sam3d_ros.scene.following import Follower
from sam3d_ros.scene.people.backends import wired_people
from sam3d_ros.scene.people.frames import body_from_links, camera_from_body
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.people.who import is_person
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.scene.verdict import verdict_of
from sam3d_ros.structures import (
    BodyReconstruction,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    Observation,
    PeopleSnapshot,
    Provenance,
    Quality,
    ScaleSource,
    SceneSnapshot,
    Similarity,
)

TWO = (person((-0.6, 0.1, 3.0)), person((0.7, 0.1, 4.0)))
CHAIR = np.zeros((480, 640), dtype=bool)
CHAIR[400:440, 300:340] = True


class Boxes:
    """An object backend that notes what it was asked about."""

    name = "boxes"

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.asked: list[Observation] = []

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        self.asked.append(observation)
        middle = np.median(observation.object_points_camera, axis=0).astype(np.float64)
        return ObjectReconstruction(
            mesh_object=self.mesh,
            camera_from_object=Similarity(np.eye(3), middle),
            quality=Quality(),
            provenance=Provenance(backend="boxes"),
        )


class Scene:
    """A pipeline with stand-ins, and what it was asked."""

    def __init__(self, mesh: Mesh, bodies: StandInBodies | None, **body: object) -> None:
        config = SceneConfig(body=BodyConfig(enabled=True, **body))  # type: ignore[arg-type]
        self.objects, self.bodies = Boxes(mesh), bodies
        people = PeopleReconstructor(config, bodies, "" if bodies else "there are no weights")
        reconstructor = FrameReconstructor(config, OneByOne(self.objects), people=people)
        follower: Follower | None = None
        self.pipeline = ScenePipeline(config, reconstructor, follower)


@pytest.fixture
def mesh(make_box) -> Mesh:  # type: ignore[no-untyped-def]
    return make_box(0.1, 0.1, 0.1)


def with_chair(frame: Frame) -> Frame:
    chair = InstanceMask(instance_id=9, mask=CHAIR, class_id="chair")
    return replace(frame, masks=(*frame.masks, chair))


def people_of(snapshot: SceneSnapshot) -> PeopleSnapshot:
    assert snapshot.people is not None
    return snapshot.people


def test_people_are_bodies_and_never_objects(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies())

    snapshot = scene.pipeline.process(with_chair(frame_of(TWO)))

    assert [each.instance.instance_id for each in scene.objects.asked] == [9]
    assert [known.class_id for known in snapshot.objects] == ["chair"]
    assert [each.body.instance_id for each in people_of(snapshot).people] == [1, 2]
    assert not snapshot.failures
    verdict = verdict_of(snapshot, {1: "sam3d_chair_1"})
    assert verdict.object_ids == ("sam3d_chair_1", "body_1", "body_2")
    assert "2 people: body_1, body_2" in verdict.message


def test_pixels_of_people_are_no_part_of_objects(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies())
    frame = with_chair(frame_of(TWO))

    scene.pipeline.process(frame)

    (chair,) = scene.objects.asked
    assert chair.others[frame.masks[0].mask].all()


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_bodies_stand_where_depth_was_measured_however_far_the_model_has_them(
    mesh: Mesh, factor: float
) -> None:
    scene = Scene(mesh, StandInBodies(factor=factor))

    people = people_of(scene.pipeline.process(frame_of(TWO))).people

    for each, truth in zip(people, TWO, strict=True):
        assert each.body.origin_camera[2] == pytest.approx(truth.origin_camera[2], abs=0.05)
        assert each.body.scale_source is ScaleSource.DEPTH
        assert each.fit.residual_m < 0.05
    corrected = [
        each.fit.correction_m / truth.origin_camera[2]
        for each, truth in zip(people, TWO, strict=True)
    ]
    assert corrected == pytest.approx([1 - factor] * 2, abs=0.08)


def test_without_depth_people_are_there_and_their_distance_is_called_a_guess(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies())

    snapshot = scene.pipeline.process(replace(frame_of(TWO), depth=None))

    people = people_of(snapshot).people
    assert len(people) == 2
    assert not snapshot.failures
    assert all(each.body.scale_source is ScaleSource.MONOCULAR for each in people)
    assert not any(each.fit.is_measured or each.contacts.any() for each in people)


def boxes_of(people: Sequence[BodyReconstruction], size: tuple[int, int]) -> list[InstanceMask]:
    """Return what a detector without segmentation says of people: boxes alone."""
    detections = []
    for each in people:
        x1, y1, x2, y2 = each.box_px
        box = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        detections.append(vision_detection(box, "person"))
    return list(instances_from(Provided(masks=array(*detections)), size, "detections"))


def test_who_is_known_by_a_box_alone_is_asked_about_by_the_box_and_no_mask(mesh: Mesh) -> None:
    bodies, frame = StandInBodies(), replace(frame_of(TWO), depth=None)
    outlined = replace(frame.masks[1], instance_id=7)
    boxed = boxes_of(TWO[:1], (640, 480))[0]

    snapshot = Scene(mesh, bodies).pipeline.process(replace(frame, masks=(boxed, outlined)))

    assert not snapshot.failures
    (by_box, by_mask) = bodies.asked[0].people
    assert by_box.mask is None
    np.testing.assert_allclose(by_box.box_px, TWO[0].box_px, atol=1e-3)
    assert by_mask.box_px is None
    np.testing.assert_array_equal(by_mask.mask, outlined.mask)


def test_with_depth_a_box_is_asked_about_with_what_stands_in_it(mesh: Mesh) -> None:
    bodies, config, frame = StandInBodies(), SceneConfig(), frame_of(TWO)
    boxed = replace(frame, masks=tuple(boxes_of(TWO, (640, 480))))

    snapshot = Scene(mesh, bodies).pipeline.process(with_objects_in_boxes(boxed, config))

    assert not snapshot.failures
    for prompt, truth, mask in zip(bodies.asked[0].people, TWO, frame.masks, strict=True):
        np.testing.assert_allclose(prompt.box_px, truth.box_px, atol=1e-3)
        assert prompt.mask is not None
        assert (prompt.mask & mask.mask).sum() > 0.9 * (prompt.mask | mask.mask).sum()
    assert all(each.fit.is_measured for each in people_of(snapshot).people)


def test_a_box_lies_around_the_same_part_of_a_rectified_image(mesh: Mesh) -> None:
    bodies, frame = StandInBodies(), replace(frame_of(TWO), depth=None)
    bent = replace(VGA, distortion_model="plumb_bob", distortion=(-0.25, 0.05, 0.0, 0.0, 0.0))
    boxed = replace(frame, camera=bent, masks=tuple(boxes_of(TWO, (640, 480))))

    Scene(mesh, bodies).pipeline.process(boxed)

    for prompt, mask in zip(bodies.asked[0].people, boxed.masks, strict=True):
        assert prompt.mask is None
        rows, columns = np.nonzero(rectification_of(bent).image(mask.mask, "nearest"))
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(prompt.box_px, expected, atol=1.0)
        assert np.abs(prompt.box_px - mask.box_px).max() > 2


def test_all_people_are_asked_about_at_once(mesh: Mesh) -> None:
    bodies = StandInBodies()
    Scene(mesh, bodies).pipeline.process(frame_of(TWO))
    (view,) = bodies.asked
    assert [each.instance_id for each in view.people] == [1, 2]
    assert view.rgb.dtype == np.uint8


def test_one_that_fails_stops_neither_people_nor_objects(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies(failing=(1,)))

    snapshot = scene.pipeline.process(with_chair(frame_of(TWO)))

    assert [each.body.instance_id for each in people_of(snapshot).people] == [2]
    assert len(snapshot.objects) == 1
    (failure,) = snapshot.failures
    assert (failure.instance_id, failure.code) == (1, ReportCode.RECONSTRUCTION)


def test_beyond_max_people_the_largest_are_asked_about_and_the_rest_counted(mesh: Mesh) -> None:
    bodies = StandInBodies()
    snapshot = Scene(mesh, bodies, max_people=1).pipeline.process(frame_of(TWO))
    assert [each.body.instance_id for each in people_of(snapshot).people] == [1]
    assert people_of(snapshot).num_left_out == 1
    assert "1 people beyond body.max_people" in verdict_of(snapshot, {}).message


def test_fifty_people_are_bounded(mesh: Mesh) -> None:
    frame = frame_of(TWO)
    crowd = tuple(
        InstanceMask(
            instance_id=number + 1, mask=np.roll(frame.masks[0].mask, number), class_id="Person"
        )
        for number in range(50)
    )
    snapshot = Scene(mesh, StandInBodies()).pipeline.process(replace(frame, masks=crowd))
    assert len(people_of(snapshot).people) == 8
    assert people_of(snapshot).num_left_out == 42


def test_a_mask_of_two_pixels_is_refused_by_its_code_and_others_finish(mesh: Mesh) -> None:
    frame = frame_of(TWO)
    dot = np.zeros((480, 640), dtype=bool)
    dot[5, 5:7] = True
    masks = (replace(frame.masks[0], mask=dot), frame.masks[1])
    snapshot = Scene(mesh, StandInBodies()).pipeline.process(replace(frame, masks=masks))
    (failure,) = snapshot.failures
    assert (failure.instance_id, failure.code) == (1, ReportCode.MASK_EMPTY)
    assert "must have at least 400 pixels, has 2" in failure.message
    assert [each.body.instance_id for each in people_of(snapshot).people] == [2]


def test_nobody_in_the_image_is_an_empty_answer_and_asks_nobody(mesh: Mesh) -> None:
    bodies = StandInBodies()
    frame = frame_of(TWO)
    snapshot = Scene(mesh, bodies).pipeline.process(
        replace(frame, masks=(InstanceMask(instance_id=9, mask=CHAIR),))
    )
    assert people_of(snapshot).people == ()
    assert not bodies.asked


def test_without_a_model_people_are_refused_with_the_reason_and_objects_go_on(mesh: Mesh) -> None:
    scene = Scene(mesh, None)

    snapshot = scene.pipeline.process(with_chair(frame_of(TWO)))

    assert len(snapshot.objects) == 1
    assert {failure.code for failure in snapshot.failures} == {ReportCode.NO_WEIGHTS}
    assert snapshot.body_backend is not None
    assert (snapshot.body_backend.name, snapshot.body_backend.why) == ("", "there are no weights")


def test_where_no_folder_is_named_the_reason_says_what_to_set() -> None:
    people = wired_people(SceneConfig(body=BodyConfig(enabled=True)))
    assert people.in_use.name == ""
    assert "weights.body names no folder" in people.in_use.why


def test_where_bodies_are_off_a_snapshot_says_nothing_about_people(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies())
    off = SceneConfig()
    reconstructor = FrameReconstructor(off, OneByOne(scene.objects))
    snapshot = ScenePipeline(off, reconstructor).process(frame_of(TWO))
    assert snapshot.people is None
    assert len(snapshot.objects) == 2


def test_people_are_shown_before_the_objects_are_finished(mesh: Mesh) -> None:
    scene, shown = Scene(mesh, StandInBodies()), []

    def show(snapshot: SceneSnapshot) -> None:
        shown.append((snapshot.people, len(scene.objects.asked)))

    last = scene.pipeline.process(with_chair(frame_of(TWO)), show=show)

    people, num_asked = shown[0]
    assert people is last.people
    assert num_asked == 0


def test_forgetting_all_forgets_people(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies())
    scene.pipeline.process(frame_of(TWO))
    scene.pipeline.reset()
    again = people_of(scene.pipeline.process(frame_of(TWO, stamp_ns=1)))
    assert [each.person_id for each in again.people] == [3, 4]


def test_work_that_is_called_off_ends_before_the_people(mesh: Mesh) -> None:
    with pytest.raises(CancelledError):
        Scene(mesh, StandInBodies()).pipeline.process(frame_of(TWO), lambda: True)


@pytest.mark.parametrize(
    ("class_id", "number", "settings", "expected"),
    [
        ("person", 1, {}, True),
        (" Person", 1, {}, True),
        ("person_0", 1, {}, True),
        ("personnel", 1, {}, False),
        ("object", 1, {}, False),
        ("object", 100, {"first_label": 100}, True),
        ("object", 99, {"first_label": 100}, False),
        ("worker", 1, {"classes": "person, worker"}, True),
        ("", 1, {"classes": ""}, False),
        ("person", 1, {"enabled": False}, False),
    ],
)
def test_who_is_a_person_is_said_by_class_or_number(
    class_id: str, number: int, settings: dict[str, object], expected: bool
) -> None:
    mask = InstanceMask(instance_id=number, mask=CHAIR, class_id=class_id)
    config = BodyConfig(**{"enabled": True, **settings})  # type: ignore[arg-type]
    assert is_person(mask, config) is expected


def test_the_frame_of_a_person_is_that_of_rep_155() -> None:
    frame = camera_from_body(TWO[0])
    np.testing.assert_allclose(frame.translation_m, TWO[0].origin_camera)
    np.testing.assert_allclose(frame.rotation[:, 0], [0, 0, -1], atol=1e-9)  # chest to the camera
    np.testing.assert_allclose(frame.rotation[:, 1], [1, 0, 0], atol=1e-9)  # its left is our right
    np.testing.assert_allclose(frame.rotation[:, 2], [0, -1, 0], atol=1e-9)
    links = dict(body_from_links(TWO[0]))
    assert links["l_hip"].translation_m[1] == pytest.approx(0.1)
    assert links["r_hip"].translation_m[1] == pytest.approx(-0.1)
    assert links["head"].translation_m[2] == pytest.approx(0.68)
    np.testing.assert_allclose(links["l_knee"].rotation, np.eye(3), atol=1e-9)


def test_an_image_without_masks_shows_nobody_any_more(mesh: Mesh) -> None:
    scene = Scene(mesh, StandInBodies())
    scene.pipeline.process(frame_of(TWO))
    left = people_of(scene.pipeline.process(frame_of((), stamp_ns=1)))
    assert (left.people, left.gone) == ((), (1, 2))
