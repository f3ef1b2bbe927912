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

"""What is looked at before the first frame: nothing where settings or models say so."""

import pytest
from bodies import StandInBodies
from worlds import KnowingBackend, World

from sam3d_ros.config import BodyConfig, SceneConfig
from sam3d_ros.scene import local
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.process import _made_ready
from sam3d_ros.scene.reconstruct import FrameReconstructor


class Models:
    """Models that note what they are asked, in a process that gets ready."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, wants_warmup: bool = True) -> None:
        self.objects = KnowingBackend(World({}, {}), refuses=True, wants_warmup=wants_warmup)
        self.bodies = StandInBodies(wants_warmup=wants_warmup)
        monkeypatch.setattr(local, "local_reconstructor", self._reconstructor)

    def _reconstructor(self, config: SceneConfig) -> FrameReconstructor:
        people = PeopleReconstructor(config, self.bodies)
        return FrameReconstructor(config, self.objects, people=people)

    @property
    def num_asked(self) -> tuple[int, int]:
        return len(self.objects.asked), len(self.bodies.asked)


def config_of(*, warmup: bool) -> SceneConfig:
    return SceneConfig(warmup=warmup, body=BodyConfig(enabled=True))


def test_models_look_at_something_before_the_first_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(monkeypatch)
    _made_ready(config_of(warmup=True))
    assert models.num_asked == (1, 1)
    (view,) = models.bodies.asked
    (somebody,) = view.people
    assert somebody.mask is not None
    assert somebody.mask.any()


def test_without_warmup_the_first_frame_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(monkeypatch)
    _made_ready(config_of(warmup=False))
    assert models.num_asked == (0, 0)


def test_models_that_are_no_faster_after_it_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(monkeypatch, wants_warmup=False)
    _made_ready(config_of(warmup=True))
    assert models.num_asked == (0, 0)
