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


"""Which masks are looked at by themselves, and what is said of the others."""

from collections.abc import Callable

import pytest
from rig import PLATE_M, BoxBackend, Rig, stamp_ns

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.structures import Mesh

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


def values(rig: Rig, key: str, value: str) -> dict[str, str]:
    """Return diagnostics of the processing once they say something."""
    found = rig.diagnostics(
        "processing",
        lambda status: (key, value) in [(each.key, each.value) for each in status.values],
    )
    return {each.key: each.value for each in found.values}


def send_frames(rig: Rig, *numbers: int) -> None:
    for number in numbers:
        rig.send_frame(number)
        rig.until(lambda: rig.num_masks == numbers.index(number) + 1, "a mask")  # noqa: B023
        rig.settle(0.1)


def test_on_demand_no_mask_is_looked_at_by_itself(make_rig: MakeRig) -> None:
    rig = make_rig({"trigger.mode": "on_demand"})
    rig.start()
    send_frames(rig, 0, 1)
    shown = values(rig, "kept for ~/reconstruct", "2")
    assert shown["trigger"] == "on_demand"
    assert not rig.heard["/report"]
    assert not rig.backend.num_started


def test_only_new_objects_are_reconstructed_unless_more_is_asked_for(
    make_rig: MakeRig, make_box: Callable[..., Mesh]
) -> None:
    rig = make_rig(backend=BoxBackend(make_box(*PLATE_M)))
    rig.start()
    send_frames(rig, 0, 1, 2)
    rig.reports(3)
    assert rig.backend.num_started == 2


def test_continuously_every_mask_is_reconstructed_and_objects_keep_their_ids(
    make_rig: MakeRig, make_box: Callable[..., Mesh]
) -> None:
    backend = BoxBackend(make_box(*PLATE_M))
    rig = make_rig({"trigger.mode": "continuous", "queue.policy": "none"}, backend=backend)
    rig.start()
    send_frames(rig, 0, 1, 2)
    reports = rig.reports(3)
    assert rig.backend.num_started == 6
    assert [list(each.object_ids) for each in reports] == [["sam3d_object_1", "sam3d_object_2"]] * 3


def test_masks_beyond_the_rate_are_reported_as_dropped_and_counted(make_rig: MakeRig) -> None:
    rig = make_rig({"trigger.max_rate": 10.0, "queue.policy": "none"})
    rig.start()
    send_frames(rig, *range(7))
    reports = {stamp_ns_from_msg(each.header.stamp): each for each in rig.reports(7)}
    looked_at = [n for n in range(7) if reports[stamp_ns(n)].code == ReportCode.OK]
    assert looked_at == [0, 2, 5]  # of images 33 ms apart, so ten per second on average
    assert "trigger.max_rate (10)" in reports[stamp_ns(1)].message
    values(rig, "dropped by trigger.max_rate 10", "4")


def test_masks_that_make_way_for_others_are_counted_apart(rig: Rig) -> None:
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "a frame in work")
    for number in (1, 2, 3):
        rig.send_frame(number)
        rig.until(lambda: rig.num_masks == number + 1, "a mask")  # noqa: B023
        rig.settle(0.1)
    shown = values(rig, "dropped by queue.policy latest", "2")
    assert shown["waiting"] == "1, queue.depth 1"
    assert shown["DROPPED"] == "2"
    rig.backend.gate.set()
    rig.reports(4)


def test_after_a_time_jump_the_rate_and_the_last_frame_begin_anew(make_rig: MakeRig) -> None:
    rig = make_rig({"trigger.max_rate": 1.0, "queue.policy": "none"})
    rig.start()
    rig.send_frame(1000)
    rig.reports(1)
    rig.send_frame(0)
    assert [each.code for each in rig.reports(2)] == [ReportCode.OK, ReportCode.OK]
    assert rig.node.session.trigger.latest.stamp_ns == stamp_ns(0)
