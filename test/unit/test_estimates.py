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

"""Objects without depth: when it is estimated, what is said of it, and what can go wrong."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import VGA, Scene, box, camera_from_world, can, placed, scene
from torch import nn

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import (
    DepthConfig,
    LiftConfig,
    MasksConfig,
    ObjectsConfig,
    SceneConfig,
    WeightsConfig,
)
from sam3d_ros.errors import CancelledError, DepthSparseError, OutOfMemoryError, ReportCode
from sam3d_ros.geometry.measures import is_watertight
from sam3d_ros.objects import point_estimator
from sam3d_ros.objects.depth_model import DepthModel
from sam3d_ros.objects.files import DEPTH_MODEL_FILE
from sam3d_ros.objects.point_estimator import DepthModelEstimator
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.scene.estimators import make_point_estimator
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.scene.observe import FrameObservations, observe
from sam3d_ros.structures import (
    Camera,
    DepthImage,
    EstimatedPoints,
    Floats,
    Frame,
    InstanceMask,
    ScaleSource,
)

VIEW = camera_from_world(np.radians(35), 0.9)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def two() -> Scene:
    return scene([box(0.08, 0.06, 0.12), placed(can(0.04, 0.1), 0.0, (0.0, 0.2, 0.0))], VIEW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


def config_of(folder: Path, **others: object) -> SceneConfig:
    quick = ObjectsConfig(backend="sam3d", stage1_steps=2, stage2_steps=2, mesh_detail="fast")
    config = SceneConfig(device="cpu", objects=quick, weights=WeightsConfig(objects=str(folder)))
    return replace(config, **others)  # type: ignore[arg-type]  # checked there


class Seer:
    """Knows the scene up to the scale and the offset that a model gets wrong."""

    def __init__(self, frame: Frame) -> None:
        assert frame.depth is not None
        self.depth_m = frame.depth.depth_m
        self.asked: list[Camera] = []

    def __call__(self, rgb: Floats, camera: Camera) -> EstimatedPoints:
        self.asked.append(camera)
        points = np.repeat((2.0 * self.depth_m - 0.3)[..., None], 3, axis=-1)
        return EstimatedPoints(points.astype(np.float32), np.eye(3))


def holed(frame: Frame, index: int) -> Frame:
    """Return a frame whose depth camera sees nothing of one object."""
    assert frame.depth is not None
    depth_m = np.where(frame.masks[index].mask, np.nan, frame.depth.depth_m)
    return replace(frame, depth=DepthImage(depth_m=depth_m, camera=VGA))


def codes(observed: FrameObservations) -> dict[int, ReportCode]:
    return {failure.instance_id: failure.code for failure in observed.failures}


def test_an_object_without_depth_gets_estimated_points_in_the_metres_of_the_others(
    two: Scene,
) -> None:
    truth = observe(two.frame, SceneConfig()).observations
    observed = observe(holed(two.frame, 0), SceneConfig(), Seer(two.frame))
    first, second = observed.observations
    assert codes(observed) == {}
    assert first.instance.instance_id == truth[0].instance.instance_id
    assert (first.scale_source, second.scale_source) == (ScaleSource.MONOCULAR, ScaleSource.DEPTH)
    assert "fitted to" in first.notes[0]
    assert "scale 0.5, offset 0.15 m" in first.notes[0]
    assert second.notes == ()
    middle = np.median(first.object_points_camera, axis=0)
    np.testing.assert_allclose(middle, np.median(truth[0].object_points_camera, 0), atol=0.005)
    assert (second.mask == truth[1].mask).all()
    assert first.support is None
    assert (second.others == truth[1].others).all()


def test_depth_that_is_there_needs_no_estimate(two: Scene) -> None:
    seer = Seer(two.frame)
    observe(two.frame, SceneConfig(), seer)
    assert seer.asked == []


def test_without_any_depth_the_scale_is_said_to_be_a_guess(two: Scene) -> None:
    seer = Seer(two.frame)
    observed = observe(replace(two.frame, depth=None), SceneConfig(), seer)
    assert len(observed.observations) == len(seer.asked) + 1 == 2  # one look is enough for all
    for seen in observed.observations:
        assert seen.scale_source == ScaleSource.MONOCULAR
        assert "distance and size are a guess" in seen.notes[0]
    assert observed.support is None


def test_skip_leaves_them_out(two: Scene) -> None:
    seer = Seer(two.frame)
    config = SceneConfig(depth=DepthConfig(on_missing="skip"))
    assert codes(observe(holed(two.frame, 0), config, seer)) == {1: ReportCode.DEPTH_SPARSE}
    assert seer.asked == []


def test_a_mask_that_is_too_small_is_so_without_depth_too(two: Scene) -> None:
    seer = Seer(two.frame)
    strict = SceneConfig(masks=MasksConfig(min_pixels=100_000))
    observed = observe(replace(two.frame, depth=None), strict, seer)
    assert set(codes(observed).values()) == {ReportCode.MASK_EMPTY}
    assert seer.asked == []


def test_what_the_model_takes_for_no_surface_stays_without_depth(two: Scene) -> None:
    seer = Seer(two.frame)
    seer.depth_m = np.where(two.frame.masks[0].mask, np.nan, seer.depth_m)
    observed = observe(holed(two.frame, 0), SceneConfig(), seer)
    assert codes(observed) == {1: ReportCode.DEPTH_SPARSE}
    assert "depth source: monocular" in observed.failures[0].message
    assert len(observed.observations) == 1


@pytest.mark.parametrize("error", [OutOfMemoryError("full"), DepthSparseError("blank")], ids=repr)
def test_an_estimate_that_fails_does_so_for_those_alone_that_need_it(
    error: OutOfMemoryError | DepthSparseError, two: Scene
) -> None:
    def failing(rgb: Floats, camera: Camera) -> EstimatedPoints:
        raise error

    observed = observe(holed(two.frame, 0), SceneConfig(), failing)
    assert codes(observed) == {1: error.code}
    assert [seen.instance.instance_id for seen in observed.observations] == [2]


def test_an_estimate_that_is_called_off_ends_the_frame(folder: Path, two: Scene) -> None:
    estimator = make_point_estimator(config_of(folder))
    assert estimator is not None

    def called_off(rgb: Floats, camera: Camera) -> EstimatedPoints:
        return estimator.estimate(rgb, camera, lambda: True)

    with pytest.raises(CancelledError, match="stage depth model"):
        observe(holed(two.frame, 0), SceneConfig(), called_off)


def test_the_scene_pipeline_reconstructs_without_depth_and_says_so(
    folder: Path, two: Scene
) -> None:
    snapshot = local_pipeline(config_of(folder)).process(replace(two.frame, depth=None))
    assert snapshot.failures == ()
    assert len(snapshot.objects) == 2
    for known in snapshot.objects:
        provenance = known.reconstruction.provenance
        assert provenance.scale_source == ScaleSource.MONOCULAR
        assert "a guess" in provenance.notes[0]


def test_lift_works_on_estimated_depth_and_says_so(two: Scene) -> None:
    observed = observe(holed(two.frame, 0), SceneConfig(), Seer(two.frame))
    estimated, measured = (
        LiftBackend(LiftConfig()).reconstruct(seen) for seen in observed.observations
    )
    assert is_watertight(estimated.mesh_object)
    assert estimated.provenance.scale_source == ScaleSource.MONOCULAR
    assert "fitted to" in estimated.provenance.notes[0]
    assert np.isnan(estimated.quality.depth_residual_m)  # of readings that there are none of
    assert np.isnan(estimated.quality.inlier_fraction)
    assert estimated.quality.silhouette_iou > 0.8
    assert measured.quality.depth_residual_m < 0.01
    assert measured.quality.inlier_fraction > 0.5


@pytest.mark.parametrize("what", ["skip", "missing", "broken", "no folder"])
def test_without_a_depth_model_objects_without_depth_are_left_out_as_ever(
    what: str, folder: Path, two: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sam3d_ros.scene.estimators")
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    config = config_of(copy)
    if what == "skip":
        config = replace(config, depth=DepthConfig(on_missing="skip"))
    elif what == "missing":
        (copy / DEPTH_MODEL_FILE).unlink()
    elif what == "broken":
        (copy / DEPTH_MODEL_FILE).write_bytes(b"<html>not found</html>")
    else:
        config = SceneConfig()
    assert make_point_estimator(config) is None
    levels = {"missing": ["INFO"], "broken": ["WARNING"]}.get(what, [])
    assert [record.levelname for record in caplog.records] == levels
    snapshot = local_pipeline(config).process(replace(two.frame, depth=None))
    assert {failure.code for failure in snapshot.failures} == {ReportCode.DEPTH_SPARSE}


@pytest.fixture
def estimator(folder: Path) -> DepthModelEstimator:
    return DepthModelEstimator.load(config_of(folder))


@pytest.fixture
def picture() -> Floats:
    return np.random.default_rng(0).random((48, 64, 3), dtype=np.float32)


def test_too_little_memory_for_the_depth_model_is_an_error_that_says_what_helps(
    estimator: DepthModelEstimator, picture: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(model: nn.Module, rgb: Floats, **options: object) -> EstimatedPoints:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(point_estimator, "estimate_points", greedy)
    with pytest.raises(OutOfMemoryError, match="low_memory"):
        estimator.estimate(picture)


def test_weights_that_leave_the_device_make_room_for_a_second_try(
    estimator: DepthModelEstimator, picture: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = point_estimator.estimate_points
    tries: Iterator[bool] = iter([False, True])

    def greedy(model: DepthModel, rgb: Floats, camera: Camera | None) -> EstimatedPoints:
        if next(tries):
            return original(model, rgb, camera=camera)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(point_estimator, "estimate_points", greedy)
    monkeypatch.setattr(DepthModelEstimator, "_park", lambda self: True)
    assert np.isfinite(estimator.estimate(picture).points_camera).all()


def test_with_low_memory_weights_wait_on_the_cpu(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = []

    def load(*files: object, device: torch.device, dtype: torch.dtype) -> nn.Module:
        homes.append(device)
        return nn.Identity()

    monkeypatch.setattr(point_estimator, "load_depth_model", load)
    monkeypatch.setattr(point_estimator, "device_named", lambda name: torch.device("meta"))
    for low_memory in (True, False):
        DepthModelEstimator.load(config_of(folder, low_memory=low_memory))
    assert homes == [CPU, torch.device("meta")]


def test_an_image_without_a_camera_tells_one(
    estimator: DepthModelEstimator, picture: Floats
) -> None:
    seen = estimator.estimate(picture)
    assert seen.points_camera.shape == (48, 64, 3)
    focal_x, focal_y = seen.matrix_normalised[0, 0] * 64, seen.matrix_normalised[1, 1] * 48
    assert focal_x == pytest.approx(focal_y)
    assert focal_x > 0


def test_masks_keep_their_order(two: Scene) -> None:
    for index in (0, 1):
        observed = observe(holed(two.frame, index), SceneConfig(), Seer(two.frame))
        assert [seen.instance.instance_id for seen in observed.observations] == [1, 2]


def test_the_others_of_an_object_are_masks_with_and_without_depth(two: Scene) -> None:
    frame = holed(two.frame, 0)
    both = frame.masks[0].mask | frame.masks[1].mask
    overlapping = (frame.masks[0], InstanceMask(instance_id=2, mask=both))
    config = SceneConfig(depth=DepthConfig(min_valid_fraction=0.1))
    first, second = observe(replace(frame, masks=overlapping), config, Seer(two.frame)).observations
    assert first.scale_source == ScaleSource.MONOCULAR
    assert second.scale_source == ScaleSource.DEPTH
    assert (second.others == first.silhouette).all()
