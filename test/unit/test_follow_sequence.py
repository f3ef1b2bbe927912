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


"""The whole pipeline with lift on a short rendered sequence: ids stay, poses are right."""

from collections.abc import Sequence

import pytest

from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.sequences import RenderedSequence, SequenceSpec
from sam3d_ros.evaluation.sequences_motion import Schedule
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.evaluation.tracking import Row, figures
from sam3d_ros.evaluation.tracking_runs import FollowedMeshes, FollowedScene
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.scene.local import local_reconstructor
from sam3d_ros.scene.pipeline import ScenePipeline

TAKEN_AT = 30
SPEC = SequenceSpec(
    seed=4,
    objects=("box", "drill", "can"),
    num_frames=40,
    camera=camera_from_fov(320, 240, 55.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
    schedule=Schedule(slide=(8, 28), taken=(TAKEN_AT, 99)),
)


@pytest.fixture(scope="module")
def both() -> tuple[FollowedMeshes, FollowedScene]:
    """The follower alone with true meshes, and the whole pipeline, on the same images."""
    sequence, config = RenderedSequence(SPEC), SceneConfig()
    alone = FollowedMeshes(sequence, DepthFollower())
    pipeline = ScenePipeline(config, local_reconstructor(config), DepthFollower())
    scene = FollowedScene(sequence, pipeline)
    for step in sequence.steps():
        alone.take(step)
        scene.take(step)
    pipeline.close()
    return alone, scene


@pytest.fixture(scope="module")
def alone(both: tuple[FollowedMeshes, FollowedScene]) -> list[Row]:
    return both[0].run.rows


@pytest.fixture(scope="module")
def scene(both: tuple[FollowedMeshes, FollowedScene]) -> list[Row]:
    return both[1].run.rows


def _of_taken(rows: Sequence[Row]) -> list[Row]:
    """Rows of what was taken away, from then on."""
    return [row for row in rows if not row.is_present]


def test_known_meshes_are_followed_to_a_millimetre_or_two(alone: list[Row]) -> None:
    result = figures(alone)

    assert result.median_mm < 1.5
    assert result.p95_mm < 3.0
    assert result.median_deg < 1.0
    assert result.followed_share > 0.98
    assert result.wrong_claims == 0


def test_meshes_of_our_own_are_followed_to_a_few_millimetres(scene: list[Row]) -> None:
    result = figures(scene)

    assert result.median_mm < 3.0
    assert result.median_deg < 2.0
    assert result.median_mesh_mm < 5.0
    assert result.followed_share > 0.95


def test_ids_stay_and_nothing_else_is_followed(
    both: tuple[FollowedMeshes, FollowedScene], scene: list[Row]
) -> None:
    assert figures(scene).id_switches == 0
    assert both[1].run.spurious == 0
    assert {row.track_id for row in scene if row.status is not None} == {1, 2, 3}


def test_what_is_taken_away_is_soon_said_to_be_lost(alone: list[Row], scene: list[Row]) -> None:
    for rows in (alone, scene):
        assert figures(rows).wrong_claims == 0
        assert figures(rows).lost_after <= 3
        assert _of_taken(rows)[-1].status is FollowStatus.LOST
