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


"""A pose that is expected stays, unless a view agrees clearly better with another one."""

from dataclasses import replace

import numpy as np
from registering import CLEAN, UP, look, registered

from sam3d_ros.geometry.registration.expecting import Expectation
from sam3d_ros.geometry.registration.register import Registration, RegistrationConfig
from sam3d_ros.geometry.registration.starts import StartsConfig
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Floats, Similarity

EXPECTED = Expectation(sigma_m=0.006, sigma_rad=0.06)


def turned_about_its_axis(pose: Similarity, angle_deg: float) -> Similarity:
    return pose @ Similarity(rotation_from_axis_angle(UP, np.radians(angle_deg)), np.zeros(3))


def turn_deg(first: Floats, second: Floats) -> float:
    cosine = (float(np.trace(first.T @ second)) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def found_from(name: str, angle_deg: float) -> tuple[Registration, Similarity, Similarity]:
    """Register from a turned pose that is expected; return what is found, start and truth."""
    view = look(name, CLEAN)
    start = turned_about_its_axis(view.truth, angle_deg)
    config = RegistrationConfig(
        starts=StartsConfig(yaws=12, num_moved=12), with_scale=False, expectation=EXPECTED
    )
    return registered(name, replace(view, start=start), config), start, view.truth


def test_turns_that_no_view_tells_stay_as_expected() -> None:
    found, start, _ = found_from("bottle", 15.0)
    assert turn_deg(found.camera_from_object.rotation, start.rotation) < 2.0


def test_a_handle_that_is_elsewhere_is_clear_enough() -> None:
    found, _, truth = found_from("mug", 84.0)
    assert turn_deg(found.camera_from_object.rotation, truth.rotation) < 2.0
