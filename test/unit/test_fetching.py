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

"""Weights that the node fetches: only where settings say so, and what to do where it cannot."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hub_stand_in import Hub

from sam3d_ros.body.random_weights import write_random_body
from sam3d_ros.config import BodyConfig, ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ReportCode, WeightsError, WeightsMissingError
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.scene.backends import wired_backend
from sam3d_ros.scene.estimators import make_point_estimator
from sam3d_ros.scene.people.backends import wired_people
from sam3d_ros.scene.process import ReconstructorProcess

OBJECTS, BODY = "facebook/sam-3d-objects", "facebook/sam-3d-body-dinov3"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("body")
    write_random_body(folder)
    return folder


@pytest.fixture
def hub(objects: Path, body: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Return what stands in for huggingface_hub; its cache is empty."""
    hub = Hub(objects=objects, dinov3=body, mine=objects)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub.module)
    return hub


def config_of(backend: str = "auto", **weights: object) -> SceneConfig:
    return SceneConfig(
        device="cpu",
        objects=ObjectsConfig(backend=backend),
        weights=WeightsConfig(**weights),  # type: ignore[arg-type]
        body=BodyConfig(enabled=True),
    )


@pytest.mark.parametrize("source", ["", "somebody/sam-mine"])
def test_nothing_is_fetched_unless_settings_say_so(hub: Hub, source: str) -> None:
    config = config_of(objects=source, body=source)
    assert wired_backend(config).backend.name != "sam3d"
    assert not wired_people(config).in_use.name
    assert make_point_estimator(config) is None
    assert not hub.fetched


def test_what_no_setting_names_is_the_release(hub: Hub) -> None:
    config = config_of(allow_download=True)
    assert wired_backend(config).backend.name == "sam3d"
    assert wired_people(config).in_use.name == "sam3d_body"
    assert hub.fetched == [OBJECTS, BODY]


@pytest.mark.parametrize("backend", ["auto", "sam3d"])
def test_a_repository_that_is_named_goes_before_the_release(hub: Hub, backend: str) -> None:
    config = config_of(backend, objects="somebody/sam-mine", allow_download=True)
    assert wired_backend(config).backend.name == "sam3d"
    assert hub.fetched == ["somebody/sam-mine"]


def test_what_is_in_the_cache_is_taken_without_a_download(hub: Hub) -> None:
    hub.fetched = [OBJECTS]
    assert wired_backend(config_of("sam3d", objects=OBJECTS)).backend.name == "sam3d"
    assert hub.fetched == [OBJECTS]


def test_a_folder_needs_no_hub(objects: Path, hub: Hub) -> None:
    config = config_of("sam3d", objects=str(objects), allow_download=True)
    assert wired_backend(config).backend.name == "sam3d"
    assert not hub.asked


def test_nothing_is_fetched_for_who_is_not_looked_at(hub: Hub) -> None:
    config = config_of("lift", allow_download=True)
    wired_backend(config)
    make_point_estimator(config)
    wired_people(replace(config, body=BodyConfig()))
    off = replace(config, objects=ObjectsConfig(enabled=False, backend="sam3d"))
    wired_backend(off)
    make_point_estimator(off)
    assert not hub.fetched


def test_without_access_all_name_the_licence_and_auto_goes_on_without(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hub.refusal = "GatedRepoError"
    with pytest.raises(WeightsMissingError, match=r"accept the licence.*hf auth login") as raised:
        wired_backend(config_of("sam3d", allow_download=True))
    assert raised.value.code == ReportCode.NO_WEIGHTS
    wired = wired_backend(config_of(allow_download=True))
    assert wired.backend.name == "nano+lift"
    assert "accept the licence" in wired.why
    assert "hf auth login" in wired_people(config_of(allow_download=True)).in_use.why


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match="pip install huggingface_hub"):
        wired_backend(config_of("sam3d", allow_download=True))


def test_what_may_not_be_fetched_is_missed_before_the_process_starts(hub: Hub) -> None:
    process = ReconstructorProcess(config_of("sam3d", objects=OBJECTS))
    with pytest.raises(WeightsMissingError, match=r"weights\.allow_download of the node"):
        process.start()
    assert hub.asked == [OBJECTS]


def test_what_may_be_fetched_is_left_to_the_process(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = ReconstructorProcess(config_of("sam3d", allow_download=True))
    started = []
    monkeypatch.setattr(process._process, "start", lambda: started.append(True))
    process.start()
    assert started
    assert not hub.asked
