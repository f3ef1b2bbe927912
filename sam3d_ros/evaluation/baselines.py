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

"""What one would do by hand with Open3D on the same masked points, to compare backends with.

Each is one or two documented calls of Open3D on ``Observation.object_points_camera``. None knows
of free space, of the silhouette or of the support plane.
"""

from collections.abc import Callable, Mapping

import numpy as np
import open3d as o3d
from scipy.spatial import cKDTree

from sam3d_ros.errors import ReconstructionError
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.structures import (
    Floats,
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Quality,
    Similarity,
)

MIN_POINTS = 10
ALPHA_M = 0.06  # 10 and 30 mm, which tutorials use, enclose less of what stands on a table
POISSON_DEPTH = 8  # Open3D's default
NORMAL_NEIGHBOURS = 30
SEEN_WITHIN_M = 0.005  # a vertex this close to a measured point counts as observed

Surface = Callable[[o3d.geometry.PointCloud], o3d.geometry.TriangleMesh]


def convex_hull(cloud: o3d.geometry.PointCloud) -> o3d.geometry.TriangleMesh:
    """Return the convex hull (Qhull)."""
    hull, _ = cloud.compute_convex_hull()
    return hull


def alpha_shape(cloud: o3d.geometry.PointCloud) -> o3d.geometry.TriangleMesh:
    """Return the alpha shape (Edelsbrunner et al. 1983) with alpha ``ALPHA_M``."""
    # Coplanar points give flat tetrahedra, each of which Open3D reports on the console.
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        return o3d.geometry.TriangleMesh.create_from_point_cloud_alpha_shape(cloud, ALPHA_M)


def poisson(cloud: o3d.geometry.PointCloud) -> o3d.geometry.TriangleMesh:
    """Return the screened Poisson surface (Kazhdan and Hoppe 2013) within the points' box.

    Normals are estimated from neighbours and turned to the camera. Without the crop the surface
    balloons behind the object, where it knows nothing.
    """
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NORMAL_NEIGHBOURS))
    cloud.orient_normals_towards_camera_location(np.zeros(3))
    surface, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=POISSON_DEPTH, n_threads=1
    )
    return surface.crop(cloud.get_axis_aligned_bounding_box())


SURFACES: Mapping[str, Surface] = {"hull": convex_hull, "alpha": alpha_shape, "poisson": poisson}


class OpenThreeDBaseline:
    """A ``SingleObjectBackend`` around one of ``SURFACES``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._surface = SURFACES[name]

    @property
    def name(self) -> str:
        """Name under which results report this baseline."""
        return self._name

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        """Reconstruct one object from its known points alone.

        Raises:
            ReconstructionError: When Open3D finds no surface in them.
        """
        points = observation.object_points_camera.astype(np.float64)
        known = np.isfinite(observation.points_camera).all(axis=-1)
        colors = observation.rgb[observation.mask & known]
        mesh_camera = _dressed(self._surface_of(points), points, colors)
        camera_from_object = Similarity(np.eye(3), bounds(mesh_camera).mean(axis=0))
        return ObjectReconstruction(
            mesh_object=mesh_camera.transformed(camera_from_object.inverse()),
            camera_from_object=camera_from_object,
            quality=Quality(),
            provenance=Provenance(backend=self.name, scale_source=observation.scale_source),
        )

    def _surface_of(self, points: Floats) -> o3d.geometry.TriangleMesh:
        if len(points) < MIN_POINTS:
            raise ReconstructionError(
                f"{self.name} needs {MIN_POINTS} points, got {len(points)}; check mask and depth"
            )
        try:
            surface = self._surface(o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points)))
        except RuntimeError as error:  # Qhull, on points in one plane; a page of advice follows
            why = str(error).partition("\n")[0]
            raise ReconstructionError(f"{self.name} found no surface, {why}") from error
        if not len(surface.triangles):
            raise ReconstructionError(f"{self.name} found no surface around {len(points)} points")
        return surface


def _dressed(surface: o3d.geometry.TriangleMesh, points: Floats, rgb: Floats) -> Mesh:
    """Give each vertex the colour of the nearest measured point; observed is near one."""
    vertices = np.asarray(surface.vertices)
    distance_m, nearest = cKDTree(points).query(vertices)
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=np.asarray(surface.triangles).astype(np.int32),
        colors=np.round(255.0 * rgb[nearest]).astype(np.uint8),
        observed=(distance_m <= SEEN_WITHIN_M).astype(np.float32),
    )
