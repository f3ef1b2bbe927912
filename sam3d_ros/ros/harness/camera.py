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


"""A camera and a LiDAR in a process of their own: rendered views at a steady pace, for ever."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np

from sam3d_ros.apps.processes import use_fastdds_profile
from sam3d_ros.evaluation.changing_table import with_lidar
from sam3d_ros.evaluation.datasets import load_scene, scene_folders
from sam3d_ros.ros.recording import Recording, recording_from_frames
from sam3d_ros.ros.replay import ReplayOptions, play
from sam3d_ros.structures import Frame


def recording_of(folder: Path, rate_hz: float, num_points: int) -> Recording:
    """Return the views of a folder, the first of them with so many points.

    Raises:
        DatasetError: When there is no view.
    """
    frames = [load_scene(each, shapes=False).frame for each in scene_folders(folder)]
    frames[0] = _with_points(frames[0], num_points)
    return recording_from_frames(frames, rate_hz, "sam3d")


def _with_points(frame: Frame, num: int) -> Frame:
    """Add a cloud; where the image shows fewer points they come again."""
    seen = with_lidar(frame, 1).points
    assert seen is not None
    indices = np.linspace(0, len(seen.points) - 1, num).astype(np.int64)
    return replace(frame, points=replace(seen, points=seen.points[indices]))


def main(argv: Sequence[str] | None = None) -> int:
    """Publish until SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sam3d_ros.ros.harness.camera")
    parser.add_argument("input", type=Path, help="folder of scene folders")
    parser.add_argument("--hz", type=float, required=True, help="images per second")
    parser.add_argument("--points", type=int, required=True, help="of each cloud, one per round")
    parser.add_argument("--log", type=Path, required=True, help="of what was published when")
    arguments = parser.parse_args(argv)
    use_fastdds_profile()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    recording = recording_of(arguments.input, arguments.hz, arguments.points)
    options = ReplayOptions(
        loop=True, stamps_now=True, best_effort=True, wait_s=20.0, log=arguments.log
    )
    print(f"publishing {', '.join(sorted(recording.types))}", flush=True)
    play(recording, options, stopped)
    return 0


if __name__ == "__main__":
    sys.exit(main())
