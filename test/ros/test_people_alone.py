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

"""``objects.enabled: false`` over DDS: people alone, and what is off says so."""

from collections.abc import Callable

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rig import Rig
from test_people import PEOPLE, PeopleRig, make_people_rig, near, send_person

from sam3d_ros.errors import ReportCode
from sam3d_ros.scene.verdict import OBJECTS_OFF

__all__ = ["make_people_rig"]  # a fixture
pytestmark = pytest.mark.ros


def test_people_are_bodies_and_what_stands_beside_them_is_nothing(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near(), objects__enabled=False)
    rig.start()
    report = send_person(rig, 0)
    assert report.code == ReportCode.OK, report.message
    assert list(report.object_ids) == ["body_1"]
    assert rig.backend.num_started == 0
    outputs = rig.diagnostics("outputs", lambda _: True)
    off = {pair.key: pair.value for pair in outputs.values}
    assert off["~/objects"] == f"off: {OBJECTS_OFF}"
    assert "~/bodies" not in off
    tracking = rig.diagnostics("tracking", lambda _: True)
    assert tracking.values[0].value == f"off: {OBJECTS_OFF}"


def test_masks_of_objects_alone_are_answered_with_what_is_off(
    make_people_rig: Callable[..., PeopleRig],
) -> None:
    rig = make_people_rig(near(), objects__enabled=False, body__first_label=PEOPLE + 1)
    rig.start()
    report = send_person(rig, 0)
    assert report.code == ReportCode.OFF
    assert OBJECTS_OFF in report.message
    assert rig.backend.num_started == 0


def test_with_nothing_to_look_at_the_node_stays_unconfigured_and_says_so(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture[str]
) -> None:
    rig = make_rig({"objects.enabled": False})
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = capfd.readouterr().err
    assert "objects.enabled and body.enabled are both false" in said
    assert "set one of them to true" in said
