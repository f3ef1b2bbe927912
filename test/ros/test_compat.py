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

"""What stands in for ROS packages answers as these do, where they are there to be asked."""

from array import array
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from rig import HEIGHT, WIDTH, Rig, cloud, image_msg
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import EncodingError, ReportCode, TransformError
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.ros.compat import images, optional_module, packages
from sam3d_ros.ros.compat.tf_buffer import TransformBuffer
from sam3d_ros.ros.compat.transforms import MAX_VANISHED, Tf2Buffer, make_transforms
from sam3d_ros.ros.decode import cloud_from_msg, image_from_msg
from sam3d_ros.ros.encode import CLOUD_POINT, cloud_msg, header_of, transform_msg
from sam3d_ros.ros.framing import OWN_TOPICS, Input
from sam3d_ros.ros.matching import Matcher
from sam3d_ros.structures import NS_PER_S, Similarity

pytestmark = pytest.mark.ros
CACHE_S = 10.0


def needs(name: str) -> Any:
    """Return a package of a full ROS installation."""
    return pytest.importorskip(name, reason=f"{name} is not installed; ROS 2 from apt has it")


def seconds_ns(time_s: float) -> int:
    return round(time_s * NS_PER_S)


def stamped(parent: str, child: str, time_s: float, pose: Similarity) -> TransformStamped:
    return transform_msg(pose, parent, child, seconds_ns(time_s))


def along_x(x_m: float) -> Similarity:
    return Similarity(np.eye(3), np.array([x_m, 0.0, 0.0]))


def some_pose(rng: np.random.Generator) -> Similarity:
    return Similarity(
        rotation_from_axis_angle(rng.normal(size=3), rng.normal()), rng.normal(size=3)
    )


# tf2_ros


@pytest.fixture
def tf2() -> Tf2Buffer:
    return Tf2Buffer(needs("tf2_ros"), CACHE_S)


def test_transforms_of_tf2_are_those_of_the_buffer_without_ros(tf2: Tf2Buffer) -> None:
    own, rng = TransformBuffer(CACHE_S), np.random.default_rng(1)
    frames = [f"f{index}" for index in range(8)]
    for child in range(1, 8):
        parent, is_static = int(rng.integers(0, child)), child % 3 == 0
        for time_s in [0.0] if is_static else np.sort(rng.uniform(5, 10, 20)):
            message = stamped(frames[parent], frames[child], time_s, some_pose(rng))
            own.add(message, static=is_static)
            tf2.add(message, static=is_static)
    num_known = 0
    for _ in range(200):
        (target, source), stamp_ns = rng.choice(frames, 2), seconds_ns(rng.uniform(4.5, 10.5))
        expected, found = (_answer(each, target, source, stamp_ns) for each in (own, tf2))
        if isinstance(expected, str):
            assert found == expected
        else:
            num_known += 1
            np.testing.assert_allclose(found, expected, atol=1e-9)
    assert 50 < num_known < 200


def _answer(buffer: TransformBuffer, target: str, source: str, stamp_ns: int) -> Any:
    """Return the matrix, or the text of the refusal."""
    try:
        return buffer.lookup(target, source, stamp_ns).matrix
    except TransformError as error:
        return str(error)


def test_tf2_is_never_asked_for_the_latest(tf2: Tf2Buffer) -> None:
    tf2.add(stamped("map", "base", 5.0, along_x(1.0)), static=False)
    with pytest.raises(TransformError, match=r"oldest one is 5\.000 s younger"):
        tf2.lookup("map", "base", 0)


def test_after_a_jump_back_tf2_knows_the_new_time_and_no_other(tf2: Tf2Buffer) -> None:
    for time_s in (100.0, 101.0):
        tf2.add(stamped("map", "base", time_s, along_x(1.0)), static=False)
    tf2.add(stamped("base", "camera", 100.0, along_x(0.5)), static=True)
    tf2.forget_after(seconds_ns(2.0))
    for time_s in (1.0, 2.0):
        tf2.add(stamped("map", "base", time_s, along_x(7.0)), static=False)
    pose = tf2.lookup("map", "camera", seconds_ns(1.5))
    np.testing.assert_allclose(pose.translation_m, [7.5, 0, 0])
    with pytest.raises(TransformError):
        tf2.lookup("map", "base", seconds_ns(100.5))


def test_tf2_follows_a_frame_that_starts_over_or_becomes_static(tf2: Tf2Buffer) -> None:
    for time_s in (100.0, 101.0, 1.0, 2.0):
        tf2.add(stamped("map", "base", time_s, along_x(time_s)), static=False)
    pose = tf2.lookup("map", "base", seconds_ns(1.5))
    np.testing.assert_allclose(pose.translation_m, [1.5, 0, 0])
    tf2.add(stamped("map", "base", 0.0, along_x(3.0)), static=True)
    pose = tf2.lookup("map", "base", seconds_ns(50.0))
    np.testing.assert_allclose(pose.translation_m, [3.0, 0, 0])


def test_tf2_forgets_frames_that_nobody_sends_any_more(tf2: Tf2Buffer) -> None:
    for number in range(2 * MAX_VANISHED + 20):
        tf2.add(stamped("map", f"object_{number}", number, along_x(1.0)), static=False)
        tf2.forget_vanished(seconds_ns(number))
    known = tf2._buffer.all_frames_as_yaml()
    assert known.count("object_") < MAX_VANISHED + 30


def test_the_node_looks_up_in_tf2_where_it_is_installed(rig: Rig) -> None:
    package = optional_module("tf2_ros")
    rig.start()
    transforms = rig.node.session.receiver.assembler.transforms
    assert isinstance(transforms, Tf2Buffer) == (package is not None)


def test_without_tf2_the_node_looks_up_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam3d_ros.ros.compat.transforms.optional_module", lambda _: None)
    assert type(make_transforms(CACHE_S)) is TransformBuffer


# message_filters


def test_inputs_are_heard_through_message_filters_where_it_is_installed(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = needs("message_filters")
    made: list[str] = []
    own = package.Subscriber

    def note(node: Any, message_type: Any, name: str, **options: Any) -> Any:
        made.append(name)
        return own(node, message_type, name, **options)

    monkeypatch.setattr(package, "Subscriber", note)
    rig = make_rig()
    rig.start()
    rig.send_frame()
    assert rig.report().code == ReportCode.OK
    assert {"image", "camera_info", "masks", "depth", "points", "/tf", "/tf_static"} <= set(made)


def test_pairs_are_those_of_the_approximate_synchronizer() -> None:
    filters = needs("message_filters")
    rng, slop_s = np.random.default_rng(2), 0.015
    sources = filters.SimpleFilter(), filters.SimpleFilter()
    pairs: list[tuple[int, int]] = []
    together = filters.ApproximateTimeSynchronizer(sources, 20, slop_s)
    together.registerCallback(lambda *both: pairs.append(tuple(_stamp_ns(each) for each in both)))
    matcher = Matcher(NodeConfig(), OWN_TOPICS)
    for number in range(50):
        exposed_ns = NS_PER_S + number * NS_PER_S // 30
        late_ns = exposed_ns + int(rng.uniform(-0.01, 0.01) * NS_PER_S)
        image = Image(header=header_of("camera", exposed_ns))
        info = CameraInfo(header=header_of("camera", exposed_ns))
        depth = Image(header=header_of("camera", late_ns))
        for source, message in zip(sources, (image, depth), strict=True):
            source.signalMessage(message)
        for topic, message in (
            (Input.IMAGE, image),
            (Input.CAMERA_INFO, info),
            (Input.DEPTH, depth),
        ):
            matcher.add(topic, _stamp_ns(message), message)
    assert len(pairs) == 50
    for image_ns, depth_ns in pairs:
        found = matcher.search(image_ns, final=True)
        assert found[Input.DEPTH].entry.stamp_ns == depth_ns


def _stamp_ns(message: Any) -> int:
    return Time.from_msg(message.header.stamp).nanoseconds


# sensor_msgs_py


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_points_are_those_that_sensor_msgs_py_reads(is_bigendian: bool) -> None:
    clouds = needs("sensor_msgs_py.point_cloud2")
    order = ">" if is_bigendian else "<"
    point = np.dtype({"names": list("xyz"), "formats": [f"{order}f4"] * 3, "itemsize": 20})
    points = np.zeros(7, dtype=point)
    for name in "xyz":
        points[name] = np.random.default_rng(4).normal(size=7)
    points["y"][3] = np.nan
    message = PointCloud2(height=1, width=7, point_step=20, row_step=140, is_bigendian=is_bigendian)
    message.fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate("xyz")
    ]
    message.data = array("B", points.tobytes())
    own = cloud_from_msg(message)
    # Last: it swaps the bytes of the message where they lie.
    theirs = clouds.read_points_numpy(message, ("x", "y", "z"), skip_nans=True)
    np.testing.assert_array_equal(own, theirs)


def test_clouds_that_the_node_sends_are_read_by_sensor_msgs_py() -> None:
    clouds = needs("sensor_msgs_py.point_cloud2")
    points = np.zeros(5, dtype=CLOUD_POINT)
    points["x"], points["label"], points["observed"] = np.arange(5), np.arange(5), 0.5
    read = clouds.read_points(cloud_msg(points, Header()))
    assert read.dtype.names == CLOUD_POINT.names
    for name in ("x", "y", "z", "label", "observed"):
        np.testing.assert_array_equal(read[name], points[name])


def test_a_cloud_of_the_scene_is_read_alike() -> None:
    clouds = needs("sensor_msgs_py.point_cloud2")
    theirs = clouds.read_points_numpy(cloud(), ("x", "y", "z"))
    np.testing.assert_array_equal(cloud_from_msg(cloud()), theirs)


# cv_bridge


class Bridge:
    """As ``cv_bridge.CvBridge``: makes an array of a message, or raises CvBridgeError."""

    def imgmsg_to_cv2(self, message: Image, desired_encoding: str) -> Any:
        assert desired_encoding == "rgb8"
        if message.encoding != "nv24":
            raise TypeError(f"[{message.encoding}] is not a color format")
        return np.full((message.height, message.step, 3), 7, dtype=np.uint8)


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    package = SimpleNamespace(CvBridge=Bridge)
    monkeypatch.setattr(images, "optional_module", lambda _: package)


def test_encodings_that_are_not_known_are_left_to_cv_bridge(bridge: None) -> None:
    message = image_msg(np.zeros((HEIGHT, WIDTH), dtype=np.uint8), "nv24")
    assert (image_from_msg(message) == 7).all()


def test_encodings_that_cv_bridge_does_not_know_are_refused(bridge: None) -> None:
    message = image_msg(np.zeros((HEIGHT, WIDTH), dtype=np.uint8), "smell")
    with pytest.raises(EncodingError, match=r"'smell', 160 x 120: .smell. is not a color format"):
        image_from_msg(message)


def test_an_image_that_cv_bridge_reads_in_another_size_is_refused(bridge: None) -> None:
    message = image_msg(np.zeros((HEIGHT, WIDTH), dtype=np.uint8), "nv24")
    message.step = 2 * WIDTH
    with pytest.raises(EncodingError, match="160 x 120 pixels was announced"):
        image_from_msg(message)


def test_without_cv_bridge_they_are_refused_with_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "optional_module", lambda _: None)
    message = image_msg(np.zeros((HEIGHT, WIDTH), dtype=np.uint8), "nv24")
    with pytest.raises(EncodingError, match="must be one of rgb8"):
        image_from_msg(message)


def test_colours_are_those_of_cv_bridge() -> None:
    package = needs("cv_bridge")
    pixels = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for encoding in ("rgb8", "bgr8"):
        message = image_msg(pixels, encoding)
        theirs = package.CvBridge().imgmsg_to_cv2(message, "rgb8")
        np.testing.assert_array_equal(image_from_msg(message), theirs)


def test_a_package_that_is_not_there_is_none() -> None:
    assert packages.optional_module("no_such_package.at_all") is None
