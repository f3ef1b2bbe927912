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

"""The reconstructor in its own process: same answers, and its death is an error with a reason."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sam3d_ros.config import MasksConfig, ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import (
    CancelledError,
    DistortionError,
    ReconstructionError,
    WeightsError,
    WeightsMissingError,
)
from sam3d_ros.objects.files import NEEDED
from sam3d_ros.scene.local import local_reconstructor
from sam3d_ros.scene.process import ReconstructorProcess
from sam3d_ros.structures import Camera, DepthImage, Frame, InstanceMask


@pytest.fixture(scope="module")
def process() -> Iterator[ReconstructorProcess]:
    process = ReconstructorProcess(SceneConfig())
    yield process
    process.close()


def step_frame(camera: Camera) -> Frame:
    """Return a slab of 10 cm thickness that stands before a wall."""
    depth_m = np.full((480, 640), 1.1, dtype=np.float32)
    mask = np.zeros((480, 640), dtype=bool)
    mask[180:300, 260:380] = True
    depth_m[mask] = 1.0
    return Frame(
        rgb=np.full((480, 640, 3), 100, dtype=np.uint8),
        camera=camera,
        masks=(InstanceMask(instance_id=5, mask=mask),),
        depth=DepthImage(depth_m=depth_m, camera=camera),
    )


def child_pids() -> set[int]:
    """Return the processes that this one started."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return {int(pid) for pid in text.split()}


def is_reconstructor(pid: int) -> bool:
    """Tell it from the resource tracker that multiprocessing starts beside it."""
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_it_takes_other_settings_with_the_next_frame(
    process: ReconstructorProcess, vga: Camera
) -> None:
    frame = step_frame(vga)
    process.retune(SceneConfig(masks=MasksConfig(min_pixels=15_000)))
    (failure,) = process.reconstruct(frame).failures
    assert "at least 15000 pixels, has 14400" in failure.message
    process.retune(SceneConfig())
    assert not process.reconstruct(frame).failures


def test_it_answers_like_the_reconstructor_of_this_process(
    process: ReconstructorProcess, vga: Camera
) -> None:
    frame = step_frame(vga)
    there = process.reconstruct(frame)
    here = local_reconstructor(SceneConfig()).reconstruct(frame)
    assert [instance.instance_id for instance in there.instances] == [5]
    np.testing.assert_array_equal(
        there.instances[0].reconstruction.mesh_object.vertices,
        here.instances[0].reconstruction.mesh_object.vertices,
    )


def test_an_error_of_the_input_arrives_as_itself(
    process: ReconstructorProcess, vga: Camera
) -> None:
    unknown = Camera(
        width=640,
        height=480,
        matrix_px=vga.matrix_px,
        distortion_model="fancy",
        distortion=(0.1,),
    )
    with pytest.raises(DistortionError, match="fancy"):
        process.reconstruct(step_frame(unknown))


def sam3d(folder: Path) -> SceneConfig:
    return SceneConfig(
        device="cpu",
        objects=ObjectsConfig(backend="sam3d"),
        weights=WeightsConfig(objects=str(folder)),
    )


def test_weights_that_are_not_there_are_missed_before_the_process_starts(tmp_path: Path) -> None:
    before = child_pids()
    process = ReconstructorProcess(sam3d(tmp_path))
    with pytest.raises(WeightsMissingError, match="sam3d check --weights"):
        process.start()
    assert child_pids() == before


def test_a_backend_that_cannot_be_loaded_answers_every_frame_with_why(
    vga: Camera, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in NEEDED["full"]:
        (tmp_path / name).write_bytes(b"<html>not found</html>")
    process = ReconstructorProcess(sam3d(tmp_path))
    for _ in range(2):
        with pytest.raises(WeightsError, match=r"neither a torch\.save archive nor"):
            process.reconstruct(step_frame(vga))
    process.close()
    assert "nothing can be reconstructed" in caplog.text  # logged there, heard here


def test_a_cancelled_frame_says_so_and_the_next_one_is_answered(
    process: ReconstructorProcess, vga: Camera
) -> None:
    frame = step_frame(vga)
    with pytest.raises(CancelledError):
        process.reconstruct(frame, cancelled=lambda: True)
    assert process.reconstruct(frame).instances


def test_a_killed_process_is_reported_and_started_again(vga: Camera) -> None:
    before = child_pids()
    process = ReconstructorProcess(SceneConfig())
    frame = step_frame(vga)
    process.reconstruct(frame)
    for pid in child_pids() - before:
        if is_reconstructor(pid):
            os.kill(pid, signal.SIGKILL)
    with pytest.raises(ReconstructionError, match="exit code -9"):
        process.reconstruct(frame)
    assert process.reconstruct(frame).instances
    process.close()


def test_closing_ends_the_process_soon_even_while_it_works(vga: Camera) -> None:
    before = child_pids()
    process = ReconstructorProcess(SceneConfig())
    process.start()
    started = time.monotonic()
    process.close()
    assert time.monotonic() - started < 5.0
    assert not any(is_reconstructor(pid) for pid in child_pids() - before)
    process.close()  # a second call does nothing
