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


"""What ``~/get_object`` answers: everything about one object."""

from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import PointCloud2

from sam3d_ros.msg import Object, ObjectMesh
from sam3d_ros.ros.encode import (
    CLOUD_POINT,
    cloud_msg,
    cloud_points,
    header_of,
    mesh_msg,
)
from sam3d_ros.ros.grasp_points import readings
from sam3d_ros.ros.session import Session
from sam3d_ros.structures import SceneObject, SceneSnapshot, Similarity

MAX_MEASURED = 20_000  # readings, spread evenly over those that there are


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectAnswer:
    """One object in messages."""

    description: Object
    mesh: ObjectMesh
    points: PointCloud2
    measured: PointCloud2


def describe(known: SceneObject, snapshot: SceneSnapshot, session: Session) -> ObjectAnswer:
    """Return an object of a snapshot; takes some milliseconds."""
    (description,) = session.outputs.poses.messages(snapshot, [known])
    name = description.id
    header = header_of(name, known.last_seen_ns)
    mesh = known.reconstruction.mesh_object
    of_views = [readings(view, known.track_id) for view in session.views(known.track_id)]
    measured = np.concatenate([np.zeros(0, dtype=CLOUD_POINT), *of_views])
    step = max(1, -(-len(measured) // MAX_MEASURED))
    return ObjectAnswer(
        description=description,
        mesh=mesh_msg(known, name, session.outputs.files.of(known)),
        points=cloud_msg(cloud_points(mesh, Similarity.identity(), known.track_id), header),
        measured=cloud_msg(measured[::step], header),
    )
