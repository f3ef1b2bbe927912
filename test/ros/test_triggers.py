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


"""Which masks are looked at: by mode, by rate, and while the node is paused."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("sam3d_ros.msg", reason="the messages are not built")

from sensor_msgs.msg import Image

from sam3d_ros.config import TriggerConfig
from sam3d_ros.ros.encode import header_of
from sam3d_ros.ros.framing import Bundle, Instant, Matched, Poses
from sam3d_ros.ros.triggers import Fate, Trigger

pytestmark = pytest.mark.ros
MS = 1_000_000


def bundle(stamp_ms: int) -> Bundle:
    return Bundle(
        messages=Matched(image=Image(header=header_of("camera", stamp_ms * MS))),
        poses=Poses(),
        completed=Instant(clock_ns=0, steady_ns=0),
    )


def fates(trigger: Trigger, *stamps_ms: int) -> list[Fate]:
    return [trigger.decide(bundle(stamp_ms)) for stamp_ms in stamps_ms]


@pytest.mark.parametrize(
    ("mode", "fate", "anew"),
    [
        ("on_demand", Fate.KEEP, False),
        ("on_new_object", Fate.LOOK, False),
        ("continuous", Fate.LOOK, True),
    ],
)
def test_the_mode_decides(mode: str, fate: Fate, anew: bool) -> None:
    trigger = Trigger(TriggerConfig(mode=mode))
    assert fates(trigger, 0, 1) == [fate, fate]
    assert trigger.anew == anew
    assert trigger.counts[fate] == 2


def test_a_rate_is_held_on_average_by_the_stamps() -> None:
    trigger = Trigger(TriggerConfig(max_rate=5.0))
    seen = fates(trigger, *range(1000, 11_000, 33))
    assert seen.count(Fate.LOOK) == pytest.approx(50, abs=1)
    assert trigger.counts[Fate.LOOK] + trigger.counts[Fate.DROP] == len(seen)


def test_a_mask_that_comes_after_a_later_one_is_looked_at() -> None:
    trigger = Trigger(TriggerConfig(max_rate=1.0))
    assert fates(trigger, 5000, 4000, 5100) == [Fate.LOOK, Fate.LOOK, Fate.DROP]


def test_a_paused_trigger_ignores_masks_and_keeps_the_last_frame() -> None:
    trigger = Trigger(TriggerConfig())
    trigger.is_enabled = False
    assert fates(trigger, 1000, 3000, 2000) == [Fate.IGNORE] * 3
    assert trigger.latest is not None
    assert trigger.latest.stamp_ns == 3000 * MS


def test_after_time_went_back_everything_begins_anew() -> None:
    trigger = Trigger(TriggerConfig(max_rate=1.0))
    fates(trigger, 9000)
    trigger.start_over()
    assert trigger.latest is None
    assert fates(trigger, 1000, 1100, 2000) == [Fate.LOOK, Fate.DROP, Fate.LOOK]
