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


"""Between masks: every image that has depth moves the objects that are known.

A thread of its own does that, so that the poses go on while objects are reconstructed. If it falls
behind, it takes the newest image and leaves out those before. Another one publishes what it finds
while the next image is looked at, and does the same.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from sam3d_ros.config import QueueConfig
from sam3d_ros.errors import CancelledError, ReportCode, Sam3dError
from sam3d_ros.protocols import Cancelled
from sam3d_ros.ros.framing import DepthBundle
from sam3d_ros.ros.worker import Cancellation, Worker
from sam3d_ros.structures import NS_PER_S, DepthFrame, ObjectState, SceneSnapshot

UP_TO_DATE_S = 0.5
LOG_PERIOD_S = 5.0
NEWEST = QueueConfig(policy="latest", depth=1)


class FollowingPipeline(Protocol):
    """What following needs of ``scene.pipeline.ScenePipeline``."""

    @property
    def can_follow(self) -> bool:
        """Whether an image would be looked at."""
        ...

    def follow(self, frame: DepthFrame) -> SceneSnapshot:
        """Move the known objects to where an image shows them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowingFigures:
    """What became of the images of some time."""

    seconds: float
    num_followed: int
    num_overtaken: int  # a newer one came before their turn
    num_failed: int
    latency_s: tuple[float, ...]  # from the image's arrival to its transforms, one per image
    objects: tuple[int, int, int]  # of the last image: followed, LOST, neither
    error: str  # of the last image that failed

    def latency_ms(self, percent: float) -> float:
        """Return a percentile of the latencies; NaN without any."""
        return 1e3 * float(np.percentile(self.latency_s, percent)) if self.latency_s else np.nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """What an image has shown."""

    snapshot: SceneSnapshot
    arrived_ns: int  # the image, on the steady clock
    cancelled: Cancelled  # by who called off the image


class Following:
    """Takes images from the executor's thread, and follows objects in two of its own.

    Args:
        pipeline: Follows.
        decode: Makes a frame of the messages of an image.
        send: Publishes a snapshot unless that was called off, and says whether it did.
        forget: Gets the track ids of objects that are known no more; also where nothing is sent.
        warn: Logs one line.
        crashed: Called where a bug ended a thread.
    """

    def __init__(
        self,
        pipeline: FollowingPipeline,
        decode: Callable[[DepthBundle], DepthFrame],
        send: Callable[[SceneSnapshot, Cancelled], bool],
        forget: Callable[[tuple[int, ...]], None],
        warn: Callable[[str], None],
        crashed: Callable[[], None],
    ) -> None:
        self._pipeline = pipeline
        self._decode = decode
        self._send = send
        self._forget = forget
        self._warn = warn
        self._is_paused = False
        self._logged_s = float("-inf")
        self._figures = _Counts()
        self._last_s = float("-inf")
        self._sender: Worker[_Found] = Worker("followed", self._publish, NEWEST, crashed)
        self._worker: Worker[DepthBundle] = Worker("following", self._follow, NEWEST, crashed)

    @property
    def is_up_to_date(self) -> bool:
        """Whether an image was followed just now."""
        return time.monotonic() - self._last_s < UP_TO_DATE_S

    def submit(self, bundle: DepthBundle) -> None:
        """Let objects be followed into an image, if any are known."""
        if not self._is_paused and self._pipeline.can_follow:
            self._figures.overtaken(len(self._worker.submit(bundle)))

    def pause(self, reason: str) -> None:
        """Call off what is being done, and take no image until ``resume``."""
        self._is_paused = True
        # In this order: what is found meanwhile is called off already.
        for worker in (self._worker, self._sender):
            worker.interrupt(ReportCode.TIME_JUMP, reason)

    def resume(self) -> None:
        """Take images again."""
        self._is_paused = False

    def stop(self, reason: str) -> None:
        """Call off what is being done, and end the threads after it."""
        self.pause(reason)
        self._worker.stop()
        self._sender.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the threads; return whether it came."""
        ends_s = time.monotonic() + timeout_s
        has_ended = self._worker.join(timeout_s)
        return self._sender.join(max(0.0, ends_s - time.monotonic())) and has_ended

    def take_figures(self) -> FollowingFigures:
        """Return what happened since the last call."""
        return self._figures.take()

    def _follow(self, bundle: DepthBundle, cancellation: Cancellation) -> None:
        try:
            frame = self._decode(bundle)
            if cancellation():  # asking would start a process again that was closed meanwhile
                return
            snapshot = self._pipeline.follow(frame)
        except CancelledError:
            return
        except Sam3dError as error:
            if not cancellation():
                self._note_failure(error)
            return
        if snapshot.removed:
            self._forget(snapshot.removed)
        found = _Found(
            snapshot=snapshot, arrived_ns=bundle.received.steady_ns, cancelled=cancellation
        )
        self._figures.overtaken(len(self._sender.submit(found)))

    def _publish(self, found: _Found, cancellation: Cancellation) -> None:
        if self._send(found.snapshot, lambda: found.cancelled() or cancellation()):
            self._last_s = time.monotonic()
            self._figures.followed(found.snapshot, time.monotonic_ns() - found.arrived_ns)

    def _note_failure(self, error: Sam3dError) -> None:
        text = f"not followed: {error.code.name}: {error}"
        self._figures.failed(text)
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_PERIOD_S:
            self._logged_s = now_s
            self._warn(text)


class _Counts:
    """What ``FollowingFigures`` are made of; the executor's thread and both of ours write."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._objects = (0, 0, 0)
        self._begin()

    def overtaken(self, num: int) -> None:
        with self._lock:
            self._num_overtaken += num

    def failed(self, error: str) -> None:
        with self._lock:
            self._num_failed += 1
            self._error = error

    def followed(self, snapshot: SceneSnapshot, latency_ns: int) -> None:
        num_lost = sum(known.state == ObjectState.LOST for known in snapshot.objects)
        num_updated = len(snapshot.updated)
        num_hidden = len(snapshot.objects) - num_updated - num_lost
        with self._lock:
            self._latency_s.append(latency_ns / NS_PER_S)
            self._objects = num_updated, num_lost, num_hidden

    def take(self) -> FollowingFigures:
        with self._lock:
            figures = FollowingFigures(
                seconds=time.monotonic() - self._began_s,
                num_followed=len(self._latency_s),
                num_overtaken=self._num_overtaken,
                num_failed=self._num_failed,
                latency_s=tuple(self._latency_s),
                objects=self._objects,
                error=self._error,
            )
            self._begin()
        return figures

    def _begin(self) -> None:
        self._began_s = time.monotonic()
        self._latency_s: list[float] = []
        self._num_overtaken = self._num_failed = 0
        self._error = ""
