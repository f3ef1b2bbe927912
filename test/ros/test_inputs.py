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


"""Odd inputs, kind by kind: what is made of them, beside the rows of ``test_failure_table``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rig import (
    CAMERA,
    HEIGHT,
    WIDTH,
    Rig,
    check,
    cloud,
    depth_image,
    empty_masks,
    frame,
    image_msg,
    info_msg,
    label_image,
    refused,
    tf,
)
from sam3d_ros.msg import Object
from sensor_msgs.msg import CameraInfo, Image

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.protocols import Cancelled, OneByOne, never
from sam3d_ros.ros.framing import Input
from sam3d_ros.ros.qos import best_effort
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.structures import Camera, EstimatedPoints, Floats, Mesh, ObjectFlag

MakeRig = Callable[..., Rig]
pytestmark = pytest.mark.ros


# Masks


def test_a_mask_image_without_objects_is_empty_and_keeps_the_objects(rig: Rig) -> None:
    rig.start()
    rig.send_frame(0)
    rig.reports(1)
    rig.send_frame(1, masks=empty_masks(1))
    check(rig.reports(2)[1], ReportCode.MASK_EMPTY, "no pixel above 0")
    rig.until(lambda: len(rig.heard["/objects"][-1].objects) == 2, "the objects")


def test_a_mask_of_a_few_pixels_is_empty_and_stops_no_other(rig: Rig) -> None:
    labels = label_image()
    labels[10:12, 10:12] = 7
    report = refused(rig, masks=image_msg(labels, "mono8"))
    assert report.code == ReportCode.OK
    assert len(report.object_ids) == 2
    assert "mask 7: MASK_EMPTY" in report.message


def test_a_binary_mask_is_one_object_whatever_its_value(make_rig: MakeRig) -> None:
    rig = make_rig({"masks.mode": "binary"})
    labels = np.where(label_image() == 1, 255, 0).astype(np.uint8)
    assert len(refused(rig, masks=image_msg(labels, "mono8")).object_ids) == 1


# Depth


def test_holes_and_infinities_in_depth_are_ignored(rig: Rig) -> None:
    depth_m = depth_image().astype(np.float32) / 1000
    depth_m[::3] = np.nan
    depth_m[:, ::5] = np.inf
    depth_m[:, 1::7] = 0
    check(refused(rig, depth=image_msg(depth_m, "32FC1")), ReportCode.OK)


def test_an_object_without_depth_fails_alone(rig: Rig) -> None:
    depth = depth_image()
    depth[label_image() == 2] = 0
    report = refused(rig, depth=image_msg(depth, "16UC1"))
    assert (report.code, list(report.object_ids)) == (ReportCode.OK, ["sam3d_object_1"])
    assert "mask 2: DEPTH_SPARSE" in report.message


def test_floats_in_millimetres_are_read_where_the_unit_is_given(make_rig: MakeRig) -> None:
    rig = make_rig({"depth.unit": "mm"})
    depth = depth_image().astype(np.float32)
    check(refused(rig, depth=image_msg(depth, "32FC1")), ReportCode.OK)


class SeeingRig(Rig):
    """A rig whose node has what estimates depth: the scene at half its size."""

    def _pipeline(self, config: SceneConfig) -> ScenePipeline:
        backend, estimator = OneByOne(self.backend), HalfTheScene()
        return ScenePipeline(config, FrameReconstructor(config, backend, estimator))


class HalfTheScene:
    """Sees the scene of the rig, and knows no more of its size than a picture says."""

    def estimate(
        self, rgb: Floats, camera: Camera | None = None, cancelled: Cancelled = never
    ) -> EstimatedPoints:
        matrix = np.reshape(info_msg().k, (3, 3))
        seen_by = Camera(width=WIDTH, height=HEIGHT, matrix_px=matrix)
        points = pixel_rays(seen_by) * (depth_image()[..., None] / 2000).astype(np.float32)
        normalised = matrix.copy()
        normalised[0] /= WIDTH
        normalised[1] /= HEIGHT
        return EstimatedPoints(points, normalised)


@pytest.mark.parametrize(
    ("on_missing", "code"),
    [("monocular", ReportCode.OK), ("skip", ReportCode.DEPTH_SPARSE)],
)
def test_depth_that_is_missing_is_estimated_or_not_as_the_settings_say(
    make_box: Callable[..., Mesh], on_missing: str, code: ReportCode
) -> None:
    rig = SeeingRig(make_box(0.1, 0.1, 0.1), {"depth.on_missing": on_missing})
    try:
        depth = np.where(label_image() > 0, 0, 2000).astype(np.uint16)
        report = refused(rig, depth=image_msg(depth, "16UC1"))
        check(report, code)
        if code == ReportCode.OK:
            rig.until(lambda: rig.heard["/objects"], "objects")
            known = rig.heard["/objects"][0].objects[0]
            assert known.scale_source == Object.MONOCULAR
            assert known.pose.pose.position.z == pytest.approx(1.0, abs=0.05)
    finally:
        rig.close()


def test_data_shorter_than_announced_are_refused(rig: Rig) -> None:
    message = frame()["depth"]
    message.height *= 2
    check(refused(rig, depth=message), ReportCode.ENCODING, "/depth", "240 rows")


def test_depth_of_half_the_size_in_the_same_frame_is_used(rig: Rig) -> None:
    depth = np.ascontiguousarray(depth_image()[::2, ::2])
    report = refused(rig, depth=image_msg(depth, "16UC1"), depth_info=info_msg(scale=0.5))
    check(report, ReportCode.OK)


def test_depth_of_another_camera_is_registered_through_tf(rig: Rig) -> None:
    rig.start()
    rig.send(tf_static=tf(CAMERA, "depth_optical_frame", x_m=0.02))
    depth = image_msg(depth_image(), "16UC1", frame_id="depth_optical_frame")
    info = info_msg(frame_id="depth_optical_frame", focal_px=140.0)
    rig.send_frame(depth=depth, depth_info=info)
    check(rig.report(), ReportCode.OK)
    rig.until(lambda: rig.heard["/objects"], "objects")
    assert rig.heard["/objects"][0].objects[0].pose.pose.position.z == pytest.approx(1, abs=0.02)


def test_depth_of_a_rigid_device_needs_no_pose_of_what_carries_it(rig: Rig) -> None:
    rig.start()
    rig.send(tf_static=tf("base", CAMERA))
    rig.send(tf_static=tf("base", "depth_optical_frame", x_m=0.02))
    rig.send(tf=tf("odom", "base", -30))
    rig.settle(0.3)
    for number in (-1, 2):
        depth = image_msg(depth_image(), "16UC1", number, frame_id="depth_optical_frame")
        rig.send(depth=depth, depth_info=info_msg(number, frame_id="depth_optical_frame"))
    rig.send_frame(depth=None, depth_info=None)
    check(rig.report(), ReportCode.OK)


def test_depth_without_intrinsics_needs_the_aspect_ratio_of_the_image(rig: Rig) -> None:
    rig.start("image", "camera_info", "masks", "depth")
    depth = np.ascontiguousarray(depth_image()[:-20])
    rig.send_frame(depth=image_msg(depth, "16UC1"), depth_info=None)
    check(rig.report(), ReportCode.DEPTH_ALIGN, "160x100", "depth/camera_info")


def test_aligned_depth_needs_no_camera_info_of_its_own(rig: Rig) -> None:
    rig.start("image", "camera_info", "masks", "depth")
    rig.send_frame(depth_info=None)
    check(rig.report(), ReportCode.OK)


# Points


def test_points_alone_are_enough_with_their_transform(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start("image", "camera_info", "masks", "points")
    rig.send(tf_static=tf(CAMERA, "lidar"))
    rig.send_frame(depth=None, depth_info=None, points=cloud())
    check(rig.report(), ReportCode.OK)
    rig.until(lambda: rig.heard["/objects"], "objects")
    assert rig.heard["/objects"][0].objects[0].scale_source == Object.LIDAR


def test_points_without_a_transform_are_refused(rig: Rig) -> None:
    rig.start("image", "camera_info", "masks", "points")
    rig.send_frame(depth=None, depth_info=None, points=cloud())
    check(rig.report(), ReportCode.NO_TRANSFORM, "lidar", CAMERA)


# Intrinsics


def test_intrinsics_of_zeros_are_guessed_where_that_is_allowed(make_rig: MakeRig) -> None:
    rig = make_rig({"camera.fov_fallback_deg": 56.0})
    report = refused(rig, camera_info=zero_info(), depth_info=zero_info())
    check(report, ReportCode.OK)
    rig.until(lambda: rig.heard["/objects"], "objects")
    assert rig.heard["/objects"][0].objects[0].flags & ObjectFlag.UNCALIBRATED


def zero_info() -> Any:
    info = info_msg()
    info.k = [0.0] * 9
    return info


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("plumb_bob", [-0.1, 0.02, 0.001, -0.001, 0.0]),
        ("rational_polynomial", [-0.1, 0.02, 0.001, -0.001, 0.0, 0.01, 0.0, 0.0]),
        ("equidistant", [0.01, 0.0, 0.0, 0.0]),
    ],
)
def test_lenses_that_are_known_are_taken_into_account(
    rig: Rig, model: str, coefficients: list[float]
) -> None:
    info = info_msg()
    info.distortion_model, info.d = model, coefficients
    check(refused(rig, camera_info=info, depth_info=info), ReportCode.OK)
    rig.until(lambda: rig.heard["/objects"], "objects")
    left = rig.heard["/objects"][0].objects[0].pose.pose.position
    assert left.z == pytest.approx(1.0, abs=0.02)
    assert left.x == pytest.approx(-0.267, abs=0.03)
    assert abs(left.x + 0.2667) > 1e-3  # a camera without a lens would see it there


# Frames


def test_images_of_a_frame_that_looks_along_x_are_placed_in_the_one_beside_it(
    make_rig: MakeRig,
) -> None:
    rig = make_rig({"camera.frame_is_optical": "false"})
    rig.start()
    rig.send(tf_static=tf("camera_frame", CAMERA))
    messages = frame()
    for name in ("image", "depth"):
        messages[name].header.frame_id = "camera_frame"
    rig.settle(0.3)
    rig.send_frame(**messages)
    report = rig.report()
    assert report.code == ReportCode.OK, report.message
    assert report.header.frame_id == CAMERA
    rig.until(lambda: len(rig.heard["/tf"]) == 1, "transforms")
    assert {each.header.frame_id for each in rig.heard["/tf"][0].transforms} == {CAMERA}


def test_without_an_optical_frame_beside_it_the_image_is_refused(make_rig: MakeRig) -> None:
    rig = make_rig({"camera.frame_is_optical": "false"})
    message = frame()["image"]
    message.header.frame_id = "camera_frame"
    report = refused(rig, image=message)
    check(report, ReportCode.NO_TRANSFORM, "camera.frame_is_optical is false", "'camera_frame'")


# Topics


def test_intrinsics_are_heard_beside_remapped_images(make_rig: MakeRig) -> None:
    given = ["--ros-args", "-r", "image:=/cam/color/image_raw", "-r", "depth:=/cam/depth/image_raw"]
    rig = make_rig(cli_args=given)
    for name, message_type in (("image_raw", Image), ("camera_info", CameraInfo)):
        for camera in ("color", "depth"):
            rig.advertise(f"/cam/{camera}/{name}", message_type, best_effort(10))
    rig.start("masks")
    messages = frame()
    rig.send(
        **{
            "cam/color/image_raw": messages["image"],
            "cam/color/camera_info": messages["camera_info"],
            "cam/depth/image_raw": messages["depth"],
            "cam/depth/camera_info": messages["depth_info"],
            "masks": messages["masks"],
        }
    )
    check(rig.report(), ReportCode.OK)
    caches = rig.node.session.receiver.assembler.caches
    assert caches[Input.DEPTH_INFO].num_received == 1
