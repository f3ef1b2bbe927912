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

"""What flows through the house: frozen dataclasses, built at the edge, read-only afterwards.

Frames: ``camera`` is REP-103 optical (x right, y down, z forward), ``object`` the frame of a mesh.
``a_from_b`` maps coordinates in b to coordinates in a. Metres; column vectors; right-handed.
Unknown is NaN, never 0 or infinity.
"""

from sam3d_ros.structures.arrays import NS_PER_S, Bools, Bytes, Floats, Ints, window_of
from sam3d_ros.structures.collision import CollisionPart, CollisionShape, ShapeOrder
from sam3d_ros.structures.people import (
    NUM_JOINTS,
    NUM_KEYPOINTS,
    BodyParameters,
    BodyReconstruction,
    DepthFit,
    PeopleSnapshot,
    PeopleView,
    PersonPrompt,
    ScenePerson,
)
from sam3d_ros.structures.poses import Similarity
from sam3d_ros.structures.results import (
    Choice,
    Mesh,
    ObjectReconstruction,
    Provenance,
    Quality,
    Refinement,
    RefinementStatus,
    Settling,
    Texture,
)
from sam3d_ros.structures.scenes import (
    BackendInUse,
    ObjectFailure,
    ObjectState,
    SceneObject,
    SceneSnapshot,
)
from sam3d_ros.structures.sensing import (
    Camera,
    DepthFrame,
    DepthImage,
    EarlierView,
    EstimatedPoints,
    Frame,
    InstanceMask,
    ObjectFlag,
    Observation,
    PointCloud,
    ScaleSource,
    SupportPlane,
)
from sam3d_ros.structures.splats import Splats

__all__ = [
    "NS_PER_S",
    "NUM_JOINTS",
    "NUM_KEYPOINTS",
    "BackendInUse",
    "BodyParameters",
    "BodyReconstruction",
    "Bools",
    "Bytes",
    "Camera",
    "Choice",
    "CollisionPart",
    "CollisionShape",
    "DepthFit",
    "DepthFrame",
    "DepthImage",
    "EarlierView",
    "EstimatedPoints",
    "Floats",
    "Frame",
    "InstanceMask",
    "Ints",
    "Mesh",
    "ObjectFailure",
    "ObjectFlag",
    "ObjectReconstruction",
    "ObjectState",
    "Observation",
    "PeopleSnapshot",
    "PeopleView",
    "PersonPrompt",
    "PointCloud",
    "Provenance",
    "Quality",
    "Refinement",
    "RefinementStatus",
    "ScaleSource",
    "SceneObject",
    "ScenePerson",
    "SceneSnapshot",
    "Settling",
    "ShapeOrder",
    "Similarity",
    "Splats",
    "SupportPlane",
    "Texture",
    "window_of",
]
