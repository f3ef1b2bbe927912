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

"""Where the camera was, and what looks along z: by TF at the stamp of the image."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam3d_ros.config import CameraConfig, NodeConfig, TfConfig
from sam3d_ros.errors import TransformError
from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation, rotation_from_axis_angle
from sam3d_ros.ros.assembler import Assembler
from sam3d_ros.ros.cautions import Cautions
from sam3d_ros.ros.compat.tf_buffer import TransformBuffer
from sam3d_ros.ros.framing import OWN_TOPICS, Input, Instant, Matched
from sam3d_ros.ros.placing import optical_beside, poses_of
from sam3d_ros.structures import NS_PER_S, Similarity

LINK_FROM_OPTICAL = Similarity(
    np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3)
)
IN_MAP = NodeConfig(output_frame="map")
TURNED = NodeConfig(camera=CameraConfig(frame_is_optical="false"))


def header(frame_id: str, time_s: float) -> Any:
    stamp = SimpleNamespace(sec=int(time_s), nanosec=round(time_s % 1 * NS_PER_S))
    return SimpleNamespace(frame_id=frame_id, stamp=stamp)


def stamped(parent: str, child: str, time_s: float, pose: Similarity) -> Any:
    w, x, y, z = quat_wxyz_from_rotation(pose.rotation)
    shift = pose.translation_m
    return SimpleNamespace(
        header=header(parent, time_s),
        child_frame_id=child,
        transform=SimpleNamespace(
            rotation=SimpleNamespace(w=w, x=x, y=y, z=z),
            translation=SimpleNamespace(x=shift[0], y=shift[1], z=shift[2]),
        ),
    )


def shifted(x_m: float) -> Similarity:
    return Similarity(np.eye(3), np.array([x_m, 0.0, 0.0]))


def image(frame_id: str = "camera", time_s: float = 5.0) -> Matched:
    return Matched(image=SimpleNamespace(header=header(frame_id, time_s)))


def moving(speed_m_s: float) -> TransformBuffer:
    buffer = TransformBuffer()
    for tenth in range(40, 61):
        pose = shifted(speed_m_s * tenth / 10)
        buffer.add(stamped("map", "camera", tenth / 10, pose), static=False)
    return buffer


def camera_with(*optical: tuple[str, float]) -> TransformBuffer:
    """Return a camera with optical frames, each turned and so far beside it."""
    buffer = TransformBuffer()
    for name, x_m in optical:
        pose = Similarity(LINK_FROM_OPTICAL.rotation, np.array([x_m, 0.0, 0.0]))
        buffer.add(stamped("camera_color_frame", name, 0.0, pose), static=True)
    return buffer


@pytest.mark.parametrize(("speed_m_s", "is_fast"), [(0.0, False), (0.4, False), (0.6, True)])
def test_a_camera_is_in_motion_above_the_limit(speed_m_s: float, is_fast: bool) -> None:
    assert poses_of(image(), moving(speed_m_s), IN_MAP).in_motion == is_fast


def test_without_a_limit_or_a_past_no_camera_is_in_motion() -> None:
    unlimited = replace(IN_MAP, tf=TfConfig(max_camera_speed=0.0))
    assert not poses_of(image(), moving(3.0), unlimited).in_motion
    assert not poses_of(image(time_s=4.0), moving(3.0), IN_MAP).in_motion


def test_motion_needs_a_frame_that_stands_still() -> None:
    assert not poses_of(image(), moving(3.0), NodeConfig()).in_motion


def test_up_is_where_the_z_axis_of_the_gravity_frame_points_to_in_the_image() -> None:
    buffer = TransformBuffer()
    down = np.pi / 6  # the camera looks so far below the horizon
    tilt = rotation_from_axis_angle(np.array([0.0, 1.0, 0.0]), down)
    pose = Similarity(tilt @ LINK_FROM_OPTICAL.rotation, np.array([1.0, 2.0, 3.0]))
    buffer.add(stamped("base_link", "camera", 5.0, pose), static=True)
    up = poses_of(image(), buffer, NodeConfig(gravity_frame="base_link")).up_camera
    # y points down in an image, and what is ahead is below.
    np.testing.assert_allclose(up, [0.0, -np.cos(down), -np.sin(down)], atol=1e-12)


def test_without_a_gravity_frame_nothing_is_said_of_up() -> None:
    assert poses_of(image(), TransformBuffer(), NodeConfig()).up_camera is None


def test_the_optical_frame_beside_a_camera_is_at_its_place_and_has_the_most_alike_name() -> None:
    buffer = camera_with(
        ("camera_color_optical_frame", 0.0),
        ("camera_infra1_optical_frame", 0.0),
        ("camera_color_far_optical_frame", 0.05),
    )
    assert optical_beside("camera_color_frame", buffer) == "camera_color_optical_frame"
    assert optical_beside("elsewhere", buffer) == ""


def test_an_image_in_a_frame_that_is_not_optical_is_placed_in_the_one_beside_it() -> None:
    buffer = camera_with(("camera_color_optical_frame", 0.0))
    buffer.add(stamped("map", "camera_color_frame", 0.0, shifted(2.0)), static=True)
    poses = poses_of(image("camera_color_frame"), buffer, replace(TURNED, output_frame="map"))
    assert poses.frame_id == "camera_color_optical_frame"
    assert poses.fixed_from_camera is not None
    ahead = poses.fixed_from_camera.apply(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(ahead, [3.0, 0.0, 0.0], atol=1e-12)


def test_a_frame_called_optical_stays() -> None:
    poses = poses_of(image("camera_color_optical_frame"), TransformBuffer(), TURNED)
    assert poses.frame_id == "camera_color_optical_frame"


def test_without_an_optical_frame_the_error_says_which_to_publish() -> None:
    with pytest.raises(TransformError, match=r"no frame at the place of .camera..*tf_static"):
        poses_of(image(), TransformBuffer(), TURNED)


class Looked:
    """What is cautioned about an image, and logged."""

    def __init__(self, config: NodeConfig, frame_id: str, clock_s: float) -> None:
        self.assembler = Assembler(config)
        self.assembler.transforms = camera_with(("camera_color_optical_frame", 0.0))
        at = Instant(clock_ns=int(clock_s * NS_PER_S), steady_ns=0)
        message = SimpleNamespace(header=header(frame_id, 100.0), data=b"")
        self.assembler.add(Input.IMAGE, message, at)
        self.logged: list[str] = []
        self._config = config
        self._cautions = Cautions(OWN_TOPICS, self.logged.append)

    def sentences(self) -> list[str]:
        return self._cautions.sentences(self.assembler, self._config)


@pytest.mark.parametrize(("clock_s", "how"), [(120.0, "20.0 s behind"), (80.0, "20.0 s ahead of")])
def test_stamps_far_from_the_clock_are_cautioned_and_logged_once(clock_s: float, how: str) -> None:
    looked = Looked(NodeConfig(), "camera_color_optical_frame", clock_s)
    (sentence,) = looked.sentences()
    assert sentence.startswith("CLOCK: the stamps of image are")
    assert how in sentence
    assert looked.sentences() == looked.logged == [sentence]


def test_images_that_come_no_more_say_nothing_about_clocks() -> None:
    looked = Looked(NodeConfig(), "camera_color_optical_frame", 100.5)
    looked.assembler.expire(Instant(clock_ns=200 * NS_PER_S, steady_ns=100 * NS_PER_S))
    assert not looked.sentences()


def test_a_frame_beside_an_optical_one_is_cautioned_unless_the_settings_know() -> None:
    (sentence,) = Looked(NodeConfig(), "camera_color_frame", 100.0).sentences()
    assert "'camera_color_frame'" in sentence
    assert "'camera_color_optical_frame'" in sentence
    for knowing in ("true", "false"):
        config = NodeConfig(camera=CameraConfig(frame_is_optical=knowing))
        assert not Looked(config, "camera_color_frame", 100.0).sentences()
    assert not Looked(NodeConfig(), "camera_color_optical_frame", 100.0).sentences()
