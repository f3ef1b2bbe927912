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

"""Durations of late, from several threads."""

import math

from sam3d_ros.ros.durations import Durations


def test_percentiles_are_those_of_the_last_durations_alone() -> None:
    durations = Durations(num_remembered=3)
    for took_s in (100.0, 1.0, 2.0, 3.0):
        durations.add({"observe": took_s})

    assert durations.percentiles_s((0.0, 50.0, 100.0)) == {"observe": (1.0, 2.0, 3.0)}


def test_what_is_not_known_is_left_out() -> None:
    durations = Durations()
    durations.add({"latency": math.nan})
    durations.add({"observe": 1.0, "latency": math.nan})

    assert durations.percentiles_s((50.0,)) == {"observe": (1.0,)}


def test_things_keep_the_order_in_which_they_first_came() -> None:
    durations = Durations()
    durations.add({"observe": 1.0, "fit": 1.0})
    durations.add({"latency": 1.0, "observe": 1.0})

    assert list(durations.percentiles_s((50.0,))) == ["observe", "fit", "latency"]
