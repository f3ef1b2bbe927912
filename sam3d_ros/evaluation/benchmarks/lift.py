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

"""How long one object takes on one core, beside what Open3D needs for the same points.

Run as a process of its own, because the number of threads is fixed when libraries are loaded.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.evaluation.baselines import OpenThreeDBaseline
from sam3d_ros.evaluation.benchmarks.running import use_one_core
from sam3d_ros.evaluation.datasets import load_scene
from sam3d_ros.protocols import ObjectBackend, OneByOne
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Observation

PEERS = ("hull", "poisson")
ROUNDS = 3
MS_PER_S = 1000.0


def one_core_environment() -> dict[str, str]:
    """Return an environment in which the numeric libraries start one thread."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


def measure(folder: Path) -> list[dict[str, Any]]:
    """Return per object of a scene the milliseconds of each backend, medians of three."""
    scene = load_scene(folder)
    config = SceneConfig(objects=ObjectsConfig(backend="lift"))
    backends: list[ObjectBackend] = [make_object_backend(config)]
    backends += [OneByOne(OpenThreeDBaseline(name)) for name in PEERS]
    names = {truth.instance_id: truth.name for truth in scene.truth}
    rows = []
    for observation in observe(scene.frame, config).observations:
        times = {backend.name: _milliseconds(backend, observation) for backend in backends}
        points = len(observation.object_points_camera)
        name = names.get(observation.instance.instance_id, "object")
        rows.append({"object": name, "points": points, "ms": times})
    return rows


def _milliseconds(backend: ObjectBackend, observation: Observation) -> float:
    """Return the median processor time of a reconstruction, after one that does not count.

    On one core that is the time it takes; on a busy machine it stays what it is.
    """
    backend.reconstruct([observation])
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        backend.reconstruct([observation])
        times.append(MS_PER_S * (time.process_time() - started))
    return median(times)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the measurements of a scene folder as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m sam3d_ros.evaluation.benchmarks.lift", description=__doc__
    )
    parser.add_argument("scene", type=Path, help="scene folder")
    arguments = parser.parse_args(argv)
    use_one_core()
    json.dump(measure(arguments.scene), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
