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


"""A finished mesh has no floaters, no holes, no inner surfaces, and the size that was asked for."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from sam3d_ros.errors import ConfigError, ReconstructionError
from sam3d_ros.geometry.measures import is_closed, is_watertight, volume_m3
from sam3d_ros.objects.finishing import (
    FinishingConfig,
    finished,
    mesh_from_surface,
    smoothed,
    with_holes_closed,
    without_enclosed_parts,
    without_small_parts,
)
from sam3d_ros.objects.flexicubes import CubeSurface
from sam3d_ros.structures import Mesh


def ball(radius: float, middle: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    num = len(sphere.vertices)
    return Mesh(
        vertices=(sphere.vertices + middle).astype(np.float32),
        triangles=sphere.faces.astype(np.int32),
        colors=np.full((num, 3), 90, dtype=np.uint8),
        observed=np.ones(num, dtype=np.float32),
    )


def together(*meshes: Mesh) -> Mesh:
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate(
            [mesh.triangles + n for n, mesh in zip(first[:-1], meshes, strict=True)]
        ).astype(np.int32),
        colors=np.concatenate([mesh.colors for mesh in meshes]),
        observed=np.concatenate([mesh.observed for mesh in meshes]),
    )


def inside_out(mesh: Mesh) -> Mesh:
    return replace(mesh, triangles=mesh.triangles[:, ::-1].copy())


def cut(mesh: Mesh, keep: Callable[[np.ndarray], np.ndarray]) -> Mesh:
    middles = mesh.vertices[mesh.triangles].mean(axis=1)
    return replace(mesh, triangles=mesh.triangles[keep(middles)])


# -- parts


def test_floaters_are_dropped_by_their_share_of_the_largest_area() -> None:
    large, small = ball(0.3), ball(0.02, (0.4, 0.4, 0.4))  # a share of 1/225
    mesh = together(small, large)

    assert len(without_small_parts(mesh, 0.01).triangles) == len(large.triangles)
    assert len(without_small_parts(mesh, 0.001).triangles) == len(mesh.triangles)


def test_dropping_parts_drops_their_vertices_and_keeps_colours_with_the_others() -> None:
    large = ball(0.3)
    painted = replace(large, colors=np.arange(large.colors.size).reshape(-1, 3).astype(np.uint8))

    kept = without_small_parts(together(ball(0.02, (0.4, 0.4, 0.4)), painted), 0.01)

    np.testing.assert_array_equal(kept.vertices, painted.vertices)
    np.testing.assert_array_equal(kept.colors, painted.colors)
    np.testing.assert_array_equal(kept.triangles, painted.triangles)


def test_cavities_and_what_stands_in_them_are_dropped() -> None:
    outer, beside = ball(0.3), ball(0.1, (0.45, 0.0, 0.0))
    mesh = together(ball(0.1), inside_out(ball(0.2)), beside, outer)

    solid = without_enclosed_parts(mesh)

    assert volume_m3(solid) == pytest.approx(volume_m3(outer) + volume_m3(beside), rel=1e-5)


def test_a_mesh_that_is_inside_out_as_a_whole_is_kept() -> None:
    mesh = together(inside_out(ball(0.1)), inside_out(ball(0.1, (0.4, 0.0, 0.0))))
    assert without_enclosed_parts(mesh) is mesh


# -- holes


def test_holes_of_all_sizes_are_closed() -> None:
    whole = ball(0.3)
    rng = np.random.default_rng(0)
    for share in (0.001, 0.05, 0.3):
        torn = cut(whole, lambda m, share=share: rng.random(len(m)) > share)
        assert not is_closed(torn.triangles)
        assert is_watertight(with_holes_closed(torn))


def test_a_flat_cut_is_closed_flat() -> None:
    half = cut(ball(0.3), lambda middles: middles[:, 2] < 0)
    closed = with_holes_closed(half)
    assert is_watertight(closed)
    assert volume_m3(closed) == pytest.approx(0.5 * volume_m3(ball(0.3)), rel=0.05)
    assert closed.vertices[-1] == pytest.approx([0.0, 0.0, 0.0], abs=0.02)
    assert closed.observed[-1] == 0.0
    assert (closed.colors[-1] == 90).all()


def test_two_holes_that_meet_in_one_vertex_are_closed_apart() -> None:
    whole = ball(0.3)
    fan = np.flatnonzero((whole.triangles == 12).any(axis=1))
    corners = whole.triangles[fan]
    opposite = next(i for i in range(1, len(fan)) if len(set(corners[0]) & set(corners[i])) == 1)
    torn = replace(whole, triangles=np.delete(whole.triangles, fan[[0, opposite]], axis=0))

    closed = with_holes_closed(torn)

    assert is_watertight(closed)
    assert len(closed.vertices) == len(whole.vertices) + 2


def test_a_closed_mesh_is_returned_as_it_is() -> None:
    mesh = ball(0.3)
    assert with_holes_closed(mesh) is mesh


# -- all of it


def test_a_finished_mesh_is_one_closed_solid_of_the_wanted_size() -> None:
    torn = cut(ball(0.3), lambda middles: middles[:, 2] < 0.25)
    mesh = together(torn, inside_out(ball(0.2)), ball(0.01, (0.4, 0.4, 0.4)))

    result = finished(mesh, FinishingConfig(max_triangles=600))

    assert is_watertight(result.mesh)
    assert len(result.mesh.triangles) <= 600
    assert [note.split()[0] for note in result.notes] == ["holes", "inner"]


def test_a_sound_mesh_is_returned_without_notes() -> None:
    mesh = ball(0.3)
    result = finished(mesh, FinishingConfig())
    np.testing.assert_array_equal(result.mesh.vertices, mesh.vertices)
    np.testing.assert_array_equal(result.mesh.triangles, mesh.triangles)
    assert result.notes == ()


def test_a_mesh_that_cannot_be_closed_is_said_to_be_open() -> None:
    whole = ball(0.3)
    doubled = replace(whole, triangles=np.concatenate((whole.triangles, whole.triangles[:1])))
    result = finished(doubled, FinishingConfig())
    assert any("not watertight" in note for note in result.notes)


def test_holes_are_left_where_wanted_and_said() -> None:
    half = cut(ball(0.3), lambda middles: middles[:, 2] < 0)
    result = finished(half, FinishingConfig(close_holes=False))
    assert len(result.mesh.triangles) == len(half.triangles)
    assert ["not watertight" in note for note in result.notes] == [True]


def test_cavities_are_kept_where_wanted() -> None:
    mesh = together(ball(0.3), inside_out(ball(0.2)))
    result = finished(mesh, FinishingConfig(keep_cavities=True))
    assert len(result.mesh.triangles) == len(mesh.triangles)
    assert result.notes == ()


def test_smoothing_takes_off_noise_and_keeps_the_volume() -> None:
    rough = ball(0.3)
    noise = np.random.default_rng(0).normal(0, 0.005, rough.vertices.shape)
    rough = replace(rough, vertices=(rough.vertices + noise).astype(np.float32))

    smooth = smoothed(rough, 10)

    radii = [np.linalg.norm(mesh.vertices, axis=1) for mesh in (rough, smooth)]
    assert radii[1].std() < 0.5 * radii[0].std()
    assert volume_m3(smooth) == pytest.approx(volume_m3(rough), rel=0.03)
    assert smoothed(rough, 0) is rough


def test_an_extracted_surface_becomes_a_mesh_with_its_colours() -> None:
    surface = CubeSurface(
        vertices=torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        triangles=torch.tensor([[0, 1, 2]]),
        attributes=torch.tensor([[0.2, 0.0, 1.0, 0.5, 0.5, 1.0]]).expand(3, -1),
    )
    mesh = mesh_from_surface(surface)
    assert (mesh.colors == [51, 0, 255]).all()
    assert (mesh.observed == 0).all()
    assert mesh.triangles.dtype == np.int32


def test_a_mesh_without_triangles_and_settings_out_of_range_are_named_errors() -> None:
    empty = replace(ball(0.3), triangles=np.zeros((0, 3), dtype=np.int32))
    with pytest.raises(ReconstructionError, match="must have triangles, has none"):
        finished(empty, FinishingConfig())
    with pytest.raises(ConfigError, match="min_part_share must be in"):
        FinishingConfig(min_part_share=1.0)
    with pytest.raises(ConfigError, match="max_triangles must be at least 4, got 0"):
        FinishingConfig(max_triangles=0)
