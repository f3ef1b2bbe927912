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


"""One frame in, everything out: what the node publishes, over real DDS."""

import threading
from array import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from rig import (
    CAMERA,
    HEIGHT,
    PATIENCE_S,
    WIDTH,
    BoxBackend,
    Rig,
    empty_masks,
    frame,
    stamp_ns,
    tf,
)
from sensor_msgs.msg import CompressedImage, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.compat import optional_module
from sam3d_ros.ros.decode import cloud_from_msg, stamp_ns_from_msg
from sam3d_ros.ros.encode import CLOUD_POINT, MAX_CLOUD_POINTS
from sam3d_ros.ros.qos import best_effort, latched, reliable
from sam3d_ros.structures import Mesh, ObjectReconstruction, Observation

pytestmark = pytest.mark.ros


@pytest.fixture
def ran(rig: Rig) -> Rig:
    """Return a rig whose node has processed one frame."""
    rig.start()
    rig.send_frame()
    rig.report()
    return rig


def test_a_frame_gives_one_report_with_its_stamp_and_objects(ran: Rig) -> None:
    report = ran.report()
    assert report.code == ReportCode.OK, report.message
    assert stamp_ns_from_msg(report.header.stamp) == stamp_ns(0)
    assert report.header.frame_id == CAMERA
    assert list(report.object_ids) == ["sam3d_object_1", "sam3d_object_2"]
    assert {stage.name for stage in report.stages} >= {"observe", "object"}
    assert report.latency > 0


def test_each_object_has_a_frame_at_the_stamp_of_the_image(ran: Rig) -> None:
    ran.until(lambda: ran.heard["/tf"], "transforms")
    transforms = {each.child_frame_id: each for each in ran.heard["/tf"][0].transforms}
    assert transforms.keys() == {"sam3d_object_1", "sam3d_object_2"}
    first = transforms["sam3d_object_1"]
    assert first.header.frame_id == CAMERA
    assert stamp_ns_from_msg(first.header.stamp) == stamp_ns(0)
    assert first.transform.translation.z == pytest.approx(1.0, abs=0.01)
    assert first.transform.translation.x == pytest.approx(-0.267, abs=0.01)


def test_an_object_is_shown_while_the_others_of_its_frame_are_made(
    make_rig: Callable[..., Rig], make_box: Callable[..., Mesh]
) -> None:
    backend = SecondWaits(make_box(0.1, 0.1, 0.1))
    rig = make_rig(backend=backend, portion=1)
    rig.start()
    rig.send_frame()
    topics = ("/tf", "/objects", "/meshes")
    rig.until(lambda: all(rig.heard[topic] for topic in topics), "the first object")
    assert [known.id for known in rig.heard["/objects"][-1].objects] == ["sam3d_object_1"]
    assert [each.child_frame_id for each in rig.heard["/tf"][0].transforms] == ["sam3d_object_1"]
    assert rig.heard["/report"] == rig.heard["/object_points"] == []
    backend.second.set()
    assert list(rig.report().object_ids) == ["sam3d_object_1", "sam3d_object_2"]


class SecondWaits(BoxBackend):
    """Makes the first object at once, and the second when a test lets it."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(mesh)
        self.second = threading.Event()

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        if observation.instance.instance_id != 1:
            assert self.second.wait(PATIENCE_S)
        return super().reconstruct(observation)


def test_objects_name_state_pose_and_quality(ran: Rig) -> None:
    ran.until(lambda: ran.heard["/objects"], "objects")
    array = ran.heard["/objects"][-1]
    assert stamp_ns_from_msg(array.header.stamp) == stamp_ns(0)
    assert [known.id for known in array.objects] == ["sam3d_object_1", "sam3d_object_2"]
    first = array.objects[0]
    assert (first.track_id, first.state, first.scale_source) == (1, first.NEW, first.DEPTH)
    assert first.header.frame_id == CAMERA
    assert first.pose.pose.orientation.w == pytest.approx(1.0)
    assert first.pose.pose.position.z == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose([first.size.x, first.size.y, first.size.z], 0.1, atol=1e-6)
    assert first.mesh_revision == 1


def test_a_mesh_comes_in_flat_arrays_in_the_object_frame(ran: Rig) -> None:
    ran.until(lambda: len(ran.heard["/meshes"]) >= 2, "two meshes")
    mesh = ran.heard["/meshes"][0]
    assert (mesh.header.frame_id, mesh.id, mesh.revision) == (mesh.id, "sam3d_object_1", 1)
    vertices = np.reshape(mesh.vertices, (-1, 3))
    np.testing.assert_allclose(np.abs(vertices), 0.05, atol=1e-6)
    assert np.reshape(mesh.triangles, (-1, 3)).shape == (12, 3)
    np.testing.assert_allclose(np.linalg.norm(np.reshape(mesh.normals, (-1, 3)), axis=1), 1, 1e-5)
    assert len(mesh.colors) == 4 * len(vertices)
    assert set(mesh.observed) == {255}
    assert mesh.watertight
    assert mesh.volume == pytest.approx(0.001, rel=1e-4)


def test_a_marker_hangs_in_its_object_frame_and_follows_it(ran: Rig) -> None:
    ran.until(lambda: len(ran.heard["/markers"]) >= 3, "markers")
    cleared, *shown = (array.markers[0] for array in ran.heard["/markers"])
    assert cleared.action == Marker.DELETEALL
    assert [(marker.ns, marker.id) for marker in shown] == [
        ("sam3d/objects", 1),
        ("sam3d/objects", 2),
    ]
    first = shown[0]
    assert (first.type, first.action) == (Marker.TRIANGLE_LIST, Marker.ADD)
    assert first.header.frame_id == "sam3d_object_1"
    assert stamp_ns_from_msg(first.header.stamp) == 0
    assert first.frame_locked
    assert (first.scale.x, first.scale.y, first.scale.z) == (1.0, 1.0, 1.0)
    assert first.pose.orientation.w == 1.0
    assert len(first.points) == len(first.colors) == 36
    assert {abs(round(point.x, 6)) for point in first.points} == {0.05}
    assert first.colors[0].r == pytest.approx(128 / 255)


def test_labels_show_texts_and_boxes_that_vanish(ran: Rig) -> None:
    ran.until(lambda: ran.heard["/labels"], "labels")
    markers = ran.heard["/labels"][0].markers
    assert [(marker.ns, marker.id) for marker in markers] == [
        ("sam3d/text", 1),
        ("sam3d/boxes", 1),
        ("sam3d/text", 2),
        ("sam3d/boxes", 2),
    ]
    assert markers[0].text == "object 1\n10.0 x 10.0 x 10.0 cm"
    assert all(marker.lifetime.sec >= 1 for marker in markers)
    assert all(marker.header.frame_id == CAMERA for marker in markers)


def test_object_points_tell_objects_apart(ran: Rig) -> None:
    ran.until(lambda: ran.heard["/object_points"], "points")
    cloud: PointCloud2 = ran.heard["/object_points"][0]
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "label", "observed"]
    points = cloud_from_msg(cloud)
    labels = np.frombuffer(cloud.data, dtype=np.uint32).reshape(len(points), -1)[:, 4]
    assert sorted(set(labels.tolist())) == [1, 2]
    first = points[labels == 1]
    np.testing.assert_allclose(first.mean(axis=0), [-0.267, -0.003, 1.0], atol=0.01)


def test_object_points_are_what_was_measured_and_what_nobody_saw(ran: Rig) -> None:
    ran.until(lambda: ran.heard["/object_points"], "points")
    cloud: PointCloud2 = ran.heard["/object_points"][0]
    values = np.frombuffer(cloud.data, dtype=CLOUD_POINT)
    first = values[values["label"] == 1]
    measured, inferred = first[first["observed"] == 1.0], first[first["observed"] < 0.5]
    assert len(measured) == MAX_CLOUD_POINTS // 2
    np.testing.assert_allclose(measured["z"], 1.0, atol=1e-3)  # the side that the camera sees
    assert len(measured) + len(inferred) == len(first)


def test_an_unchanged_mesh_is_sent_once_and_keeps_its_id(ran: Rig) -> None:
    ran.send_frame(1)
    report = ran.reports(2)[1]
    assert list(report.object_ids) == ["sam3d_object_1", "sam3d_object_2"]
    ran.until(lambda: len(ran.heard["/tf"]) == 2, "the second transforms")
    ran.settle()
    assert len(ran.heard["/meshes"]) == 2
    assert len(ran.heard["/markers"]) == 3


def test_who_comes_late_gets_the_meshes_that_are_there(ran: Rig) -> None:
    late = ran.listen("/late", MarkerArray, latched(100))
    ran.tester.create_subscription(MarkerArray, "/sam3d_node/markers", late.append, latched(100))
    ran.until(lambda: len(late) == 3, "the latched markers")
    assert late[0].markers[0].action == Marker.DELETEALL


def test_an_object_that_is_removed_takes_its_marker_along(make_rig: Any) -> None:
    rig = make_rig({"registry.remove_after": 0.5, "registry.lost_after": 0.1})
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    rig.send_frame(30, masks=empty_masks(30))
    rig.reports(2)
    rig.until(lambda: len(rig.heard["/markers"]) == 5, "two deletions")
    gone = [array.markers[0] for array in rig.heard["/markers"][3:]]
    assert [(marker.action, marker.id) for marker in gone] == [
        (Marker.DELETE, 1),
        (Marker.DELETE, 2),
    ]
    rig.until(lambda: not rig.heard["/objects"][-1].objects, "an empty registry")


def test_output_comes_in_the_output_frame_at_the_stamp_of_the_image(make_rig: Any) -> None:
    rig = make_rig({"output_frame": "odom"})
    rig.start()
    rig.send(**{"tf_static": tf("base", CAMERA, x_m=1.0)})
    rig.send(tf=tf("odom", "base", -1, x_m=10.0))
    rig.send(tf=tf("odom", "base", 1, x_m=20.0))
    rig.until(lambda: len(rig.heard["/tf"]) == 2, "the transforms")
    rig.send_frame()
    assert rig.report().code == ReportCode.OK, rig.report().message
    rig.until(lambda: len(rig.heard["/tf"]) == 3, "the transforms of the objects")
    sent = rig.heard["/tf"][2].transforms[0]
    assert sent.header.frame_id == "odom"
    assert sent.transform.translation.x == pytest.approx(16.0 - 0.267, abs=0.01)


def test_an_empty_mask_shows_nothing_but_the_frames_of_what_stands_still(make_rig: Any) -> None:
    rig = make_rig({"output_frame": "odom"})
    rig.start()
    rig.send(**{"tf_static": tf("odom", CAMERA)})
    rig.settle(0.3)
    rig.send_frame(0)
    rig.reports(1)  # else the first mask may be dropped for the second
    rig.send_frame(1, masks=empty_masks(1))
    assert rig.reports(2)[1].code == ReportCode.MASK_EMPTY
    rig.until(lambda: len(rig.heard["/object_points"]) == 2, "two clouds")
    assert rig.heard["/object_points"][1].width == 0
    rig.until(lambda: len(rig.heard["/labels"]) == 2, "labels")
    assert not rig.heard["/labels"][1].markers
    rig.until(lambda: len(rig.heard["/tf"]) == 2, "transforms")
    first, second = rig.heard["/tf"]
    assert [each.transform for each in second.transforms] == [
        each.transform for each in first.transforms
    ]


def test_detections_are_off_and_say_why_where_vision_msgs_is_missing(rig: Rig) -> None:
    if optional_module("vision_msgs.msg") is not None:
        pytest.skip("vision_msgs is installed")
    rig.start()
    status = rig.diagnostics("outputs", lambda _: True)
    values = {pair.key: pair.value for pair in status.values}
    assert "vision_msgs is not installed" in values["~/detections"]


def test_detections_equal_the_objects(rig: Rig) -> None:
    vision = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    heard = rig.listen("/sam3d_node/detections", vision.Detection3DArray, reliable(10))
    rig.start()
    rig.send_frame()
    rig.report()
    rig.until(lambda: heard, "detections")
    assert [detection.id for detection in heard[0].detections] == list(rig.report().object_ids)
    assert all(detection.header == heard[0].header for detection in heard[0].detections)
    rig.send_frame(1, masks=empty_masks(1))
    rig.until(lambda: len(heard) == 2, "detections of an empty mask")
    assert not heard[1].detections


def test_a_compressed_image_does_as_well(make_rig: Any) -> None:
    rig = make_rig({"image_transport": "compressed"})
    rig.advertise("/image/compressed", CompressedImage, best_effort(10))
    rig.start("camera_info", "masks", "depth", "depth/camera_info")
    message = CompressedImage(header=frame()["image"].header, format="jpeg")
    picture = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    message.data = array("B", cv2.imencode(".jpg", picture)[1].tobytes())
    rig.publishers["/image/compressed"].publish(message)
    rig.send_frame(image=None)
    assert rig.report().code == ReportCode.OK, rig.report().message
