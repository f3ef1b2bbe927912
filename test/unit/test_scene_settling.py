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

"""The step that makes the objects of one image stand beside each other: what it moves, what not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scenes import box, camera_from_world, placed, scene

from sam3d_ros.config import RefineConfig, SceneConfig, SettleConfig, TrackingConfig
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.protocols import Cancelled, ObjectOutcome, never
from sam3d_ros.scene.export import scene_json
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.scene.reconstructor import KnownObject
from sam3d_ros.scene.settling import settled
from sam3d_ros.structures import (
    Floats,
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Observation,
    Provenance,
    Quality,
    Refinement,
    SceneObject,
    SceneSnapshot,
    Settling,
    Similarity,
    SupportPlane,
)

ON = SettleConfig(enabled=True)
VIEW = camera_from_world(0.7, 0.7)
TABLE = SupportPlane(
    normal_camera=VIEW.rotation[:, 2],
    offset_m=-float(VIEW.rotation[:, 2] @ VIEW.translation_m),
    confidence=1.0,
)


@pytest.fixture(scope="module")
def observations() -> list[Observation]:
    """Return what a camera sees of two boxes that touch, at y < 0 and y > 0."""
    seen = scene([box_at(-0.03), box_at(0.03)], VIEW)
    return list(observe(seen.frame, SceneConfig()).observations)


def box_at(y: float, z: float = 0.0) -> Mesh:
    return placed(box(0.08, 0.06, 0.07), 0.0, (0.0, y, z))


def made(mesh_world: Mesh, covariance: Floats | None = None) -> ObjectReconstruction:
    middle = Similarity(np.eye(3), bounds(mesh_world).mean(axis=0))
    refinement = Refinement() if covariance is None else Refinement(covariance=covariance)
    return ObjectReconstruction(
        mesh_object=mesh_world.transformed(middle.inverse()),
        camera_from_object=VIEW @ middle,
        quality=Quality(observed_fraction=1.0, silhouette_iou=0.5),
        provenance=Provenance(backend="test"),
        refinement=refinement,
    )


def box_world(reconstruction: ObjectReconstruction) -> Floats:
    pose = VIEW.inverse() @ reconstruction.camera_from_object
    return bounds(reconstruction.mesh_object.transformed(pose))


def test_nothing_is_done_unless_it_is_asked_for(observations: list[Observation]) -> None:
    both = [made(box_at(-0.03)), made(box_at(0.025))]
    for before, after in zip(
        both, settled(both, observations, SettleConfig(), support=TABLE), strict=True
    ):
        assert after is before
    assert not SceneConfig().settle.enabled


def test_what_overlaps_is_parted_and_measured_anew(observations: list[Observation]) -> None:
    both = [made(box_at(-0.03)), made(box_at(0.026))]
    left, right = settled(both, observations, ON, support=TABLE)
    assert box_world(right)[0, 1] - box_world(left)[1, 1] == pytest.approx(0.0, abs=3e-4)
    for each in (left, right):
        assert each.settling is not None
        assert each.settling.overlap_before_m == pytest.approx(0.004, abs=1e-4)
        assert each.settling.overlap_m < 3e-4
        assert each.settling.shift_m > 0.001
        assert each.quality.silhouette_iou > 0.9
        assert each.quality.depth_residual_m < 0.001


def test_what_stands_as_it_can_keeps_its_pose_and_its_figures(
    observations: list[Observation],
) -> None:
    both = [made(box_at(-0.031)), made(box_at(0.031))]
    for before, after in zip(both, settled(both, observations, ON, support=TABLE), strict=True):
        assert after.camera_from_object is before.camera_from_object
        assert after.quality is before.quality
        assert after.settling is not None
        assert after.settling.shift_m == 0.0
        assert after.settling.balance_m == pytest.approx(0.03, abs=1e-3)


def test_the_more_certain_of_two_poses_moves_less(observations: list[Observation]) -> None:
    sure, unsure = (np.diag([sigma_m**2] * 3 + [1e-4] * 4) for sigma_m in (0.001, 0.003))
    both = [made(box_at(-0.03), sure), made(box_at(0.026), unsure)]
    left, right = settled(both, observations, ON, support=TABLE)
    assert left.settling is not None
    assert right.settling is not None
    assert right.settling.shift_m > 5 * left.settling.shift_m


def test_known_objects_stay_and_the_others_make_room(observations: list[Observation]) -> None:
    known = box_at(-0.03).transformed(VIEW)
    (right,) = settled([made(box_at(0.028))], observations[1:], ON, support=TABLE, fixed=[known])
    assert box_world(right)[0, 1] == pytest.approx(0.0, abs=3e-4)


class Made:
    """A backend that always makes the same objects of the masks, in their order."""

    name = "test"
    wants_warmup = False

    def __init__(self, objects: Sequence[ObjectReconstruction]) -> None:
        self._objects = objects

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        return list(self._objects)


def test_the_reconstructor_settles_all_objects_of_a_frame() -> None:
    frame = scene([box_at(-0.03), box_at(0.03)], VIEW).frame
    backend = Made([made(box_at(-0.03)), made(box_at(0.026))])
    alone = SceneConfig(refine=RefineConfig(enabled=False))
    unsettled = FrameReconstructor(alone, backend).reconstruct(frame)
    result = FrameReconstructor(replace(alone, settle=ON), backend).reconstruct(frame)
    assert [each.reconstruction.settling for each in unsettled.instances] == [None, None]
    for each in result.instances:
        assert each.reconstruction.settling is not None
        assert each.reconstruction.settling.overlap_before_m > 0.003
        assert each.reconstruction.settling.overlap_m < 3e-4
    assert result.stage_s["settle"] > 0
    assert "settle" not in unsettled.stage_s


def test_the_reconstructor_leaves_measured_objects_where_they_are() -> None:
    frame = scene([box_at(-0.03), box_at(0.03)], VIEW).frame
    known = made(box_at(-0.03))
    there = KnownObject(
        track_id=7,
        revision=1,
        class_id="object",
        mesh_object=known.mesh_object,
        camera_from_object=known.camera_from_object,
        sigma_m=0.002,
        sigma_rad=0.02,
    )
    config = SceneConfig(
        settle=ON,
        tracking=TrackingConfig(min_new_surface=1.0),
        refine=RefineConfig(enabled=False),
    )
    backend = Made([made(box_at(0.028))])
    result = FrameReconstructor(config, backend).reconstruct(frame, known=[there])
    (measured,), (instance,) = result.measured, result.instances
    assert measured.track_id == 7
    left = box_world(replace(known, camera_from_object=measured.camera_from_object))
    assert left[1, 1] == pytest.approx(0.0, abs=0.001)
    assert box_world(instance.reconstruction)[0, 1] == pytest.approx(left[1, 1], abs=4e-4)


def test_without_a_support_objects_are_parted_only(observations: list[Observation]) -> None:
    both = [made(box_at(-0.031)), made(box_at(0.031, z=0.006))]
    for before, after in zip(both, settled(both, observations, ON, support=None), strict=True):
        assert after.camera_from_object is before.camera_from_object
        assert after.settling is not None
        assert np.isnan(after.settling.height_m)


def test_scene_json_tells_how_objects_were_moved() -> None:
    report = Settling(shift_m=0.003, overlap_before_m=0.005)
    known = SceneObject(
        track_id=1,
        class_id="box",
        score=1.0,
        state=ObjectState.NEW,
        reconstruction=replace(made(box_at(0.0)), settling=report),
        size_m=np.ones(3),
        middle_m=np.zeros(3),
        revision=1,
        first_seen_ns=0,
        last_seen_ns=0,
    )
    (told,) = scene_json(SceneSnapshot(stamp_ns=0, frame_id="camera", objects=(known,)))["objects"]
    assert told["settling"]["shift_m"] == 0.003
    assert told["settling"]["overlap_before_m"] == 0.005
    assert told["settling"]["height_m"] is None
    assert told["choice"] == {"candidates": 1, "score": None, "margin": None}
