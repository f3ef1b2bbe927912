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


"""Objects that are known keep mesh and identity; only what is new is reconstructed."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import KnowingBackend, World, at, ball, brick, ns

from sam3d_ros.config import RefineConfig, SceneConfig, TrackingConfig
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import (
    InstanceMask,
    ObjectState,
    RefinementStatus,
    SceneObject,
    SceneSnapshot,
    Similarity,
)


def two_things() -> World:
    return World(
        meshes={"brick": brick(0.10, 0.06, 0.08), "ball": ball(0.04)},
        places={"brick": at(0.0, 0.0, 0.04, 0.4), "ball": at(0.14, 0.05, 0.04)},
    )


def pipeline_of(backend: KnowingBackend, **tracking: float) -> ScenePipeline:
    config = SceneConfig(
        tracking=TrackingConfig(**tracking),  # type: ignore[arg-type]
        refine=RefineConfig(enabled=False),  # what a backend spoils stays so
    )
    return local_pipeline(config, backend)


def apart_m(first: Similarity, second: Similarity) -> float:
    return float(np.linalg.norm(first.translation_m - second.translation_m))


def pose_of(snapshot: SceneSnapshot, track_id: int) -> Similarity:
    return named(snapshot, track_id).reconstruction.camera_from_object


def named(snapshot: SceneSnapshot, track_id: int) -> SceneObject:
    (known,) = (each for each in snapshot.objects if each.track_id == track_id)
    return known


def test_what_looks_as_before_is_measured_and_not_reconstructed() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0))
    backend.asked.clear()
    snapshot = pipeline.process(world.frame(2.0, ["ball", "brick"]))
    assert backend.asked == []
    assert set(snapshot.updated) == {1, 2}
    for track_id, name in ((1, "brick"), (2, "ball")):
        known = named(snapshot, track_id)
        assert (known.revision, known.state) == (1, ObjectState.TRACKED)
        assert known.last_seen_ns == ns(2.0)
        assert known.reconstruction.refinement.status is RefinementStatus.ACCEPTED
        assert known.reconstruction.quality.silhouette_iou > 0.85
        assert apart_m(pose_of(snapshot, track_id), world.camera_from(name)) < 0.004


def test_what_was_moved_between_masks_keeps_its_mesh_and_frame() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0))
    backend.asked.clear()
    world.places["brick"] = at(-0.05, 0.03, 0.04, 0.6)
    snapshot = pipeline.process(world.frame(2.0))
    assert backend.asked == []
    assert apart_m(pose_of(snapshot, 1), world.camera_from("brick")) < 0.005
    assert turn_rad(pose_of(snapshot, 1), world.camera_from("brick")) < 0.05


def test_a_view_of_another_side_improves_the_mesh_with_the_earlier_view() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0, ["brick"]))
    backend.asked.clear()
    world.azimuth_rad += np.pi
    snapshot = pipeline.process(world.frame(2.0, ["brick"]))
    (asked,) = backend.asked
    (earlier,) = asked.earlier
    assert not earlier.moved
    truth = world.view @ replace(world, azimuth_rad=world.azimuth_rad - np.pi).view.inverse()
    assert apart_m(earlier.camera_from_earlier, truth) < 0.01
    assert turn_rad(earlier.camera_from_earlier, truth) < 0.03
    assert earlier.observation.earlier == ()
    assert named(snapshot, 1).revision == 2
    assert apart_m(pose_of(snapshot, 1), world.camera_from("brick")) < 0.001
    backend.asked.clear()
    pipeline.process(world.frame(3.0, ["brick"]))
    assert backend.asked == []  # both sides are known now


def test_an_object_that_was_moved_says_so_of_its_earlier_views() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0, ["brick"]))
    world.places["brick"] = at(0.05, 0.0, 0.04, 0.4)
    pipeline.process(world.frame(2.0, ["brick"]))
    backend.asked.clear()
    world.azimuth_rad += 2.5
    pipeline.process(world.frame(3.0, ["brick"]))
    assert [each.moved for each in backend.asked[0].earlier] == [True]


def test_an_improved_mesh_that_fits_the_views_less_is_refused_and_said() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0, ["brick"]))
    backend.spoil = 1.3
    world.azimuth_rad += np.pi
    backend.asked.clear()
    for seconds in (2.0, 3.0):
        snapshot = pipeline.process(world.frame(seconds, ["brick"]))
        known = named(snapshot, 1)
        assert known.revision == 1
        assert "not improved" in known.reconstruction.provenance.notes[-1]
        assert apart_m(pose_of(snapshot, 1), world.camera_from("brick")) < 0.004
    assert len(backend.asked) == 1  # not tried again for the same view


def test_a_backend_that_fails_to_improve_leaves_the_object_as_it_is() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0, ["brick"]))
    backend.refuses = True
    world.azimuth_rad += np.pi
    snapshot = pipeline.process(world.frame(2.0, ["brick"]))
    assert snapshot.updated == (1,)
    assert snapshot.failures == ()
    assert "told to refuse" in named(snapshot, 1).reconstruction.provenance.notes[-1]


def test_no_more_views_are_remembered_than_wanted_and_those_differ() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend, max_views=3, min_new_surface=0.02)
    for index in range(8):
        pipeline.process(world.frame(float(index), ["brick"]))
        world.azimuth_rad += 0.7
    assert max(len(each.earlier) for each in backend.asked) <= 3
    largest = max(each.observation.mask.size for view in backend.asked for each in view.earlier)
    assert largest < 640 * 480 / 4  # cropped


def test_with_tracking_off_every_mask_is_reconstructed_from_its_own_view() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend, enabled=False)
    for seconds in (1.0, 2.0, 3.0):
        world.azimuth_rad += 1.0
        pipeline.process(world.frame(seconds))
    assert len(backend.asked) == 6
    assert all(each.earlier == () for each in backend.asked)


def with_mask(world: World, seconds: float, mask: np.ndarray):  # type: ignore[no-untyped-def]
    return replace(world.frame(seconds, []), masks=(InstanceMask(instance_id=1, mask=mask),))


def test_a_mask_of_two_things_moves_neither_that_is_known() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    before = pipeline.process(world.frame(1.0, ["brick"]))
    brick_mask, ball_mask = (mask.mask for mask in world.frame(2.0).masks)
    part = brick_mask.copy()
    part[:, int(np.quantile(np.nonzero(brick_mask)[1], 0.35)) :] = False
    snapshot = pipeline.process(with_mask(world, 2.0, part | ball_mask))
    assert apart_m(pose_of(snapshot, 1), pose_of(before, 1)) < 1e-6
    assert named(snapshot, 1).revision == 1


def test_a_mask_that_spills_over_is_rejected_and_moves_nothing() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    before = pipeline.process(world.frame(1.0, ["brick"]))
    backend.asked.clear()
    wrong = world.frame(2.0).masks[0].mask.copy()
    rows, columns = np.nonzero(wrong)
    wrong[: int(np.quantile(rows, 0.4)), :] = False
    wrong[int(rows.max()) : int(rows.max()) + 70, columns.min() : columns.max()] = True
    snapshot = pipeline.process(with_mask(world, 2.0, wrong))
    known = named(snapshot, 1)
    assert known.reconstruction.refinement.status is RefinementStatus.REJECTED
    assert apart_m(pose_of(snapshot, 1), pose_of(before, 1)) < 1e-6
    assert backend.asked == []


def test_a_new_thing_beside_a_known_one_of_its_class_becomes_a_new_object() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    before = pipeline.process(world.frame(1.0, ["brick"]))
    snapshot = pipeline.process(world.frame(2.0, ["ball"]))  # 15 cm beside, within match_distance
    assert snapshot.updated == (2,)
    assert apart_m(pose_of(snapshot, 1), pose_of(before, 1)) < 1e-9
    assert named(snapshot, 1).revision == 1


def test_two_alike_that_pass_each_other_keep_their_ids() -> None:
    world = World(
        meshes={"near": brick(0.06, 0.06, 0.08), "far": brick(0.06, 0.06, 0.08)},
        places={},
        azimuth_rad=0.0,
    )
    pipeline = pipeline_of(KnowingBackend(world))
    swapped = False
    for index in range(13):
        y = 0.18 - 0.03 * index
        world.places = {"near": at(0.06, y, 0.04), "far": at(-0.06, -y, 0.04)}
        order = ["far", "near"] if swapped else ["near", "far"]
        snapshot = pipeline.process(world.frame(0.2 * index, order if index else None))
        swapped = not swapped
        for track_id, name in ((1, "near"), (2, "far")):
            assert apart_m(pose_of(snapshot, track_id), world.camera_from(name)) < 0.02, index
    assert [known.track_id for known in snapshot.objects] == [1, 2]


def lost_brick(world: World, pipeline: ScenePipeline) -> None:
    """Let the brick be seen, and then long be away."""
    pipeline.process(world.frame(1.0, ["brick"]))
    del world.places["brick"]
    assert pipeline.advance(ns(8.0)).objects[0].state is ObjectState.LOST


@pytest.mark.parametrize(
    ("mesh", "track_id"),
    [
        (brick(0.10, 0.06, 0.08, (200, 30, 30)), 1),
        (brick(0.11, 0.06, 0.08, (190, 45, 40)), 1),
        (brick(0.15, 0.06, 0.08, (200, 30, 30)), 2),
        (brick(0.10, 0.06, 0.08, (30, 60, 200)), 2),
    ],
    ids=["itself", "almost itself", "a larger one", "another colour"],
)
def test_a_lost_object_that_comes_back_elsewhere_is_known_by_its_looks(mesh, track_id) -> None:  # type: ignore[no-untyped-def]
    world = two_things()
    world.meshes["brick"] = brick(0.10, 0.06, 0.08, (200, 30, 30))
    pipeline = pipeline_of(KnowingBackend(world))
    lost_brick(world, pipeline)
    world.meshes["brick"] = mesh
    world.places["brick"] = at(-0.30, -0.2, 0.04, 1.3)
    snapshot = pipeline.process(world.frame(9.0, ["brick"]))
    assert snapshot.updated == (track_id,)
    assert named(snapshot, track_id).state is not ObjectState.LOST
    assert apart_m(pose_of(snapshot, track_id), world.camera_from("brick")) < 0.01


def test_a_locked_mesh_stays_whatever_a_view_adds() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0, ["brick"]))
    assert pipeline.lock(1, True)
    backend.asked.clear()
    world.azimuth_rad += np.pi
    snapshot = pipeline.process(world.frame(2.0, ["brick"]))
    assert backend.asked == []
    assert named(snapshot, 1).state is ObjectState.LOCKED
    assert apart_m(pose_of(snapshot, 1), world.camera_from("brick")) < 0.004
    pipeline.lock(1, False)
    pipeline.process(world.frame(3.0, ["brick"]))
    assert len(backend.asked) == 1


def test_a_mask_of_something_else_where_a_locked_object_was_is_a_failure() -> None:
    world = two_things()
    backend = KnowingBackend(world)
    pipeline = pipeline_of(backend)
    pipeline.process(world.frame(1.0, ["brick"]))
    pipeline.lock(1, True)
    world.places = {"ball": at(0.0, 0.0, 0.04)}
    snapshot = pipeline.process(world.frame(2.0, ["ball"]))
    assert snapshot.updated == ()
    assert "locked object 1" in snapshot.failures[0].message
    assert named(snapshot, 1).last_seen_ns == ns(1.0)


def test_locking_what_is_not_known_says_so() -> None:
    pipeline = pipeline_of(KnowingBackend(two_things()))
    assert not pipeline.lock(3, True)
