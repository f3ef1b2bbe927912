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

"""From distances in a box to one closed surface, or to the reason why there is none."""

import numpy as np
from scipy import ndimage

from sam3d_ros.errors import DecodingError
from sam3d_ros.geometry.measures import is_closed
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.objects.colored_points import UNKNOWN_COLOR, bytes_from_colors
from sam3d_ros.objects.volume.view import TRUNCATION
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bools, Floats, Ints, Mesh

# A model that is unsure where a thin wall is says so by distances that are nowhere deep inside, and
# that are below zero only here and there. The wall is where they are least, so they are cut higher.
THIN = -0.35  # the deepest distance above which walls are thin
THICKENING = 0.5  # voxels by which surfaces are moved outwards then
MIN_SHARE = 0.5  # of all that is inside, in one part; what is less is fragments
THINNED = "thin walls were made half a voxel thicker"
# Voxels; parts may touch along an edge, which has four triangles then: a little parts or joins.
SMOOTHINGS = (0.0, 0.5, 0.75, 1.0)
PADDING = 2  # voxels around the box, so that the surface closes


def mesh_of(distance: Floats) -> tuple[Mesh, tuple[str, ...]]:
    """Return the surface of the largest part in the box, closed and grey, and notes on it.

    Args:
        distance: Truncated, over x, y, z of a box, ``(R, R, R)``.

    Raises:
        DecodingError: Nothing is inside, or only fragments are, or nothing closed.
    """
    size = check_shape(distance, "R R R", "distance")["R"]
    thicker = THICKENING / (size * TRUNCATION)
    part, share = _largest_part(distance)
    notes: tuple[str, ...] = ()
    if distance.min() > THIN or share < MIN_SHARE:
        part, share = _largest_part(distance - thicker)
        notes = (THINNED,)
    if share < MIN_SHARE:
        raise DecodingError(
            f"the model must make an object in one part, the largest has {share:.0%} of it; try "
            "another seed or more steps, or backend lift"
        )
    vertices, triangles = _closed(part)
    vertices = (vertices - PADDING + 0.5) / size - 0.5
    unknown = np.full_like(vertices, UNKNOWN_COLOR)
    mesh = Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=bytes_from_colors(unknown),
        observed=np.zeros(len(vertices), dtype=np.float32),
    )
    return mesh, notes


def _largest_part(distance: Floats) -> tuple[Floats, float]:
    """Return the distances with only the largest part inside, padded; and its share of voxels."""
    padded = np.pad(distance, PADDING, constant_values=1.0)
    labels, num_parts = ndimage.label(padded < 0)
    if num_parts == 0:
        return padded, 0.0
    sizes = np.bincount(labels.ravel())[1:]
    largest = labels == int(sizes.argmax()) + 1
    inside = largest | _enclosed(largest)
    part = np.where(inside, np.minimum(padded, -np.abs(padded)), np.abs(padded))
    return part, float(sizes.max() / sizes.sum())


def _enclosed(inside: Bools) -> Bools:
    """Return the voxels outside that no way leads to from the border."""
    enclosed: Bools = ndimage.binary_fill_holes(inside) & ~inside
    return enclosed


def _closed(part: Floats) -> tuple[Floats, Ints]:
    for smoothing in SMOOTHINGS:
        field = ndimage.gaussian_filter(part, smoothing) if smoothing else part
        if field.min() >= 0:
            break
        vertices, triangles = isosurface(field, 1.0)
        if is_closed(triangles):
            return vertices, triangles
    raise DecodingError(
        f"the model's surface must be closed, is not with any smoothing up to {SMOOTHINGS[-1]} "
        "voxels; try another seed, or backend lift"
    )
