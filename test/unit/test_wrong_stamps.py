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


"""One message with a wrong stamp costs no mask but its own, whatever its topic."""

import pytest
from test_assembler import EXPOSURE, NS, Feed

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.framing import Input
from sam3d_ros.ros.sync import StampCache

OTHERS = (Input.CAMERA_INFO, Input.DEPTH, Input.DEPTH_INFO, Input.POINTS)
YEARS = 1_000_000_000  # in tenths of a second: stamps of a clock that was never set


@pytest.mark.parametrize("topic", OTHERS, ids=lambda topic: topic.name)
@pytest.mark.parametrize("number", [YEARS, -9000])
def test_a_wrong_stamp_beside_a_frame_leaves_that_and_the_next_as_they_are(
    topic: Input, number: int
) -> None:
    feed = Feed()
    for exposure in range(8):
        for each in EXPOSURE[:-1]:
            feed.add(each, exposure)
        if exposure == 3:
            feed.add(topic, number, at=exposure)
        feed.add(Input.MASKS, exposure)
    assert not feed.refusals
    assert feed.stamps == list(range(8))


def test_a_frame_whose_camera_info_has_a_wrong_stamp_waits_for_it_and_is_the_only_one() -> None:
    feed = Feed()
    for exposure in range(8):
        for each in EXPOSURE:
            is_wrong = each is Input.CAMERA_INFO and exposure == 3
            feed.add(each, YEARS if is_wrong else exposure, at=exposure)
    feed.flush(8)
    assert feed.stamps == [0, 1, 2, 4, 5, 6, 7]
    (refusal,) = feed.refusals
    assert refusal.code == ReportCode.NOT_SYNCED
    assert "camera_info" in refusal.message


def test_a_mask_is_stale_by_the_newest_image_where_no_clock_tells_the_time() -> None:
    feed = Feed()
    for exposure in (0, 60):
        for each in EXPOSURE[:-1]:
            feed.add(each, exposure, at=10 * YEARS)
    feed.add(Input.MASKS, 0, at=10 * YEARS)
    (refusal,) = feed.refusals
    assert refusal.code == ReportCode.MASK_STALE
    assert "is 6.000 s old, masks.max_age is 5 s" in refusal.message


def test_two_clocks_on_one_topic_do_not_fill_its_memory() -> None:
    cache = StampCache(max_seconds=1)
    for number in range(200):
        cache.add(number * NS // 10 + (number % 2) * 1000 * NS, bytes(8))
    assert len(cache) <= 2 * 2 * 10
    cache.add(20 * NS, bytes(8))
    cache.add(20 * NS + 1, bytes(8))
    assert cache.span_ns is not None
    assert cache.span_ns[1] == 20 * NS + 1
