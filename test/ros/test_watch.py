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

"""What the demo says in the terminal."""

from sam3d_ros.msg import FrameReport, Object, ObjectArray

from sam3d_ros.ros.watch import Watch


def seen(**states: int) -> ObjectArray:
    objects = [Object(id=name, state=state, mesh_revision=1) for name, state in states.items()]
    for each in objects:
        each.header.frame_id = "world"
        each.size.x, each.pose.pose.position.z = 0.125, 0.5
    return ObjectArray(objects=objects)


def test_an_object_is_said_once_until_it_changes_or_is_removed() -> None:
    watch = Watch()

    first = list(watch.of_objects(seen(mug=Object.NEW)))
    again = list(watch.of_objects(seen(mug=Object.NEW)))
    changed = list(watch.of_objects(seen(mug=Object.LOST)))
    gone = list(watch.of_objects(seen()))

    size, place = "0.125 x 0.000 x 0.000 m", "at (0.000, 0.000, 0.500) in world"
    assert first == [f"mug: new, mesh 1, {size}, {place}"]
    assert again == []
    assert changed == [f"mug: lost, mesh 1, {size}, {place}"]
    assert gone == ["mug: removed"]


def test_a_report_is_said_with_its_code() -> None:
    report = FrameReport(code=FrameReport.MASK_STALE, message="too old")

    assert Watch().of_report(report) == "report 2: too old"
