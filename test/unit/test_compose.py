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

"""Moving the object frame moves nothing in the world."""

from collections.abc import Callable

import numpy as np
import pytest

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.compose import size_m, with_nearest_yaw, with_origin
from sam3d_ros.structures import (
    Floats,
    Mesh,
    ObjectReconstruction,
    Provenance,
    Quality,
    Similarity,
)

UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def box(make_box: Callable[..., Mesh]) -> ObjectReconstruction:
    """Return a box whose frame is neither at its middle nor at its bottom."""
    shifted = make_box(0.2, 0.1, 0.3).transformed(
        Similarity(np.eye(3), np.array([0.05, -0.02, 0.1]))
    )
    rotation = rotation_from_axis_angle(np.array([1.0, 0.2, 0.0]), 2.0)
    return ObjectReconstruction(
        mesh_object=shifted,
        camera_from_object=Similarity(rotation, np.array([0.1, 0.0, 0.8])),
        quality=Quality(),
        provenance=Provenance(backend="test"),
    )


def vertices_camera(reconstruction: ObjectReconstruction) -> Floats:
    return reconstruction.camera_from_object.apply(reconstruction.mesh_object.vertices)


@pytest.mark.parametrize("origin", ["bbox_center", "bottom_center", "model"])
def test_no_origin_moves_the_mesh_in_the_camera_frame(
    box: ObjectReconstruction, origin: str
) -> None:
    moved = with_origin(box, origin)
    np.testing.assert_allclose(vertices_camera(moved), vertices_camera(box), atol=1e-6)


def test_the_origin_is_where_its_name_says(box: ObjectReconstruction) -> None:
    center = with_origin(box, "bbox_center").mesh_object.vertices
    np.testing.assert_allclose(center.min(axis=0), -center.max(axis=0), atol=1e-6)
    bottom = with_origin(box, "bottom_center").mesh_object.vertices
    assert bottom[:, 2].min() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(bottom.min(axis=0)[:2], -bottom.max(axis=0)[:2], atol=1e-6)


@pytest.mark.parametrize("quarters", range(4))
def test_the_nearest_yaw_undoes_quarter_turns_and_turns_the_size_with_the_axes(
    box: ObjectReconstruction, quarters: int
) -> None:
    turn = Similarity(rotation_from_axis_angle(UP, quarters * np.pi / 2), np.zeros(3))
    previous = box.camera_from_object @ turn
    steady = with_nearest_yaw(box, Similarity.identity(), previous)
    np.testing.assert_allclose(steady.camera_from_object.rotation, previous.rotation, atol=1e-9)
    np.testing.assert_allclose(vertices_camera(steady), vertices_camera(box), atol=1e-6)
    expected = [0.2, 0.1, 0.3] if quarters % 2 == 0 else [0.1, 0.2, 0.3]
    np.testing.assert_allclose(size_m(steady), expected, atol=1e-6)
