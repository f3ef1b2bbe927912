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


"""What is said about a long run."""

import os

import pytest

from sam3d_ros.apps.soak_figures import process_figures, restarts, slowdown
from sam3d_ros.apps.usage import Usage, is_running, usages


def row(*sizes_mb: float, threads: int = 4, handles: int = 9) -> tuple[Usage, ...]:
    return tuple(
        Usage(pid=100 + index, rss_mb=size, threads=threads, handles=handles)
        for index, size in enumerate(sizes_mb)
    )


def test_growth_is_that_of_the_last_tenth_over_the_first() -> None:
    rows = [row(100.0, 50.0)] * 10 + [row(500.0, 50.0)] * 80 + [row(103.0, 50.0)] * 10
    node, child = process_figures(rows)
    assert (node.name, node.growth) == ("node", pytest.approx(0.03))
    assert node.problems() == ["the node grew from 100.0 to 103.0 MB"]
    assert node.problems(max_growth=0.05) == child.problems() == []


def test_one_thread_or_handle_more_is_said() -> None:
    rows = [row(100.0)] * 10 + [row(100.0, threads=5, handles=11)] * 10
    (node,) = process_figures(rows)
    assert node.problems() == [
        "the node had 4 threads, and has 5",
        "the node had 9 handles, and has 11",
    ]


def test_a_process_that_was_started_anew_counts_as_that() -> None:
    rows = [row(100.0, 50.0), row(100.0), row(100.0, 50.0)]
    assert [each.name for each in process_figures(rows)] == ["node"]
    assert restarts(rows) == 2


def test_the_slowdown_is_that_of_the_95th_percentile() -> None:
    before, after, rise = slowdown([0.1] * 100, [0.1] * 90 + [0.15] * 10)
    assert (before, after, rise) == pytest.approx((0.1, 0.15, 0.5))


def test_this_process_is_seen_as_it_is() -> None:
    (own,) = usages([os.getpid(), 2**22 + 1])
    assert own.rss_mb > 10
    assert own.threads >= 1
    assert own.handles >= 3
    assert is_running(os.getpid())
    assert not is_running(2**22 + 1)
