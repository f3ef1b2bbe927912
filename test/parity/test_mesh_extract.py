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


"""Meshes agree with the reference: same vertices, same triangles with the same winding."""

from collections.abc import Callable

import pytest
import torch
from fixtures import Golden
from scipy.spatial import cKDTree
from torch import Tensor

from sam3d_ros.objects.cube_cases import CORNERS
from sam3d_ros.objects.cube_field import CubeField, strides
from sam3d_ros.objects.flexicubes import CubeSurface, dual_surface, extract_surface

ROUNDING = 1e-5  # of vertices in units of the cube


@pytest.fixture(scope="module")
def extracted(golden: Callable[[str], Golden]) -> Golden:
    return golden("mesh_extract")


@pytest.fixture(scope="module", params=["flexicubes_sphere", "flexicubes_noise"])
def dense(request: pytest.FixtureRequest, golden: Callable[[str], Golden]) -> Golden:
    return golden(request.param)


def test_the_mesh_of_sparse_cubes_agrees(extracted: Golden) -> None:
    surface = extract_surface(
        extracted.inputs["coords"], extracted.inputs["feats"], extracted.config["res"]
    )

    same = assert_same_mesh(extracted, surface, ("vertices", "faces"))
    extracted.close(surface.attributes[same], "vertex_attrs")


def test_triangles_face_where_those_of_the_reference_face(extracted: Golden) -> None:
    surface = extract_surface(
        extracted.inputs["coords"], extracted.inputs["feats"], extracted.config["res"]
    )

    same = assert_same_mesh(extracted, surface, ("vertices", "faces"))
    a, b, c = surface.vertices[same[extracted.outputs["faces"].long()]].unbind(dim=1)
    across = torch.linalg.cross(b - a, c - a)
    agreeing = (across * extracted.outputs["face_normals"]).sum(dim=1)
    # The normal of a sliver is no better known than its vertices.
    unknown = ROUNDING * torch.stack((b - a, c - b, a - c)).norm(dim=2).amax(dim=0)
    assert (agreeing > 0.999 * across.norm(dim=1) - unknown).all()


def test_the_mesh_of_the_decoders_features_agrees(golden: Callable[[str], Golden]) -> None:
    recorded = golden("mesh_decoder")
    surface = extract_surface(
        recorded.outputs["coords"][:, 1:],
        recorded.outputs["features"],
        recorded.config["mesh_resolution"],
    )

    same = assert_same_mesh(recorded, surface, ("vertices", "faces"))
    recorded.close(surface.attributes[same], "vertex_attrs")


def test_the_mesh_of_a_dense_grid_agrees(dense: Golden) -> None:
    surface = dual_surface(dense_field(dense, weighted=True))

    same = assert_same_mesh(dense, surface, ("vertices", "faces"))
    dense.close(surface.attributes[same], "colors")


def test_the_mesh_of_a_dense_grid_without_weights_agrees(dense: Golden) -> None:
    surface = dual_surface(dense_field(dense, weighted=False))

    assert_same_mesh(dense, surface, ("vertices_unweighted", "faces_unweighted"))


def dense_field(recorded: Golden, *, weighted: bool) -> CubeField:
    resolution, given = recorded.config["res"], recorded.inputs
    axis = torch.arange(resolution)
    coords = torch.cartesian_prod(axis, axis, axis)
    steps = torch.tensor(strides(resolution))
    keys = (coords * steps).sum(dim=1)
    offsets = (torch.tensor(CORNERS) * steps).sum(dim=1)
    weight = 1.0 if weighted else 0.0
    return CubeField(
        resolution=resolution,
        keys=keys,
        corners=keys[:, None] + offsets,
        sdf=given["sdf"],
        positions=given["grid_vertices"],
        attributes=given["colors"].sigmoid(),
        edge_weights=0.99 * (weight * given["beta"]).tanh() + 1,
        corner_weights=0.99 * (weight * given["alpha"]).tanh() + 1,
        split_weights=0.99 * (weight * given["gamma"]).sigmoid() + 0.005,
    )


def assert_same_mesh(recorded: Golden, surface: CubeSurface, names: tuple[str, str]) -> Tensor:
    """Compare up to the order of vertices and triangles; return our vertex of each recorded one."""
    expected = recorded.outputs[names[0]]
    _, nearest = cKDTree(surface.vertices).query(expected)
    same = torch.from_numpy(nearest)
    assert len(surface.vertices) == len(expected) == len(same.unique())
    recorded.close(surface.vertices[same], names[0])
    assert oriented(same[recorded.outputs[names[1]].long()]) == oriented(surface.triangles)
    return same


def oriented(triangles: Tensor) -> list[tuple[int, ...]]:
    """Return triangles in ascending order, each from its smallest vertex on in its winding."""
    return sorted(min((a, b, c), (b, c, a), (c, a, b)) for a, b, c in triangles.tolist())
