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


"""Which of the masks that come are looked at by themselves."""

from collections import Counter
from enum import Enum

from sam3d_ros.config import TriggerConfig
from sam3d_ros.ros.candidates import Pace
from sam3d_ros.ros.framing import Bundle


class Fate(Enum):
    """What is done with a mask whose messages are complete."""

    LOOK = "looked at"
    KEEP = "kept for ~/reconstruct"  # trigger.mode is on_demand
    IGNORE = "ignored"  # ~/enable said so
    DROP = "beyond trigger.max_rate"


class Trigger:
    """Decides on masks, counts what it decided, and keeps the last frame for who asks for it."""

    def __init__(self, config: TriggerConfig) -> None:
        self._config = config
        self._pace = Pace(config.max_rate)
        self._newest_ns = 0
        self.is_enabled = True
        self.latest: Bundle | None = None
        self.counts: Counter[Fate] = Counter()

    def retune(self, config: TriggerConfig) -> None:
        """Decide by other settings from now on."""
        if config.max_rate != self._config.max_rate:
            self._pace = Pace(config.max_rate)
        self._config = config

    @property
    def anew(self) -> bool:
        """Whether what is known is reconstructed, too."""
        return self._config.mode == "continuous"

    def decide(self, bundle: Bundle) -> Fate:
        """Take in a mask and return what is done with it."""
        if self.latest is None or bundle.stamp_ns >= self.latest.stamp_ns:
            self.latest = bundle
        fate = self._fate(bundle.stamp_ns)
        self.counts[fate] += 1
        return fate

    def start_over(self) -> None:
        """Forget what was before: time went back."""
        self.latest = None
        self._newest_ns = 0
        self._pace.start_over()

    def _fate(self, stamp_ns: int) -> Fate:
        if not self.is_enabled:
            return Fate.IGNORE
        if self._config.mode == "on_demand":
            return Fate.KEEP
        # The pace wants rising stamps; a mask that comes after a later one is not too much.
        is_late = stamp_ns < self._newest_ns
        self._newest_ns = max(self._newest_ns, stamp_ns)
        return Fate.LOOK if is_late or self._pace.admits(stamp_ns) else Fate.DROP
