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

"""How long things took of late, by name."""

from collections import defaultdict, deque
from collections.abc import Mapping
from threading import Lock

import numpy as np

NUM_REMEMBERED = 200


class Durations:
    """The last durations of each of several things; every method may be called from any thread."""

    def __init__(self, num_remembered: int = NUM_REMEMBERED) -> None:
        self._lock = Lock()
        self._last_s: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=num_remembered))

    def add(self, durations_s: Mapping[str, float]) -> None:
        """Take in how long each took; NaN, which is not known, is left out."""
        with self._lock:
            for name, took_s in durations_s.items():
                if np.isfinite(took_s):
                    self._last_s[name].append(took_s)

    def percentiles_s(self, percents: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
        """Return the percentiles of each, in the order in which they first came."""
        with self._lock:
            last_s = {name: tuple(durations) for name, durations in self._last_s.items()}
        return {
            name: tuple(float(value) for value in np.percentile(durations, percents))
            for name, durations in last_s.items()
        }
