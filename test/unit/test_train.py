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

"""The command ``sam3d train``, and the folders that it leaves."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sam3d_ros.apps.main import main
from sam3d_ros.apps.settings import changed, changed_by
from sam3d_ros.errors import ConfigError, TrainingError
from sam3d_ros.objects.files import NANO_FILE, PROVENANCE_FILE
from sam3d_ros.objects.volume.loading import load_nano, nano_flow
from sam3d_ros.objects.volume.model import NanoModel, untrained
from sam3d_ros.objects.volume.random_weights import write_random_nano
from sam3d_ros.training import curriculum
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.checkpoints import Progress
from sam3d_ros.training.curriculum import EXPORT_FOLDER, STAGES_FOLDER, TrainingRun
from sam3d_ros.training.presets import PRESETS, preset
from sam3d_ros.training.ranks import ALONE
from sam3d_ros.training.recipe import STAGES, TrainingConfig
from sam3d_ros.training.release import CARD_FILE, CURVES_FILE
from sam3d_ros.training.sources import SampleSource
from sam3d_ros.training.stages import STAGE_BUILDERS, built
from sam3d_ros.training.starts import StageStart

CPU = torch.device("cpu")
# The smoke run, smaller still.
SMALLER = """
data: {shape_resolution: 24, shape_groups: 1, codec_samples: 16}
pre: {steps: 20, optimiser: {learning_rate: 4.0e-3}}
sft: {steps: 4}
shortcut: {steps: 4}
refine: {steps: 4}
validation: {every: 0}
probe_batches: 4
prefetch: 0
"""


@pytest.fixture
def smaller(tmp_path: Path) -> Path:
    path = tmp_path / "smaller.yaml"
    path.write_text(SMALLER)
    return path


def run_in(folder: Path) -> TrainingRun:
    return TrainingRun(config=preset("smoke"), folder=folder, device=CPU, ranks=ALONE)


@pytest.mark.parametrize("name", PRESETS)
def test_every_stage_of_a_preset_can_be_built(name: str) -> None:
    assert tuple(STAGE_BUILDERS) == STAGES
    assert all(preset(name).stage(stage).steps > 0 for stage in STAGES)


def test_a_file_of_settings_changes_a_preset(smaller: Path) -> None:
    config = changed_by(smaller, preset("smoke"))
    assert config.pre.steps == 20
    assert config.pre.batch_size == preset("smoke").pre.batch_size
    assert config.mid == preset("smoke").mid


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pre: {epochs: 3}", "unknown setting 'epochs', expected one of accumulation, batch_size"),
        ("pre: {steps: 0}", "steps must be at least 1, got 0"),
        ("[1, 2]", "must hold settings by their names"),
        ("validation: {size: 0}", "size must be at least 1, got 0"),
        ("data: {views: 0}", "views must be at least 1, got 0"),
        ("shortcut: {consistency_share: 1.0}", "is 4 samples, expected 1 to 3"),
        ("shortcut: {batch_size: 1}", "of batch_size 1 is 0 samples"),
        ("sft: {scenes: [pasted, dark]}", "some of isolated, pasted, full_sensor, got 'dark'"),
        ("sft: {scenes: []}", "scenes must be some of isolated, pasted, full_sensor, got none"),
        ("precision: fp16", "precision must be auto, fp32 or bf16, got 'fp16'"),
    ],
)
def test_settings_that_are_none_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        changed_by(path, preset("smoke"))


def test_batches_of_a_stage_come_from_its_recipes_in_turn() -> None:
    config = preset("smoke")
    settings = {"scenes": ["isolated", "full_sensor"]}
    mixed = changed(config, {"sft": settings}, "here")
    model = untrained(0, config.architecture)

    def source(of: TrainingConfig) -> SampleSource[TrainingBatch]:
        return built(StageStart(name="sft", config=of, model=model, device=CPU)).source

    found = [source(mixed).batch(step, 2) for step in range(3)]
    for step, (recipe, index) in enumerate([("isolated", 0), ("full_sensor", 0), ("isolated", 1)]):
        alone = source(changed(config, {"sft": {"scenes": [recipe]}}, "here"))
        torch.testing.assert_close(found[step].distance, alone.batch(index, 2).distance)
        torch.testing.assert_close(
            found[step].view.depth_m, alone.batch(index, 2).view.depth_m, equal_nan=True
        )
    assert not torch.equal(found[0].view.plane, found[1].view.plane)


def test_a_preset_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="preset must be one of nano, smoke, got 'large'"):
        preset("large")


def test_a_stage_needs_the_weights_of_one_before_it(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="train pre first, or name weights with --init"):
        run_in(tmp_path).train("mid")


def test_there_is_nothing_to_export_before_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no checkpoints; train the stage first"):
        run_in(tmp_path).export("pre", tmp_path / "weights")


def test_own_data_is_for_the_stages_after_the_procedural_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "pre", "--data", str(tmp_path)]) == 1
    assert "--data is for stages sft, dpo and refine, got pre" in capsys.readouterr().err


def test_only_the_first_of_all_stages_begins_with_the_weights_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, Path | None]] = []

    def train(run: TrainingRun, name: str) -> Progress:
        begun.append((name, run.init))
        return Progress(step=1, seconds=0.0, samples=1)

    monkeypatch.setattr(TrainingRun, "train", train)
    monkeypatch.setattr(TrainingRun, "export", lambda run, name, folder: None)
    init = write_random_nano(tmp_path / "nano")
    assert main(["train", "all", "--init", str(init), "-o", str(tmp_path / "run")]) == 0
    assert begun == [("pre", init), *((name, None) for name in STAGES[1:])]


@pytest.mark.slow
def test_a_run_leaves_weights_that_load_and_say_where_they_come_from(
    tmp_path: Path, smaller: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    given = ["--preset", "smoke", "--config", str(smaller), "-o", str(output), "--threads", "1"]
    assert main(["train", "pre", *given]) == 0  # which says that the loss fell
    assert main(["train", "shortcut", *given]) in (0, 1)
    told = capsys.readouterr().out
    assert "pre: 20 steps, 80 views" in told

    weights = output / EXPORT_FOLDER
    architecture = changed_by(smaller, preset("smoke")).architecture
    model = NanoModel(replace(architecture, refiner=None))
    model.load_state_dict({k: v.float() for k, v in load_file(weights / NANO_FILE).items()})
    assert (weights / NANO_FILE).stat().st_mode & 0o044  # others may read it
    provenance = json.loads((weights / PROVENANCE_FILE).read_text())
    assert [stage["name"] for stage in provenance["stages"]] == ["pre", "shortcut"]
    assert provenance["samples"] == 80 + 16
    assert provenance["preset"] == "smoke"
    assert [origin["step"] for origin in provenance["stages"][0]["origins"]] == [0]
    assert sorted(path.name for path in (output / STAGES_FOLDER).iterdir()) == ["pre", "shortcut"]
    assert "| pre | isolated | 20 | 80 |" in (weights / CARD_FILE).read_text()
    assert (weights / CURVES_FILE).read_text().startswith("stage,step,loss")

    further = tmp_path / "further"
    given[5] = str(further)
    assert main(["train", "shortcut", *given, "--init", str(weights)]) in (0, 1)
    provenance = json.loads((further / EXPORT_FOLDER / PROVENANCE_FILE).read_text())
    assert [stage["name"] for stage in provenance["stages"]] == ["pre", "shortcut", "shortcut"]


@pytest.mark.slow
def test_the_second_stage_learns_and_the_first_stays_as_it_was(
    tmp_path: Path, smaller: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = replace(preset("smoke").architecture, refiner=None)
    init, output = write_random_nano(tmp_path / "nano", architecture=sizes), tmp_path / "run"
    given = ["--preset", "smoke", "--config", str(smaller), "-o", str(output), "--threads", "1"]

    def trained(stage: str, *more: str) -> NanoModel:
        main(["train", stage, *given, *more])
        assert f"{stage}: 4 steps, 16 views" in capsys.readouterr().out
        return load_nano(output / EXPORT_FOLDER, device="cpu", dtype=torch.float32)

    before = load_nano(init, device="cpu", dtype=torch.float32)
    after = trained("refine", "--init", str(init))
    assert before.refiner is None
    assert after.refiner is not None
    assert after.refiner.out.weight.any()
    kept = after.state_dict()
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(kept[name], tensor, atol=1e-3, rtol=1e-3)

    # What has both goes on as a whole, and a later stage finds both.
    shutil.copytree(output / EXPORT_FOLDER, tmp_path / "both")
    assert trained("sft", "--init", str(tmp_path / "both")).refiner
    assert trained("shortcut").refiner


@pytest.mark.parametrize(
    ("stages", "told"),
    [(["pre", "shortcut"], True), (["pre", "shortcut", "sft"], False), ([], False)],
)
def test_the_second_stage_learns_from_the_answers_that_will_be_given(
    stages: list[str], told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[StageStart] = []

    def begin(start: StageStart) -> None:
        starts.append(start)
        raise TrainingError("far enough")

    monkeypatch.setattr(curriculum, "built", begin)
    init = write_random_nano(tmp_path / "nano")
    provenance = {"stages": [{"name": name} for name in stages]}
    (init / PROVENANCE_FILE).write_text(json.dumps(provenance))
    with pytest.raises(TrainingError, match="far enough"):
        replace(run_in(tmp_path), init=init).train("refine")
    (start,) = starts
    assert start.distilled == told == nano_flow(init, 1).shortcut
    assert start.model.refiner is not None
