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


"""What one would do by hand with Open3D to register a mesh to masked points.

Each is a few documented calls, given the same mesh, points and start. ICP runs both ways: the mesh
to the points, as models are registered to scenes by habit, and the points to the mesh, which does
not pull unseen sides to the camera.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import open3d as o3d

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.meshes import sample_surface
from sam3d_ros.structures import Floats, Mesh, Similarity

REACHES_M = (0.03, 0.01)  # of correspondences, first far, then near
NUM_SAMPLES = 2000  # of the mesh
MAX_POINTS = 2000  # measured
ITERATIONS = 30  # Open3D's default
NORMAL_NEIGHBOURS = 30
VOXEL_SHARE = 0.04  # of the diameter, for features
NORMAL_VOXELS, FEATURE_VOXELS, RANSAC_VOXELS = 2.0, 5.0, 1.5  # radii, as Open3D's tutorial does
RANSAC_ITERATIONS, RANSAC_CONFIDENCE = 20_000, 0.999

_icp = o3d.pipelines.registration


@dataclass(frozen=True, slots=True, eq=False)
class PeerInput:
    """What a peer prepared of a mesh and gets of a view."""

    cloud: o3d.geometry.PointCloud  # samples of the mesh in its frame, with normals
    diameter_m: float
    points_camera: Floats  # (N, 3), of the object alone
    start: Similarity


Peer = Callable[[PeerInput], Similarity]
Estimate = Callable[[], o3d.pipelines.registration.TransformationEstimation]


def peer_cloud(mesh: Mesh) -> o3d.geometry.PointCloud:
    """Sample a mesh once, as a peer would."""
    points, triangles = sample_surface(mesh, NUM_SAMPLES, np.random.default_rng(0))
    a, b, c = np.moveaxis(mesh.vertices.astype(np.float64)[mesh.triangles[triangles]], 1, 0)
    normals = np.cross(b - a, c - a)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.normals = o3d.utility.Vector3dVector(
        normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    )
    return cloud


def start_only(given: PeerInput) -> Similarity:
    """Return the start: what doing nothing scores."""
    return given.start


def icp(estimate: Estimate, *, to_mesh: bool) -> Peer:
    """Return ICP with one of Open3D's estimates, of the points to the mesh or the other way."""
    return lambda given: _refined(given, estimate(), to_mesh=to_mesh)


def ransac_features(given: PeerInput) -> Similarity:
    """Match FPFH features with RANSAC, scale included, then run point-to-plane ICP."""
    o3d.utility.random.seed(0)
    voxel_m = VOXEL_SHARE * given.diameter_m
    source, source_features = _features(_measured(given), voxel_m)
    target, target_features = _features(given.cloud, voxel_m)
    reach_m = RANSAC_VOXELS * voxel_m
    found = _icp.registration_ransac_based_on_feature_matching(
        source,
        target,
        source_features,
        target_features,
        True,
        reach_m,
        _icp.TransformationEstimationPointToPoint(with_scaling=True),
        3,
        [
            _icp.CorrespondenceCheckerBasedOnEdgeLength(0.8),
            _icp.CorrespondenceCheckerBasedOnDistance(reach_m),
        ],
        _icp.RANSACConvergenceCriteria(RANSAC_ITERATIONS, RANSAC_CONFIDENCE),
    )
    matrix = np.asarray(found.transformation)
    if not np.linalg.det(matrix[:3, :3]) > 1e-9:
        return given.start
    start = Similarity.from_matrix(matrix).inverse()
    restarted = PeerInput(given.cloud, given.diameter_m, given.points_camera, start)
    return _refined(restarted, _plane(), to_mesh=True)


def _point() -> o3d.pipelines.registration.TransformationEstimation:
    return _icp.TransformationEstimationPointToPoint()


def _scaled_point() -> o3d.pipelines.registration.TransformationEstimation:
    return _icp.TransformationEstimationPointToPoint(with_scaling=True)


def _plane() -> o3d.pipelines.registration.TransformationEstimation:
    return _icp.TransformationEstimationPointToPlane()


PEERS: Mapping[str, Peer] = {
    "start": start_only,
    "o3d point, mesh to points": icp(_point, to_mesh=False),
    "o3d point, points to mesh": icp(_point, to_mesh=True),
    "o3d point+scale, mesh to points": icp(_scaled_point, to_mesh=False),
    "o3d point+scale, points to mesh": icp(_scaled_point, to_mesh=True),
    "o3d plane, mesh to points": icp(_plane, to_mesh=False),
    "o3d plane, points to mesh": icp(_plane, to_mesh=True),
    "o3d RANSAC+FPFH+scale, then plane": ransac_features,
}


def _measured(given: PeerInput) -> o3d.geometry.PointCloud:
    points = given.points_camera.astype(np.float64)
    step = max(1, len(points) // MAX_POINTS)
    return o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points[::step]))


def _refined(
    given: PeerInput,
    estimate: o3d.pipelines.registration.TransformationEstimation,
    *,
    to_mesh: bool,
) -> Similarity:
    """Run ICP, far and then near."""
    mesh, points = given.cloud, _measured(given)
    if to_mesh:
        source, target, matrix = points, mesh, given.start.inverse().matrix
    else:
        source, target, matrix = mesh, points, given.start.matrix
        target.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NORMAL_NEIGHBOURS))
        target.orient_normals_towards_camera_location(np.zeros(3))
    for reach_m in REACHES_M:
        criteria = _icp.ICPConvergenceCriteria(max_iteration=ITERATIONS)
        result = _icp.registration_icp(source, target, reach_m, matrix, estimate, criteria)
        matrix = np.asarray(result.transformation)
    try:
        found = Similarity.from_matrix(matrix)
    except ShapeError:  # scaled to nothing
        return given.start
    return found.inverse() if to_mesh else found


def _features(
    cloud: o3d.geometry.PointCloud, voxel_m: float
) -> tuple[o3d.geometry.PointCloud, o3d.pipelines.registration.Feature]:
    """Return a thinned cloud and its FPFH features, after Open3D's tutorial."""
    thinned = cloud.voxel_down_sample(voxel_m)
    if not thinned.has_normals():
        near = o3d.geometry.KDTreeSearchParamHybrid(NORMAL_VOXELS * voxel_m, 30)
        thinned.estimate_normals(near)
        thinned.orient_normals_towards_camera_location(np.zeros(3))
    around = o3d.geometry.KDTreeSearchParamHybrid(FEATURE_VOXELS * voxel_m, 100)
    return thinned, _icp.compute_fpfh_feature(thinned, around)
