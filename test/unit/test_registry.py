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

"""Objects keep their id for as long as place or mask say that they are the same."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sam3d_ros.config import RegistryConfig
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.reconstructor import MeasuredInstance
from sam3d_ros.scene.registry import Registry
from sam3d_ros.scene.tracks import Detection
from sam3d_ros.structures import (
    NS_PER_S,
    Camera,
    Floats,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    Refinement,
    RefinementStatus,
    ScaleSource,
    Similarity,
)

World = Callable[..., Frame]
Seen = Callable[..., Detection]


@pytest.fixture
def frame_at(vga: Camera) -> World:
    rgb = np.zeros((vga.height, vga.width, 3), dtype=np.uint8)

    def make(time_s: float, fixed_from_camera: Similarity | None = None) -> Frame:
        return Frame(
            rgb=rgb,
            camera=vga,
            stamp_ns=int(time_s * NS_PER_S),
            fixed_from_camera=fixed_from_camera,
        )

    return make


@pytest.fixture
def seen(vga: Camera, make_box: Callable[..., Mesh]) -> Seen:
    """Return a maker of detections: a 10 cm box at x, its mask around column u."""

    def make(x_m: float, u_px: int, instance_id: int = 1, yaw_rad: float = 0.0) -> Detection:
        mask = np.zeros((vga.height, vga.width), dtype=bool)
        mask[200:280, max(u_px - 40, 0) : u_px + 40] = True
        rotation = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), yaw_rad)
        return Detection(
            instance=InstanceMask(instance_id=instance_id, mask=mask, class_id="box"),
            reconstruction=ObjectReconstruction(
                mesh_object=make_box(0.1, 0.1, 0.1),
                camera_from_object=Similarity(rotation, np.array([x_m, 0.0, 1.0])),
                quality=Quality(),
                provenance=Provenance(backend="test"),
            ),
        )

    return make


def ids(registry: Registry) -> list[int]:
    return [known.track_id for known in registry.objects]


def states(registry: Registry) -> list[ObjectState]:
    return [known.state for known in registry.objects]


def test_an_object_that_stays_keeps_its_id_whatever_the_mask_is_numbered(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300, 1), seen(0.3, 480, 2)])
    change = registry.update(frame_at(1), [seen(0.3, 480, 1), seen(0.0, 300, 2)])
    assert change.updated == (2, 1)
    assert states(registry) == [ObjectState.TRACKED, ObjectState.TRACKED]


def test_two_neighbours_closer_than_the_match_distance_do_not_swap(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig(match_distance=0.15))
    registry.update(frame_at(0), [seen(0.0, 300, 1), seen(0.08, 348, 2)])
    change = registry.update(frame_at(1), [seen(0.09, 354, 1), seen(0.01, 306, 2)])
    assert change.updated == (2, 1)


def test_a_moving_camera_keeps_ids_through_the_fixed_frame(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0, Similarity.identity()), [seen(0.0, 300), seen(0.3, 480, 2)])
    moved = Similarity(np.eye(3), np.array([0.3, 0.0, 0.0]))
    # The second object now appears where the first one was, in pixels and in the camera frame.
    change = registry.update(frame_at(1, moved), [seen(0.0, 300)])
    assert change.updated == (2,)


def test_an_object_far_from_all_others_gets_a_new_id(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    change = registry.update(frame_at(1), [seen(0.5, 560)])
    assert change.updated == (2,)
    assert ids(registry) == [1, 2]


def test_an_unseen_object_is_lost_then_removed_and_its_id_is_not_used_again(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig(lost_after=2.0, remove_after=30.0))
    registry.update(frame_at(0), [seen(0.0, 300)])
    registry.update(frame_at(3), [])
    assert states(registry) == [ObjectState.LOST]
    change = registry.update(frame_at(31), [])
    assert change.removed == (1,)
    assert registry.objects == ()
    assert registry.update(frame_at(32), [seen(0.0, 300)]).updated == (2,)


def test_a_lost_object_seen_again_at_its_place_is_the_same(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    registry.update(frame_at(5), [])
    registry.update(frame_at(6), [seen(0.02, 312)])
    assert ids(registry) == [1]
    assert states(registry) == [ObjectState.TRACKED]


def test_no_more_than_max_objects_are_kept_and_the_longest_unseen_goes(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig(max_objects=2))
    registry.update(frame_at(0), [seen(-0.5, 60)])
    registry.update(frame_at(1), [seen(0.0, 300)])
    change = registry.update(frame_at(2), [seen(0.5, 560)])
    assert change.removed == (1,)
    assert ids(registry) == [2, 3]


def test_the_revision_rises_with_the_geometry_only(
    frame_at: World, seen: Seen, make_box: Callable[..., Mesh]
) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    registry.update(frame_at(1), [seen(0.01, 306)])
    assert registry.objects[0].revision == 1
    other = seen(0.01, 306)
    other = replace(
        other, reconstruction=replace(other.reconstruction, mesh_object=make_box(0.1, 0.1, 0.12))
    )
    registry.update(frame_at(2), [other])
    assert registry.objects[0].revision == 2


def angle_deg(first: Floats, second: Floats) -> float:
    cosine = (np.trace(first.T @ second) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_object_frame_does_not_jump_by_quarter_turns(
    frame_at: World, seen: Seen, quarters: int
) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300, yaw_rad=0.1)])
    before = registry.objects[0].reconstruction.camera_from_object.rotation
    registry.update(frame_at(1), [seen(0.0, 300, yaw_rad=0.12 + quarters * np.pi / 2)])
    after = registry.objects[0].reconstruction.camera_from_object.rotation
    assert angle_deg(before, after) == pytest.approx(np.degrees(0.02), abs=1e-6)


def test_an_object_that_expired_meanwhile_is_a_new_one(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig(remove_after=30.0))
    registry.update(frame_at(0), [seen(0.0, 300)])
    change = registry.update(frame_at(60), [seen(0.0, 300)])
    assert (change.updated, change.removed) == ((2,), (1,))


def test_more_objects_than_allowed_in_one_frame_keep_the_first_ids(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig(max_objects=2))
    for time_s in (0, 1):
        registry.update(frame_at(time_s), [seen(-0.5, 60), seen(0.0, 300), seen(0.5, 560)])
        assert ids(registry) == [1, 2]


def test_when_time_goes_back_objects_age_from_there(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig(lost_after=2.0))
    registry.update(frame_at(100), [seen(0.0, 300)])
    registry.update(frame_at(10), [seen(0.5, 560)])
    registry.update(frame_at(13), [seen(0.5, 560)])
    assert states(registry) == [ObjectState.LOST, ObjectState.TRACKED]


def test_clearing_forgets_all_objects_and_goes_on_counting(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    assert registry.clear() == (1,)
    assert registry.update(frame_at(1), [seen(0.0, 300)]).updated == (2,)


def test_starting_over_gives_the_same_ids_again(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(10), [seen(-0.5, 60), seen(0.5, 560)])
    assert registry.start_over() == (1, 2)
    assert registry.update(frame_at(0), [seen(0.0, 300)]).updated == (1,)


def measured_at(x_m: float, track_id: int, instance_id: int) -> MeasuredInstance:
    return MeasuredInstance(
        instance_id=instance_id,
        track_id=track_id,
        revision=1,
        camera_from_object=Similarity(np.eye(3), np.array([x_m, 0.0, 1.0])),
        refinement=Refinement(status=RefinementStatus.ACCEPTED),
        quality=Quality(silhouette_iou=0.9),
    )


def test_a_measured_pose_keeps_mesh_and_revision(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    mesh = registry.objects[0].reconstruction.mesh_object
    frame = replace(frame_at(1), masks=(seen(0.05, 330, 7).instance,))
    change = registry.update(frame, [], [measured_at(0.05, 1, 7)])
    (known,) = registry.objects
    assert change.updated == (1,)
    assert (known.revision, known.state, known.last_seen_ns) == (1, ObjectState.TRACKED, NS_PER_S)
    assert known.reconstruction.mesh_object is mesh
    assert known.reconstruction.quality.silhouette_iou == 0.9
    assert known.reconstruction.camera_from_object.translation_m[0] == pytest.approx(0.05)


def test_a_rejected_pose_is_said_and_not_taken(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    frame = replace(frame_at(1), masks=(seen(0.0, 300, 7).instance,))
    rejected = replace(
        measured_at(0.05, 1, 7), refinement=Refinement(status=RefinementStatus.REJECTED)
    )
    registry.update(frame, [], [rejected])
    reconstruction = registry.objects[0].reconstruction
    assert reconstruction.refinement.status is RefinementStatus.REJECTED
    assert reconstruction.camera_from_object.translation_m[0] == 0.0


def test_what_stands_elsewhere_is_not_taken_for_what_is_new_beside_it(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig(match_distance=0.15))
    registry.update(frame_at(0), [seen(0.0, 300)])
    change = registry.update(frame_at(1), [seen(0.12, 372)], standing=[1])
    assert change.updated == (2,)


def test_two_tracks_in_one_place_become_the_older_and_the_younger_is_removed(
    frame_at: World, seen: Seen
) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    registry.update(frame_at(1), [seen(0.4, 540)])
    frame = replace(frame_at(2), masks=(seen(0.02, 312, 1).instance,))
    change = registry.update(frame, [], [measured_at(0.02, 2, 1)])
    assert (change.updated, change.removed) == ((1,), (2,))
    (known,) = registry.objects
    assert known.track_id == 1
    assert known.last_seen_ns == 2 * NS_PER_S
    assert known.reconstruction.camera_from_object.translation_m[0] == pytest.approx(0.02)


def test_two_things_in_one_frame_with_masks_of_their_own_stay_two(
    frame_at: World, seen: Seen
) -> None:
    """As one that stands in the other: their boxes say nothing then."""
    registry = Registry(RegistryConfig())
    inner, outer = seen(0.0, 300, 1), seen(0.01, 400, 2)
    registry.update(frame_at(0), [inner, outer])
    assert ids(registry) == [1, 2]


def test_one_thing_with_two_masks_in_one_frame_is_one(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300, 1), seen(0.01, 304, 2)])
    assert ids(registry) == [1]


def test_things_of_two_classes_are_never_one(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig())
    other = seen(0.0, 300, 2)
    other = replace(other, instance=replace(other.instance, class_id="lid"))
    registry.update(frame_at(0), [seen(0.0, 300, 1), other])
    assert ids(registry) == [1, 2]


def test_a_locked_object_is_never_lost_and_keeps_its_mesh(
    frame_at: World, seen: Seen, make_box: Callable[..., Mesh]
) -> None:
    registry = Registry(RegistryConfig(lost_after=2.0))
    registry.update(frame_at(0), [seen(0.0, 300)])
    assert registry.lock(1, True)
    registry.update(frame_at(5), [])
    assert states(registry) == [ObjectState.LOCKED]
    other = seen(0.01, 306)
    made = replace(other.reconstruction, mesh_object=make_box(0.1, 0.1, 0.12))
    registry.update(frame_at(6), [replace(other, reconstruction=made)])
    assert registry.objects[0].revision == 1
    assert registry.lock(1, False)
    assert states(registry) == [ObjectState.TRACKED]
    registry.update(frame_at(7), [replace(other, reconstruction=made)])
    assert registry.objects[0].revision == 2


def test_the_past_does_not_make_objects_older(frame_at: World, seen: Seen) -> None:
    registry = Registry(RegistryConfig(lost_after=2.0))
    registry.update(frame_at(10), [seen(0.0, 300)])
    registry.advance(5 * NS_PER_S)  # as far as no mask can come any more
    registry.advance(11 * NS_PER_S)
    assert states(registry) == [ObjectState.NEW]


def improved(detection: Detection, mesh: Mesh) -> Detection:
    """A larger mesh of object 1, which a backend has in a frame of its own."""
    known = detection.reconstruction.camera_from_object
    turn = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), 0.3)
    own = known @ Similarity(turn, np.array([0.03, -0.02, 0.01]))
    return replace(
        detection,
        reconstruction=replace(detection.reconstruction, mesh_object=mesh, camera_from_object=own),
        track_id=1,
        camera_from_known=known,
    )


def test_an_improved_mesh_stays_in_the_object_frame_that_is_known(
    frame_at: World, seen: Seen, make_box: Callable[..., Mesh]
) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300, yaw_rad=0.2)])
    before = registry.objects[0].reconstruction.camera_from_object
    better = improved(seen(0.0, 300, yaw_rad=0.2), make_box(0.1, 0.1, 0.14))
    registry.update(frame_at(1), [better])
    after = registry.objects[0].reconstruction
    assert registry.objects[0].revision == 2
    np.testing.assert_allclose(
        after.camera_from_object.translation_m, before.translation_m, atol=1e-12
    )
    np.testing.assert_allclose(after.camera_from_object.rotation, before.rotation, atol=1e-12)
    made = better.reconstruction
    np.testing.assert_allclose(
        after.camera_from_object.apply(after.mesh_object.vertices),
        made.camera_from_object.apply(made.mesh_object.vertices),
        atol=1e-6,
    )


@pytest.mark.parametrize("why", ["rejected", "estimated"])
def test_a_mesh_that_does_not_fit_or_is_of_estimated_depth_replaces_none(
    frame_at: World, seen: Seen, make_box: Callable[..., Mesh], why: str
) -> None:
    registry = Registry(RegistryConfig())
    registry.update(frame_at(0), [seen(0.0, 300)])
    other = seen(0.02, 300)
    made = replace(other.reconstruction, mesh_object=make_box(0.1, 0.1, 0.05))
    if why == "rejected":
        made = replace(made, refinement=Refinement(status=RefinementStatus.REJECTED))
    else:
        guess = Provenance(backend="test", scale_source=ScaleSource.MONOCULAR)
        made = replace(made, provenance=guess)
    registry.update(frame_at(1), [replace(other, reconstruction=made)])
    (known,) = registry.objects
    assert known.revision == 1
    assert known.reconstruction.camera_from_object.translation_m[0] == 0.0
    assert known.reconstruction.refinement.status is RefinementStatus.REJECTED
