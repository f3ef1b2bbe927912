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

"""Inside and distance for any triangle mesh, closed or not.

``geometry.meshes`` assumes the closed meshes that backends make; scans, alpha shapes and Poisson
surfaces have holes, and are still to be compared fairly.
"""

import numpy as np
import open3d as o3d

from sam3d_ros.geometry.measures import bounds
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.structures import Bools, Floats, Mesh

NUM_DIRECTIONS = 15  # odd: no draws


def is_inside(mesh: Mesh, points: Floats) -> Bools:
    """Decide for each point ``(N, 3)`` whether it lies inside, ``(N,)``.

    A ray from a point inside a closed surface crosses it an odd number of times. Rays in many
    directions vote, which gives the same answer for a closed mesh, outvotes single bad hits on
    edges, and for an open mesh means: the surface surrounds the point by more than half of all
    directions. That is the rule "winding number above 1/2" of Jacobson et al. (SIGGRAPH 2013)
    for a simple surface, without the need of consistently oriented triangles.
    """
    scene = raycasting_scene([mesh])
    inside: Bools = np.zeros(len(points), dtype=bool)
    low, high = bounds(mesh)
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    votes = np.zeros(len(near), dtype=np.int64)
    rays = np.empty((len(near), 6), dtype=np.float32)
    rays[:, :3] = points[near]
    for direction in fibonacci_directions(NUM_DIRECTIONS):
        rays[:, 3:] = direction
        votes += scene.count_intersections(o3d.core.Tensor(rays), NUM_THREADS).numpy() % 2
    inside[near] = votes > NUM_DIRECTIONS // 2
    return inside


def distance_to_surface(mesh: Mesh, points: Floats) -> Floats:
    """Return the distance of points ``(N, 3)`` to the nearest triangle, ``(N,)`` in metres."""
    query = o3d.core.Tensor(np.ascontiguousarray(points, dtype=np.float32))
    scene = raycasting_scene([mesh])
    distance_m: Floats = scene.compute_distance(query, NUM_THREADS).numpy().astype(np.float64)
    return distance_m


def fibonacci_directions(num: int) -> Floats:
    """Return ``num`` unit vectors spread evenly over the sphere, ``(num, 3)``.

    Points of a Fibonacci lattice (Gonzalez, Mathematical Geosciences 2010).
    """
    index = np.arange(num) + 0.5
    height = 1.0 - 2.0 * index / num
    angle_rad = np.pi * (1.0 + np.sqrt(5.0)) * index
    radius = np.sqrt(1.0 - height**2)
    return np.stack((radius * np.cos(angle_rad), radius * np.sin(angle_rad), height), axis=-1)
