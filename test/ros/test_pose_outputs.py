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


"""Two threads tell where objects are, and what is sent never goes back.

Publishers are lists here, there is no DDS.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sam3d_ros.config import NodeConfig, TfConfig
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.pose_outputs import PoseOutputs
from sam3d_ros.ros.publishers import Outputs
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    SceneObject,
    SceneSnapshot,
    Similarity,
)

pytestmark = pytest.mark.ros
MUG, BOX = 1, 2


class Sent:
    """Outputs, and what they published by topic."""

    def __init__(self, mesh: Mesh, **settings: Any) -> None:
        self._mesh = mesh
        self.messages: dict[str, list[Any]] = {}
        self.outputs = PoseOutputs(self.create_lifecycle_publisher, NodeConfig(**settings))

    def create_lifecycle_publisher(
        self, message_type: Any, topic: str, qos: Any, event_callbacks: Any = None
    ) -> Any:
        heard = self.messages.setdefault(topic, [])

        class Publisher:
            publish = staticmethod(heard.append)

        return Publisher()

    def transforms(self, track_id: int) -> list[tuple[int, float]]:
        """Return stamp and x of each transform of an object."""
        return [
            (stamp_ns_from_msg(each.header.stamp), each.transform.translation.x)
            for message in self.messages["/tf"]
            for each in message.transforms
            if each.child_frame_id == f"sam3d_object_{track_id}"
        ]

    def known(
        self, track_id: int, seen_ns: int, state: ObjectState = ObjectState.TRACKED
    ) -> SceneObject:
        """Return an object that is as many metres away as its stamp has nanoseconds."""
        pose = Similarity(np.eye(3), np.array([float(seen_ns), 0.0, 0.0]))
        return SceneObject(
            track_id=track_id,
            class_id="object",
            score=1.0,
            state=state,
            reconstruction=ObjectReconstruction(
                mesh_object=self._mesh,
                camera_from_object=pose,
                quality=Quality(),
                provenance=Provenance(backend="none"),
            ),
            size_m=np.ones(3),
            middle_m=np.zeros(3),
            revision=1,
            first_seen_ns=0,
            last_seen_ns=seen_ns,
            fixed_from_object=pose,
        )


@pytest.fixture
def sent(make_box: Callable[..., Mesh]) -> Sent:
    return Sent(make_box(0.1, 0.1, 0.1))


def snapshot(number: int, stamp_ns: int, *objects: SceneObject, **changed: Any) -> SceneSnapshot:
    """Return a snapshot of objects, of which those with its stamp were seen unless told others."""
    seen = tuple(each.track_id for each in objects if each.last_seen_ns == stamp_ns)
    values = {"updated": seen, "frame_id": "camera", **changed}
    return SceneSnapshot(number=number, stamp_ns=stamp_ns, objects=objects, **values)


def test_an_earlier_image_takes_no_transform_back(sent: Sent) -> None:
    sent.outputs.send_followed(snapshot(2, 20, sent.known(MUG, 20)))
    sent.outputs.send_frame(snapshot(1, 10, sent.known(MUG, 10)))
    assert sent.transforms(MUG) == [(20, 20.0)]


def test_what_an_earlier_image_shows_first_is_told_at_its_own_stamp(sent: Sent) -> None:
    sent.outputs.send_followed(snapshot(1, 20, sent.known(MUG, 20)))
    late = snapshot(2, 20, sent.known(MUG, 20), sent.known(BOX, 10), updated=(MUG, BOX))
    sent.outputs.send_frame(late)
    assert sent.transforms(MUG) == [(20, 20.0)]
    assert sent.transforms(BOX) == [(10, 10.0)]


def test_a_snapshot_that_was_overtaken_does_not_replace_the_objects(sent: Sent) -> None:
    sent.outputs.send_followed(snapshot(2, 10, sent.known(MUG, 10), sent.known(BOX, 10)))
    sent.outputs.send_frame(snapshot(1, 10, sent.known(MUG, 10)))
    (message,) = sent.messages["~/objects"]
    assert [each.track_id for each in message.objects] == [MUG, BOX]


def test_what_was_called_off_is_not_sent(sent: Sent) -> None:
    assert not sent.outputs.send_followed(snapshot(1, 10, sent.known(MUG, 10)), lambda: True)
    assert not any(sent.messages.values())


def test_after_a_jump_in_time_stamps_may_go_back_once(sent: Sent) -> None:
    sent.outputs.send_followed(snapshot(1, 20, sent.known(MUG, 20)))
    sent.outputs.start_over(5)
    sent.outputs.send_followed(snapshot(2, 10, sent.known(MUG, 10)))
    sent.outputs.send_followed(snapshot(3, 9, sent.known(MUG, 9)))
    assert [stamp for stamp, _ in sent.transforms(MUG)] == [20, 10]


def test_a_new_life_may_begin_at_an_earlier_time(sent: Sent) -> None:
    node: Any = sent
    outputs = Outputs(node, NodeConfig())
    outputs.publish(snapshot(1, 20, sent.known(MUG, 20)))
    outputs.start()
    outputs.publish(snapshot(2, 10, sent.known(MUG, 10)))
    assert [stamp for stamp, _ in sent.transforms(MUG)] == [20, 10]


@pytest.mark.parametrize(("frame", "stamps"), [("", [10]), ("world", [10, 20])])
def test_an_object_that_is_hidden_has_a_transform_only_in_a_fixed_frame(
    make_box: Callable[..., Mesh], frame: str, stamps: list[int]
) -> None:
    sent = Sent(make_box(0.1, 0.1, 0.1), output_frame=frame)
    sent.outputs.send_followed(snapshot(1, 10, sent.known(MUG, 10)))
    sent.outputs.send_followed(snapshot(2, 20, sent.known(MUG, 10)))
    assert [stamp for stamp, _ in sent.transforms(MUG)] == stamps


def test_a_lost_object_has_no_transform_in_any_frame(make_box: Callable[..., Mesh]) -> None:
    sent = Sent(make_box(0.1, 0.1, 0.1), output_frame="world")
    sent.outputs.send_followed(snapshot(1, 20, sent.known(MUG, 10, ObjectState.LOST)))
    assert not sent.transforms(MUG)


@pytest.mark.parametrize(("publishes", "num_sent"), [(True, 2), (False, 0)])
def test_transforms_are_sent_unless_that_is_switched_off(
    make_box: Callable[..., Mesh], publishes: bool, num_sent: int
) -> None:
    sent = Sent(make_box(0.1, 0.1, 0.1), output_frame="world", tf=TfConfig(publish=publishes))
    sent.outputs.send_frame(snapshot(1, 10, sent.known(MUG, 10)))
    sent.outputs.send_followed(snapshot(2, 20, sent.known(MUG, 20)))
    assert len(sent.messages["/tf"]) == num_sent
    assert len(sent.messages["~/objects"]) == 2


def test_labels_do_not_come_with_every_image(sent: Sent) -> None:
    for number in range(1, 20):
        sent.outputs.send_followed(snapshot(number, number, sent.known(MUG, number)))
    assert len(sent.messages["/tf"]) == len(sent.messages["~/objects"]) == 19
    assert len(sent.messages["~/labels"]) <= 1


def test_labels_stand_in_the_middle_of_the_box_not_at_the_origin(sent: Sent) -> None:
    known = replace(sent.known(MUG, 3), middle_m=np.array([0.0, 0.0, 0.25]))
    sent.outputs.send_frame(snapshot(1, 3, known))
    (labels,) = sent.messages["~/labels"]
    middles = [(each.pose.position.x, each.pose.position.z) for each in labels.markers]
    assert middles == [(3.0, 0.25)] * len(middles)
    assert middles
