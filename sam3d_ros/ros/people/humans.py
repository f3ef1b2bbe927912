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

"""``/humans/bodies``, as REP-155 has it: who is tracked, where in the image, with which skeleton.

``cropped`` and ``joint_states`` of the REP are not published: images are cut by whoever wants
pictures of people, and the joints are in TF.
"""

from collections.abc import Callable, Iterable
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile

from sam3d_ros.ros.encode import header_of
from sam3d_ros.ros.qos import reliable
from sam3d_ros.structures import Bools, PeopleSnapshot, ScenePerson
from sam3d_ros.structures.mhr import KEYPOINT_NAMES

ROOT = "/humans/bodies"
# The points of hri_msgs/Skeleton2D in their order.
SKELETON = (
    "nose",
    "neck",
    *(f"right_{name}" for name in ("shoulder", "elbow", "wrist")),
    *(f"left_{name}" for name in ("shoulder", "elbow", "wrist")),
    *(f"right_{name}" for name in ("hip", "knee", "ankle")),
    *(f"left_{name}" for name in ("hip", "knee", "ankle")),
    *(f"{side}_{name}" for name in ("eye", "ear") for side in ("left", "right")),
)
SKELETON_ROWS = [KEYPOINT_NAMES.index(name) for name in SKELETON]
MakePublisher = Callable[[Any, str, QoSProfile], Any]


class Humans:
    """The topics of REP-155; those of one person are there as long as the person is in view.

    Args:
        hri: ``hri_msgs.msg``.
        make_publisher: Makes one that publishes from now on.
        destroy_publisher: Gives one back.
    """

    def __init__(
        self,
        hri: ModuleType,
        make_publisher: MakePublisher,
        destroy_publisher: Callable[[Any], object],
    ) -> None:
        self._hri = hri
        self._make = make_publisher
        self._destroy = destroy_publisher
        self._tracked = make_publisher(hri.IdsList, f"{ROOT}/tracked", reliable(1))
        self._publishers: dict[int, tuple[Any, Any]] = {}  # roi and skeleton, by person id
        self._is_closed = False
        self._lock = Lock()  # of all: the thread that sends may outlive what waits for it

    def send(self, people: PeopleSnapshot, frame_id: str) -> None:
        """Send who is in view of the camera whose frame it is; nothing once it is closed."""
        with self._lock:
            if not self._is_closed:
                self._send(people, frame_id)

    def clear(self) -> None:
        """Say that nobody is in view, whenever that is."""
        with self._lock:
            if not self._is_closed:
                self._forget(list(self._publishers))
                self._tracked.publish(self._hri.IdsList())

    def close(self) -> None:
        """Take all topics down."""
        with self._lock:
            self._is_closed = True
            self._forget(list(self._publishers))
            self._destroy(self._tracked)

    def _send(self, people: PeopleSnapshot, frame_id: str) -> None:
        header = header_of(frame_id, people.stamp_ns)
        self._forget(set(self._publishers) - {each.person_id for each in people.people})
        for person in people.people:
            roi, skeleton = self._of(person.person_id)
            roi.publish(roi_msg(self._hri, person, people.image_size, header))
            skeleton.publish(skeleton_msg(self._hri, person, people.image_size, header))
        ids = [str(person.person_id) for person in people.people]
        self._tracked.publish(self._hri.IdsList(header=header, ids=ids))

    def _forget(self, person_ids: Iterable[int]) -> None:
        """Take the topics of people down."""
        for person_id in person_ids:
            for publisher in self._publishers.pop(person_id, ()):
                self._destroy(publisher)

    def _of(self, person_id: int) -> tuple[Any, Any]:
        if person_id not in self._publishers:
            root = f"{ROOT}/{person_id}"
            roi = self._make(self._hri.NormalizedRegionOfInterest2D, f"{root}/roi", reliable(1))
            skeleton = self._make(self._hri.Skeleton2D, f"{root}/skeleton2d", reliable(1))
            self._publishers[person_id] = roi, skeleton
        return self._publishers[person_id]


def roi_msg(hri: ModuleType, person: ScenePerson, size: tuple[int, int], header: Any) -> Any:
    """Return the box of a person, in parts of the image."""
    low, high = _normalised(person.body.box_px.reshape(2, 2), size)
    message = hri.NormalizedRegionOfInterest2D(header=header, c=_confidence(person))
    message.xmin, message.ymin = float(low[0]), float(low[1])
    message.xmax, message.ymax = float(high[0]), float(high[1])
    return message


def skeleton_msg(hri: ModuleType, person: ScenePerson, size: tuple[int, int], header: Any) -> Any:
    """Return the keypoints of a person in parts of the image; those outside have no confidence."""
    pixels = person.body.keypoints_px[SKELETON_ROWS]
    inside: Bools = np.all((pixels >= 0) & (pixels <= np.array(size) - 1), axis=1)
    points = [
        hri.NormalizedPointOfInterest2D(
            x=float(x), y=float(y), c=_confidence(person) if is_inside else 0.0
        )
        for (x, y), is_inside in zip(_normalised(pixels, size), inside.tolist(), strict=True)
    ]
    return hri.Skeleton2D(header=header, skeleton=points)


def _normalised(pixels: Any, size: tuple[int, int]) -> Any:
    return np.clip(np.nan_to_num(pixels) / np.maximum(np.array(size) - 1, 1), 0.0, 1.0)


def _confidence(person: ScenePerson) -> float:
    """Return the score of the mask; 1 where it came without one."""
    score = float(person.body.score)
    return score if np.isfinite(score) else 1.0
