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

"""What became of one frame, in one code and one sentence; for reports and ``scene.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sam3d_ros.errors import ReportCode
from sam3d_ros.scene.people.frames import person_name
from sam3d_ros.structures import SceneSnapshot

OBJECTS_OFF = "objects.enabled is false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mask."""

    code: ReportCode
    message: str
    object_ids: tuple[str, ...] = ()
    failed: tuple[ReportCode, ...] = ()  # of the objects that are left out
    stage_s: Mapping[str, float] = field(default_factory=dict)
    gpu_peak_mb: float = float("nan")  # NaN where no GPU was used


def verdict_of(snapshot: SceneSnapshot, names: Mapping[int, str]) -> Verdict:
    """Summarise a processed frame: it is fine when it shows at least one object or person.

    Args:
        snapshot: What the pipeline returned.
        names: Name of each object by track id.
    """
    seen = tuple(names[track_id] for track_id in snapshot.updated)
    people = _people(snapshot)
    failures = "; ".join(
        f"mask {failure.instance_id}: {failure.code.name}, {failure.message}"
        for failure in snapshot.failures
    )
    code = ReportCode.OK
    if not seen and not people:
        code = snapshot.failures[0].code if snapshot.failures else _why_nothing(snapshot)[0]
    found = f"{len(seen)} objects: {', '.join(seen)}" if seen else "no object"
    if people:
        found = f"{found}, {len(people)} people: {', '.join(people)}"
    if snapshot.people is not None and snapshot.people.num_left_out:
        found = f"{found}, {snapshot.people.num_left_out} people beyond body.max_people left out"
    if not seen and not people and not failures:
        failures = _why_nothing(snapshot)[1]
    return Verdict(
        code=code,
        message=f"{found}; {failures}" if failures else found,
        object_ids=(*seen, *people),
        failed=tuple(failure.code for failure in snapshot.failures),
        stage_s=snapshot.stage_s,
        gpu_peak_mb=snapshot.gpu_peak_mb,
    )


def _why_nothing(snapshot: SceneSnapshot) -> tuple[ReportCode, str]:
    """Say why a frame shows nothing although nothing failed."""
    if snapshot.num_ignored:
        return ReportCode.OFF, f"no mask is that of a person, and {OBJECTS_OFF}"
    return ReportCode.MASK_EMPTY, "the mask image has no pixel above 0"


def _people(snapshot: SceneSnapshot) -> tuple[str, ...]:
    """Return the frames of the people in view."""
    if snapshot.people is None:
        return ()
    return tuple(person_name(person.person_id) for person in snapshot.people.people)
