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


"""The processes that measure: the same answers as here, and meshes are sent once."""

from collections.abc import Iterator

import numpy as np
import pytest
from worlds import KnowingBackend, World, at, brick, ns

from sam3d_ros.config import SceneConfig
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.follower_process import FollowerProcess
from sam3d_ros.scene.following import Expected, FollowStatus
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.process import ReconstructorProcess


@pytest.fixture
def world() -> World:
    return World(meshes={"brick": brick(0.10, 0.06, 0.08)}, places={"brick": at(0.0, 0.0, 0.04)})


@pytest.fixture(scope="module")
def follower() -> Iterator[FollowerProcess]:
    follower = FollowerProcess(SceneConfig())
    follower.start()
    yield follower
    follower.close()


def expected_of(world: World) -> Expected:
    return Expected(
        track_id=1,
        revision=1,
        mesh_object=world.meshes["brick"],
        camera_from_object=world.camera_from("brick") @ at(0.004, 0.0, 0.0),
    )


def test_it_follows_like_the_follower_of_this_process(
    follower: FollowerProcess, world: World
) -> None:
    expected = [expected_of(world)]
    (there,) = follower.follow(world.image(1.0), expected)
    (here,) = DepthFollower().follow(world.image(1.0), expected)
    assert there.status is here.status is FollowStatus.FOLLOWED
    np.testing.assert_allclose(
        there.camera_from_object.matrix, here.camera_from_object.matrix, atol=1e-9
    )


def test_a_reconstructor_process_measures_what_it_knows(world: World) -> None:
    here = local_pipeline(SceneConfig())
    process = ReconstructorProcess(SceneConfig())
    there = ScenePipeline(SceneConfig(), process)
    try:
        for seconds in (1.0, 2.0, 3.0):
            frame = world.frame(seconds)
            known_here, known_there = (each.process(frame).objects[0] for each in (here, there))
            assert known_there.revision == known_here.revision == 1
            np.testing.assert_allclose(
                known_there.reconstruction.camera_from_object.matrix,
                known_here.reconstruction.camera_from_object.matrix,
                atol=1e-9,
            )
    finally:
        there.close()


def test_a_pipeline_finds_its_objects_in_images(world: World, follower: FollowerProcess) -> None:
    pipeline = local_pipeline(SceneConfig(), KnowingBackend(world))
    pipeline._follower = follower
    pipeline.process(world.frame(1.0))
    for index in range(1, 6):
        world.places["brick"] = at(0.006 * index, 0.0, 0.04, 0.02 * index)
        snapshot = pipeline.follow(world.image(1.0 + index / 30))
        assert snapshot.updated == (1,)
        assert snapshot.stamp_ns == ns(1.0 + index / 30)
        found = snapshot.objects[0].reconstruction.camera_from_object
        off_m = found.translation_m - world.camera_from("brick").translation_m
        assert np.linalg.norm(off_m) < 0.004
