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

"""``~/debug/overlay``: what was found, drawn into the image, for whoever subscribes."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from sam3d_ros.apps.overlays import OverlayProcess, Picture
from sam3d_ros.config import NodeConfig, QueueConfig
from sam3d_ros.errors import CancelledError, ReportCode, Sam3dError
from sam3d_ros.ros.encode import byte_array, header_of
from sam3d_ros.ros.qos import best_effort
from sam3d_ros.ros.worker import Cancellation, Worker
from sam3d_ros.structures import Frame, SceneSnapshot

NEWEST = QueueConfig(policy="latest", depth=1)


class OverlayTopics:
    """The two publishers, where ``debug.overlay`` wants them."""

    def __init__(self, make_publisher: Callable[..., Any], config: NodeConfig) -> None:
        self._raw: Any = None
        self._compressed: Any = None
        if config.debug.overlay:
            self._raw = make_publisher(Image, "~/debug/overlay", best_effort(1))
            topic = "~/debug/overlay/compressed"
            self._compressed = make_publisher(CompressedImage, topic, best_effort(1))

    @property
    def is_wanted(self) -> bool:
        """Whether anybody would get a picture."""
        return _is_heard(self._raw) or _is_heard(self._compressed)

    def send(self, picture: Picture, frame: Frame) -> None:
        """Send a picture of a frame to those who want it."""
        header = header_of(frame.frame_id, frame.stamp_ns)
        if _is_heard(self._raw):
            height, width, channels = picture.rgb.shape
            message = Image(
                header=header, height=height, width=width, encoding="rgb8", step=channels * width
            )
            message.data = byte_array(picture.rgb)
            self._raw.publish(message)
        if _is_heard(self._compressed):
            message = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
            message.data = picture.jpeg
            self._compressed.publish(message)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sight:
    frame: Frame
    snapshot: SceneSnapshot


class Overlay:
    """Draws the newest frame while somebody looks; thread and process begin with the first one.

    Args:
        topics: Where pictures go.
        config: The settings in force.
        warn: Logs one line.
        crashed: Called where a bug ended the thread.
    """

    def __init__(
        self,
        topics: OverlayTopics,
        config: NodeConfig,
        warn: Callable[[str], None],
        crashed: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._warn = warn
        self._crashed = crashed
        self._process = OverlayProcess(config)
        self._worker: Worker[_Sight] | None = None
        self._is_stopped = False
        self._lock = Lock()  # of these two

    def show(self, frame: Frame, snapshot: SceneSnapshot) -> None:
        """Let a frame be drawn, if anybody wants to see it; nothing begins after ``stop``."""
        if not self._topics.is_wanted:
            return
        with self._lock:
            if self._is_stopped:
                return
            if self._worker is None:
                self._worker = Worker("overlay", self._draw, NEWEST, self._crashed)
            self._worker.submit(_Sight(frame=frame, snapshot=snapshot))

    def stop(self, reason: str, timeout_s: float) -> None:
        """End the process and the thread."""
        with self._lock:
            self._is_stopped = True
            worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.interrupt(ReportCode.DROPPED, reason)
        worker.stop()
        self._process.close()
        worker.join(timeout_s)

    def _draw(self, sight: _Sight, cancellation: Cancellation) -> None:
        try:
            picture = self._process.draw(sight.frame, sight.snapshot, cancellation)
        except CancelledError:
            return
        except Sam3dError as error:
            self._warn(f"no overlay: {error}")
            return
        self._topics.send(picture, sight.frame)


def _is_heard(publisher: Any) -> bool:
    return publisher is not None and publisher.get_subscription_count() > 0
