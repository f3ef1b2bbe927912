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

"""What nano's weights were measured to be worth, which decides whether ``auto`` takes them.

``sam3d bench nano --record`` writes the medians into the provenance of the weights that it
measured, so figures and weights travel together: other weights come without figures, and ``auto``
leaves them alone until they have some.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam3d_ros.objects.files import PROVENANCE_FILE

EVALUATION = "evaluation"  # the key in the provenance
BASELINE = "lift"
# As ``auto`` takes it: lift makes each object, too, and the better of both is kept. Alone nano is
# no match for lift where a regular shape explains what is seen, and may be one where none does.
JUDGED = "nano+lift"
# By which medians, on which sets of objects; higher is better. None may be worse than lift's by
# more than SAME, and on each set one must be better by more.
MEASURES: Mapping[str, tuple[str, ...]] = {
    "families": ("viou", "f1_005"),  # generator families that nano never saw
    # Of cameras, and rendered from scanned objects.
    "captures": ("viou", "f1_005", "f1_10mm"),
}
SAME = 0.005  # medians of some dozens of objects differ by more from one such set to another
# By set of objects and backend: medians by the names of ``evaluation.report``.
Evaluation = Mapping[str, Mapping[str, Mapping[str, float]]]


def why_not_trusted(folder: Path) -> str:
    """Say why ``auto`` must not take weights; empty where they were measured to help lift."""
    path = folder / PROVENANCE_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path} does not say how good it is ({error})"
    reasons = (_why_not_better(values, name, measures) for name, measures in MEASURES.items())
    return next(filter(None, reasons), "")


def record_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write what weights were measured to be worth into their provenance, all else stays.

    Raises:
        OSError: The folder has no provenance, or it cannot be written.
    """
    path = folder / PROVENANCE_FILE
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    values[EVALUATION] = evaluation
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _why_not_better(values: Any, name: str, measures: Sequence[str]) -> str:
    """Compare the medians of one set of objects with those of lift; empty where they are better."""
    gains = []
    for measure in measures:
        try:
            medians = values[EVALUATION][name]
            ours, theirs = float(medians[JUDGED][measure]), float(medians[BASELINE][measure])
        except (KeyError, TypeError, ValueError):
            return f"{JUDGED} was not compared with {BASELINE} in {measure} on {name}"
        if not ours >= theirs - SAME:
            figures = f"{ours:.3f} to {theirs:.3f}"
            return f"{JUDGED} is worse than {BASELINE} in {measure} on {name} ({figures})"
        gains.append(ours - theirs)
    if max(gains) > SAME:
        return ""
    return f"{JUDGED} is no better than {BASELINE} in {', '.join(measures)} on {name}"
