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

"""People to messages."""

from dataclasses import dataclass

from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from sam3d_ros.config import NodeConfig
from sam3d_ros.msg import Body, BodyArray, ObjectMesh
from sam3d_ros.ros.encode import flat_array, header_of, pose_msg, time_from_ns, transform_msg
from sam3d_ros.scene.people.frames import body_from_links, camera_from_body, person_name
from sam3d_ros.structures import PeopleSnapshot, ScenePerson, SceneSnapshot, Similarity
from sam3d_ros.structures.mhr import JOINT_NAMES, KEYPOINT_NAMES


@dataclass(frozen=True, slots=True)
class ParentFrame:
    """The frame in which people are published: that of the camera, or ``output_frame``."""

    name: str
    is_fixed: bool

    def from_camera(self, person: ScenePerson) -> Similarity:
        """Return where the camera of a person's image is in this frame."""
        if not self.is_fixed or person.fixed_from_camera is None:
            return Similarity.identity()
        return person.fixed_from_camera


def parent_frame(snapshot: SceneSnapshot, config: NodeConfig) -> ParentFrame:
    """Return the parent of people, as ``body.parent`` says."""
    if config.body.parent == "output_frame" and config.output_frame:
        return ParentFrame(config.output_frame, is_fixed=True)
    return ParentFrame(snapshot.frame_id, is_fixed=False)


def bodies_msg(people: PeopleSnapshot, parent: ParentFrame, *, with_mesh: bool) -> BodyArray:
    """Return the people of one image."""
    header = header_of(parent.name, people.stamp_ns)
    return BodyArray(
        header=header,
        joint_names=list(JOINT_NAMES) if people.people else [],
        keypoint_names=list(KEYPOINT_NAMES) if people.people else [],
        bodies=[body_msg(each, parent, header, with_mesh=with_mesh) for each in people.people],
        left_out=people.num_left_out,
    )


def body_msg(person: ScenePerson, parent: ParentFrame, header: Header, *, with_mesh: bool) -> Body:
    """Return one person; positions are in the parent frame."""
    body, fit = person.body, person.fit
    parent_from_camera = parent.from_camera(person)
    rotations = parent_from_camera.rotation @ body.camera_from_joint
    message = Body(
        header=header,
        id=person_name(person.person_id),
        track_id=person.person_id,
        score=float(body.score),
        root=pose_msg(parent_from_camera @ camera_from_body(body)),
        joint_positions=flat_array(parent_from_camera.apply(body.joints_camera), "float32"),
        joint_rotations=flat_array(Rotation.from_matrix(rotations).as_quat(), "float32"),
        keypoints_3d=flat_array(parent_from_camera.apply(body.keypoints_camera), "float32"),
        keypoints_2d=flat_array(body.keypoints_px, "float32"),
        contacts=flat_array(person.contacts, "uint8"),
        box=flat_array(body.box_px, "float32"),
        shape=flat_array(body.parameters.shape, "float32"),
        pose_parameters=flat_array(body.parameters.rig, "float32"),
        scale_source=int(body.scale_source),
        depth_residual=fit.residual_m,
        depth_correction=fit.correction_m,
        inlier_fraction=fit.inlier_fraction,
        first_seen=time_from_ns(person.first_seen_ns),
    )
    if with_mesh:
        message.vertices = flat_array(parent_from_camera.apply(body.vertices_camera), "float32")
    return message


def topology_msg(person: ScenePerson) -> ObjectMesh:
    """Return the triangles that all people share; where vertices are, ``~/bodies`` says."""
    return ObjectMesh(id="body", triangles=flat_array(person.body.triangles, "uint32"))


def transform_msgs(
    person: ScenePerson, parent: ParentFrame, *, with_joints: bool
) -> list[TransformStamped]:
    """Return the frame of a person, and those of its large joints below it (REP-155)."""
    name, stamp_ns = person_name(person.person_id), person.last_seen_ns
    root = parent.from_camera(person) @ camera_from_body(person.body)
    transforms = [transform_msg(root, parent.name, name, stamp_ns)]
    if with_joints:
        transforms += [
            transform_msg(pose, name, f"{link}_{person.person_id}", stamp_ns)
            for link, pose in body_from_links(person.body)
        ]
    return transforms
