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


"""Messages in, frames or refusals out: each mask once, whatever the order."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from provided import array, label_info, vision_detection

from sam3d_ros.config import MasksConfig, NodeConfig, SyncConfig
from sam3d_ros.errors import EncodingError, MaskSizeError, ReportCode
from sam3d_ros.ros.assembler import Assembler, Outcome, Refusal, TimeJump
from sam3d_ros.ros.framing import Bundle, Input, Instant, frame_from_bundle
from sam3d_ros.ros.instances import masks_from_labels
from sam3d_ros.ros.sync import StampCache

NS = 1_000_000_000
START_NS = 1000 * NS
PERIOD_NS = 100_000_000
EXPOSURE = (Input.IMAGE, Input.CAMERA_INFO, Input.DEPTH, Input.DEPTH_INFO, Input.MASKS)
IDENTITY = [8.0, 0.0, 3.5, 0.0, 8.0, 2.5, 0.0, 0.0, 1.0]


def stamp_ns(number: float) -> int:
    return START_NS + round(number * PERIOD_NS)


def header(number: float, frame_id: str = "camera") -> Any:
    at = stamp_ns(number)
    return SimpleNamespace(frame_id=frame_id, stamp=SimpleNamespace(sec=at // NS, nanosec=at % NS))


def message(topic: Input, number: float) -> Any:
    """Return the message of a topic; images are 8 x 6."""
    if topic in (Input.CAMERA_INFO, Input.DEPTH_INFO):
        roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
        return SimpleNamespace(
            header=header(number),
            width=8,
            height=6,
            distortion_model="plumb_bob",
            d=[],
            k=IDENTITY,
            p=[0.0] * 12,
            binning_x=0,
            binning_y=0,
            roi=roi,
        )
    if topic is Input.POINTS:
        return SimpleNamespace(header=header(number, "lidar"), data=b"")
    if topic is Input.DETECTIONS:
        detection = vision_detection((4.0, 3.0, 8.0, 6.0), "3", score=number / 100)
        return array(detection, header=header(number))
    if topic is Input.LABEL_INFO:
        return SimpleNamespace(header=header(number), **vars(label_info(cup=3)))
    encoding, dtype, channels = {
        Input.IMAGE: ("rgb8", np.uint8, 3),
        Input.DEPTH: ("16UC1", np.uint16, 1),
        Input.MASKS: ("mono8", np.uint8, 1),
    }[topic]
    pixels = np.full((6, 8, channels), 700 if topic is Input.DEPTH else 7, dtype=dtype)
    return SimpleNamespace(
        header=header(number),
        height=6,
        width=8,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.tobytes(),
    )


def now(number: float) -> Instant:
    return Instant(clock_ns=stamp_ns(number), steady_ns=stamp_ns(number))


class Feed:
    """An assembler and all that came out of it."""

    def __init__(self, config: NodeConfig | None = None) -> None:
        self.assembler = Assembler(config or NodeConfig())
        self.assembler.announce(EXPOSURE)
        self.outcomes: list[Outcome] = []

    def add(self, topic: Input, number: float, at: float | None = None) -> None:
        instant = now(number if at is None else at)
        self.outcomes += self.assembler.add(topic, message(topic, number), instant)

    def flush(self, at: float) -> None:
        self.outcomes += self.assembler.flush(now(at))

    @property
    def stamps(self) -> list[float]:
        """Number of each bundle's exposure."""
        return [
            (each.stamp_ns - START_NS) / PERIOD_NS
            for each in self.outcomes
            if isinstance(each, Bundle)
        ]

    @property
    def refusals(self) -> list[Refusal]:
        return [each for each in self.outcomes if isinstance(each, Refusal)]


def test_a_bundle_comes_with_the_last_of_its_messages_in_any_order() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        feed = Feed()
        order = [EXPOSURE[index] for index in rng.permutation(len(EXPOSURE))]
        for topic in order[:-1]:
            feed.add(topic, 0)
        assert not feed.outcomes
        feed.add(order[-1], 0)
        assert feed.stamps == [0]


def test_a_recording_fed_in_order_and_flushed_gives_every_frame_once() -> None:
    feed = Feed()
    for number in range(12):
        for topic in EXPOSURE:
            feed.add(topic, number)
    feed.flush(12)
    feed.flush(13)
    assert feed.stamps == list(range(12))
    assert not feed.refusals


def test_in_latest_mode_a_mask_is_one_of_the_newest_image_whatever_its_stamp() -> None:
    feed = Feed(NodeConfig(sync=SyncConfig(mode="latest")))
    for number in (0, 1):
        for topic in EXPOSURE[:-1]:
            feed.add(topic, number)
    feed.add(Input.MASKS, -9000, at=1)
    feed.add(Input.IMAGE, 2)
    assert feed.stamps == [1]


def test_in_latest_mode_the_depth_is_still_that_of_the_image() -> None:
    feed = Feed(NodeConfig(sync=SyncConfig(mode="latest")))
    for topic in (Input.IMAGE, Input.CAMERA_INFO):
        feed.add(topic, 1)
    feed.add(Input.DEPTH, 0)
    feed.add(Input.DEPTH_INFO, 0)
    feed.add(Input.MASKS, 0, at=1)
    assert not feed.outcomes
    feed.add(Input.IMAGE, 2)
    feed.add(Input.DEPTH, 1, at=2)
    feed.add(Input.DEPTH_INFO, 1, at=2)
    (bundle,) = feed.outcomes
    assert isinstance(bundle, Bundle)
    assert (bundle.stamp_ns, bundle.messages.depth.header.stamp.nanosec) == (stamp_ns(1), PERIOD_NS)


def test_in_latest_mode_a_mask_waits_for_the_first_image_and_not_for_ever() -> None:
    feed = Feed(NodeConfig(sync=SyncConfig(mode="latest", timeout=1.0)))
    feed.add(Input.MASKS, -9000, at=0)
    feed.outcomes += feed.assembler.expire(now(5))
    assert not feed.outcomes
    feed.outcomes += feed.assembler.expire(now(20))
    (refusal,) = feed.refusals
    assert refusal.code == ReportCode.NOT_SYNCED
    assert "nothing came on image" in refusal.message


def test_a_bundle_becomes_a_frame_with_the_stamp_and_frame_of_its_image() -> None:
    feed = Feed()
    for topic in EXPOSURE:
        feed.add(topic, 3)
    (bundle,) = feed.outcomes
    assert isinstance(bundle, Bundle)
    frame = frame_from_bundle(bundle, NodeConfig(masks=MasksConfig(min_pixels=1)))
    assert (frame.stamp_ns, frame.frame_id) == (stamp_ns(3), "camera")
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth.depth_m, 0.7)
    assert [mask.instance_id for mask in frame.masks] == [7]


def test_the_exact_match_is_waited_for_although_a_near_one_is_there() -> None:
    feed = Feed()
    feed.add(Input.DEPTH, -0.3)
    for topic in (Input.IMAGE, Input.CAMERA_INFO, Input.DEPTH_INFO, Input.MASKS):
        feed.add(topic, 0)
    assert not feed.outcomes
    feed.add(Input.DEPTH, 0, at=0.2)
    (bundle,) = feed.outcomes
    assert isinstance(bundle, Bundle)
    assert bundle.messages.depth.header.stamp.nanosec == 0


def test_at_the_end_of_a_recording_the_near_match_is_taken() -> None:
    feed = Feed()
    feed.add(Input.DEPTH, -0.3)
    feed.add(Input.DEPTH_INFO, -0.3)
    for topic in (Input.IMAGE, Input.CAMERA_INFO, Input.MASKS):
        feed.add(topic, 0)
    feed.flush(0.1)
    assert feed.stamps == [0]


def test_beside_depth_points_are_neither_waited_for_nor_used() -> None:
    feed = Feed()
    feed.assembler.announce((*EXPOSURE, Input.POINTS))
    for topic in EXPOSURE:
        feed.add(topic, 0)
    feed.add(Input.POINTS, 1)  # in a frame that TF does not know
    for topic in EXPOSURE:
        feed.add(topic, 1)
    assert feed.stamps == [0, 1]
    assert all(each.messages.points is None for each in feed.outcomes if isinstance(each, Bundle))


def test_points_stand_in_where_depth_has_none_for_the_mask() -> None:
    feed = Feed()
    for topic in (Input.POINTS, Input.IMAGE, Input.CAMERA_INFO, Input.MASKS):
        feed.add(topic, 0)
    assert not feed.outcomes
    feed.add(Input.DEPTH, 5, at=0.5)
    feed.add(Input.DEPTH_INFO, 5, at=0.5)
    (refusal,) = [*feed.refusals, *feed.assembler.flush(now(1))][:1]
    assert isinstance(refusal, Refusal)
    assert refusal.code == ReportCode.NO_TRANSFORM  # so the points were taken
    assert "lidar" in refusal.message


def test_of_two_near_matches_the_nearer_one_is_taken() -> None:
    cache = StampCache(max_seconds=5)
    for each in (-30, 20):
        cache.add(each, each)
    assert cache.search(0, 40, final=False).entry.message == 20
    assert cache.search(-10, 40, final=False).entry.message == -30
    assert cache.search(0, 10, final=False) == (None, True)


def test_camera_info_that_is_sent_once_holds_from_then_on() -> None:
    feed = Feed()
    for exposure in (0, 20, 21):  # 0, 2 and 2.1 s
        for each in EXPOSURE:
            is_info = each in (Input.CAMERA_INFO, Input.DEPTH_INFO)
            if exposure == 0 or not is_info:
                feed.add(each, exposure)
    assert feed.stamps == [0, 20, 21]  # at once, without waiting
    assert not feed.refusals
    (_, _, bundle) = feed.outcomes
    assert isinstance(bundle, Bundle)
    assert bundle.messages.info.header.stamp.sec == 1000


def test_the_first_images_wait_for_camera_info_that_was_sent_once_and_are_kept() -> None:
    feed = Feed()
    for exposure in range(5):
        for each in EXPOSURE:
            if exposure == 0 or each not in (Input.CAMERA_INFO, Input.DEPTH_INFO):
                feed.add(each, exposure)
    assert feed.stamps == [0]
    feed.flush(5)
    assert feed.stamps == [0, 1, 2, 3, 4]
    assert not feed.refusals


def test_camera_info_that_was_sent_once_holds_also_after_time_went_back() -> None:
    feed = Feed()
    for exposure in (100, 0, 1):  # 0 is 10 s before 100
        for each in EXPOSURE:
            if exposure == 100 or each not in (Input.CAMERA_INFO, Input.DEPTH_INFO):
                feed.add(each, exposure)
    assert feed.stamps == [100, 0, 1]


def test_camera_info_that_lags_or_is_another_cameras_does_not_hold() -> None:
    feed = Feed()
    for each in EXPOSURE:
        feed.add(each, 0)
    feed.add(Input.IMAGE, 5)
    feed.add(Input.DEPTH, 5)
    feed.add(Input.DEPTH_INFO, 5)
    feed.add(Input.MASKS, 5)
    for each in (Input.IMAGE, Input.DEPTH, Input.MASKS):
        other = message(each, 40)
        other.header.frame_id = "elsewhere"
        feed.outcomes += feed.assembler.add(each, other, now(40))
    feed.flush(60)
    assert feed.stamps == [0]
    for refusal in feed.refusals:
        assert refusal.code == ReportCode.NOT_SYNCED
        assert "camera_info lags" in refusal.message
    assert len(feed.refusals) == 2


def test_in_exact_mode_camera_info_is_wanted_with_every_image() -> None:
    feed = Feed(NodeConfig(sync=SyncConfig(mode="exact")))
    for exposure in (0, 20):
        for each in EXPOSURE:
            if exposure == 0 or each is not Input.CAMERA_INFO:
                feed.add(each, exposure)
    feed.flush(60)
    assert feed.stamps == [0]


def test_a_mask_waits_no_longer_than_the_timeout() -> None:
    feed = Feed(NodeConfig(sync=SyncConfig(timeout=1.0)))
    feed.add(Input.MASKS, 0)
    feed.outcomes += feed.assembler.expire(now(9.9))
    assert not feed.outcomes
    feed.outcomes += feed.assembler.expire(now(10))
    (refusal,) = feed.refusals
    assert refusal.code == ReportCode.NOT_SYNCED
    assert "nothing came on image" in refusal.message


@pytest.mark.parametrize(("first", "hint"), [(0, "sync.cache_seconds"), (-3, "lost on the way")])
def test_a_mask_without_image_says_whether_that_is_gone_or_lost(first: int, hint: str) -> None:
    feed = Feed()
    for number in (first, 3):
        feed.add(Input.IMAGE, number)
    feed.add(Input.MASKS, -1)
    feed.outcomes += feed.assembler.expire(now(100))
    (refusal,) = feed.refusals
    assert refusal.code == ReportCode.MASK_STALE
    assert hint in refusal.message


def test_the_clock_counts_only_where_it_tells_the_time_of_the_stamps() -> None:
    for clock, outcome in ((60, ReportCode.MASK_STALE), (1_000_000, None)):
        feed = Feed()
        for topic in EXPOSURE:
            feed.add(topic, 0, at=clock)
        codes = [each.code for each in feed.refusals] or [None]
        assert codes == [outcome]


def test_caches_are_bounded_in_time_and_memory() -> None:
    config = NodeConfig(sync=SyncConfig(cache_seconds=1.0))
    feed = Feed(config)
    for number in range(100):
        feed.add(Input.IMAGE, number)
    assert len(feed.assembler.caches[Input.IMAGE]) == 11
    assert feed.assembler.caches[Input.IMAGE].num_bytes == 11 * 6 * 8 * 3


def test_the_largest_topic_gives_way_where_memory_ends() -> None:
    assembler = Assembler(NodeConfig(sync=SyncConfig(cache_mb=16.0)))
    for number in range(20):
        for topic, num_bytes in ((Input.IMAGE, 3_000_000), (Input.DEPTH, 2_000_000)):
            large = SimpleNamespace(header=header(number), data=bytes(num_bytes))
            assembler.add(topic, large, now(number))
    assert sum(cache.num_bytes for cache in assembler.caches.values()) <= 16e6
    assert all(len(assembler.caches[each]) > 1 for each in (Input.IMAGE, Input.DEPTH))


def test_after_a_jump_back_nothing_of_the_future_is_matched() -> None:
    feed = Feed()
    for topic in EXPOSURE:
        feed.add(topic, 40)
    feed.add(Input.MASKS, 41)
    for topic in EXPOSURE:
        feed.add(topic, 0, at=42)
    bundles = feed.stamps
    assert bundles == [40, 0]
    jump = next(each for each in feed.outcomes if isinstance(each, TimeJump))
    assert jump.back_s == pytest.approx(4.0)
    assert [each.code for each in feed.refusals] == [ReportCode.TIME_JUMP]


def test_what_came_just_before_the_first_image_after_a_jump_is_kept() -> None:
    feed = Feed()
    for topic in EXPOSURE:
        feed.add(topic, 40)
    for topic in (Input.DEPTH, Input.DEPTH_INFO, Input.CAMERA_INFO, Input.IMAGE, Input.MASKS):
        feed.add(topic, 0, at=41)
    assert feed.stamps == [40, 0]


def test_images_a_little_out_of_order_are_no_jump() -> None:
    feed = Feed()
    for number in (0, 2, 1, 3):
        feed.add(Input.IMAGE, number)
    assert not feed.outcomes


def test_a_straggler_of_before_a_jump_does_not_empty_the_cache() -> None:
    cache = StampCache(max_seconds=1)
    for stamp in (0, 100 * NS, NS // 10):
        cache.add(stamp, stamp)
    assert cache.search(0, 0, final=False).entry.message == 0
    assert cache.search(NS // 10, 0, final=False).entry.message == NS // 10
    cache.add(NS // 5, NS // 5)
    assert cache.span_ns == (0, NS // 5)


@pytest.mark.parametrize(
    ("size", "image"), [((3, 4), (6, 8)), ((12, 16), (6, 8)), ((7, 9), (27, 35))]
)
def test_labels_of_the_same_aspect_ratio_are_resized(
    size: tuple[int, int], image: tuple[int, int]
) -> None:
    labels = np.zeros(size, dtype=np.int32)
    labels[:, : size[1] // 2] = 70000
    (mask,) = masks_from_labels(labels, image[1], image[0])
    assert mask.mask.shape == image
    assert mask.resized
    assert mask.instance_id == 70000
    assert mask.mask.mean() == pytest.approx(labels.astype(bool).mean(), abs=0.06)


def test_labels_of_another_aspect_ratio_are_refused() -> None:
    with pytest.raises(MaskSizeError, match="8x4 differs in aspect ratio from the image of 8x6"):
        masks_from_labels(np.zeros((4, 8), dtype=np.int32), 8, 6)


def test_an_image_with_more_ids_than_a_scene_has_objects_is_no_label_image() -> None:
    depth = np.arange(3000, dtype=np.int32).reshape(50, 60)
    with pytest.raises(EncodingError, match="at most 255 ids, has 2999 from 1 to 2999"):
        masks_from_labels(depth, 60, 50)
    labels = np.minimum(depth, 255)
    assert len(masks_from_labels(labels, 60, 50)) == 255
    assert len(masks_from_labels(depth, 60, 50, "binary")) == 1


def test_negative_labels_are_background() -> None:
    labels = np.array([[-1, 0], [0, 3]], dtype=np.int32)
    assert [mask.instance_id for mask in masks_from_labels(labels, 2, 2)] == [3]


# What masks show


def named_by(feed: Feed) -> list[tuple[str, float]]:
    """Return class and score of the one mask of each bundle."""
    bundles = [each for each in feed.outcomes if isinstance(each, Bundle)]
    masks = [frame_from_bundle(each, NodeConfig()).masks[0] for each in bundles]
    return [(mask.class_id, mask.score) for mask in masks]


def test_a_mask_waits_for_the_detections_of_its_stamp_where_they_are_sent() -> None:
    feed = Feed()
    feed.assembler.announce((*EXPOSURE, Input.DETECTIONS))
    for number in (50, 51):
        for topic in EXPOSURE:
            feed.add(topic, number)
    assert not feed.outcomes
    for number in (50, 51):
        feed.add(Input.DETECTIONS, number, at=51)
    assert named_by(feed) == [("3", 0.5), ("3", 0.51)]


def test_detections_that_never_come_are_named_and_nobody_is_called_an_object() -> None:
    feed = Feed()
    feed.assembler.announce((*EXPOSURE, Input.DETECTIONS))
    for topic in EXPOSURE:
        feed.add(topic, 0)
    feed.flush(20)
    (refusal,) = feed.refusals
    assert refusal.code == ReportCode.NOT_SYNCED
    assert "nothing came on detections" in refusal.message


def test_the_last_names_hold_also_after_time_went_back() -> None:
    feed = Feed()
    feed.assembler.announce((*EXPOSURE, Input.LABEL_INFO, Input.DETECTIONS))
    feed.add(Input.LABEL_INFO, 400)
    for number in (390, 10):
        for topic in (*EXPOSURE, Input.DETECTIONS):
            feed.add(topic, number)
    assert any(isinstance(each, TimeJump) for each in feed.outcomes)
    assert named_by(feed) == [("cup", 3.9), ("cup", 0.1)]


def test_images_are_followed_without_waiting_for_what_masks_show() -> None:
    feed = Feed()
    feed.assembler.announce((*EXPOSURE, Input.LABEL_INFO, Input.DETECTIONS))
    for topic in EXPOSURE[:-1]:
        feed.add(topic, 0)
    assert feed.assembler.to_follow(now(0)) is not None
