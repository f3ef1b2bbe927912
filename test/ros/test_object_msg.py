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


"""What an object's message says of its pose: the covariance in the frame of the pose.

Stand-ins with the fields of vision_msgs 4 take the place of its messages, as it may not be there.
"""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="messages need ROS")

from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.ros.encode import detection_msg, object_msg
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    Refinement,
    RefinementStatus,
    SceneObject,
    Similarity,
)

pytestmark = pytest.mark.ros
FIXED_FROM_CAMERA = Similarity(
    rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), np.pi / 2), np.ones(3)
)


def known() -> SceneObject:
    mesh = Mesh(
        vertices=np.eye(3, dtype=np.float32),
        triangles=np.array([[0, 1, 2]], dtype=np.int32),
        colors=np.zeros((3, 3), dtype=np.uint8),
        observed=np.ones(3, dtype=np.float32),
    )
    reconstruction = ObjectReconstruction(
        mesh_object=mesh,
        camera_from_object=Similarity.identity(),
        quality=Quality(),
        provenance=Provenance(backend="test"),
    )
    return SceneObject(
        track_id=1,
        class_id="mug",
        score=0.5,
        state=ObjectState.TRACKED,
        reconstruction=reconstruction,
        size_m=np.ones(3),
        middle_m=np.zeros(3),
        revision=1,
        first_seen_ns=0,
        last_seen_ns=0,
    )


@dataclass
class ObjectHypothesis:
    class_id: str = ""
    score: float = 0.0


@dataclass
class ObjectHypothesisWithPose:
    hypothesis: ObjectHypothesis = field(default_factory=ObjectHypothesis)
    pose: PoseWithCovariance = field(default_factory=PoseWithCovariance)


@dataclass
class BoundingBox3D:
    center: Pose = field(default_factory=Pose)
    size: Vector3 = field(default_factory=Vector3)


@dataclass
class Detection3D:
    id: str = ""
    results: list[ObjectHypothesisWithPose] = field(default_factory=list)
    bbox: BoundingBox3D = field(default_factory=BoundingBox3D)


VISION: Any = SimpleNamespace(
    Detection3D=Detection3D, ObjectHypothesisWithPose=ObjectHypothesisWithPose
)


def refined() -> SceneObject:
    refinement = Refinement(
        status=RefinementStatus.ACCEPTED, covariance=np.diag([1.0, 4.0, 9.0, 0.1, 0.2, 0.3, 0.5])
    )
    item = known()
    return replace(item, reconstruction=replace(item.reconstruction, refinement=refinement))


def test_what_was_not_refined_has_no_covariance() -> None:
    message = object_msg(known(), "mug_1", "camera", Similarity.identity())

    assert message.refinement == message.NOT_RUN
    assert not np.any(message.pose.covariance)


def test_a_covariance_is_given_in_the_frame_of_the_pose() -> None:
    message = object_msg(refined(), "mug_1", "map", FIXED_FROM_CAMERA)

    assert message.refinement == message.ACCEPTED
    variances = np.diag(np.array(message.pose.covariance).reshape(6, 6))
    np.testing.assert_allclose(variances, [4.0, 1.0, 9.0, 0.2, 0.1, 0.3], atol=1e-9)


def test_a_detection_carries_pose_and_covariance_as_the_object_does() -> None:
    message = object_msg(refined(), "mug_1", "map", FIXED_FROM_CAMERA)

    detection = detection_msg(VISION, refined(), "mug_1", FIXED_FROM_CAMERA)

    (result,) = detection.results
    assert (detection.id, result.hypothesis.class_id) == ("mug_1", "mug")
    assert result.pose == message.pose
    assert np.any(result.pose.covariance)
