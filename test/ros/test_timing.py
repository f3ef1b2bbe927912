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


"""What comes late, never, too often or before its time: one report each, with what to change."""

from collections.abc import Callable

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rig import (
    CAMERA,
    PERIOD_NS,
    START_NS,
    Rig,
    broken_tf,
    check,
    frame,
    stamp_ns,
    tf,
)
from rosgraph_msgs.msg import Clock

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.encode import time_from_ns
from sam3d_ros.ros.qos import best_effort
from sam3d_ros.scene.verdict import Verdict
from sam3d_ros.structures import BackendInUse

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


# No transform


def test_a_transform_that_comes_within_the_timeout_is_in_time(make_rig: MakeRig) -> None:
    rig = make_rig({"output_frame": "map", "tf.timeout": 5.0})
    rig.start()
    rig.send_frame()
    rig.settle(0.5)
    assert not rig.heard["/report"]
    rig.send(tf=tf("map", CAMERA, -1))
    rig.send(tf=tf("map", CAMERA, 1))
    check(rig.report(), ReportCode.OK)


def test_a_transform_that_is_none_is_named(make_rig: MakeRig) -> None:
    rig = make_rig({"output_frame": "map"})
    rig.start()
    rig.send(tf_static=broken_tf("map", CAMERA))
    rig.settle(0.3)
    rig.send_frame()
    check(rig.report(), ReportCode.NO_TRANSFORM, f"map from {CAMERA}", "quaternion")


# Stale and early masks


def test_a_mask_that_comes_seconds_late_finds_its_image(rig: Rig) -> None:
    rig.start()
    for number in range(0, 90, 10):
        rig.feed(number)
    rig.send(masks=frame(0)["masks"])
    report = rig.report()
    check(report, ReportCode.OK)
    assert stamp_ns_from_msg(report.header.stamp) == stamp_ns(0)


def test_a_mask_that_comes_before_its_image_waits_for_it(rig: Rig) -> None:
    rig.start()
    rig.send(masks=frame(0)["masks"])
    rig.until(lambda: rig.num_masks == 1, "the mask")
    rig.send_frame(0, masks=None)
    check(rig.report(), ReportCode.OK)


# Unsynchronised


def test_a_mask_whose_image_never_comes_is_refused_in_bounded_time(make_rig: MakeRig) -> None:
    rig = make_rig({"sync.timeout": 0.3})
    rig.start()
    rig.feed(0)
    rig.send(masks=frame(30)["masks"])
    check(rig.report(), ReportCode.NOT_SYNCED, "/image lags", "0.990 s older", "sync.slop")


@pytest.mark.parametrize("lagging", ["camera_info", "depth", "depth_info"])
def test_the_topic_that_lags_is_named(make_rig: MakeRig, lagging: str) -> None:
    rig = make_rig({"sync.timeout": 0.3})
    rig.start()
    rig.send(**{lagging: frame(-10)[lagging]})
    rig.send_frame(0, **{lagging: None})
    topic = "/" + lagging.replace("depth_info", "depth/camera_info")
    check(rig.report(), ReportCode.NOT_SYNCED, f"{topic} lags", "0.330 s older")


def test_the_nearest_message_within_the_slop_is_taken(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0, depth=None, masks=None)
    rig.send(depth=frame(-1)["depth"], depth_info=frame(-1)["depth_info"])
    rig.send(depth=frame(2)["depth"], depth_info=frame(2)["depth_info"])
    rig.send(masks=frame(0)["masks"])
    check(rig.report(), ReportCode.OK)


def test_exact_mode_takes_no_neighbour(make_rig: MakeRig) -> None:
    rig = make_rig({"sync.mode": "exact", "sync.timeout": 0.3})
    rig.start()
    rig.send_frame(0, depth=None, depth_info=None, masks=None)
    for number in (-1, 1):
        rig.send(depth=frame(number)["depth"], depth_info=frame(number)["depth_info"])
    rig.send(masks=frame(0)["masks"])
    check(rig.report(), ReportCode.NOT_SYNCED, "/depth has no message near")


def test_without_depth_and_points_the_report_says_so(make_rig: MakeRig) -> None:
    rig = make_rig({"sync.timeout": 0.3})
    rig.start("image", "camera_info", "masks")
    rig.send(**{name: frame()[name] for name in ("image", "camera_info", "masks")})
    report = rig.report()
    check(report, ReportCode.NOT_SYNCED, "nothing came on /depth; nothing came on /points")


def test_after_a_while_diagnostics_warn_of_the_topic_that_lags(make_rig: MakeRig) -> None:
    rig = make_rig({"sync.timeout": 0.1})
    rig.start()
    rig.send_frame(0, masks=None)
    rig.send(masks=frame(30)["masks"])
    rig.reports()
    status = rig.diagnostics("inputs", lambda status: "NOT_SYNCED" in status.message)
    assert status.level == status.WARN
    assert "/image lags" in status.message
    values = {pair.key: pair.value for pair in status.values}
    assert values.keys() >= {"/image", "/camera_info", "/masks", "/depth", "/points"}
    assert "Hz, newest stamp" in values["/image"]


def test_diagnostics_say_what_makes_meshes_and_why_nothing_better_does(rig: Rig) -> None:
    rig.start()
    rig.send_frame()
    rig.reports()
    session = rig.node.session
    assert session is not None
    assert session.backend is not None
    made_by = session.backend.name
    rig.diagnostics("processing", lambda status: value_of(status, "backend") == made_by)
    session.backend = BackendInUse("lift", "no nano, as none is there")
    says = "lift (no nano, as none is there)"
    rig.diagnostics("processing", lambda status: value_of(status, "backend") == says)


def value_of(status: DiagnosticStatus, key: str) -> str:
    return {pair.key: pair.value for pair in status.values}.get(key, "")


# Queue


def test_the_newest_frame_wins_and_the_others_are_reported_as_dropped(rig: Rig) -> None:
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the first reconstruction")
    for number in (1, 2, 3):
        rig.feed(number)
        rig.send(masks=frame(number)["masks"])
    dropped = list(rig.reports(2))
    rig.backend.gate.set()
    reports = {stamp_ns_from_msg(each.header.stamp): each for each in rig.reports(4)}
    for number, each in zip((1, 2), dropped, strict=True):
        assert stamp_ns_from_msg(each.header.stamp) == stamp_ns(number)
        check(each, ReportCode.DROPPED, "queue.policy (latest)")
    assert reports[stamp_ns(3)].code == ReportCode.OK
    assert reports[stamp_ns(3)].dropped == 2
    status = rig.diagnostics("processing", lambda status: status.values)
    assert {pair.key: pair.value for pair in status.values}["DROPPED"] == "2"


def test_that_masks_come_faster_than_they_are_handled_is_no_warning(rig: Rig) -> None:
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the first reconstruction")
    for number in (1, 2):
        rig.feed(number)
        rig.send(masks=frame(number)["masks"])
    check(rig.reports(1)[0], ReportCode.DROPPED)
    status = rig.diagnostics("processing", lambda status: status.values[0].key == "DROPPED")
    assert status.level == status.OK
    assert status.message == "OK"


def test_a_failure_stays_in_diagnostics_while_masks_are_dropped(rig: Rig) -> None:
    rig.start()
    assert rig.node.session is not None
    for code in (ReportCode.RECONSTRUCTION, ReportCode.DROPPED):
        rig.node.session.reports.of_mask(CAMERA, 1, Verdict(code=code, message=code.name.lower()))
    rig.reports(2)
    status = rig.diagnostics("processing", lambda status: status.values[0].key == "DROPPED")
    assert status.level == status.WARN
    assert status.message == "RECONSTRUCTION: reconstruction"


@pytest.mark.parametrize(("policy", "kept"), [("oldest", [0, 1]), ("none", [0, 1, 2, 3])])
def test_other_policies_keep_other_frames(make_rig: MakeRig, policy: str, kept: list[int]) -> None:
    rig = make_rig({"queue.policy": policy})
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the first reconstruction")
    for number in (1, 2, 3):
        rig.feed(number)
        rig.send(masks=frame(number)["masks"])
    rig.until(lambda: rig.num_masks == 4, "four masks")
    rig.settle(0.3)
    rig.backend.gate.set()
    done = [each for each in rig.reports(4) if each.code == ReportCode.OK]
    assert [stamp_ns_from_msg(each.header.stamp) for each in done] == [stamp_ns(n) for n in kept]


def test_receiving_goes_on_while_an_object_is_reconstructed(rig: Rig) -> None:
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the first reconstruction")
    caches = rig.node._session.receiver.assembler.caches
    for number in range(1, 20):
        rig.send_frame(number, masks=None)
    used = [cache for key, cache in caches.items() if f"/{key.value}" in rig.publishers]
    rig.until(lambda: all(len(each) > 1 for each in used), "more of every input")
    rig.backend.gate.set()
    check(rig.report(), ReportCode.OK)


# Time


def test_time_that_jumps_back_clears_caches_and_objects(rig: Rig) -> None:
    rig.start()
    rig.send_frame(100)
    rig.reports(1)
    rig.send(masks=frame(101)["masks"])
    rig.until(lambda: rig.num_masks == 2, "the second mask")
    rig.send_frame(0)
    jumped, after = rig.reports(3)[1:]
    check(jumped, ReportCode.TIME_JUMP, "went back by 3.300 s")
    assert stamp_ns_from_msg(jumped.header.stamp) == stamp_ns(101)
    assert after.code == ReportCode.OK
    # As in the run before: a bag played again gives the same.
    assert list(after.object_ids) == ["sam3d_object_1", "sam3d_object_2"]
    rig.until(lambda: seen_first(rig) == {stamp_ns(0)}, "only the new objects")


def seen_first(rig: Rig) -> set[int]:
    """Return when the objects that are known now were seen first."""
    return {stamp_ns_from_msg(known.first_seen) for known in rig.heard["/objects"][-1].objects}


def test_objects_outlive_a_time_jump_where_they_should(make_rig: MakeRig) -> None:
    rig = make_rig({"registry.keep_on_time_jump": True})
    rig.start()
    rig.send_frame(100)
    rig.reports(1)
    rig.send_frame(0)
    second = rig.reports(2)[1]
    assert list(second.object_ids) == ["sam3d_object_1", "sam3d_object_2"]


def test_a_transform_of_before_the_jump_says_nothing_about_after_it(make_rig: MakeRig) -> None:
    rig = make_rig({"output_frame": "map"})
    rig.start()
    for number in (99, 101):
        rig.send(tf=tf("map", CAMERA, number))
    rig.send_frame(100)
    check(rig.reports(1)[0], ReportCode.OK)
    rig.send_frame(0)
    check(rig.reports(2)[1], ReportCode.NO_TRANSFORM, "map")


def test_a_clock_that_jumps_back_is_a_time_jump_before_any_image_says_so(
    make_rig: MakeRig,
) -> None:
    rig = make_rig({"use_sim_time": True, "sync.timeout": 60.0})
    rig.advertise("/clock", Clock, best_effort(10))
    rig.start()

    def set_clock(number: int) -> None:
        rig.publishers["/clock"].publish(Clock(clock=time_from_ns(stamp_ns(number))))
        rig.until(lambda: rig.node.get_clock().now().nanoseconds == stamp_ns(number), "the clock")

    set_clock(100)
    rig.feed(100)
    rig.send(masks=frame(101)["masks"])
    rig.until(lambda: rig.num_masks == 1, "the mask")
    set_clock(0)
    check(rig.report(), ReportCode.TIME_JUMP, "went back by 3.300 s")


# Every trigger


def test_every_mask_has_exactly_one_report(rig: Rig) -> None:
    rig.start()
    for number in range(10):
        rig.send_frame(number)
        rig.settle(0.02)
    rig.reports(10)
    rig.settle(0.5)
    stamps = sorted(stamp_ns_from_msg(each.header.stamp) for each in rig.heard["/report"])
    assert stamps == [START_NS + number * PERIOD_NS for number in range(10)]


def test_masks_that_wait_when_the_node_is_deactivated_are_reported(rig: Rig) -> None:
    rig.start()
    rig.backend.gate.clear()
    rig.send_frame(0)
    rig.until(lambda: rig.backend.num_started, "the first reconstruction")
    rig.send_frame(1)
    rig.send(masks=frame(30)["masks"])
    rig.until(lambda: rig.num_masks == 3, "three masks")
    rig.backend.gate.set()
    rig.node.trigger_deactivate()
    codes = [each.code for each in rig.reports(3)]
    assert sorted(codes)[-1] == ReportCode.DROPPED
    assert ReportCode.NOT_SYNCED in codes
