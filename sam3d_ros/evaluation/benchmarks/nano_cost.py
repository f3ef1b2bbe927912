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

"""What nano costs: seconds to load it, seconds per object, memory; in a process of its own."""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.benchmarks.process_memory import process_peak_bytes
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.structures import Observation

BYTES_PER_MB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a backend takes on this machine."""

    import_s: float  # longer does it take the first time: libraries are imported, files read
    load_s: float  # until the first object can be begun
    object_s: float  # median, objects one by one, the first not counted
    peak_mb: float  # most memory of the process, all libraries included
    before_mb: float  # ... before anything was loaded


def cost_of(config: SceneConfig, observations: Sequence[Observation]) -> Cost:
    """Measure a backend in a new process, so that the peak of memory is its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measured_here, (config, observations))


def measured_here(config: SceneConfig, observations: Sequence[Observation]) -> Cost:
    """Measure a backend in this process."""
    before_bytes = process_peak_bytes()
    first_s = _made(config)[0]  # with imports, and files that are not in the system's cache yet
    load_s, backend = _made(config)
    backend.reconstruct(observations[:1])
    seconds = []
    for observation in observations:
        started = time.perf_counter()
        backend.reconstruct([observation])
        seconds.append(time.perf_counter() - started)
    return Cost(
        import_s=max(0.0, first_s - load_s),
        load_s=load_s,
        object_s=median(seconds),
        peak_mb=process_peak_bytes() / BYTES_PER_MB,
        before_mb=before_bytes / BYTES_PER_MB,
    )


def _made(config: SceneConfig) -> tuple[float, ObjectBackend]:
    started = time.perf_counter()
    backend = make_object_backend(config)
    return time.perf_counter() - started, backend
