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

"""With ``objects.enabled: false`` people are looked at, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from bodies import StandInBodies, frame_of, person
from test_people_in_scenes import TWO, with_chair
from worlds import KnowingBackend, KnowingFollower, World

from sam3d_ros.config import BodyConfig, NodeConfig, ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError, ReportCode
from sam3d_ros.ros.off import outputs_off
from sam3d_ros.scene.local import local_reconstructor
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.process import ReconstructorProcess
from sam3d_ros.scene.verdict import OBJECTS_OFF, verdict_of
from sam3d_ros.structures import DepthFrame, Frame

OFF = SceneConfig(objects=ObjectsConfig(enabled=False), body=BodyConfig(enabled=True))
EVERYBODY = frame_of(TWO)


class Scene:
    """A pipeline that has everything to look at objects with, and is not to."""

    def __init__(self) -> None:
        self.objects, self.bodies = KnowingBackend(World({}, {})), StandInBodies()
        self.follower = KnowingFollower(World({}, {}))
        people = PeopleReconstructor(OFF, self.bodies)
        reconstructor = local_reconstructor(OFF, self.objects, people=people)
        self.pipeline = ScenePipeline(OFF, reconstructor, self.follower)


def nobody(frame: Frame) -> Frame:
    return replace(frame, masks=with_chair(frame).masks[-1:])


def test_people_are_posed_and_objects_beside_them_are_left_alone() -> None:
    scene = Scene()
    snapshot = scene.pipeline.process(with_chair(EVERYBODY))
    assert snapshot.people is not None
    assert [each.body.instance_id for each in snapshot.people.people] == [1, 2]
    assert not snapshot.objects
    assert not snapshot.failures
    assert not scene.objects.asked
    verdict = verdict_of(snapshot, {})
    assert verdict.code == ReportCode.OK
    assert verdict.object_ids == ("body_1", "body_2")


def test_a_frame_of_objects_alone_says_that_they_are_off_and_that_nobody_is_there() -> None:
    scene = Scene()
    scene.pipeline.process(EVERYBODY)
    snapshot = scene.pipeline.process(nobody(EVERYBODY))
    assert snapshot.people is not None
    assert not snapshot.people.people
    verdict = verdict_of(snapshot, {})
    assert verdict.code == ReportCode.OFF
    assert verdict.message == f"no object; no mask is that of a person, and {OBJECTS_OFF}"


def test_no_image_between_masks_is_followed() -> None:
    scene = Scene()
    scene.pipeline.process(EVERYBODY)
    assert EVERYBODY.depth is not None
    assert not scene.pipeline.can_follow
    scene.pipeline.follow(
        DepthFrame(stamp_ns=1, frame_id="camera", camera=EVERYBODY.camera, depth=EVERYBODY.depth)
    )
    assert not scene.follower.expected


def test_no_weights_of_objects_are_missed_nor_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = ObjectsConfig(enabled=False, backend="sam3d")
    config = replace(OFF, objects=objects, weights=WeightsConfig(objects=str(tmp_path)))
    process = ReconstructorProcess(config)
    started = []
    monkeypatch.setattr(process._process, "start", lambda: started.append(True))
    process.start()
    assert started
    people = PeopleReconstructor(config, StandInBodies())
    result = local_reconstructor(config, people=people).reconstruct(frame_of([person((0, 0, 3))]))
    assert result.backend is not None
    assert (result.backend.name, result.backend.why) == ("none", OBJECTS_OFF)


def test_where_people_are_off_too_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"objects\.enabled and body\.enabled are both false"):
        SceneConfig(objects=ObjectsConfig(enabled=False))
    with pytest.raises(ConfigError, match="set one of them to true"):
        NodeConfig(objects=ObjectsConfig(enabled=False))


def test_outputs_of_objects_are_named_as_off() -> None:
    config = NodeConfig(objects=OFF.objects, body=OFF.body)
    off = outputs_off(config)
    assert {off[name] for name in ("~/objects", "~/meshes", "~/markers")} == {OBJECTS_OFF}
    assert "~/bodies" not in off
