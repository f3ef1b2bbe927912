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

"""A moving camera whose every view is wrong in its own way: what the scene says of what rests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scenes import mug
from worlds import KnowingBackend, KnowingFollower, World, at, brick, ns

from sam3d_ros.config import RefineConfig, SceneConfig
from sam3d_ros.scene.following import Expected, Followed, FollowStatus
from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.structures import DepthFrame, ObjectState, SceneSnapshot, Similarity

BIAS_M = 0.005  # too near to the camera
PLACE = at(0.0, 0.0, 0.04, 0.4)
CERTAIN = np.diag([1e-7] * 3 + [1e-5] * 3)


@dataclass
class NearsightedFollower(KnowingFollower):
    """Finds objects too near to the camera, and is sure of it."""

    def follow(self, frame: DepthFrame, expected: Sequence[Expected]) -> list[Followed]:
        return [
            replace(each, camera_from_object=_nearer(each.camera_from_object), covariance=CERTAIN)
            if each.status is FollowStatus.FOLLOWED
            else each
            for each in super().follow(frame, expected)
        ]


def _nearer(pose: Similarity) -> Similarity:
    towards = pose.translation_m / np.linalg.norm(pose.translation_m)
    return Similarity(pose.rotation, pose.translation_m - BIAS_M * towards)


@dataclass
class Rig:
    """A brick on a table, and a pipeline that looks at it."""

    world: World
    pipeline: ScenePipeline
    follower: NearsightedFollower

    @classmethod
    def of_a_brick(cls) -> "Rig":
        world = World(meshes={"brick": brick(0.10, 0.06, 0.08)}, places={"brick": PLACE})
        follower = NearsightedFollower(world)
        config = SceneConfig(refine=RefineConfig(enabled=False))
        reconstructor = FrameReconstructor(config, KnowingBackend(world))
        rig = cls(world, ScenePipeline(config, reconstructor, follower), follower)
        rig.pipeline.process(world.frame(1.0))
        return rig

    def circle(self, first_s: float, num: int = 10) -> list[float]:
        """Go once around; return how far aside it is said to be after each image, metres."""
        offs = []
        for index in range(num):
            self.world.azimuth_rad = 0.3 + 2.0 * np.pi * index / num
            offs.append(off_m(self.pipeline.follow(self.world.image(first_s + 0.05 * index))))
        return offs


def off_m(snapshot: SceneSnapshot) -> float:
    (known,) = snapshot.objects
    assert known.fixed_from_object is not None
    off = known.fixed_from_object.translation_m - PLACE.translation_m
    return float(np.linalg.norm(off[:2]))  # all views are from above: height is their common fault


def test_past_a_moving_camera_it_is_said_to_be_nearer_to_the_truth_than_any_view_saw_it() -> None:
    offs = Rig.of_a_brick().circle(1.1)
    assert max(offs[6:]) < 0.4 * BIAS_M < 0.7 * BIAS_M < offs[0]
    assert offs[-1] < 0.1 * BIAS_M


def test_looking_away_for_long_costs_nothing_of_what_was_learnt() -> None:
    rig = Rig.of_a_brick()
    rig.circle(1.1)
    rig.follower.says[1] = FollowStatus.OCCLUDED
    for second in range(2, 8):
        away = rig.pipeline.follow(rig.world.image(float(second)))
    assert away.objects[0].state == ObjectState.LOST
    rig.follower.says.clear()
    assert off_m(rig.pipeline.follow(rig.world.image(8.0))) < 0.4 * BIAS_M
    shown = rig.pipeline.process(rig.world.frame(8.1))  # a mask makes sure of it
    assert off_m(shown) < 0.4 * BIAS_M
    assert off_m(rig.pipeline.follow(rig.world.image(8.2))) < 0.4 * BIAS_M


def test_what_depth_alone_found_again_elsewhere_is_there_and_a_mask_corrects_it() -> None:
    rig = Rig.of_a_brick()
    rig.circle(1.1)
    rig.follower.says[1] = FollowStatus.LOST
    for index in range(5):
        rig.pipeline.follow(rig.world.image(1.7 + 0.03 * index))
    rig.follower.says.clear()
    rig.world.places["brick"] = at(0.05, 0.0, 0.04, 0.4)  # so the follower thinks
    assert off_m(rig.pipeline.follow(rig.world.image(2.0))) > 0.04
    rig.world.places["brick"] = PLACE
    rig.pipeline.process(rig.world.frame(2.1))
    assert off_m(rig.pipeline.follow(rig.world.image(2.2))) < 0.4 * BIAS_M


def test_after_a_mask_has_made_sure_of_it_viewpoints_count_again() -> None:
    rig = Rig.of_a_brick()
    rig.follower.says[1] = FollowStatus.LOST
    for index in range(5):
        rig.pipeline.follow(rig.world.image(1.1 + 0.03 * index))
    rig.follower.says.clear()
    rig.pipeline.follow(rig.world.image(1.5))
    rig.pipeline.process(rig.world.frame(1.6))
    assert rig.circle(1.7)[-1] < 0.1 * BIAS_M


def test_a_mug_that_was_lost_and_turned_is_seen_as_it_is_turned() -> None:
    world = World(meshes={"mug": mug()}, places={"mug": at(0.0, 0.0, 0.0, 1.0 + np.radians(60))})
    config = SceneConfig(refine=RefineConfig(enabled=False))
    follower = KnowingFollower(world)
    reconstructor = FrameReconstructor(config, KnowingBackend(world))
    pipeline = ScenePipeline(config, reconstructor, follower)
    pipeline.process(world.frame(1.0))
    follower.says[1] = FollowStatus.OCCLUDED
    for second in range(2, 6):
        lost = pipeline.follow(world.image(float(second)))
    assert lost.objects[0].state == ObjectState.LOST
    world.places["mug"] = at(0.0, 0.0, 0.0, 1.0)
    (known,) = pipeline.process(world.frame(6.0)).objects
    assert known.last_seen_ns == ns(6.0)
    found = known.reconstruction.camera_from_object
    assert turn_rad(found, world.camera_from("mug")) < np.radians(3)
