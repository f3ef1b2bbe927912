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

"""What ``/diagnostics`` says about people."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from sam3d_ros.ros.diagnostics import Condition
from sam3d_ros.ros.session import Session
from sam3d_ros.scene.fetching import body_source
from sam3d_ros.scene.people.who import NO_FOLDER
from sam3d_ros.structures import BackendInUse, PeopleSnapshot


def people_condition(session: Session) -> Condition:
    """Describe who is in view and how well they fit what was measured; or why nobody is looked for.

    Whether there is a body model is known once the first frame came back.
    """
    outputs = session.outputs.people
    if outputs is None:
        return Condition(values={"state": "off: body.enabled is false"})
    last = outputs.last  # before the backend, which the worker's thread says first
    backend = outputs.backend
    if backend is None and not body_source(session.config.weights):
        backend = BackendInUse("", NO_FOLDER)
    if backend is not None and not backend.name:
        sentence = f"people are off: {backend.why}"
        return Condition(
            values={"state": f"off: {backend.why}"}, problems=((DiagnosticStatus.WARN, sentence),)
        )
    values = {"state": "on", "backend": backend.name if backend is not None else "not asked yet"}
    return Condition(values={**values, **(_values_of(last) if last is not None else {})})


def _values_of(people: PeopleSnapshot) -> dict[str, str]:
    fits = [person.fit for person in people.people if person.fit.is_measured]
    values = {
        "people in view": str(len(people.people)),
        "left out beyond body.max_people": str(people.num_left_out),
        "placed by measured depth": f"{len(fits)} of {len(people.people)}",
    }
    if fits:
        residual_mm = 1e3 * float(np.median([fit.residual_m for fit in fits]))
        correction_mm = 1e3 * float(np.median([fit.correction_m for fit in fits]))
        values["depth residual, correction (median)"] = (
            f"{residual_mm:.0f}, {correction_mm:+.0f} mm"
        )
    return values
