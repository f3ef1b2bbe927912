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


"""Transforms by frame and time: the laws of tf2, and what is said where they give no answer."""

import gc
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam3d_ros.errors import TransformError
from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation, rotation_from_axis_angle
from sam3d_ros.ros.compat.tf_buffer import TransformBuffer
from sam3d_ros.structures import Similarity

RNG = np.random.default_rng(3)
NS = 1_000_000_000


def pose(angle_rad: float = 0.0, x: float = 0.0, axis: Any = (0.0, 0.0, 1.0)) -> Similarity:
    return Similarity(rotation_from_axis_angle(np.array(axis), angle_rad), np.array([x, 0.0, 0.0]))


def stamped(parent: str, child: str, time_s: float, parent_from_child: Similarity) -> Any:
    w, x, y, z = quat_wxyz_from_rotation(parent_from_child.rotation)
    shift = parent_from_child.translation_m
    stamp = SimpleNamespace(sec=int(time_s), nanosec=round((time_s % 1) * NS))
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=parent, stamp=stamp),
        child_frame_id=child,
        transform=SimpleNamespace(
            rotation=SimpleNamespace(w=w, x=x, y=y, z=z),
            translation=SimpleNamespace(x=shift[0], y=shift[1], z=shift[2]),
        ),
    )


def at(time_s: float) -> int:
    return round(time_s * NS)


def robot() -> TransformBuffer:
    """Return map <- odom <- base <- {camera, lidar}, where odom <- base moves 1 m/s from t=0."""
    buffer = TransformBuffer()
    buffer.add(stamped("map", "odom", 0.0, pose(x=100.0)), static=True)
    for time_s in range(11):
        buffer.add(stamped("odom", "base", time_s, pose(x=float(time_s))), static=False)
    buffer.add(stamped("base", "camera", 0.0, pose(x=0.5)), static=True)
    buffer.add(stamped("base", "lidar", 0.0, pose(x=-0.25)), static=True)
    return buffer


def test_a_lookup_maps_source_coordinates_to_target_coordinates() -> None:
    map_from_camera = robot().lookup("map", "camera", at(3.25))
    np.testing.assert_allclose(map_from_camera.apply(np.zeros(3)), [103.75, 0, 0])


def test_the_opposite_lookup_is_the_inverse() -> None:
    buffer = robot()
    there, back = buffer.lookup("map", "camera", at(2.5)), buffer.lookup("camera", "map", at(2.5))
    np.testing.assert_allclose((there @ back).matrix, np.eye(4), atol=1e-12)


def test_rotation_is_interpolated_at_constant_speed() -> None:
    buffer = TransformBuffer()
    buffer.add(stamped("a", "b", 0.0, pose(0.0)), static=False)
    buffer.add(stamped("a", "b", 1.0, pose(1.0)), static=False)
    np.testing.assert_allclose(
        buffer.lookup("a", "b", at(0.3)).rotation, pose(0.3).rotation, atol=1e-12
    )


def test_siblings_meet_below_the_root_so_that_what_lies_above_need_not_be_known() -> None:
    camera_from_lidar = robot().lookup("camera", "lidar", at(1000.0))
    np.testing.assert_allclose(camera_from_lidar.translation_m, [-0.75, 0, 0])


def test_two_times_are_related_by_the_frame_that_stands_still() -> None:
    camera_from_lidar = robot().lookup_between(("camera", at(4.0)), ("lidar", at(3.9)))
    np.testing.assert_allclose(camera_from_lidar.translation_m, [-0.85, 0, 0], atol=1e-12)


def test_without_a_moving_frame_the_time_does_not_matter() -> None:
    buffer = TransformBuffer()
    buffer.add(stamped("base", "camera", 0.0, pose(x=0.5)), static=True)
    buffer.add(stamped("base", "lidar", 0.0, pose(x=-0.25)), static=True)
    camera_from_lidar = buffer.lookup_between(("camera", at(4.0)), ("lidar", at(3.9)))
    np.testing.assert_allclose(camera_from_lidar.translation_m, [-0.75, 0, 0])


def test_rigid_is_what_only_static_transforms_join() -> None:
    buffer = robot()
    buffer.add(stamped("base", "pan", 0.0, pose()), static=False)
    buffer.add(stamped("camera", "depth", 0.0, pose()), static=True)
    assert all(buffer.is_rigid("lidar", name) for name in ("lidar", "base", "depth", "/camera"))
    assert not any(buffer.is_rigid("lidar", name) for name in ("pan", "odom", "map", "nowhere"))


@pytest.mark.parametrize(
    ("time_s", "match"), [(10.5, "newest one is 0.500 s older"), (-1.0, "oldest one is 1.000 s")]
)
def test_nothing_is_extrapolated(time_s: float, match: str) -> None:
    with pytest.raises(TransformError, match=match):
        robot().lookup("odom", "base", at(time_s))


def test_an_unknown_frame_is_named_with_those_that_are_known() -> None:
    with pytest.raises(TransformError, match=r"nothing is known of gripper; known frames: base, "):
        robot().lookup("map", "gripper", at(1.0))


def test_trees_that_do_not_meet_are_said_not_to() -> None:
    buffer = robot()
    buffer.add(stamped("left", "right", 0.0, pose()), static=True)
    with pytest.raises(TransformError, match="no shared ancestor"):
        buffer.lookup("map", "right", at(1.0))


def test_a_circle_is_an_error_and_no_endless_loop() -> None:
    buffer = TransformBuffer()
    buffer.add(stamped("a", "b", 0.0, pose()), static=True)
    buffer.add(stamped("b", "a", 0.0, pose()), static=True)
    buffer.add(stamped("x", "c", 0.0, pose()), static=True)
    with pytest.raises(TransformError, match="each other's parents"):
        buffer.lookup("c", "a", 0)


def test_frames_within_a_circle_have_no_transform() -> None:
    """Each is on the way to the other twice, and nobody knows which way is right."""
    buffer = TransformBuffer()
    buffer.add(stamped("world", "camera", 0.0, pose(x=1.0)), static=False)
    buffer.add(stamped("camera", "world", 0.0, pose(x=5.0)), static=False)
    with pytest.raises(TransformError, match="each other's parents"):
        buffer.lookup("world", "camera", 0)


def test_a_refusal_leaves_nothing_to_the_garbage_collector() -> None:
    """It would keep the images of whoever asked, thirty times a second, for minutes."""
    buffer = TransformBuffer()
    buffer.add(stamped("world", "camera", 0.0, pose(x=1.0)), static=False)
    buffer.add(stamped("a", "b", 0.0, pose()), static=True)
    buffer.add(stamped("b", "a", 0.0, pose()), static=True)
    for refused in (
        lambda: buffer.lookup("world", "camera", at(5.0)),
        lambda: buffer.lookup("world", "a", at(5.0)),
        lambda: buffer.lookup("world", "nobody", at(0.0)),
        lambda: buffer.lookup_between(("world", at(0.0)), ("camera", at(5.0))),
    ):
        gc.collect()
        gc.disable()
        try:
            with suppress(TransformError):
                refused()
            assert gc.collect() == 0
        finally:
            gc.enable()


def test_a_leading_slash_changes_nothing() -> None:
    buffer = TransformBuffer()
    buffer.add(stamped("/a", "/b", 0.0, pose(x=1.0)), static=True)
    assert buffer.lookup("a", "/b", 0).translation_m[0] == 1.0


def test_the_order_of_arrival_does_not_matter() -> None:
    samples = [stamped("a", "b", time_s, pose(0.1 * time_s, time_s)) for time_s in range(8)]
    ordered, shuffled = TransformBuffer(), TransformBuffer()
    for sample in samples:
        ordered.add(sample, static=False)
    for index in RNG.permutation(8):
        shuffled.add(samples[index], static=False)
    for time_s in (0.0, 2.5, 6.9):
        np.testing.assert_array_equal(
            ordered.lookup("a", "b", at(time_s)).matrix,
            shuffled.lookup("a", "b", at(time_s)).matrix,
        )


def test_samples_older_than_the_cache_are_forgotten() -> None:
    buffer = TransformBuffer(cache_s=2.0)
    for time_s in range(10):
        buffer.add(stamped("a", "b", time_s, pose()), static=False)
    buffer.lookup("a", "b", at(7.5))
    with pytest.raises(TransformError, match="oldest one is"):
        buffer.lookup("a", "b", at(6.5))


def test_after_a_jump_back_the_future_is_forgotten() -> None:
    buffer = robot()
    buffer.forget_after(at(4.0))
    buffer.lookup("odom", "base", at(3.5))
    with pytest.raises(TransformError):
        buffer.lookup("odom", "base", at(4.5))
    buffer.lookup("map", "odom", at(9.0))  # static ones hold at all times


def test_a_sample_far_back_starts_the_history_of_its_frame_anew() -> None:
    buffer = TransformBuffer(cache_s=2.0)
    buffer.add(stamped("a", "b", 100.0, pose(x=1.0)), static=False)
    for time_s in (0.0, 1.0):
        buffer.add(stamped("a", "b", time_s, pose(x=2.0)), static=False)
    assert buffer.lookup("a", "b", at(0.5)).translation_m[0] == 2.0


def test_frames_that_nobody_sends_any_more_are_forgotten_but_static_ones_stay() -> None:
    buffer = robot()
    for number in range(100):
        buffer.add(stamped("camera", f"object_{number}", number, pose()), static=False)
        buffer.forget_vanished(at(number))
    assert buffer.frames == {
        "odom",
        "camera",
        "lidar",
        *(f"object_{number}" for number in range(89, 100)),
    }


def test_a_publisher_with_a_wrong_clock_ends_no_other_frame() -> None:
    buffer = robot()
    buffer.add(stamped("base", "gripper", 1e6, pose()), static=False)
    buffer.forget_vanished(at(10.0))
    buffer.lookup("odom", "base", at(9.5))


def test_answers_equal_those_of_tf2() -> None:
    tf2 = pytest.importorskip("tf2_py", reason="tf2_py is not installed; the wheels lack it")
    geometry = pytest.importorskip("geometry_msgs.msg")
    time_type = pytest.importorskip("rclpy.time").Time
    core, ours = tf2.BufferCore(), TransformBuffer()
    frames = [f"f{index}" for index in range(8)]
    for child in range(1, 8):
        parent = int(RNG.integers(0, child))
        for time_s in np.sort(RNG.uniform(5, 10, 20)) if child % 3 else [0.0]:
            moved = pose(RNG.normal(), RNG.normal(), RNG.normal(size=3))
            plain = stamped(frames[parent], frames[child], time_s, moved)
            ours.add(plain, static=not child % 3)
            message = geometry.TransformStamped(child_frame_id=plain.child_frame_id)
            message.header.frame_id = plain.header.frame_id
            message.header.stamp.sec = plain.header.stamp.sec
            message.header.stamp.nanosec = plain.header.stamp.nanosec
            for part in ("rotation", "translation"):
                for name, value in vars(getattr(plain.transform, part)).items():
                    setattr(getattr(message.transform, part), name, float(value))
            (core.set_transform if child % 3 else core.set_transform_static)(message, "test")
    for _ in range(200):
        target, source = RNG.choice(frames, 2)
        stamp_ns = at(RNG.uniform(4.5, 10.5))
        try:
            theirs = core.lookup_transform_core(target, source, time_type(nanoseconds=stamp_ns))
        except tf2.TransformException:
            with pytest.raises(TransformError):
                ours.lookup(target, source, stamp_ns)
            continue
        shift = theirs.transform.translation
        expected = [shift.x, shift.y, shift.z]
        found = ours.lookup(target, source, stamp_ns).translation_m
        np.testing.assert_allclose(found, expected, atol=1e-9)
