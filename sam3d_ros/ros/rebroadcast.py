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

"""Transforms of what stands still in a fixed frame, again while nothing new is found out.

Whoever asks for the latest pose then gets one as new as the camera's last image. Where every image
is followed nothing is left to be said; where poses come with masks alone, seconds would lie
between two transforms.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from sam3d_ros.structures import Similarity

STILL_S = 1.0  # for so long nothing may have moved
STILL_M = 0.005
STILL_COS = float(np.cos(np.deg2rad(2.0)))


@dataclass(slots=True)
class _Stand:
    pose: Similarity  # when it began to stand there
    since_s: float
    said_s: float


class Standing:
    """Which objects have not moved for a while, by what was said of them."""

    def __init__(self) -> None:
        self._stands: dict[int, _Stand] = {}

    def say(self, track_id: int, pose: Similarity, now_s: float) -> None:
        """Take in that a pose of an object is sent."""
        stand = self._stands.get(track_id)
        if stand is None or _has_moved(stand.pose, pose):
            self._stands[track_id] = _Stand(pose, now_s, now_s)
        else:
            stand.said_s = now_s

    def is_due(self, track_id: int, period_s: float, now_s: float) -> bool:
        """Tell whether an object stands still, and nothing was said of it for a period."""
        stand = self._stands.get(track_id)
        if stand is None:
            return False
        return now_s - stand.since_s >= STILL_S and now_s - stand.said_s >= period_s

    def forget(self, track_id: int) -> None:
        """Drop what is known of an object."""
        self._stands.pop(track_id, None)

    def clear(self) -> None:
        """Drop everything."""
        self._stands.clear()


class Rebroadcast:
    """Asks again and again for what is due, until ``destroy``.

    Args:
        node: Whose timer it is.
        rate_hz: How often an object's transform is sent at least.
        newest_ns: Stamp of the last image; None before the first.
        send_again: Sends the transforms of what is due at a stamp; gets the period, too.
    """

    def __init__(
        self,
        node: Node,
        rate_hz: float,
        newest_ns: Callable[[], int | None],
        send_again: Callable[[int, float], None],
    ) -> None:
        self._node = node
        self._period_s = 1.0 / rate_hz
        self._newest_ns = newest_ns
        self._send_again = send_again
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(self._period_s / 2, self._on_tick, clock=steady)

    def destroy(self) -> None:
        """Stop."""
        self._node.destroy_timer(self._timer)

    def _on_tick(self) -> None:
        if (stamp_ns := self._newest_ns()) is not None:
            self._send_again(stamp_ns, self._period_s)


def _has_moved(before: Similarity, after: Similarity) -> bool:
    shift_m = float(np.linalg.norm(after.translation_m - before.translation_m))
    cosine = (float(np.trace(before.rotation.T @ after.rotation)) - 1.0) / 2.0
    return shift_m > STILL_M or cosine < STILL_COS
