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

"""The data engine: candidates, judges, what is kept of them, and a person in the judge's place."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sam3d_ros.errors import ConfigError, TrainingError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.volume.model import NanoModel, untrained
from sam3d_ros.objects.volume.random_weights import random_nano
from sam3d_ros.objects.volume.view import TRUNCATION, VolumeBox, VolumeView
from sam3d_ros.training.engine.candidates import Candidates, sampled
from sam3d_ros.training.engine.cases import Cases
from sam3d_ros.training.engine.choices import ChosenPair, read_choices, write_choices
from sam3d_ros.training.engine.judging import TruthJudge, ViewJudge, depths_of
from sam3d_ros.training.engine.making import CaseSource, DataEngine, joined_cases, record_of
from sam3d_ros.training.engine.pairs import (
    AskedPairs,
    BestAnswers,
    Lessons,
    StoredPairs,
    judged,
    lessons_in,
    read_pairs,
)
from sam3d_ros.training.engine.recovery import RecoveryMeter
from sam3d_ros.training.engine.store import EngineStore, JudgedPart
from sam3d_ros.training.presets import preset
from sam3d_ros.training.scenes.recipes import ISOLATED
from sam3d_ros.training.starts import source_of

P, R = 64, 32
CENTRE_M, SIDE_M, RADIUS = (0.02, -0.01, 0.8), 0.2, 0.3  # the last in sides of the box
FLOW = FlowConfig(num_steps=2, strength=0.0)


def ball(radius: float, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    """Return the truncated distances of a ball in a box, ``(1, R, R, R)``."""
    axis = (torch.arange(R) + 0.5) / R - 0.5
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    distance = (points - torch.tensor(offset)).norm(dim=-1) - radius
    return (distance / TRUNCATION).clamp(-1, 1)[None]


def box() -> VolumeBox:
    # The box's x looks away from the camera, z up, y to the left.
    rotation = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    return VolumeBox(
        rotation=rotation[None],
        centre_m=torch.tensor([CENTRE_M]),
        side_m=torch.tensor([SIDE_M]),
    )


def view_of_a_ball(background_m: float = 1.5) -> VolumeView:
    """Return what a camera sees of a ball of ``RADIUS`` in the box, before a wall."""
    matrix = torch.tensor([[200.0, 0.0, 27.0], [0.0, 200.0, 34.0], [0.0, 0.0, 1.0]])
    v, u = torch.meshgrid(torch.arange(P), torch.arange(P), indexing="ij")
    rays = torch.stack((u, v, torch.ones_like(u)), dim=-1).float() @ torch.linalg.inv(matrix).T
    centre, radius = torch.tensor(CENTRE_M), RADIUS * SIDE_M
    a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - radius**2
    root = b**2 - a * c
    hit = root > 0
    depth_m = torch.where(hit, (b - root.clamp(min=0).sqrt()) / a, torch.tensor(background_m))
    return VolumeView(
        depth_m=depth_m[None],
        mask=hit[None],
        matrix_px=matrix[None],
        up=torch.tensor([[0.0, -1.0, 0.0]]),
        plane=torch.zeros(1, 4),
    )


def cases(truth: Tensor | None = None) -> Cases:
    return Cases(
        view=view_of_a_ball(),
        box=box(),
        rgb=torch.rand(1, 3, P, P, generator=torch.Generator().manual_seed(0)),
        names=("ball#1",),
        truth=ball(RADIUS) if truth is None else truth,
    )


def candidates(*distances: Tensor) -> Candidates:
    none = torch.zeros(len(distances), 1, 1)
    return Candidates(
        latents=GeometryLatents(none, none, none, none, none),
        distance=torch.cat(distances)[None],
    )


@pytest.fixture(scope="module")
def model() -> NanoModel:
    """A model of the smoke preset that answers what its noise says, more or less."""
    nano = untrained(0, preset("smoke").architecture)
    generator = torch.Generator().manual_seed(0)
    for tensor in nano.codec.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.02 * torch.randn(tensor.shape, generator=generator))
    for parameter in nano.geometry.parameters():
        with torch.no_grad():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return nano.eval()


def test_a_body_is_rendered_at_the_depth_at_which_it_was_seen() -> None:
    view = view_of_a_ball()

    depth_m = depths_of(view, box(), ball(RADIUS))

    seen = view.mask[:, ::2, ::2] & depth_m.isfinite()
    assert seen.sum() > 0.97 * view.mask[:, ::2, ::2].sum()
    off_m = (depth_m - view.depth_m[:, ::2, ::2])[seen].abs()
    assert float(off_m.quantile(0.9)) < 0.15 * SIDE_M / R


@pytest.mark.parametrize("judge", [TruthJudge(), ViewJudge()], ids=["truth", "view"])
def test_judges_prefer_the_true_body_to_larger_smaller_and_displaced_ones(
    judge: TruthJudge | ViewJudge,
) -> None:
    scores = judge(
        cases(),
        candidates(
            ball(RADIUS), ball(0.36), ball(0.24), ball(RADIUS, (0.1, 0, 0)), ball(0.3, (0, 0.1, 0))
        ),
    )[0]

    assert float(scores[0]) > 0.9
    assert scores[1:].max() < scores[0] - 0.1
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_what_stands_in_free_space_counts_against_a_body() -> None:
    nearer = torch.minimum(ball(RADIUS), ball(0.1, (-0.4, 0.0, 0.0)))  # in front of the ball
    beside = torch.minimum(ball(RADIUS), ball(0.1, (0.0, 0.0, 0.45)))  # in front of the wall
    behind = torch.minimum(ball(RADIUS), ball(0.2, (0.25, 0.0, 0.0)))  # where nobody looks

    scores = ViewJudge()(cases(), candidates(ball(RADIUS), nearer, beside, behind))[0]

    assert scores[1] < scores[0] - 0.02
    assert scores[2] < scores[0] - 0.02
    assert scores[3] == pytest.approx(float(scores[0]), abs=0.01)


def test_a_body_that_an_occluder_may_hide_is_not_blamed_for_it() -> None:
    seen = view_of_a_ball()
    mask, depth_m = seen.mask.clone(), seen.depth_m.clone()
    mask[:, :, 30:], depth_m[:, :, 30:] = False, 0.3  # a board before the right half
    half = replace(cases(), view=replace(seen, mask=mask, depth_m=depth_m))

    scores = ViewJudge()(half, candidates(ball(RADIUS), ball(0.2)))[0]

    assert float(scores[0]) > 0.9
    assert scores[1] < scores[0]


def test_no_truth_to_judge_by_is_said_with_what_to_do() -> None:
    blind = Cases(
        view=view_of_a_ball(), box=box(), rgb=torch.zeros(1, 3, P, P), names=("x",), truth=None
    )

    with pytest.raises(TrainingError, match="x has no truth to judge by; judge by the view"):
        TruthJudge()(blind, candidates(ball(RADIUS)))


def test_candidates_of_one_view_stand_together_and_differ(model: NanoModel) -> None:
    two = joined_cases([cases(), replace(cases(), view=view_of_a_ball(1.0))])

    answers = sampled(model, two, 3, FLOW, torch.Generator().manual_seed(1))

    assert answers.distance.shape == (2, 3, R, R, R)
    again = model.decode(answers.latents.shape[1:2])
    torch.testing.assert_close(answers.distance[0, 1], again[0])
    assert not torch.equal(answers.distance[0, 0], answers.distance[0, 1])


def test_the_best_of_several_recovers_hard_cases() -> None:
    meter = RecoveryMeter()

    meter.add(cases(), candidates(ball(0.2), ball(0.29)))
    meter.add(cases(), candidates(ball(RADIUS), ball(0.1)))
    meter.add(cases(), candidates(ball(0.1), ball(0.12)))

    result = meter.result()
    assert result is not None
    assert (result.num_cases, result.num_hard) == (3, 2)
    assert result.hard_best == result.hard_chosen == 0.5
    assert "2 hard cases" in result.text()


def made(model: NanoModel, folder: Path, num_parts: int = 2) -> EngineStore:
    source = CaseSource(
        name="balls",
        parts=lambda: (_with_truth(2) for _ in range(num_parts)),
    )
    judge = TruthJudge()
    store = EngineStore.create(folder, record_of(model, source, judge, 3, FLOW, 0))
    DataEngine(model, judge, FLOW, store).run(source)
    return store


def _with_truth(num: int) -> Cases:
    joined = joined_cases([cases()] * num)
    return replace(joined, truth=torch.cat([ball(RADIUS)] * num))


def test_a_run_that_was_stopped_makes_only_what_is_missing(
    model: NanoModel, tmp_path: Path
) -> None:
    whole = made(model, tmp_path / "whole", 3)
    made(model, tmp_path / "stopped", 1)
    first = (tmp_path / "stopped/part_000000.safetensors").stat().st_mtime_ns

    stopped = made(model, tmp_path / "stopped", 3)

    assert stopped.parts() == whole.parts() == [0, 1, 2]
    assert (tmp_path / "stopped/part_000000.safetensors").stat().st_mtime_ns == first
    for number in whole.parts():
        torch.testing.assert_close(
            stopped.read(number).latents.shape, whole.read(number).latents.shape
        )


def scored(model: NanoModel, folder: Path, scores: list[float] | list[list[float]]) -> JudgedPart:
    """Make one part of two cases whose three candidates a judge gave some scores."""
    store = made(model, folder, 1)
    part = store.read(0)
    part.scores[:] = torch.tensor(scores)
    store.write(0, part)
    return part


def test_a_part_reads_as_it_was_written(model: NanoModel, tmp_path: Path) -> None:
    part = made(model, tmp_path, 1).read(0)

    assert part.ids == ("000000-00", "000000-01")
    assert part.names == ("ball#1", "ball#1")
    assert part.scores.shape == (2, 3)
    torch.testing.assert_close(part.view.depth_m[:1], view_of_a_ball().depth_m)
    answers = sampled(model, _with_truth(2), 3, FLOW, torch.Generator().manual_seed(0))
    torch.testing.assert_close(part.latents.shape, answers.latents.shape, atol=5e-3, rtol=1e-3)
    assert torch.equal(part.latents.rotation, answers.latents.rotation)


def test_other_settings_or_weights_need_another_folder(model: NanoModel, tmp_path: Path) -> None:
    store = made(model, tmp_path, 1)

    with pytest.raises(TrainingError, match=r"engine\.json says seed 0, not 1"):
        EngineStore.create(tmp_path, replace(store.record, seed=1))


def test_a_damaged_part_is_named_with_what_to_do(model: NanoModel, tmp_path: Path) -> None:
    store = made(model, tmp_path, 1)
    path = tmp_path / "part_000000.safetensors"
    path.write_bytes(path.read_bytes()[:-8])

    with pytest.raises(TrainingError, match=r"part_000000\.safetensors cannot be read.*remove it"):
        store.read(0)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text(json.dumps({"format": 7}))

    with pytest.raises(TrainingError, match="is not of format 1"):
        EngineStore.open(tmp_path)


def test_one_candidate_is_no_choice(model: NanoModel) -> None:
    source = CaseSource(name="balls", parts=lambda: iter(()))
    with pytest.raises(ConfigError, match="candidates must be at least 2, got 1"):
        record_of(model, source, TruthJudge(), 1, FLOW, 0)


def test_pairs_are_the_best_and_the_worst_by_the_scores(model: NanoModel, tmp_path: Path) -> None:
    store = made(model, tmp_path, 2)
    part = store.read(0)
    part.scores[0] = torch.tensor([0.3, 0.9, 0.1])
    part.scores[1] = torch.tensor([0.5, 0.51, 0.505])  # alike: no preference
    store.write(0, part)

    pairs = read_pairs(tmp_path, model.codec.state_dict())

    assert judged(part) == {"000000-00": ChosenPair(1, 2)}
    torch.testing.assert_close(pairs.pairs.best.shape[0], part.latents.shape[1])
    torch.testing.assert_close(pairs.pairs.worst.shape[0], part.latents.shape[2])
    batch = StoredPairs(pairs.pairs, 0).batch(4, 5)
    assert len(batch.view) == len(batch.best.shape) == 5


def test_what_a_person_chose_goes_before_the_scores(model: NanoModel, tmp_path: Path) -> None:
    part = scored(model, tmp_path, [0.3, 0.5, 0.1])
    (tmp_path / "choices.txt").write_text("000000-00 - -\n000000-01 0 2  # mine\n")

    pairs = read_pairs(tmp_path, model.codec.state_dict())

    assert pairs.score.tolist() == [1.0]
    torch.testing.assert_close(pairs.pairs.best.shape[0], part.latents.shape[3])
    torch.testing.assert_close(pairs.pairs.worst.shape[0], part.latents.shape[5])


def test_a_line_that_a_person_left_as_it_was_is_the_judges_opinion(
    model: NanoModel, tmp_path: Path
) -> None:
    part = scored(model, tmp_path, [0.3, 0.5, 0.1])
    choices: dict[str, ChosenPair | None] = {**judged(part)}
    write_choices(tmp_path / "choices.txt", choices, dict.fromkeys(part.ids, "ball#1"))

    pairs = read_pairs(tmp_path, model.codec.state_dict())

    assert pairs.score.tolist() == pytest.approx([0.5, 0.5])
    with pytest.raises(TrainingError, match=r"no candidate scored 0\.7"):
        BestAnswers(pairs, model, 0)


def test_pairs_count_where_the_truth_tells_answers_apart() -> None:
    config = preset("smoke")
    scenes = source_of(config, ISOLATED, "dpo", torch.device("cpu"))
    vague = random_nano(0, config.architecture)
    alike = copy.deepcopy(vague)  # answers its guess, whatever the noise
    with torch.no_grad():
        alike.geometry.latent_mapping["shape"].out_layer.weight.zero_()
        vague.geometry.latent_mapping["shape"].out_layer.weight.mul_(30.0)

    varied = AskedPairs(vague, scenes, 0).batch(0, 2)
    assert varied.told_apart is not None
    assert varied.told_apart.any()
    same = AskedPairs(alike, scenes, 0).batch(0, 2)
    assert same.told_apart is not None
    assert not same.told_apart.any()


def test_what_judged_answers_teach_is_counted(model: NanoModel, tmp_path: Path) -> None:
    good_and_alike, bad_and_different = [0.9, 0.895, 0.9], [0.3, 0.5, 0.1]
    scored(model, tmp_path, [good_and_alike, bad_and_different])

    assert lessons_in(EngineStore.open(tmp_path)) == Lessons(num_good=1, num_pairs=1)


def test_latents_of_another_codec_are_refused(model: NanoModel, tmp_path: Path) -> None:
    made(model, tmp_path, 1)
    other = {name: value + 1 for name, value in model.codec.state_dict().items()}

    with pytest.raises(TrainingError, match="holds latents of another codec"):
        read_pairs(tmp_path, other)


def test_the_best_answers_become_training_data(model: NanoModel, tmp_path: Path) -> None:
    made(model, tmp_path, 1)
    (tmp_path / "choices.txt").write_text("000000-01 0 2\n")
    pairs = read_pairs(tmp_path, model.codec.state_dict())

    batch = BestAnswers(pairs, model, 0).batch(0, 2)

    assert batch.distance.shape == (2, R, R, R)
    assert batch.distance.abs().max() <= 1
    torch.testing.assert_close(
        batch.box_rotation_object @ batch.box_rotation_object.mT, torch.eye(3).expand(2, 3, 3)
    )
    assert batch.families == ("ball#1", "ball#1")


def test_good_answers_that_are_all_alike_become_training_data_too(
    model: NanoModel, tmp_path: Path
) -> None:
    part = scored(model, tmp_path, [0.9, 0.9, 0.9])

    pairs = read_pairs(tmp_path, model.codec.state_dict(), min_margin=0.0)

    assert len(pairs.names) == len(part.ids)
    assert len(BestAnswers(pairs, model, 0).batch(0, 2).distance) == 2


def test_without_any_good_answer_there_is_no_training_data(
    model: NanoModel, tmp_path: Path
) -> None:
    scored(model, tmp_path, [0.3, 0.2, 0.1])

    with pytest.raises(TrainingError, match=r"no candidate scored 0\.7 or more, the best 0\.30"):
        BestAnswers(read_pairs(tmp_path, model.codec.state_dict()), model, 0)


def test_choices_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "choices.txt"
    choices = {"000000-00": ChosenPair(1, 0), "000000-01": None}

    write_choices(path, choices, {"000000-00": "mug#4", "000000-01": "can#5"})

    assert read_choices(path, choices, 2) == {"000000-00": ChosenPair(1, 0)}
    assert "# mug#4" in path.read_text()

    path.write_text(path.read_text().replace("000000-00 1 0", "000000-00 0 1"))  # edited
    more = {**choices, "000001-00": ChosenPair(0, 1)}
    write_choices(path, more, {"000001-00": "box#6"})
    assert read_choices(path, more, 2) == {
        "000000-00": ChosenPair(0, 1),
        "000001-00": ChosenPair(0, 1),
    }


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a 0", "line 2: expected a case, its best and its worst candidate, got 'a 0'"),
        ("a 0 x", "line 2: expected a candidate from 0 to 3, got 'x'"),
        ("a 4 1", "line 2: expected a candidate from 0 to 3, got '4'"),
        ("a 1 1", "line 2: best and worst are both 1"),
        ("b 0 1", "line 2: there is no case 'b'"),
        ("a 0 1\na 1 0", "line 3: case a stands in line 2 already"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(tmp_path: Path, line: str, text: str) -> None:
    path = tmp_path / "choices.txt"
    path.write_text(f"# mine\n{line}\n")

    with pytest.raises(TrainingError, match=text):
        read_choices(path, ["a"], 4)
