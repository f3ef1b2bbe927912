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

"""The message definitions say the same as the structures; read as text, so no ROS is needed."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

from sam3d_ros.errors import ReportCode
from sam3d_ros.structures import ObjectFlag, ObjectState, RefinementStatus, ScaleSource

MESSAGES = Path(__file__).parents[2] / "msg"
CONSTANT = re.compile(r"^\w+ ([A-Z_]+) *= *(\d+)", re.MULTILINE)


def constants_of(message: str) -> dict[str, int]:
    text = (MESSAGES / f"{message}.msg").read_text()
    return {name: int(value) for name, value in CONSTANT.findall(text)}


def test_a_report_has_the_codes_of_the_errors() -> None:
    assert constants_of("FrameReport") == {code.name: code.value for code in ReportCode}


@pytest.mark.parametrize("values", [ScaleSource, ObjectState, RefinementStatus, ObjectFlag])
def test_an_object_has_the_constants_of_the_structures(values: type[IntEnum]) -> None:
    assert {value.name: value.value for value in values}.items() <= constants_of("Object").items()
