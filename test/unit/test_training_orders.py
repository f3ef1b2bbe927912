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

"""What a stage was told, which weights come of it, and what their history says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from capture_folders import write_capture

from sam3d_ros.apps.main import main
from sam3d_ros.apps.settings import changed
from sam3d_ros.apps.train import _verdict
from sam3d_ros.errors import TrainingError
from sam3d_ros.objects.files import PROVENANCE_FILE
from sam3d_ros.objects.volume.loading import knows_step_sizes
from sam3d_ros.objects.volume.random_weights import tiny_volume_architecture, write_random_nano
from sam3d_ros.training.curriculum import TrainingRun
from sam3d_ros.training.curves import Curves
from sam3d_ros.training.orders import ORDER_FILE
from sam3d_ros.training.presets import for_own_data, preset
from sam3d_ros.training.ranks import ALONE
from sam3d_ros.training.recipe import TrainingConfig
from sam3d_ros.training.release import CARD_FILE, CURVES_FILE

CPU = torch.device("cpu")
SHORT = {
    "data": {"shape_resolution": 24, "shape_groups": 1, "codec_samples": 16},
    "validation": {"every": 0},
    "probe_batches": 0,
    "prefetch": 0,
    "log_every": 1,
    **{stage: {"steps": 2, "batch_size": 2} for stage in ("pre", "mid", "sft")},
    "shortcut": {"steps": 2, "batch_size": 4},
}


def config() -> TrainingConfig:
    sizes = replace(preset("smoke"), architecture=tiny_volume_architecture())
    return changed(sizes, SHORT, "here")


def run_in(folder: Path, **more: object) -> TrainingRun:
    run = TrainingRun(config=config(), folder=folder, device=CPU, ranks=ALONE)
    return replace(run, **more)  # type: ignore[arg-type]


def history(folder: Path) -> list[str]:
    told = json.loads((folder / PROVENANCE_FILE).read_text())
    return [stage["name"] for stage in told["stages"]]


def test_who_goes_on_with_other_settings_is_told_what_differs(tmp_path: Path) -> None:
    init = write_random_nano(tmp_path / "nano")
    begun = run_in(tmp_path / "run", init=init)
    begun.train("sft")
    begun.train("sft")  # the same again: nothing is left to do

    others = {
        "seed 0, not 5": replace(begun, config=replace(config(), seed=5)),
        r"settings\.steps 2, not 9": replace(
            begun, config=changed(config(), {"sft": {"steps": 9}}, "here")
        ),
        "init '.*nano', not ''": replace(begun, init=None),
        "data '', not '.*mine'": replace(begun, data=tmp_path / "mine"),
    }
    for message, other in others.items():
        with pytest.raises(TrainingError, match=f"was begun with {message}; say the same to go on"):
            other.train("sft")


def test_a_damaged_order_is_named(tmp_path: Path) -> None:
    (tmp_path / "run/sft").mkdir(parents=True)
    (tmp_path / "run/sft" / ORDER_FILE).write_text("{")
    with pytest.raises(TrainingError, match=r"order\.json cannot be read"):
        run_in(tmp_path / "run", init=write_random_nano(tmp_path / "nano")).train("sft")


@pytest.mark.slow
def test_what_is_exported_is_the_stage_that_was_asked_for_and_what_led_to_it(
    tmp_path: Path,
) -> None:
    run = run_in(tmp_path / "run")
    for name in ("pre", "shortcut", "mid"):
        run.train(name)
    run.export("mid", tmp_path / "mid")
    assert history(tmp_path / "mid") == ["pre", "mid"]
    run.export("shortcut", tmp_path / "shortcut")
    assert history(tmp_path / "shortcut")[-1] == "shortcut"

    elsewhere = run_in(tmp_path / "run", init=tmp_path / "mid")
    elsewhere.train("sft")
    elsewhere.export("sft", tmp_path / "sft")
    assert history(tmp_path / "sft") == ["pre", "mid", "sft"]
    rows = (tmp_path / "sft" / CURVES_FILE).read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["pre"] * 2 + ["mid"] * 2 + ["sft"] * 2


def test_weights_that_learned_from_captures_say_so(tmp_path: Path) -> None:
    write_capture(tmp_path / "my_parts/one")
    init = write_random_nano(tmp_path / "nano")
    run = run_in(tmp_path / "run", init=init, data=tmp_path / "my_parts")
    run.train("sft")
    run.export("sft", tmp_path / "made")

    (stage,) = json.loads((tmp_path / "made" / PROVENANCE_FILE).read_text())["stages"]
    assert stage["recipe"] == "own data: my_parts"
    assert stage["told"]["seed"] == 0
    assert str(tmp_path) not in (tmp_path / "made" / PROVENANCE_FILE).read_text()
    card = (tmp_path / "made" / CARD_FILE).read_text()
    assert "procedural objects and on own data: my_parts" in " ".join(card.split())
    assert "procedural objects alone" not in " ".join(card.split())


def test_a_history_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    init = write_random_nano(tmp_path / "nano")
    (init / PROVENANCE_FILE).write_text('{"stages": [{"name": "pre"}]}')
    with pytest.raises(TrainingError, match=r"provenance\.json cannot be read as the history"):
        run_in(tmp_path / "run", init=init).train("sft")


@pytest.mark.parametrize(
    ("stages", "known"),
    [
        (["pre", "shortcut"], True),
        (["pre", "shortcut", "refine"], True),
        (["pre", "shortcut", "dpo"], True),
        (["pre", "shortcut", "sft"], False),
        (["pre", "shortcut", "sft", "shortcut"], True),
        ([], False),
    ],
)
def test_step_sizes_are_known_until_flow_matching_goes_on(stages: list[str], known: bool) -> None:
    assert knows_step_sizes(stages) == known


def test_a_loss_that_is_no_number_has_not_fallen(tmp_path: Path) -> None:
    for name, losses in (("pre", (2.0, 1.0)), ("mid", (2.0, float("nan")))):
        with Curves(tmp_path / name, 0) as curves:
            for step, loss in enumerate(losses):
                curves.add("probe", step, {"loss": loss})
    assert _verdict(run_in(tmp_path), ("pre",)) == 0
    assert _verdict(run_in(tmp_path), ("mid",)) == 1


def test_few_captures_are_learned_from_gently() -> None:
    nano = preset("nano")
    gentle = for_own_data(nano, "sft")
    assert gentle.sft.steps < nano.sft.steps
    assert gentle.sft.optimiser.learning_rate < nano.sft.optimiser.learning_rate
    assert gentle.mid == nano.mid


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--learn", "layout"], "--learn is for weights of SAM 3D Objects"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_what_does_not_belong_to_nano_is_refused(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = write_random_nano(tmp_path / "nano")
    asked = ["train", "sft", "--init", str(init), "-o", str(tmp_path / "run"), *given]
    assert main(asked) == 1
    assert message in capsys.readouterr().err
