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


"""Structures to messages. The only place where a quaternion changes from wxyz to xyzw.

Arrays go into messages as ``array.array``: rclpy takes that as a block, but checks a list or an
ndarray element by element, which costs 50 ms per image.
"""

from array import array
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sam3d_ros.geometry.measures import vertex_normals
from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation
from sam3d_ros.msg import Object, ObjectMesh, StageTime
from sam3d_ros.ros.mesh_files import NO_FILE, MeshFile
from sam3d_ros.structures import NS_PER_S, Bytes, Floats, Mesh, SceneObject, Similarity

# Of builtin_interfaces/Time. A hostile message has more nanoseconds than a second.
FIRST_NS, LAST_NS = -(2**31) * NS_PER_S, 2**31 * NS_PER_S - 1
ARRAY_CODES = {"float32": "f", "uint32": "I", "uint8": "B"}
CLOUD_POINT = np.dtype(
    [("x", "f4"), ("y", "f4"), ("z", "f4"), ("rgb", "u4"), ("label", "u4"), ("observed", "f4")]
)
# Of one object. A whole mesh has ten times as many, and sending megabytes holds up the callbacks.
MAX_CLOUD_POINTS = 2000
CLOUD_FIELDS = [
    PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1),
    PointField(name="y", offset=4, datatype=PointField.FLOAT32, count=1),
    PointField(name="z", offset=8, datatype=PointField.FLOAT32, count=1),
    # PCL and RViz read the bits of a float as 0x00RRGGBB.
    PointField(name="rgb", offset=12, datatype=PointField.FLOAT32, count=1),
    PointField(name="label", offset=16, datatype=PointField.UINT32, count=1),
    PointField(name="observed", offset=20, datatype=PointField.FLOAT32, count=1),
]


def time_from_ns(stamp_ns: int) -> Time:
    """Return a stamp as a message; one that a message cannot carry becomes the nearest it can."""
    stamp_ns = min(max(stamp_ns, FIRST_NS), LAST_NS)
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def header_of(frame_id: str, stamp_ns: int) -> Header:
    """Return a header."""
    return Header(frame_id=frame_id, stamp=time_from_ns(stamp_ns))


def flat_array(values: NDArray[Any], dtype: str) -> "array[Any]":
    """Return the values in row order as the array that a message field of ``dtype`` takes."""
    block = array(ARRAY_CODES[dtype])
    block.frombytes(np.ascontiguousarray(values, dtype=dtype).tobytes())
    return block


def byte_array(values: NDArray[Any]) -> "array[Any]":
    """Return the memory of an array in row order as the ``data`` of an image or a cloud."""
    return array("B", np.ascontiguousarray(values).tobytes())


def pose_msg(pose: Similarity) -> Pose:
    """Return a rigid transform as the pose of its source frame."""
    x, y, z = (float(value) for value in pose.translation_m)
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(pose.rotation))


def transform_msg(
    parent_from_child: Similarity, parent: str, child: str, stamp_ns: int
) -> TransformStamped:
    """Return a rigid transform for TF."""
    return TransformStamped(
        header=header_of(parent, stamp_ns),
        child_frame_id=child,
        transform=Transform(
            translation=vector_msg(parent_from_child.translation_m),
            rotation=_quaternion(parent_from_child.rotation),
        ),
    )


def vector_msg(vector: Floats) -> Vector3:
    """Return a vector (3,)."""
    x, y, z = (float(value) for value in vector)
    return Vector3(x=x, y=y, z=z)


def object_msg(
    known: SceneObject, name: str, frame_id: str, pose: Similarity, mesh_uri: str = ""
) -> Object:
    """Return one object without its geometry; a covariance of zeros means "not estimated"."""
    quality = known.reconstruction.quality
    message = Object(
        header=header_of(frame_id, known.last_seen_ns),
        id=name,
        track_id=known.track_id,
        class_id=known.class_id,
        score=float(known.score),
        size=vector_msg(known.size_m),
        state=int(known.state),
        scale_source=int(known.reconstruction.provenance.scale_source),
        refinement=int(known.reconstruction.refinement.status),
        flags=int(known.flags),
        mask_iou=float(quality.silhouette_iou),
        depth_residual=float(quality.depth_residual_m),
        inlier_fraction=float(quality.inlier_fraction),
        observed_fraction=float(quality.observed_fraction),
        mesh_revision=known.revision,
        mesh_uri=mesh_uri,
        first_seen=time_from_ns(known.first_seen_ns),
        last_seen=time_from_ns(known.last_seen_ns),
    )
    message.pose.pose = pose_msg(pose)
    message.pose.covariance = _covariance(known, pose).ravel()
    return message


def _covariance(known: SceneObject, pose: Similarity) -> Floats:
    """Return the covariance ``(6, 6)`` of position and turn about the axes of the pose's frame."""
    reconstruction = known.reconstruction
    frame_from_camera = pose.rotation @ reconstruction.camera_from_object.rotation.T
    both = np.zeros((6, 6))
    both[:3, :3] = both[3:, 3:] = frame_from_camera
    covariance: Floats = both @ reconstruction.refinement.covariance[:6, :6] @ both.T
    return covariance


def mesh_msg(known: SceneObject, name: str, file: MeshFile = NO_FILE) -> ObjectMesh:
    """Return the geometry of one object in its own frame, in flat arrays."""
    mesh = known.reconstruction.mesh_object
    opaque = np.full((len(mesh.colors), 1), 255, dtype=np.uint8)
    return ObjectMesh(
        header=header_of(name, known.last_seen_ns),
        id=name,
        revision=known.revision,
        vertices=flat_array(mesh.vertices, "float32"),
        triangles=flat_array(mesh.triangles, "uint32"),
        normals=flat_array(vertex_normals(mesh), "float32"),
        colors=flat_array(np.hstack([mesh.colors, opaque]), "uint8"),
        observed=flat_array(np.rint(255 * np.clip(mesh.observed, 0, 1)), "uint8"),
        uri=file.uri,
        sha256=file.sha256,
        watertight=bool(np.isfinite(known.reconstruction.volume_m3)),
        volume=float(known.reconstruction.volume_m3),
    )


def cloud_points(mesh: Mesh, frame_from_object: Similarity, track_id: int) -> NDArray[np.void]:
    """Return vertices of a mesh as points of ``~/object_points``, ``(N,)`` of CLOUD_POINT.

    All of them, or MAX_CLOUD_POINTS spread evenly over their order, which goes through space.
    """
    num_vertices = len(mesh.vertices)
    num_points = min(num_vertices, MAX_CLOUD_POINTS)
    chosen = np.arange(num_points) * num_vertices // max(num_points, 1)
    points = np.zeros(num_points, dtype=CLOUD_POINT)
    placed = frame_from_object.apply(mesh.vertices[chosen].astype(np.float64))
    points["x"], points["y"], points["z"] = placed.T
    points["rgb"] = packed_colors(mesh.colors[chosen])
    points["label"] = track_id
    points["observed"] = mesh.observed[chosen]
    return points


def cloud_msg(points: NDArray[np.void], header: Header) -> PointCloud2:
    """Return points of CLOUD_POINT as a cloud of one row."""
    message = PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=CLOUD_FIELDS,
        is_bigendian=False,
        point_step=CLOUD_POINT.itemsize,
        row_step=CLOUD_POINT.itemsize * len(points),
        is_dense=True,
    )
    message.data = byte_array(points)
    return message


def stage_msgs(stage_s: Mapping[str, float]) -> list[StageTime]:
    """Return how long each stage took."""
    return [StageTime(name=name, seconds=float(took)) for name, took in stage_s.items()]


def detection_msg(vision: ModuleType, known: SceneObject, name: str, pose: Similarity) -> Any:
    """Return one ``vision_msgs/Detection3D`` without header; its box is that of the mesh."""
    hypothesis = vision.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = known.class_id
    hypothesis.hypothesis.score = float(known.score)
    hypothesis.pose.pose = pose_msg(pose)
    hypothesis.pose.covariance = _covariance(known, pose).ravel()
    detection = vision.Detection3D(id=name, results=[hypothesis])
    detection.bbox.center = pose_msg(pose @ box_center(known))
    detection.bbox.size = vector_msg(known.size_m)
    return detection


def box_center(known: SceneObject) -> Similarity:
    """Return the middle of an object's bounding box as ``object_from_box``."""
    return Similarity(np.eye(3), known.middle_m)


def _quaternion(rotation: Floats) -> Quaternion:
    w, x, y, z = (float(value) for value in quat_wxyz_from_rotation(rotation))
    return Quaternion(x=x, y=y, z=z, w=w)


def packed_colors(colors: Bytes) -> NDArray[np.uint32]:
    """Return colours ``(N, 3)`` as 0x00RRGGBB."""
    return colors.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
