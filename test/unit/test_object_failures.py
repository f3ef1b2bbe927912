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

"""What goes wrong with one object of a frame: an error of its own, and the others finish."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from three_boxes import NUM_STEPS, config_of, failed, made, three_boxes

from sam3d_ros.errors import CancelledError, DecodingError, ReportCode
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.objects import first_stage
from sam3d_ros.objects.first_stage import FirstStage
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.second_stage import SecondStage
from sam3d_ros.objects.voxels import MAX_VOXELS, SurfaceVoxels, surface_voxels
from sam3d_ros.structures import (
    Floats,
    ObjectReconstruction,
    Observation,
    Similarity,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def observations() -> tuple[Observation, ...]:
    return three_boxes()


@pytest.fixture(scope="module")
def full(folder: Path) -> Reconstructor:
    return Reconstructor.load(config_of(folder), splats=True)


@pytest.fixture(scope="module")
def fast(folder: Path) -> Reconstructor:
    return Reconstructor.load(config_of(folder, mesh_detail="fast"))


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


def too_many_voxels(sample: Sample) -> None:
    side = math.ceil(MAX_VOXELS ** (1 / 3)) + 1
    coords = torch.ones(side, side, side).nonzero().int()[: MAX_VOXELS + 1]
    sample.voxels = SurfaceVoxels(coords, Similarity.identity())


def nan_layout(sample: Sample) -> None:
    sample.latents = sample.latents * float("nan")


def nan_logits(sample: Sample) -> None:
    sample.logits = sample.logits * float("nan")


def nan_structure(sample: Sample) -> None:
    sample.structured = sample.structured * float("nan")


def huge_structure(sample: Sample) -> None:
    sample.structured = torch.full_like(sample.structured, 1e38)


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
    "too many voxels": Case(
        owner=FirstStage,
        stage="place",
        spoil=too_many_voxels,
        code=ReportCode.RECONSTRUCTION,
        text=f"at most {MAX_VOXELS} voxels, object 2 has",
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
        text="of object 2 must be finite",
    ),
    "splats": Case(
        owner=SecondStage,
        stage="sample",
        spoil=huge_structure,
        code=ReportCode.RECONSTRUCTION,
        text="splats must be finite",
    ),
    "memory of the splats": Case(
        owner=SecondStage,
        stage="decode_splats",
        spoil=out_of_memory,
        code=ReportCode.OUT_OF_MEMORY,
        text="raise gpu_memory_limit_gb",
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
    first, second, third = full.reconstruct(observations)
    made(first)
    made(third)
    assert isinstance(second, ObjectReconstruction | DecodingError)  # the decoder decides
    if isinstance(second, ObjectReconstruction):
        assert np.ptp(second.mesh_object.vertices, axis=0).max() < 2 / 16


def test_an_object_of_too_many_voxels_is_halved_and_stays_where_it_was(
    full: Reconstructor, observations: tuple[Observation, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def middles_and_sizes() -> tuple[Floats, Floats]:
        results = [made(each) for each in full.reconstruct(observations)]
        meshes = [each.mesh_object.transformed(each.camera_from_object) for each in results]
        low, high = np.moveaxis([bounds(mesh) for mesh in meshes], 1, 0)
        return (low + high) / 2, (high - low).max(axis=1)

    middles, sizes = middles_and_sizes()
    monkeypatch.setattr(first_stage, "surface_voxels", partial(surface_voxels, max_voxels=200))
    of_halved = middles_and_sizes()
    np.testing.assert_allclose(of_halved[0], middles, atol=0.01)
    np.testing.assert_allclose(of_halved[1], sizes, rtol=0.2)


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
