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

"""From frame to snapshot: one failing object never stops the others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sam3d_ros.config import RefineConfig, SceneConfig, SettleConfig, TrackingConfig
from sam3d_ros.errors import CancelledError, ReconstructionError, ReportCode
from sam3d_ros.protocols import OneByOne
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.structures import (
    Camera,
    DepthImage,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Observation,
    Provenance,
    Quality,
    ScaleSource,
    Similarity,
)

AS_MADE = SceneConfig(refine=RefineConfig(enabled=False))


class BoxBackend:
    """Answers every observation with a box at the middle of its points; refuses what it is told."""

    name = "box"

    def __init__(self, mesh: Mesh, refuse: tuple[int, ...] = ()) -> None:
        self._mesh = mesh
        self._refuse = refuse

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        if observation.instance.instance_id in self._refuse:
            raise ReconstructionError("told to refuse")
        middle = np.median(observation.object_points_camera, axis=0).astype(np.float64)
        return ObjectReconstruction(
            mesh_object=self._mesh,
            camera_from_object=Similarity(np.eye(3), middle, 0.1),
            quality=Quality(),
            provenance=Provenance(backend=self.name, scale_source=observation.scale_source),
        )


@pytest.fixture
def backend_mesh(make_box: Callable[..., Mesh]) -> Mesh:
    return make_box(1.0, 1.0, 1.0)


@pytest.fixture
def frame(vga: Camera) -> Frame:
    """Return three squares at 1 m before a wall at 2 m; the third has no depth."""
    depth_m = np.full((480, 640), 2.0, dtype=np.float32)
    masks = []
    for number, column in enumerate((100, 300, 500), start=1):
        mask = np.zeros((480, 640), dtype=bool)
        mask[200:280, column : column + 80] = True
        depth_m[mask] = 1.0 if number < 3 else np.nan
        masks.append(InstanceMask(instance_id=number, mask=mask))
    return Frame(
        rgb=np.full((480, 640, 3), 100, dtype=np.uint8),
        camera=vga,
        masks=tuple(masks),
        depth=DepthImage(depth_m=depth_m, camera=vga),
    )


def test_each_object_becomes_a_reconstruction_or_a_failure(
    frame: Frame, backend_mesh: Mesh
) -> None:
    pipeline = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh, refuse=(2,))))
    snapshot = pipeline.process(frame)
    assert [known.track_id for known in snapshot.objects] == [1]
    assert {failure.instance_id: failure.code for failure in snapshot.failures} == {
        2: ReportCode.RECONSTRUCTION,
        3: ReportCode.DEPTH_SPARSE,
    }


def test_what_leaves_the_pipeline_is_rigid_metric_and_says_its_scale_source(
    frame: Frame, backend_mesh: Mesh
) -> None:
    snapshot = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh))).process(frame)
    first = snapshot.objects[0]
    assert first.reconstruction.camera_from_object.scale == 1.0
    np.testing.assert_allclose(first.size_m, [0.1, 0.1, 0.1], atol=1e-6)
    assert first.reconstruction.camera_from_object.translation_m[2] == pytest.approx(1.0, abs=1e-3)
    assert first.reconstruction.provenance.scale_source == ScaleSource.DEPTH


def test_the_same_frame_again_gives_the_same_ids_and_no_new_revision(
    frame: Frame, backend_mesh: Mesh
) -> None:
    pipeline = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh)))
    first, second = pipeline.process(frame), pipeline.process(frame)
    assert first.updated == second.updated
    assert [known.revision for known in second.objects] == [1, 1]


@pytest.mark.parametrize("num_asked", [0, 1, 2])
def test_cancelling_changes_nothing(frame: Frame, backend_mesh: Mesh, num_asked: int) -> None:
    pipeline = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh)))
    answers = iter([False] * num_asked + [True])
    with pytest.raises(CancelledError, match=r"of \d objects"):
        pipeline.process(frame, lambda: next(answers))
    assert pipeline.advance(0).objects == ()


def test_objects_are_shown_as_they_are_finished_and_end_as_they_would_without(
    frame: Frame, backend_mesh: Mesh
) -> None:
    backend, shown = OneByOne(BoxBackend(backend_mesh)), []
    silent = local_pipeline(AS_MADE, backend).process(frame)
    snapshot = local_pipeline(AS_MADE, backend).process(frame, show=shown.append)
    assert [each.updated for each in shown] == [(1,)]  # the second one comes with the whole
    assert [known.track_id for known in shown[0].objects] == [1]
    assert snapshot.updated == silent.updated == (1, 2)
    places = [each.reconstruction.camera_from_object.translation_m for each in snapshot.objects]
    assert places[0][0] < places[1][0]  # in the order of the masks
    assert snapshot.failures == silent.failures
    assert shown[0].number < snapshot.number


def test_what_may_be_a_known_object_is_not_shown_before_all_of_its_frame_is_there(
    frame: Frame, backend_mesh: Mesh
) -> None:
    config = replace(AS_MADE, tracking=TrackingConfig(enabled=False))  # all is made anew
    pipeline, shown = local_pipeline(config, OneByOne(BoxBackend(backend_mesh))), []
    swapped = replace(frame, masks=(*frame.masks[1::-1], frame.masks[2]))
    first = pipeline.process(frame).updated
    assert sorted(pipeline.process(swapped, show=shown.append).updated) == sorted(first)
    assert shown == []


def test_what_is_to_be_settled_is_not_shown_before_it_stands(
    frame: Frame, backend_mesh: Mesh
) -> None:
    config, shown = replace(AS_MADE, settle=SettleConfig(enabled=True)), []
    local_pipeline(config, OneByOne(BoxBackend(backend_mesh))).process(frame, show=shown.append)
    assert shown == []


def test_nothing_comes_back_of_a_frame_of_which_all_was_forgotten(
    frame: Frame, backend_mesh: Mesh
) -> None:
    pipeline = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh)))
    with pytest.raises(CancelledError, match="forgotten"):
        pipeline.process(frame, show=lambda _: pipeline.reset())
    assert pipeline.advance(0).objects == ()


def test_a_frame_without_masks_only_lets_time_pass(frame: Frame, backend_mesh: Mesh) -> None:
    pipeline = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh)))
    pipeline.process(frame)
    snapshot = pipeline.process(replace(frame, masks=(), stamp_ns=3_000_000_000))
    assert snapshot.updated == ()
    assert {known.state for known in snapshot.objects} == {ObjectState.LOST}


def test_reset_forgets_all_objects(frame: Frame, backend_mesh: Mesh) -> None:
    pipeline = local_pipeline(AS_MADE, OneByOne(BoxBackend(backend_mesh)))
    updated = pipeline.process(frame).updated
    assert pipeline.reset() == updated
    assert pipeline.advance(0).objects == ()
