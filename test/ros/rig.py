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


"""A node and what talks to it, over real DDS, in one process and one executor.

The scene is a wall at 2 m with square things at 1 m before it, seen by an ideal small camera.
"""

import gc
import threading
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sam3d_ros.msg import FrameReport, ObjectArray, ObjectMesh
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.protocols import OneByOne
from sam3d_ros.ros.encode import CLOUD_POINT, cloud_msg, header_of, transform_msg
from sam3d_ros.ros.node import Sam3dNode
from sam3d_ros.ros.qos import best_effort, latched, reliable
from sam3d_ros.scene.following import Follower
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.reconstruct import FrameReconstructor
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Quality,
    Similarity,
)

WIDTH, HEIGHT, FOCAL_PX = 160, 120, 150.0
PLATE_M = (0.266, 0.266, 0.01)  # a box that fills what the camera sees of each thing
CAMERA = "camera_optical_frame"
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 33_000_000
PATIENCE_S = 90.0  # a loaded machine is slow; nothing here waits that long unless it fails
INPUTS = {
    "image": Image,
    "camera_info": CameraInfo,
    "masks": Image,
    "depth": Image,
    "depth/camera_info": CameraInfo,
    "points": PointCloud2,
}
OUTPUTS = {
    "report": (FrameReport, reliable(100)),
    "objects": (ObjectArray, latched(1)),
    "meshes": (ObjectMesh, latched(100)),
    "markers": (MarkerArray, latched(100)),
    "labels": (MarkerArray, reliable(10)),
    "object_points": (PointCloud2, reliable(10)),
}


class BoxBackend:
    """Puts a cube of 10 cm where the points are; waits where a test holds the gate shut."""

    name = "box"

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self.gate = threading.Event()
        self.gate.set()
        self.num_started = 0
        self.error: Exception | None = None

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        self.num_started += 1
        assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        middle = np.median(observation.object_points_camera, axis=0).astype(np.float64)
        return ObjectReconstruction(
            mesh_object=self._mesh,
            camera_from_object=Similarity(np.eye(3), middle),
            quality=Quality(),
            provenance=Provenance(backend=self.name, scale_source=observation.scale_source),
        )


class Rig:
    """One node under test, one that talks to it, and the executor that runs both by hand."""

    def __init__(
        self,
        mesh: Mesh,
        parameters: dict[str, Any],
        backend: Any = None,
        make_follower: Callable[[SceneConfig], Follower | None] = lambda _: None,
        portion: int = 0,
        **options: Any,
    ) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.backend = backend or BoxBackend(mesh)
        self._make_follower = make_follower
        self._portion = portion  # of the objects of a frame, that is shown before the others
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = Sam3dNode(
            self._pipeline, context=self.context, parameter_overrides=overrides, **options
        )
        self.tester = Node("tester", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.tester)
        self.publishers: dict[str, Any] = {}
        self.heard: dict[str, list[Any]] = {}

    def _pipeline(self, config: SceneConfig) -> ScenePipeline:
        backend = OneByOne(self.backend)
        backend.portion = self._portion
        reconstructor = FrameReconstructor(config, backend)
        return ScenePipeline(config, reconstructor, self._make_follower(config))

    def close(self) -> None:
        self.backend.gate.set()
        self.executor.shutdown()
        self.node.destroy_node()
        self.tester.destroy_node()
        self.context.try_shutdown()
        # rclpy's lifecycle nodes hold themselves, and with them their participant, until they are
        # collected; only the first 32 participants of a domain find each other on a host.
        gc.collect()

    def start(self, *inputs: str) -> None:
        """Connect some inputs and all outputs, and start the node."""
        for name, (message_type, qos) in OUTPUTS.items():
            self.listen(f"/sam3d_node/{name}", message_type, qos)
        self.listen("/diagnostics", DiagnosticArray, reliable(10))
        for name in inputs or ("image", "camera_info", "masks", "depth", "depth/camera_info"):
            self.advertise(f"/{name}", INPUTS[name], best_effort(10))
        self.advertise("/tf_static", TFMessage, latched(10))
        self.advertise("/tf", TFMessage, reliable(10))
        self.node.autostart()
        self.listen("/tf", TFMessage, reliable(100))
        self.until(self.is_connected, "connections")

    def advertise(self, topic: str, message_type: Any, qos: QoSProfile) -> None:
        self.publishers[topic] = self.tester.create_publisher(message_type, topic, qos)

    def listen(self, topic: str, message_type: Any, qos: QoSProfile) -> list[Any]:
        heard = self.heard.setdefault(topic.removeprefix("/sam3d_node"), [])
        self.tester.create_subscription(message_type, topic, heard.append, qos)
        return heard

    def is_connected(self) -> bool:
        """Tell whether both sides of every topic know of each other."""
        outputs = {f"/sam3d_node/{name}" for name in OUTPUTS}
        readers = [
            *(each for each in self.node.subscriptions if each.topic_name in self.publishers),
            *(each for each in self.tester.subscriptions if each.topic_name in outputs),
        ]
        writers = [
            *self.publishers.values(),
            *(each for each in self.node.publishers if each.topic_name in outputs),
        ]
        return all(each.get_publisher_count() for each in readers) and all(
            each.get_subscription_count() for each in writers
        )

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Run both nodes until something is so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited {PATIENCE_S} s for {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def settle(self, seconds: float = 0.5) -> None:
        """Run both nodes for a while, to see that nothing more happens."""
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self.executor.spin_once(timeout_sec=0.05)

    def send(self, **messages: Any) -> None:
        """Publish messages by topic; ``depth_info`` stands for ``depth/camera_info``."""
        for name, message in messages.items():
            self.publishers["/" + name.replace("depth_info", "depth/camera_info")].publish(message)

    def send_frame(self, number: int = 0, **changed: Any) -> None:
        """Publish all messages of one exposure, the mask last; None leaves one out."""
        messages = {**frame(number), **changed}
        self.send(**{name: each for name, each in messages.items() if each is not None})

    @property
    def num_masks(self) -> int:
        """How many masks the node has heard."""
        return self.node.session.receiver.num_masks

    def feed(self, number: int) -> None:
        """Publish one exposure without its mask, and wait until the node has all of it."""
        self.send_frame(number, masks=None)
        caches = self.node.session.receiver.assembler.caches
        used = [cache for topic, cache in caches.items() if f"/{topic.value}" in self.publishers]
        self.until(lambda: {each.last_ns for each in used} == {stamp_ns(number)}, "one exposure")

    def reports(self, num: int = 1) -> list[FrameReport]:
        """Return the first reports, when there are so many."""
        self.until(lambda: len(self.heard["/report"]) >= num, f"{num} reports")
        return self.heard["/report"]

    def report(self) -> FrameReport:
        """Return the one report that there is, and make sure that no second comes."""
        self.reports(1)
        self.settle(0.3)
        (report,) = self.heard["/report"]
        return report

    def diagnostics(self, part: str, holds: Callable[[Any], bool]) -> Any:
        """Wait for a diagnostic status of which something holds."""

        def newest() -> Any:
            for array_message in reversed(self.heard["/diagnostics"]):
                for status in array_message.status:
                    if status.name.endswith(f": {part}") and holds(status):
                        return status
            return None

        self.until(newest, f"diagnostics of {part}")
        return newest()


def stamp_ns(number: int) -> int:
    return START_NS + number * PERIOD_NS


def label_image() -> Any:
    """Return two things of 40 x 40 pixels."""
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[40:80, 20:60] = 1
    labels[40:80, 100:140] = 2
    return labels


def empty_masks(number: int = 0) -> Image:
    return image_msg(np.zeros((HEIGHT, WIDTH), dtype=np.uint8), "mono8", number)


def depth_image() -> Any:
    return np.where(label_image() > 0, 1000, 2000).astype(np.uint16)


def image_msg(pixels: Any, encoding: str, number: int = 0, frame_id: str = CAMERA) -> Image:
    message = Image(
        header=header_of(frame_id, stamp_ns(number)),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.strides[0],
    )
    message.data = array("B", pixels.tobytes())
    return message


def info_msg(
    number: int = 0, scale: float = 1.0, frame_id: str = CAMERA, focal_px: float = FOCAL_PX
) -> CameraInfo:
    width, height = round(WIDTH * scale), round(HEIGHT * scale)
    message = CameraInfo(header=header_of(frame_id, stamp_ns(number)), width=width, height=height)
    message.distortion_model, message.d = "plumb_bob", [0.0] * 5
    focal_px *= scale
    message.k = [focal_px, 0.0, (width - 1) / 2, 0.0, focal_px, (height - 1) / 2, 0.0, 0.0, 1.0]
    return message


def frame(number: int = 0) -> dict[str, Any]:
    """Return all messages of one exposure, by topic, the mask last."""
    return {
        "image": image_msg(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8), "rgb8", number),
        "camera_info": info_msg(number),
        "depth": image_msg(depth_image(), "16UC1", number),
        "depth_info": info_msg(number),
        "masks": image_msg(label_image(), "mono8", number),
    }


def cloud(number: int = 0, frame_id: str = "lidar") -> PointCloud2:
    """Return a cloud of the scene, seen from the camera."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    depth_m = depth_image() / 1000
    points = np.zeros(WIDTH * HEIGHT, dtype=CLOUD_POINT)
    points["x"] = ((columns - (WIDTH - 1) / 2) / FOCAL_PX * depth_m).ravel()
    points["y"] = ((rows - (HEIGHT - 1) / 2) / FOCAL_PX * depth_m).ravel()
    points["z"] = depth_m.ravel()
    return cloud_msg(points, header_of(frame_id, stamp_ns(number)))


def tf(parent: str, child: str, number: int = 0, x_m: float = 0.0) -> TFMessage:
    pose = Similarity(np.eye(3), np.array([x_m, 0.0, 0.0]))
    return TFMessage(transforms=[transform_msg(pose, parent, child, stamp_ns(number))])


def broken_tf(parent: str, child: str) -> TFMessage:
    """Return a transform whose quaternion was never set."""
    stamped = TransformStamped(header=header_of(parent, stamp_ns(0)), child_frame_id=child)
    stamped.transform = Transform()
    stamped.transform.rotation.w = 0.0
    return TFMessage(transforms=[stamped])


def refused(rig: Rig, **changed: Any) -> FrameReport:
    """Return the report on a frame of which something was changed."""
    rig.start()
    rig.send_frame(**changed)
    return rig.report()


def check(report: FrameReport, code: ReportCode, *parts: str) -> None:
    assert report.code == code, report.message
    for part in parts:
        assert part in report.message
    if code != ReportCode.OK:
        assert not report.object_ids
