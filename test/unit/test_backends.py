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

import json
import logging
import sys
from collections.abc import Sequence
from configparser import ConfigParser
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest
from nano_stand_in import StandIn, medians, ship
from three_boxes import made, three_boxes

from sam3d_ros.apps.check import nano_state
from sam3d_ros.config import GaussiansConfig, ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError, WeightsError, WeightsMissingError
from sam3d_ros.objects import files
from sam3d_ros.objects.files import GEOMETRY_FILE
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.provenance import record_evaluation
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.protocols import CandidateBackend, ObjectBackend, ObjectOutcome, never
from sam3d_ros.scene.backends import make_object_backend, wired_backend
from sam3d_ros.scene.choosing import CLEAR, agreeing, likelihood
from sam3d_ros.scene.local import local_reconstructor
from sam3d_ros.scene.warmup import ball_on_table
from sam3d_ros.structures import (
    BackendInUse,
    ObjectReconstruction,
    Observation,
)

NOTHING_SHIPPED = "no weights come with this installation"


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in place of the one that comes with the package."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(files, "NANO_FOLDER", folder)
    monkeypatch.setattr(Reconstructor, "load_nano", StandIn, raising=False)
    return folder


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
    assert "auto takes backend sam3d" in log.text


def test_auto_without_a_folder_takes_lift_and_says_why(log: pytest.LogCaptureFixture) -> None:
    assert make_object_backend(config_of("auto", "")).name == "lift"
    assert [record.levelname for record in log.records] == ["INFO"]
    assert "weights.objects names no folder" in log.text
    assert f"no nano, as {NOTHING_SHIPPED}" in log.text


def test_auto_takes_nano_beside_lift_where_both_were_measured_to_be_better(shipped: Path) -> None:
    ship(shipped, medians(0.71, 0.91), medians(0.72, 0.92))
    wired = wired_backend(config_of("auto", ""))
    assert wired.backend.name == "nano+lift"
    assert wired.why == "no sam3d, as weights.objects names no folder"
    (several,) = candidates_of(wired.backend, three_boxes()[:1])
    assert [made(each).provenance.backend for each in several] == ["nano", "lift"]


def test_all_seeds_of_nano_are_candidates_beside_lift(shipped: Path) -> None:
    ship(shipped, medians(0.71, 0.91), medians(0.72, 0.92))
    config = config_of("auto", "")
    several = replace(config, objects=replace(config.objects, candidates=3))
    (found,) = candidates_of(make_object_backend(several), three_boxes()[:1])
    assert [made(each).provenance.backend for each in found] == ["nano"] * 3 + ["lift"]


def test_nano_alone_may_be_worse_where_both_together_are_better(shipped: Path) -> None:
    ship(shipped, medians(0.5, 0.6), medians(0.72, 0.9))
    assert wired_backend(config_of("auto", "")).backend.name == "nano+lift"


@pytest.mark.parametrize(
    ("both", "why"),
    [
        (medians(0.69, 0.92), "nano+lift is worse than lift in viou on families (0.690 to 0.700)"),
        (medians(0.72, 0.89), "nano+lift is worse than lift in f1_005 on families"),
        (medians(0.7, 0.9), "nano+lift is no better than lift in viou, f1_005 on families"),
        ({}, "nano+lift was not compared with lift in viou on families"),
    ],
)
def test_auto_leaves_nano_alone_unless_it_was_measured_to_help(
    both: dict[str, float], why: str, shipped: Path, log: pytest.LogCaptureFixture
) -> None:
    ship(shipped, medians(0.71, 0.91), both)
    wired = wired_backend(config_of("auto", ""))
    assert wired.backend.name == "lift"
    assert why in wired.why
    assert why in log.text
    assert make_object_backend(config_of("nano", "")).name == "nano"  # who asks for it gets it


def test_one_set_of_objects_is_not_enough_for_auto(shipped: Path) -> None:
    ship(shipped, medians(0.71, 0.91), medians(0.72, 0.92))
    (shipped / files.PROVENANCE_FILE).write_text('{"evaluation": {}}')
    better = {name: medians(0.8, 0.95) for name in ("nano", "nano+lift")}
    record_evaluation(shipped, {"families": {"lift": medians(0.7, 0.9), **better}})
    assert "on captures" in wired_backend(config_of("auto", "")).why


@pytest.mark.parametrize("text", ["", "[]", '{"evaluation": 1}', '{"evaluation": {"families": 1}}'])
def test_a_provenance_that_is_none_keeps_auto_from_nano(text: str, shipped: Path) -> None:
    ship(shipped, medians(0.71, 0.91), medians(0.72, 0.92))
    (shipped / files.PROVENANCE_FILE).write_text(text)
    assert "no nano, as " in wired_backend(config_of("auto", "")).why


def test_figures_are_added_to_what_the_provenance_says_already(shipped: Path) -> None:
    ship(shipped, medians(0.71, 0.91), medians(0.72, 0.92))
    assert json.loads((shipped / files.PROVENANCE_FILE).read_text())["commit"] == "abc"


def test_weights_of_nano_that_are_named_and_not_there_are_a_warning(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    config = replace(config_of("auto", ""), weights=WeightsConfig(nano=str(tmp_path)))
    assert make_object_backend(config).name == "lift"
    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]
    assert f"weights.nano names {tmp_path}, which has no model.safetensors" in log.text


def test_nano_without_weights_says_how_to_get_some(shipped: Path) -> None:
    with pytest.raises(WeightsMissingError, match=f"{shipped}, which has no .* sam3d train"):
        make_object_backend(config_of("nano", ""))


def test_check_says_whether_auto_takes_the_weights_that_are_there(shipped: Path) -> None:
    assert nano_state().startswith("no weights come with this installation")
    ship(shipped, medians(0.71, 0.91), medians(0.72, 0.92))
    assert nano_state() == "weights of 0.0 MB, auto takes it beside lift"
    ship(shipped, medians(0.71, 0.91), medians(0.69, 0.92))
    assert "auto does not take it: nano+lift is worse than lift in viou" in nano_state()


def test_the_weights_of_nano_are_data_of_the_package() -> None:
    setup = ConfigParser()
    setup.read(Path(__file__).resolve().parents[2] / "setup.cfg")
    patterns = setup["options.package_data"]["sam3d_ros"].split()
    for name in (files.NANO_FILE, files.PROVENANCE_FILE, files.ARCHITECTURE_FILE):
        assert any(fnmatch(f"weights/nano/{name}", pattern) for pattern in patterns)


def test_frames_say_what_made_their_meshes_and_why_nothing_better_did() -> None:
    named = local_reconstructor(config_of("lift", "")).reconstruct(ball_on_table())
    best = local_reconstructor(config_of("auto", "")).reconstruct(ball_on_table())
    assert named.backend == BackendInUse("lift")
    assert best.backend is not None
    assert best.backend.name == "lift"
    assert NOTHING_SHIPPED in best.backend.why


def candidates_of(
    backend: ObjectBackend, observations: Sequence[Observation]
) -> list[list[ObjectOutcome]]:
    assert isinstance(backend, CandidateBackend)
    return backend.candidates(observations, never)


def test_auto_with_a_folder_that_is_no_good_warns(
    folder: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / GEOMETRY_FILE).unlink()
    (tmp_path / GEOMETRY_FILE).write_bytes(b"<html>not found</html>")
    assert make_object_backend(config_of("auto", tmp_path)).name == "lift"
    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]
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
