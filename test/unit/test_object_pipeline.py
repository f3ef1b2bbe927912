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

"""SAM 3D Objects from observation to mesh, splats and pose, with untrained weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import box, camera_from_world, placed, scene

from sam3d_ros.config import ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import CancelledError, DecodingError, ReportCode, Sam3dError
from sam3d_ros.geometry.measures import is_watertight
from sam3d_ros.geometry.meshes import bounds
from sam3d_ros.objects.files import FIRST_STAGE, MESH_FILE
from sam3d_ros.objects.first_stage import FirstStage
from sam3d_ros.objects.pipeline import ModelledObject, Reconstructor
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.second_stage import SecondStage
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import ObjectReconstruction, Observation, ScaleSource

VIEW = camera_from_world(np.radians(35), 0.8, azimuth_rad=0.3)
NUM_STEPS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def observations() -> tuple[Observation, ...]:
    """Return three boxes on a table, of different sizes and places."""
    solids = [
        placed(box(0.10, 0.10, 0.10), 0.3, (0.0, 0.0, 0.0)),
        placed(box(0.06, 0.08, 0.12), 0.0, (0.2, 0.0, 0.0)),
        placed(box(0.08, 0.08, 0.05), 0.0, (-0.2, 0.05, 0.0)),
    ]
    return observe(scene(solids, VIEW, noise=0.5).frame, SceneConfig()).observations


def config_of(folder: Path, **objects: int | str | bool) -> SceneConfig:
    steps = {"stage1_steps": NUM_STEPS, "stage2_steps": NUM_STEPS}
    return SceneConfig(
        device="cpu",
        objects=ObjectsConfig(**{**steps, **objects}),  # type: ignore[arg-type]  # checked there
        weights=WeightsConfig(objects=str(folder)),
    )


@pytest.fixture(scope="module")
def full(folder: Path) -> Reconstructor:
    return Reconstructor.load(config_of(folder), splats=True)


@pytest.fixture(scope="module")
def fast(folder: Path) -> Reconstructor:
    return Reconstructor.load(config_of(folder, mesh_detail="fast"))


def made(outcome: object) -> ObjectReconstruction:
    assert isinstance(outcome, ObjectReconstruction), outcome
    return outcome


def failed(outcome: object) -> Sam3dError:
    assert isinstance(outcome, Sam3dError)
    return outcome


def modelled(outcome: object) -> ModelledObject:
    assert isinstance(outcome, ModelledObject), outcome
    return outcome


@pytest.mark.parametrize("backend", ["full", "fast"])
def test_each_object_becomes_a_closed_metric_mesh_where_it_was_seen(
    backend: str, observations: tuple[Observation, ...], request: pytest.FixtureRequest
) -> None:
    outcomes = request.getfixturevalue(backend).reconstruct(observations)
    for outcome, observation in zip(outcomes, observations, strict=True):
        result = made(outcome)
        assert is_watertight(result.mesh_object)
        middle = bounds(result.mesh_object.transformed(result.camera_from_object)).mean(axis=0)
        seen = np.median(observation.object_points_camera, axis=0)
        assert np.linalg.norm(middle - seen) < 0.15  # the planted pose, but for the noise
        size_m = np.ptp(result.baked().mesh_object.vertices, axis=0)
        assert (size_m > 0.02).all()
        assert (size_m < 0.4).all()


def test_a_result_says_where_it_comes_from_and_what_it_took(
    full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    result = made(full.reconstruct(observations[:1])[0])
    assert (result.provenance.backend, result.provenance.seed) == ("sam3d", 42)
    assert result.provenance.scale_source == ScaleSource.DEPTH
    assert set(result.stage_s) >= {"condition", "geometry", "occupancy", "refinement", "mesh"}
    assert all(seconds >= 0 for seconds in result.stage_s.values())
    assert np.isnan(result.gpu_peak_mb)
    assert 0 < result.quality.silhouette_iou <= 1
    assert 0 < result.quality.observed_fraction < 1
    assert result.mesh_object.observed.min() == 0
    assert result.mesh_object.observed.max() == 1


def test_splats_lie_along_the_mesh_in_the_same_frame(
    full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    (outcome,) = full.model(observations[:1], seeds=[1])
    both = modelled(outcome)
    assert both.splats is not None
    low, high = bounds(both.reconstruction.mesh_object)
    within = (both.splats.means > low - 0.1) & (both.splats.means < high + 0.1)
    assert within.all(axis=1).mean() > 0.95
    np.testing.assert_allclose(both.splats.means.mean(axis=0), (low + high) / 2, atol=0.1)


def test_a_batch_gives_what_one_by_one_gives(
    folder: Path, full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    alone = Reconstructor.load(config_of(folder, batch_size=1))
    pairs = zip(full.reconstruct(observations), alone.reconstruct(observations), strict=True)
    for together, single in pairs:
        first, second = made(together), made(single)
        np.testing.assert_allclose(
            first.camera_from_object.matrix, second.camera_from_object.matrix, atol=1e-5
        )
        np.testing.assert_allclose(bounds(first.mesh_object), bounds(second.mesh_object), atol=1e-3)


def test_equal_seeds_give_equal_results_and_others_do_not(
    fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    first, again, other = fast.model(observations[:1], seeds=[7, 7, 8])
    poses = [modelled(each).reconstruction.camera_from_object for each in (first, again, other)]
    np.testing.assert_allclose(poses[0].matrix, poses[1].matrix, atol=1e-6)
    assert not np.allclose(poses[0].matrix, poses[2].matrix, atol=1e-3)
    results = [made(fast.reconstruct(observations[:1])[0]) for _ in range(2)]
    np.testing.assert_array_equal(results[0].mesh_object.vertices, results[1].mesh_object.vertices)


def test_half_precision_and_shortcuts_change_little(
    folder: Path, fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    config = config_of(folder, mesh_detail="fast", shortcut=True)
    others = [
        Reconstructor.load(replace(config, precision="bf16")),
        Reconstructor.load(replace(config, precision="fp32")),
    ]
    expected = made(fast.reconstruct(observations[:1])[0]).camera_from_object
    for other in others:
        pose = made(other.reconstruct(observations[:1])[0]).camera_from_object
        np.testing.assert_allclose(pose.translation_m, expected.translation_m, atol=0.01)
        assert pose.scale == pytest.approx(expected.scale, rel=0.05)


def test_all_seeds_of_an_object_come_before_the_next_object(
    fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    outcomes = fast.model(observations[:2], seeds=[3, 4])
    assert [modelled(each).reconstruction.provenance.seed for each in outcomes] == [3, 4, 3, 4]
    depths = [modelled(o).reconstruction.camera_from_object.translation_m[2] for o in outcomes]
    assert abs(depths[0] - depths[1]) < abs(depths[0] - depths[2])


def test_the_fast_mesh_needs_the_first_stage_alone(folder: Path, tmp_path: Path) -> None:
    for name in (*FIRST_STAGE, "architecture.json"):
        (tmp_path / name).symlink_to(folder / name)
    Reconstructor.load(config_of(tmp_path, mesh_detail="fast"))
    with pytest.raises(Sam3dError, match="slat_generator"):
        Reconstructor.load(config_of(tmp_path, mesh_detail="full"))


def test_the_full_mesh_needs_its_decoder(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != MESH_FILE:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(Sam3dError, match=MESH_FILE):
        Reconstructor.load(config_of(tmp_path))


def spoiling(function: Callable[..., None], spoil: Callable[[Sample], None]) -> Callable[..., None]:
    """Return a stage after which something is done to the second object."""

    def stage(self: object, samples: Sequence[Sample], *args: object, **options: object) -> None:
        function(self, samples, *args, **options)
        for sample in samples:
            if sample.view.observation.instance.instance_id == 2:
                spoil(sample)

    return stage


def no_voxels(sample: Sample) -> None:
    sample.logits = torch.full_like(sample.logits, -1.0)


def nan_layout(sample: Sample) -> None:
    sample.latents = sample.latents * float("nan")


def nan_logits(sample: Sample) -> None:
    sample.logits = sample.logits * float("nan")


def nan_structure(sample: Sample) -> None:
    sample.structured = sample.structured * float("nan")


def out_of_memory(sample: Sample) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. More text.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """What goes wrong with the second object after a stage, and what is said of it."""

    owner: type
    stage: str
    spoil: Callable[[Sample], None]
    code: ReportCode
    text: str


CASES = {
    "no voxels": Case(
        owner=FirstStage,
        stage="decode",
        spoil=no_voxels,
        code=ReportCode.RECONSTRUCTION,
        text="occupies none",
    ),
    "logits": Case(
        owner=FirstStage,
        stage="decode",
        spoil=nan_logits,
        code=ReportCode.RECONSTRUCTION,
        text="must be finite",
    ),
    "layout": Case(
        owner=FirstStage,
        stage="sample",
        spoil=nan_layout,
        code=ReportCode.RECONSTRUCTION,
        text="must be finite",
    ),
    "structure": Case(
        owner=SecondStage,
        stage="sample",
        spoil=nan_structure,
        code=ReportCode.RECONSTRUCTION,
        text="finite",
    ),
    "memory of a model": Case(
        owner=FirstStage,
        stage="sample",
        spoil=out_of_memory,
        code=ReportCode.OUT_OF_MEMORY,
        text="Tried to allocate",
    ),
    "memory of a decoder": Case(
        owner=SecondStage,
        stage="decode_mesh",
        spoil=out_of_memory,
        code=ReportCode.OUT_OF_MEMORY,
        text="low_memory",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_object_that_fails_does_so_alone(
    name: str,
    full: Reconstructor,
    observations: tuple[Observation, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES[name]
    original = getattr(case.owner, case.stage)
    monkeypatch.setattr(case.owner, case.stage, spoiling(original, case.spoil))
    first, second, third = full.reconstruct(observations)
    assert failed(second).code == case.code
    assert case.text in str(second)
    made(first)
    made(third)


def test_a_view_that_fails_does_so_alone(
    fast: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FirstStage.embed

    def greedy(self: FirstStage, views: Sequence[View]) -> None:
        original(self, views)
        if any(view.observation is observations[1] for view in views):
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FirstStage, "embed", greedy)
    first, second, third = fast.reconstruct(observations)
    assert failed(second).code == ReportCode.OUT_OF_MEMORY
    made(first)
    made(third)


def test_too_little_memory_for_a_batch_is_enough_for_one_by_one(
    full: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    original = FirstStage.sample

    def small(self: FirstStage, samples: Sequence[Sample], **options: object) -> None:
        sizes.append(len(samples))
        if len(samples) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(self, samples, **options)  # type: ignore[arg-type]

    expected = [made(each).camera_from_object.matrix for each in full.reconstruct(observations)]
    monkeypatch.setattr(FirstStage, "sample", small)
    outcomes = full.reconstruct(observations)
    assert sizes == [3, 1, 1, 1]
    matrices = [made(each).camera_from_object.matrix for each in outcomes]
    np.testing.assert_allclose(matrices, expected, atol=1e-5)


def test_one_voxel_is_an_object_too(
    full: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_voxel(sample: Sample) -> None:
        sample.logits = torch.full_like(sample.logits, -4.0)
        sample.logits[8, 8, 8] = 4.0

    monkeypatch.setattr(FirstStage, "decode", spoiling(FirstStage.decode, one_voxel))
    outcomes = full.reconstruct(observations)
    made(outcomes[0])
    second = outcomes[1]
    assert isinstance(second, ObjectReconstruction | DecodingError)  # the decoder decides
    if isinstance(second, ObjectReconstruction):
        assert np.ptp(second.mesh_object.vertices, axis=0).max() < 2 / 16


def test_an_object_out_of_sight_has_a_result_that_nobody_saw(
    fast: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind(sample: Sample) -> None:
        pose = sample.camera_from_object
        sample.camera_from_object = replace(pose, translation_m=np.array([0.0, 0.0, -1.0]))

    monkeypatch.setattr(FirstStage, "place", spoiling(FirstStage.place, behind))
    result = made(fast.reconstruct(observations)[1])
    assert result.quality.silhouette_iou == 0
    assert result.quality.observed_fraction == 0


def test_an_observation_without_points_fails_alone(
    fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    blind = replace(
        observations[1], points_camera=np.full_like(observations[1].points_camera, np.nan)
    )
    outcomes = fast.reconstruct([observations[0], blind])
    made(outcomes[0])
    assert failed(outcomes[1]).code == ReportCode.DEPTH_SPARSE


def test_no_objects_are_no_outcomes(fast: Reconstructor) -> None:
    assert fast.reconstruct([]) == []


@pytest.mark.parametrize("num_questions", [1, 4, 9])
def test_it_stops_soon_when_called_off(
    num_questions: int, full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked >= num_questions

    with pytest.raises(CancelledError):
        full.reconstruct(observations, cancelled)
    assert asked == num_questions  # nothing went on after the answer


def test_flow_steps_can_be_called_off(
    fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    texts = set()
    for num in range(1, 8):
        answers = iter([False] * num + [True] * 99)
        with pytest.raises(CancelledError) as raised:
            fast.reconstruct(observations[:1], lambda answers=answers: next(answers))
        texts.add(str(raised.value))
    assert f"stopped after 1 of {NUM_STEPS} flow steps" in texts
    assert "stopped before stage geometry of 1 objects" in texts
