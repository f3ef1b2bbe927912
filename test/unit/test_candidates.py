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


"""Images in, the newest that is complete out: what following takes, and what it leaves."""

from typing import Any

import numpy as np
import pytest
from test_assembler import PERIOD_NS, START_NS, message, now, stamp_ns

from sam3d_ros.config import NodeConfig, SyncConfig, TrackingConfig
from sam3d_ros.errors import IntrinsicsError
from sam3d_ros.ros.assembler import Assembler
from sam3d_ros.ros.candidates import Pace
from sam3d_ros.ros.framing import DepthBundle, Input, depth_frame_from_bundle

NEEDED = (Input.IMAGE, Input.CAMERA_INFO, Input.DEPTH, Input.DEPTH_INFO)


class Feed:
    """An assembler, and the exposures that it wanted to be followed."""

    def __init__(self, announced: tuple[Input, ...] = NEEDED, **settings: Any) -> None:
        self.assembler = Assembler(NodeConfig(**settings))
        self.assembler.announce(announced)
        self.bundles: list[DepthBundle] = []

    def add(self, topic: Input, number: float, at: float | None = None) -> None:
        instant = now(number if at is None else at)
        self.assembler.add(topic, message(topic, number), instant)
        if (bundle := self.assembler.to_follow(instant)) is not None:
            self.bundles.append(bundle)

    def expose(self, number: float, *without: Input) -> None:
        for topic in NEEDED:
            if topic not in without:
                self.add(topic, number)

    @property
    def numbers(self) -> list[float]:
        return [(each.stamp_ns - START_NS) / PERIOD_NS for each in self.bundles]


def test_every_image_is_taken_once_with_the_last_of_its_messages_in_any_order() -> None:
    rng = np.random.default_rng(1)
    feed = Feed()
    for number in range(20):
        order = [NEEDED[index] for index in rng.permutation(len(NEEDED))]
        for topic in order[:-1]:
            feed.add(topic, number)
        assert len(feed.bundles) == number
        feed.add(order[-1], number)
    assert feed.numbers == list(range(20))


def test_masks_are_not_waited_for_and_take_nothing() -> None:
    feed = Feed()
    feed.expose(0)
    feed.add(Input.MASKS, 0)
    assert feed.numbers == [0]


def test_an_image_that_completes_after_a_newer_one_is_left_out_and_counted() -> None:
    feed = Feed()
    feed.expose(0)
    feed.expose(1, Input.DEPTH)
    feed.expose(2)
    feed.add(Input.DEPTH, 1, at=2)
    assert feed.numbers == [0, 2]
    assert feed.assembler.candidates.num_incomplete == 1


def test_the_nearest_depth_within_the_slop_will_do_once_it_is_certain() -> None:
    feed = Feed()
    feed.expose(0)
    feed.expose(1, Input.DEPTH, Input.DEPTH_INFO)
    feed.add(Input.DEPTH, 0.8)
    feed.add(Input.DEPTH_INFO, 0.8)
    assert feed.numbers == [0]
    feed.add(Input.DEPTH, 1.9)
    assert feed.numbers == [0, 1]
    feed = Feed(sync=SyncConfig(mode="exact"))
    feed.expose(0)
    feed.expose(1, Input.DEPTH)
    feed.add(Input.DEPTH, 0.8)
    feed.add(Input.DEPTH, 1.9)
    assert feed.numbers == [0]


def test_without_depth_no_image_waits() -> None:
    feed = Feed(announced=(Input.IMAGE, Input.CAMERA_INFO, Input.POINTS))
    for number in range(30):
        feed.expose(number, Input.DEPTH, Input.DEPTH_INFO)
        feed.add(Input.POINTS, number)
    assert not feed.bundles
    assert feed.assembler.candidates.num_incomplete == 0


def test_what_is_missing_is_named() -> None:
    feed = Feed(sync=SyncConfig(mode="exact"))
    feed.expose(0)
    for number in range(1, 20):
        feed.expose(number, Input.CAMERA_INFO)
    assert feed.numbers == [0]
    assert "camera_info lags" in feed.assembler.candidates.reason
    assert feed.assembler.candidates.num_incomplete >= 10


def test_with_tracking_off_nothing_is_taken() -> None:
    feed = Feed(tracking=TrackingConfig(enabled=False))
    feed.expose(0)
    assert not feed.bundles


def test_a_jump_back_in_time_starts_over() -> None:
    feed = Feed()
    feed.expose(100)
    feed.expose(101, Input.DEPTH)
    feed.expose(0)
    feed.expose(1)
    assert feed.numbers == [100, 0, 1]


def test_a_second_image_of_the_same_stamp_is_none() -> None:
    feed = Feed()
    feed.expose(0)
    feed.expose(0)
    assert feed.numbers == [0]


def test_the_frame_has_the_stamp_and_frame_of_the_image_and_no_mask() -> None:
    feed = Feed()
    feed.expose(3)
    frame = depth_frame_from_bundle(feed.bundles[0], NodeConfig())
    assert (frame.stamp_ns, frame.frame_id, frame.masks) == (stamp_ns(3), "camera", ())
    np.testing.assert_allclose(frame.depth.depth_m, 0.7)
    assert (frame.camera.width, frame.camera.height) == (8, 6)


def test_an_image_of_another_size_than_its_intrinsics_is_refused() -> None:
    feed = Feed()
    feed.expose(3)
    feed.bundles[0].messages.image.width = 16
    with pytest.raises(IntrinsicsError, match="8x6"):
        depth_frame_from_bundle(feed.bundles[0], NodeConfig())


@pytest.mark.parametrize(("camera_hz", "max_rate"), [(30, 30), (30, 0), (60, 30), (90, 20)])
def test_a_rate_is_kept_on_average_whatever_stamps_jitter_by(camera_hz: int, max_rate: int) -> None:
    rng = np.random.default_rng(0)
    seconds = (
        np.arange(10 * camera_hz) / camera_hz + rng.uniform(0, 0.3, 10 * camera_hz) / camera_hz
    )
    pace = Pace(max_rate)
    admitted = sum(pace.admits(START_NS + int(1e9 * each)) for each in seconds)
    expected = 10 * min(camera_hz, max_rate or camera_hz)
    assert admitted == pytest.approx(expected, rel=0.05)


def test_an_image_that_was_forgotten_before_its_depth_came_is_not_followed() -> None:
    feed = Feed()
    feed.expose(0)
    feed.expose(1, Input.DEPTH)
    feed.assembler.caches[Input.IMAGE].drop_oldest()
    feed.assembler.caches[Input.IMAGE].drop_oldest()
    feed.add(Input.DEPTH, 1)
    feed.expose(2)
    assert feed.numbers == [0, 2]
