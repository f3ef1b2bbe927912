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


"""A texture shows the mesh's colours where they belong, and every file agrees with the pose."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sam3d_ros.errors import ConfigError, DependencyError, ReconstructionError
from sam3d_ros.geometry.mesh_files import GLTF_FROM_OBJECT, file_from_object, write_mesh
from sam3d_ros.objects.colored_points import ColoredPoints
from sam3d_ros.objects.splat_files import write_splats
from sam3d_ros.objects.texture import (
    Chart,
    TextureConfig,
    TexturedMesh,
    baked,
    textured,
    tiled,
    unwrapped,
    write_textured,
)
from sam3d_ros.structures import Bytes, Floats, Mesh, Similarity, Splats


@pytest.fixture
def square() -> Mesh:
    """A unit square in the xy plane: red grows along x, green along y."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    colors = np.round(255 * vertices).astype(np.uint8)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    return Mesh(vertices=vertices, triangles=triangles, colors=colors, observed=np.zeros(4))


@pytest.fixture
def flat_chart(square: Mesh) -> Chart:
    """The square in the lower left quarter of an image."""
    uv = 0.5 * square.vertices[:, :2].astype(np.float64)
    return Chart(np.arange(4), square.triangles, uv, width=64, height=32)


def ball(subdivisions: int = 3) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.4)
    sphere.vertices *= [1.0, 0.8, 0.6]
    return Mesh(
        vertices=sphere.vertices.astype(np.float32),
        triangles=sphere.faces.astype(np.int32),
        colors=np.round(255 * (sphere.vertices + 0.5)).astype(np.uint8),
        observed=np.zeros(len(sphere.vertices), dtype=np.float32),
    )


def looked_up(texture: Bytes, uv: Floats) -> Floats:
    """Return the colours of the texels at texture coordinates, bytes as floats."""
    height, width = texture.shape[:2]
    columns = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    rows = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return texture[rows, columns].astype(np.float64)


# -- baking, without xatlas


def blended(texture: Bytes, uv: Floats) -> Floats:
    """Return the colours at texture coordinates as viewers do: blended of four texels."""
    height, width = texture.shape[:2]
    places = np.stack((uv[:, 0] * width, (1 - uv[:, 1]) * height), axis=1) - 0.5
    low = np.floor(places).astype(int)
    (a, b), colors = (places - low).T, np.zeros((len(uv), 3))
    for dx, dy, weight in (
        (0, 0, (1 - a) * (1 - b)),
        (1, 0, a * (1 - b)),
        (0, 1, (1 - a) * b),
        (1, 1, a * b),
    ):
        columns, rows = np.clip(low + np.array([dx, dy]), 0, (width - 1, height - 1)).T
        colors += weight[:, None] * texture[rows, columns]
    return colors


@pytest.mark.parametrize("side", [4, 128, 500])
def test_on_tiles_every_place_of_every_triangle_has_its_own_colour(side: int) -> None:
    mesh = ball()
    flat = np.random.default_rng(0).integers(0, 256, (len(mesh.triangles), 3))
    corners = mesh.triangles.ravel()
    apart = Mesh(  # so that each triangle has one colour, and none of its neighbours has it
        vertices=mesh.vertices[corners],
        triangles=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        colors=np.repeat(flat, 3, axis=0).astype(np.uint8),
        observed=np.zeros(len(corners)),
    )
    chart = tiled(apart.triangles, side)
    image = baked(apart, chart)
    assert image.shape == (chart.height, chart.width, 3)
    assert chart.width >= min(side, 4)
    uv = chart.uv[chart.triangles]
    for weights in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0.5, 0.5], [0.2, 0.3, 0.5]):
        seen = blended(image, np.einsum("k,fkc->fc", weights, uv))
        np.testing.assert_allclose(seen, flat, atol=1)


def test_on_tiles_colours_of_the_vertices_run_as_they_do_without_an_image() -> None:
    mesh = ball(1)
    chart = tiled(mesh.triangles, 256)
    image = baked(mesh, chart)
    weights = np.array([0.2, 0.3, 0.5])
    seen = blended(image, np.einsum("k,fkc->fc", weights, chart.uv[chart.triangles]))
    wanted = np.einsum("k,fkc->fc", weights, mesh.colors[mesh.triangles].astype(float))
    np.testing.assert_allclose(seen, wanted, atol=1.5)


def test_a_texel_has_the_colour_of_the_place_that_lies_on_it(
    square: Mesh, flat_chart: Chart
) -> None:
    texture = baked(square, flat_chart)

    assert texture.shape == (32, 64, 3)
    columns, rows = np.meshgrid(np.arange(32), np.arange(16, 32))
    expected = np.stack((2 * (columns + 0.5) / 64, 2 * (1 - (rows + 0.5) / 32)), axis=-1)
    np.testing.assert_allclose(texture[16:, :32, :2], 255 * expected, atol=1.0)
    assert (texture[..., 2] == 0).all()


def test_texels_off_the_chart_take_the_nearest_colour_on_it(
    square: Mesh, flat_chart: Chart
) -> None:
    texture = baked(square, flat_chart)
    np.testing.assert_array_equal(texture[20, 40], texture[20, 31])
    np.testing.assert_array_equal(texture[0, 5], texture[16, 5])


def test_baking_many_triangles_at_a_time_changes_nothing(
    square: Mesh, flat_chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    texture = baked(square, flat_chart)
    monkeypatch.setattr("sam3d_ros.objects.texture.CHUNK_TEXELS", 7)
    np.testing.assert_array_equal(baked(square, flat_chart), texture)


def test_points_colour_the_texels_next_to_them(square: Mesh, flat_chart: Chart) -> None:
    halves = ColoredPoints(np.array([[0.25, 0.5, 0.0], [0.75, 0.5, 0.0]]), np.eye(3)[[0, 2]])
    texture = baked(square, flat_chart, halves)
    assert texture[24, 7, 0] > 200
    assert texture[24, 24, 2] > 200


def test_flat_triangles_on_a_chart_do_no_harm(square: Mesh, flat_chart: Chart) -> None:
    triangles = np.concatenate((square.triangles, [[0, 1, 1], [0, 2, 2]])).astype(np.int32)
    chart = Chart(flat_chart.source, triangles, flat_chart.uv, flat_chart.width, flat_chart.height)
    np.testing.assert_array_equal(baked(square, chart), baked(square, flat_chart))


def test_a_chart_too_small_for_any_texel_is_a_named_error(square: Mesh, flat_chart: Chart) -> None:
    tiny = Chart(np.arange(4), square.triangles, 1e-3 * flat_chart.uv, width=8, height=8)
    with pytest.raises(ReconstructionError, match="raise the resolution"):
        baked(square, tiny)


# -- files


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_pose_mesh_splats_and_files_agree(up_axis: str, tmp_path: Path, square: Mesh) -> None:
    """What a file holds, turned back and posed, is where the pose puts mesh and splats."""
    pose = Similarity(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([0.1, 0.2, 1]), 0.3)
    expected = pose.apply(square.vertices.astype(np.float64))
    plain, rich, points = (tmp_path / name for name in ("a.glb", "b.glb", "c.ply"))

    write_mesh(square, plain, up_axis)
    black = np.zeros((4, 4, 3), np.uint8)
    write_textured(TexturedMesh(square, square.vertices[:, :2], black), rich, up_axis)
    splats = Splats(
        means=square.vertices,
        scales=np.full((4, 3), 0.01, dtype=np.float32),
        quats_wxyz=np.eye(4, dtype=np.float32)[[0] * 4],
        opacities=np.full(4, 0.5, dtype=np.float32),
        sh_dc=np.zeros((4, 3), dtype=np.float32),
    )
    write_splats(points, splats)

    np.testing.assert_allclose(splats.transformed(pose).means, expected, atol=1e-6)
    back = file_from_object(up_axis).inverse()
    for path, object_from_file in ((plain, back), (rich, back), (points, Similarity.identity())):
        read = np.asarray(
            next(iter(trimesh.load_scene(path, process=False).geometry.values())).vertices
        )
        np.testing.assert_allclose((pose @ object_from_file).apply(read), expected, atol=1e-6)


def test_y_up_is_the_rule_of_the_reference() -> None:
    x, y, z = 0.1, 0.2, 0.3
    np.testing.assert_allclose(GLTF_FROM_OBJECT.apply(np.array([x, y, z])), [x, z, -y])
    with pytest.raises(ConfigError, match="must be y or z, got 'x'"):
        file_from_object("x")


def test_a_written_texture_is_found_again_with_its_material(
    square: Mesh, flat_chart: Chart, tmp_path: Path
) -> None:
    texture = baked(square, flat_chart)
    write_textured(TexturedMesh(square, flat_chart.uv, texture), tmp_path / "square.glb")

    read = trimesh.load(tmp_path / "square.glb", force="mesh", process=False)

    material = read.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0.0, 1.0)
    image = np.asarray(material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(image, texture)
    np.testing.assert_allclose(looked_up(image, read.visual.uv), square.colors, atol=10.0)


def test_only_glb_holds_a_texture(square: Mesh, tmp_path: Path) -> None:
    mesh = TexturedMesh(square, square.vertices[:, :2], np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"must be written as \.glb, got 'a\.ply'"):
        write_textured(mesh, tmp_path / "a.ply")


# -- charts


def test_without_xatlas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(DependencyError, match="run python3 -m pip install xatlas"):
        textured(ball(), TextureConfig())


def test_a_texture_shows_the_colours_of_the_vertices() -> None:
    mesh = ball()
    result = textured(mesh, TextureConfig(resolution=256))
    shown = looked_up(result.texture, result.uv)
    assert np.abs(shown - result.mesh.colors).max() < 12  # bytes; an edge is 20 bytes long
    assert 200 < max(result.texture.shape) < 400


def test_a_chart_has_the_triangles_of_the_mesh_in_order() -> None:
    mesh = ball()
    chart = unwrapped(mesh, TextureConfig(resolution=256))
    np.testing.assert_array_equal(chart.source[chart.triangles], mesh.triangles)
    assert chart.uv.min() >= 0
    assert chart.uv.max() <= 1


def test_a_texture_takes_its_colours_from_points_where_given() -> None:
    mesh = ball()
    ends = ColoredPoints(np.array([[0.0, 0.0, -9.0], [0.0, 0.0, 9.0]]), np.eye(3)[:2])
    result = textured(mesh, TextureConfig(resolution=128), ends)
    shown = looked_up(result.texture, result.uv)
    high = result.mesh.vertices[:, 2] > 0.05
    assert (shown[high, 1] > shown[high, 0]).all()


@pytest.mark.parametrize("wrong", [{"resolution": 8}, {"padding": -1}], ids=str)
def test_a_texture_out_of_range_is_a_named_error(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 16 texels a side and no negative padding"):
        TextureConfig(**wrong)
