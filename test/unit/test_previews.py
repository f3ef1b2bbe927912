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

"""A preview has few triangles and looks like its mesh."""

import numpy as np
import pytest
import trimesh

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.measures import triangle_areas
from sam3d_ros.geometry.previews import clustered
from sam3d_ros.structures import Mesh


@pytest.fixture
def ball() -> Mesh:
    """Return a ball of 10 cm radius: red and seen on the one side, blue and unseen on the other."""
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    is_seen = sphere.vertices[:, 0] > 0
    return Mesh(
        vertices=sphere.vertices.astype(np.float32),
        triangles=sphere.faces.astype(np.int32),
        colors=np.where(is_seen[:, None], (255, 0, 0), (0, 0, 255)).astype(np.uint8),
        observed=is_seen.astype(np.float32),
    )


@pytest.mark.parametrize("max_triangles", [12, 100, 1000, 5000])
def test_it_has_at_most_as_many_triangles_as_wanted_and_stays_within_the_mesh(
    ball: Mesh, max_triangles: int
) -> None:
    preview = clustered(ball, max_triangles)
    assert 0 < len(preview.triangles) <= max_triangles
    assert np.linalg.norm(preview.vertices, axis=1).max() <= 0.1 + 1e-6


def test_it_keeps_shape_colour_and_what_was_seen(ball: Mesh) -> None:
    preview = clustered(ball, 5000)
    assert len(preview.triangles) > 2000
    assert triangle_areas(preview).sum() == pytest.approx(triangle_areas(ball).sum(), rel=0.03)
    red = preview.vertices[:, 0] > 0.02
    np.testing.assert_array_equal(preview.colors[red], np.tile((255, 0, 0), (red.sum(), 1)))
    np.testing.assert_array_equal(preview.observed[red], 1.0)
    np.testing.assert_array_equal(preview.observed[preview.vertices[:, 0] < -0.02], 0.0)


def test_its_triangles_face_outwards(ball: Mesh) -> None:
    preview = clustered(ball, 2000)
    a, b, c = np.moveaxis(preview.vertices[preview.triangles], 1, 0)
    normals = np.cross(b - a, c - a)
    outwards = np.einsum("fi,fi->f", normals, a + b + c) > 0
    areas = np.linalg.norm(normals, axis=1)
    # Slivers may flip; they show as nothing.
    assert areas[outwards].sum() > 0.995 * areas.sum()


def test_a_small_mesh_stays_as_it_is(ball: Mesh) -> None:
    assert clustered(ball, len(ball.triangles)) is ball


def test_fewer_triangles_than_a_box_has_are_refused(ball: Mesh) -> None:
    with pytest.raises(ShapeError, match="12 triangles or more, got 3"):
        clustered(ball, 3)
