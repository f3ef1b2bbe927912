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

"""Frames of a person as REP-155 has them: ``body_<id>``, and its large joints."""

import numpy as np

from sam3d_ros.structures import BodyReconstruction, Floats, Similarity
from sam3d_ros.structures.mhr import JOINT_NAMES, KEYPOINT_NAMES

LEFT_HIP, RIGHT_HIP = KEYPOINT_NAMES.index("left_hip"), KEYPOINT_NAMES.index("right_hip")
NECK = KEYPOINT_NAMES.index("neck")
# Names of the links of human_description, and the joints of the rig that they are.
LINKS: tuple[tuple[str, int], ...] = tuple(
    (link, JOINT_NAMES.index(joint))
    for link, joint in (
        ("waist", "root"),
        ("torso", "spine3"),
        ("head", "head"),
        *(
            (f"{side}_{link}", f"{side}_{joint}")
            for side in ("l", "r")
            for link, joint in (
                ("shoulder", "uparm"),
                ("elbow", "lowarm"),
                ("wrist", "wrist"),
                ("hip", "upleg"),
                ("knee", "lowleg"),
                ("ankle", "foot"),
            )
        ),
    )
)


def person_name(person_id: int) -> str:
    """Return the frame of a person, ``body_<id>``."""
    return f"body_{person_id}"


def camera_from_body(body: BodyReconstruction) -> Similarity:
    """Return the frame of a person: between the hips, x out of the chest, z towards the neck."""
    points = body.keypoints_camera.astype(np.float64)
    origin = body.origin_camera.astype(np.float64)
    up = _unit(points[NECK] - origin, np.array([0.0, -1.0, 0.0]))
    across = points[LEFT_HIP] - points[RIGHT_HIP]
    left = _unit(across - (across @ up) * up, _perpendicular(up))
    return Similarity(np.stack((np.cross(left, up), left, up), axis=1), origin)


def body_from_links(body: BodyReconstruction) -> list[tuple[str, Similarity]]:
    """Return the large joints in the frame of the person; their axes are those of the rig."""
    body_from_camera = camera_from_body(body).inverse()
    return [
        (
            link,
            body_from_camera
            @ Similarity(
                body.camera_from_joint[row].astype(np.float64),
                body.joints_camera[row].astype(np.float64),
            ),
        )
        for link, row in LINKS
    ]


def _unit(vector: Floats, otherwise: Floats) -> Floats:
    """Return a vector at length 1; another one where it has none."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else otherwise


def _perpendicular(direction: Floats) -> Floats:
    """Return some unit vector at right angles to another one."""
    across = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    return across / np.linalg.norm(across)
