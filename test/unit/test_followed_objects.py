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


"""Between masks objects are followed; what comes late moves nothing back."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from worlds import KnowingBackend, KnowingFollower, World, at, ball, brick, ns

from sam3d_ros.config import RegistryConfig, SceneConfig, TrackingConfig
from sam3d_ros.errors import CancelledError
from sam3d_ros.protocols import Cancelled, ObjectOutcome, never
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.scene.tracks import MAX_MISSED
from sam3d_ros.structures import (
    ObjectState,
    Observation,
    SceneSnapshot,
    Similarity,
)


@dataclass
class SlowBackend(KnowingBackend):
    """Waits at a gate, after it has made what it was asked."""

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def reconstruct(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[ObjectOutcome]:
        made = super().reconstruct(observations, cancelled)
        self.entered.set()
        assert self.gate.wait(30.0)
        return made


@dataclass
class Rig:
    """A pipeline whose parts know the truth."""

    world: World
    backend: SlowBackend
    follower: KnowingFollower
    pipeline: ScenePipeline

    @classmethod
    def of(cls, world: World, config: SceneConfig | None = None) -> "Rig":
        config = config or SceneConfig()
        backend, follower = SlowBackend(world), KnowingFollower(world)
        backend.gate.set()
        reconstructor = FrameReconstructor(config, backend)
        return cls(world, backend, follower, ScenePipeline(config, reconstructor, follower))

    def process_slowly(self, seconds: float) -> "Late":
        """Begin to process a frame whose reconstruction waits."""
        self.backend.gate.clear()
        self.backend.entered.clear()
        return Late(self, seconds)


class Late:
    """A frame in work, in a thread of its own."""

    def __init__(self, rig: Rig, seconds: float) -> None:
        self._rig = rig
        frame = rig.world.frame(seconds)
        self._threads = ThreadPoolExecutor(1)
        self._result = self._threads.submit(rig.pipeline.process, frame)
        assert rig.backend.entered.wait(30.0)

    def finish(self) -> SceneSnapshot:
        self._rig.backend.gate.set()
        try:
            return self._result.result(30.0)
        finally:
            self._threads.shutdown()


def one_brick() -> World:
    return World(
        meshes={"brick": brick(0.10, 0.06, 0.08)}, places={"brick": at(0.0, 0.0, 0.04, 0.4)}
    )


def off_m(snapshot: SceneSnapshot, place: Similarity, index: int = 0) -> float:
    known = snapshot.objects[index].fixed_from_object
    assert known is not None
    return float(np.linalg.norm(known.translation_m - place.translation_m))


def test_nothing_is_followed_before_something_is_known() -> None:
    rig = Rig.of(one_brick())
    assert not rig.pipeline.can_follow
    snapshot = rig.pipeline.follow(rig.world.image(0.9))
    assert (snapshot.objects, snapshot.updated) == ((), ())
    assert rig.follower.expected == []
    rig.pipeline.process(rig.world.frame(1.0))
    assert rig.pipeline.can_follow


def test_with_tracking_off_nothing_is_followed() -> None:
    rig = Rig.of(one_brick(), SceneConfig(tracking=TrackingConfig(enabled=False)))
    rig.pipeline.process(rig.world.frame(1.0))
    assert not rig.pipeline.can_follow
    assert rig.pipeline.follow(rig.world.image(1.1)).updated == ()


def test_what_moves_is_where_the_image_shows_it_and_expected_ahead() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    for index in range(1, 16):
        rig.world.azimuth_rad += 0.01  # the camera moves as well
        rig.world.places["brick"] = at(0.01 * index, 0.0, 0.04, 0.4 + 0.02 * index)
        snapshot = rig.pipeline.follow(rig.world.image(1.0 + index / 30))
        assert snapshot.updated == (1,)
        assert off_m(snapshot, rig.world.places["brick"]) < 1e-6
        camera_from_object = snapshot.objects[0].reconstruction.camera_from_object
        np.testing.assert_allclose(
            camera_from_object.matrix, rig.world.camera_from("brick").matrix, atol=1e-9
        )
        assert snapshot.objects[0].last_seen_ns == snapshot.stamp_ns
    (last,) = rig.follower.expected[-1]
    expected_m = (
        rig.world.camera_from("brick").translation_m - last.camera_from_object.translation_m
    )
    assert np.linalg.norm(expected_m) < 0.002  # it moves by 10 mm from image to image


def test_the_mesh_is_the_same_object_from_image_to_image() -> None:
    """So that a process is sent it once."""
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    for index in range(3):
        rig.pipeline.follow(rig.world.image(1.1 + 0.1 * index))
    meshes = {id(each[0].mesh_object) for each in rig.follower.expected}
    assert len(meshes) == 1


def test_an_image_that_is_not_newer_changes_nothing() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.pipeline.follow(rig.world.image(1.2))
    place = rig.world.places["brick"]
    rig.world.places["brick"] = at(0.05, 0.0, 0.04)
    for seconds in (1.2, 1.1):
        snapshot = rig.pipeline.follow(rig.world.image(seconds))
        assert snapshot.updated == ()
        assert off_m(snapshot, place) < 1e-6


def test_after_a_time_jump_following_goes_on() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(100.0))
    rig.pipeline.follow(rig.world.image(100.1))
    rig.world.places["brick"] = at(0.02, 0.0, 0.04, 0.4)
    for seconds in (50.0, 50.1):
        snapshot = rig.pipeline.follow(rig.world.image(seconds))
        assert snapshot.updated == (1,)
        assert snapshot.objects[0].last_seen_ns == ns(seconds)
        assert off_m(snapshot, rig.world.places["brick"]) < 1e-6


def test_a_follower_that_misses_an_object_for_several_images_loses_it() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.follower.says[1] = FollowStatus.LOST
    states = [
        rig.pipeline.follow(rig.world.image(1.0 + index / 30)).objects[0].state
        for index in range(1, MAX_MISSED + 1)
    ]
    assert states[:-1] == [ObjectState.NEW] * (MAX_MISSED - 1)
    assert states[-1] is ObjectState.LOST
    near = rig.follower.expected[0][0].sigma_m
    rig.follower.says.clear()
    snapshot = rig.pipeline.follow(rig.world.image(1.5))
    assert rig.follower.expected[-1][0].sigma_m > 5 * near  # looked for farther away
    assert snapshot.objects[0].state is ObjectState.TRACKED
    assert snapshot.objects[0].track_id == 1


def test_what_is_hidden_stays_where_it_was_until_it_is_lost_for_long() -> None:
    rig = Rig.of(one_brick(), SceneConfig(registry=RegistryConfig(lost_after=2.0)))
    rig.pipeline.process(rig.world.frame(1.0))
    rig.follower.says[1] = FollowStatus.OCCLUDED
    snapshot = rig.pipeline.follow(rig.world.image(2.5))
    assert snapshot.updated == ()
    assert snapshot.objects[0].state is ObjectState.NEW
    assert off_m(snapshot, rig.world.places["brick"]) < 1e-6
    assert rig.pipeline.follow(rig.world.image(3.5)).objects[0].state is ObjectState.LOST


@pytest.mark.parametrize(("hidden_s", "track_id"), [(0.5, 2), (1.5, 1)])
def test_what_was_hidden_for_a_while_is_known_again_elsewhere_before_it_is_lost(
    hidden_s: float, track_id: int
) -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.follower.says[1] = FollowStatus.OCCLUDED
    rig.world.places["brick"] = at(-0.30, -0.2, 0.04, 1.3)
    rig.pipeline.follow(rig.world.image(1.0 + hidden_s))
    snapshot = rig.pipeline.process(rig.world.frame(1.05 + hidden_s))
    assert snapshot.updated == (track_id,)


def test_images_are_followed_while_a_frame_is_reconstructed() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.world.azimuth_rad += np.pi
    late = rig.process_slowly(1.1)
    rig.world.places["brick"] = at(0.06, 0.0, 0.04, 0.9)
    followed = rig.pipeline.follow(rig.world.image(1.3))  # while the other thread waits
    assert followed.updated == (1,)
    late.finish()


@pytest.mark.parametrize("yaw_rad", [0.0, np.pi / 2, 0.3], ids=["same", "quarter", "oblique"])
def test_a_mesh_that_comes_late_stands_where_the_object_is_now(yaw_rad: float) -> None:
    """The new mesh is of an image of the past, and its frame is another one."""
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.world.azimuth_rad += np.pi
    place = rig.world.places["brick"]
    turned, turned_back = at(0.0, 0.0, 0.0, yaw_rad), at(0.0, 0.0, 0.0, -yaw_rad)
    plain = rig.world.meshes["brick"]
    rig.world.meshes["brick"] = plain.transformed(turned)
    rig.world.places["brick"] = place @ turned_back
    late = rig.process_slowly(1.1)
    rig.world.places["brick"] = at(0.05, 0.02, 0.04, 0.6)  # of the frame that is followed
    for seconds in (1.2, 1.3, 1.4):
        before = rig.pipeline.follow(rig.world.image(seconds))
    snapshot = late.finish()
    (known,) = snapshot.objects
    assert (known.revision, snapshot.stamp_ns) == (2, ns(1.4))
    assert known.last_seen_ns == ns(1.4)
    old = before.objects[0].fixed_from_object
    new = known.fixed_from_object
    assert old is not None
    assert new is not None
    found = new.apply(known.reconstruction.mesh_object.vertices)
    distances_m, _ = cKDTree(found).query(rig.world.places["brick"].apply(plain.vertices))
    assert distances_m.max() < 0.01
    assert turn_rad(old, new) < yaw_rad % (np.pi / 2) + 0.05  # no quarter turns
    assert snapshot.number > before.number


def test_a_mask_of_the_past_does_not_move_an_object_back() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    frame = rig.world.frame(1.05)
    for index in range(1, 10):
        rig.world.places["brick"] = at(0.01 * index, 0.0, 0.04, 0.4)
        rig.pipeline.follow(rig.world.image(1.05 + index / 30))
    snapshot = rig.pipeline.process(frame)
    assert snapshot.updated == (1,)
    assert off_m(snapshot, rig.world.places["brick"]) < 0.004
    assert snapshot.stamp_ns == ns(1.05 + 9 / 30)


def test_a_late_mask_corrects_what_was_followed_wrongly_since() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.world.places["brick"] = at(0.03, 0.0, 0.04, 0.4)  # as the follower says, which slipped
    for seconds in (1.1, 1.2):
        rig.pipeline.follow(rig.world.image(seconds))
    rig.world.places["brick"] = at(0.0, 0.0, 0.04, 0.4)
    snapshot = rig.pipeline.process(rig.world.frame(1.1))
    assert off_m(snapshot, rig.world.places["brick"]) < 0.005
    assert snapshot.stamp_ns == ns(1.2)


def test_what_is_new_in_a_late_frame_is_placed_by_the_camera_of_now() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.world.meshes["ball"] = ball(0.04)
    rig.world.places["ball"] = at(0.0, 0.15, 0.04)
    late = rig.process_slowly(1.1)
    rig.world.azimuth_rad += 0.5
    rig.pipeline.follow(rig.world.image(1.6))
    snapshot = late.finish()
    found = snapshot.objects[1].reconstruction.camera_from_object
    truth = rig.world.camera_from("ball")
    assert np.linalg.norm(found.translation_m - truth.translation_m) < 0.002


def test_forgetting_all_forgets_what_a_frame_in_work_would_show() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.world.azimuth_rad += np.pi
    late = rig.process_slowly(1.1)
    assert rig.pipeline.reset() == (1,)
    assert rig.pipeline.follow(rig.world.image(1.2)).objects == ()
    with pytest.raises(CancelledError, match="forgotten while the frame was looked at"):
        late.finish()
    assert rig.pipeline.snapshot().objects == ()
    assert rig.pipeline.process(rig.world.frame(1.3)).updated == (2,)


def test_an_image_in_work_while_all_is_forgotten_does_not_bring_back_its_time() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(101.0))
    plain = rig.follower.follow

    def follow_and_forget(frame, expected):  # type: ignore[no-untyped-def]
        rig.pipeline.reset()
        return plain(frame, expected)

    rig.follower.follow = follow_and_forget  # type: ignore[method-assign]
    with pytest.raises(CancelledError):
        rig.pipeline.follow(rig.world.image(101.1))
    rig.world.azimuth_rad += 0.5  # the camera is elsewhere, in the time that begins anew
    snapshot = rig.pipeline.process(rig.world.frame(1.0))
    assert snapshot.stamp_ns == snapshot.objects[0].last_seen_ns == ns(1.0)
    found = snapshot.objects[0].reconstruction.camera_from_object
    truth = rig.world.camera_from("brick")
    assert np.linalg.norm(found.translation_m - truth.translation_m) < 0.004


def test_poses_of_a_mesh_that_was_replaced_meanwhile_are_left_out() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    rig.world.azimuth_rad += np.pi
    late = rig.process_slowly(1.1)
    plain = rig.follower.follow

    def follow_and_finish(frame, expected):  # type: ignore[no-untyped-def]
        found = plain(frame, expected)
        late.finish()
        return found

    rig.follower.follow = follow_and_finish  # type: ignore[method-assign]
    snapshot = rig.pipeline.follow(rig.world.image(1.2))
    assert snapshot.updated == ()
    assert snapshot.objects[0].revision == 2
    rig.follower.follow = plain  # type: ignore[method-assign]
    assert rig.pipeline.follow(rig.world.image(1.3)).updated == (1,)


def test_without_a_fixed_frame_objects_are_followed_in_that_of_the_camera() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0, fixed=False))
    for index in range(1, 6):
        rig.world.azimuth_rad += 0.02
        snapshot = rig.pipeline.follow(rig.world.image(1.0 + index / 30, fixed=False))
        assert snapshot.updated == (1,)
        known = snapshot.objects[0]
        assert known.fixed_from_object is None
        np.testing.assert_allclose(
            known.reconstruction.camera_from_object.matrix,
            rig.world.camera_from("brick").matrix,
            atol=1e-9,
        )


def test_many_images_take_no_more_memory() -> None:
    rig = Rig.of(one_brick())
    rig.pipeline.process(rig.world.frame(1.0))
    image = rig.world.image(1.0)
    for index in range(1, 1500):
        rig.pipeline.follow(_at(image, ns(1.0 + index / 30)))
    (track,) = rig.pipeline._registry._tracks.values()
    assert track.num_poses < 250


def _at(image, stamp_ns: int):  # type: ignore[no-untyped-def]
    return replace(image, stamp_ns=stamp_ns)
