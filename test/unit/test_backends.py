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

"""Which backend is taken, what is said of it, and what stands in the way."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from three_boxes import three_boxes

from sam3d_ros.config import GaussiansConfig, ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError, WeightsError, WeightsMissingError
from sam3d_ros.objects.files import GEOMETRY_FILE
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.protocols import CandidateBackend, never
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.scene.choosing import CLEAR, agreeing, likelihood
from sam3d_ros.structures import ObjectReconstruction


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


def config_of(backend: str, folder: Path | str, device: str = "cpu") -> SceneConfig:
    return SceneConfig(
        device=device,
        objects=ObjectsConfig(backend=backend),
        weights=WeightsConfig(objects=str(folder)),
    )


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="sam3d_ros.scene.backends")
    return caplog


def test_auto_takes_sam3d_where_its_weights_are(
    folder: Path, log: pytest.LogCaptureFixture
) -> None:
    assert make_object_backend(config_of("auto", folder)).name == "sam3d"
    assert f"its weights are in {folder}" in log.text


def test_auto_without_a_folder_takes_lift_and_says_why(log: pytest.LogCaptureFixture) -> None:
    assert make_object_backend(config_of("auto", "")).name == "lift"
    assert [record.levelname for record in log.records] == ["INFO"]
    assert "weights.objects names no folder" in log.text


def test_auto_with_a_folder_that_is_no_good_warns(
    folder: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / GEOMETRY_FILE).unlink()
    (tmp_path / GEOMETRY_FILE).write_bytes(b"<html>not found</html>")
    assert make_object_backend(config_of("auto", tmp_path)).name == "lift"
    assert [record.levelname for record in log.records] == ["WARNING"]
    assert "neither a torch.save archive" in log.text


def test_splats_that_lift_cannot_make_are_a_warning(log: pytest.LogCaptureFixture) -> None:
    config = replace(config_of("lift", ""), gaussians=GaussiansConfig(publish=True))
    make_object_backend(config)
    assert [record.levelname for record in log.records] == ["WARNING"]
    assert "backend lift makes no splats" in log.text


def test_auto_does_not_hide_a_device_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match="device must be one of auto, cpu"):
        make_object_backend(config_of("auto", folder, device="cuda:99"))


@pytest.mark.parametrize("device", ["gpu", "cuda:-1", "mps"])
def test_an_unknown_device_is_refused_with_those_there_are(folder: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"on this machine, got '{device}'"):
        make_object_backend(config_of("sam3d", folder, device=device))


def test_sam3d_without_weights_names_the_setting_and_the_command() -> None:
    with pytest.raises(WeightsMissingError, match=r"weights\.objects .* sam3d check --weights"):
        make_object_backend(config_of("sam3d", ""))


def test_sam3d_with_an_empty_folder_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=f"{tmp_path} has no {GEOMETRY_FILE}"):
        make_object_backend(config_of("sam3d", tmp_path))


def test_without_torch_sam3d_says_so_and_auto_takes_lift(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sam3d_ros.objects.pipeline", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(WeightsError, match="needs torch"):
        make_object_backend(config_of("sam3d", folder))
    assert make_object_backend(config_of("auto", folder)).name == "lift"


def test_lift_is_warmed_up_and_sam3d_on_a_cpu_is_not(folder: Path) -> None:
    assert make_object_backend(config_of("lift", folder)).wants_warmup
    assert not make_object_backend(config_of("sam3d", folder)).wants_warmup


def test_low_memory_on_a_cpu_says_that_it_changes_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sam3d_ros.objects.loading")
    config = config_of("sam3d", folder)
    make_object_backend(
        SceneConfig(device="cpu", low_memory=True, objects=config.objects, weights=config.weights)
    )
    assert "low_memory changes nothing on a CPU" in caplog.text


def test_seeds_are_tried_only_where_several_are_asked_for(folder: Path) -> None:
    config = config_of("sam3d", folder)
    several = replace(config, objects=replace(config.objects, candidates=3))
    assert isinstance(make_object_backend(several), CandidateBackend)
    assert not isinstance(make_object_backend(config), CandidateBackend)
    assert make_object_backend(several).name == "sam3d"


def test_of_several_seeds_of_sam3d_the_best_is_kept(folder: Path) -> None:
    config = config_of("sam3d", folder)
    objects = replace(config.objects, candidates=2, mesh_detail="fast", stage1_steps=2)
    backend = make_object_backend(replace(config, objects=objects))
    assert isinstance(backend, CandidateBackend)
    observations = three_boxes()[:1]
    candidates = backend.candidates(observations, never)
    for observation, several, kept in zip(
        observations,
        candidates,
        agreeing(backend, config.refine).reconstruct(observations),
        strict=True,
    ):
        made = [each for each in several if isinstance(each, ObjectReconstruction)]
        assert [each.provenance.seed for each in made] == [42, 43]
        scores = [likelihood(each, observation) for each in made]
        assert isinstance(kept, ObjectReconstruction)
        first = next(score for score in scores if score >= max(scores) - CLEAR)
        assert kept.provenance.seed == 42 + scores.index(first)
        assert kept.provenance.choice.score == pytest.approx(first)
