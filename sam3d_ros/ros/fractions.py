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

"""How far a call is: one number that rises as evenly as can be said beforehand."""

from sam3d_ros.protocols import Step

# Of each stage the share of the whole at its begin and end. Models take all objects from stage to
# stage, in times like those of SAM 3D Objects.
SPANS = {
    "decode": (0.01, 0.02),
    "observe": (0.02, 0.06),
    "people": (0.06, 0.08),
    "measure": (0.08, 0.12),
    "reconstruct": (0.12, 0.96),
    "prepare": (0.12, 0.14),
    "condition": (0.14, 0.18),
    "geometry": (0.18, 0.48),
    "occupancy": (0.48, 0.50),
    "pose": (0.50, 0.51),
    "fine condition": (0.51, 0.53),
    "noise": (0.53, 0.54),
    "refinement": (0.54, 0.72),
    "splats": (0.72, 0.75),
    "mesh": (0.75, 0.80),
    "finish": (0.80, 0.83),
    "dress": (0.83, 0.85),
    "fit": (0.85, 0.96),
    "publish": (0.96, 1.0),
}
# Backends that take one object after the other say "reconstruct" of each, and each is fitted
# before the next: of the share of one object, what has passed when that begins.
ONE_BY_ONE = {"reconstruct": 0.0, "fit": 0.8}


class Fraction:
    """Makes the number of the steps of one call, in their order; it never falls."""

    def __init__(self) -> None:
        self._value = 0.0
        self._is_one_by_one = False

    def at(self, step: Step) -> float:
        """Return how far the whole is when a step begins."""
        self._is_one_by_one = self._is_one_by_one or step.stage == "reconstruct"
        if self._is_one_by_one and step.stage in ONE_BY_ONE:
            begin, end = SPANS["reconstruct"]
            done = step.done + (ONE_BY_ONE[step.stage] if step.done < step.total else 0.0)
        else:
            begin, end = SPANS.get(step.stage, (self._value, self._value))
            done = step.done
        here = begin + (end - begin) * done / max(step.total, 1)
        self._value = max(self._value, here)
        return self._value
