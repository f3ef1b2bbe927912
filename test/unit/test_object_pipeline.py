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

"""SAM 3D Objects from observation to mesh, splats and pose, with untrained weights."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from three_boxes import config_of, made, three_boxes

from sam3d_ros.config import GaussiansConfig
from sam3d_ros.errors import Sam3dError, WeightsMissingError
from sam3d_ros.geometry.measures import bounds, is_watertight
from sam3d_ros.geometry.meshes import to_trimesh
from sam3d_ros.objects import pipeline
from sam3d_ros.objects.files import FEW_SPLATS_FILE, FIRST_STAGE, MESH_FILE, SPLATS_FILE
from sam3d_ros.objects.finishing import FinishedMesh, FinishingConfig, finished
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.structures import (
    Mesh,
    Observation,
    ScaleSource,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def observations() -> tuple[Observation, ...]:
    return three_boxes()


@pytest.fixture(scope="module")
def full(folder: Path) -> Reconstructor:
    return Reconstructor.load(config_of(folder), splats=True)


@pytest.fixture(scope="module")
def fast(folder: Path) -> Reconstructor:
    return Reconstructor.load(config_of(folder, mesh_detail="fast"))


def roughness(mesh: Mesh) -> float:
    """Return the mean angle between neighbouring triangles."""
    return float(to_trimesh(mesh).face_adjacency_angles.mean())


def with_pyramid(mesh: Mesh) -> Mesh:
    """Add a tiny closed part beside a mesh in the canonical cube."""
    corners = np.array([[0.9, 0.9, 0.9]]) + 0.01 * np.eye(4, 3)
    sides = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    return Mesh(
        vertices=np.concatenate((mesh.vertices, corners)).astype(np.float32),
        triangles=np.concatenate((mesh.triangles, sides + len(mesh.vertices))).astype(np.int32),
        colors=np.concatenate((mesh.colors, np.zeros((4, 3), dtype=np.uint8))),
        observed=np.concatenate((mesh.observed, np.zeros(4, dtype=np.float32))),
    )


@pytest.mark.parametrize("backend", ["full", "fast"])
def test_each_object_becomes_a_closed_metric_mesh_where_it_was_seen(
    backend: str, observations: tuple[Observation, ...], request: pytest.FixtureRequest
) -> None:
    outcomes = request.getfixturevalue(backend).reconstruct(observations)
    for outcome, observation in zip(outcomes, observations, strict=True):
        result = made(outcome)
        assert is_watertight(result.mesh_object)
        middle = bounds(result.mesh_object.transformed(result.camera_from_object)).mean(axis=0)
        seen = np.median(observation.object_points_camera, axis=0)
        assert np.linalg.norm(middle - seen) < 0.15  # the planted pose, but for the noise
        size_m = np.ptp(result.baked().mesh_object.vertices, axis=0)
        assert (size_m > 0.02).all()
        assert (size_m < 0.4).all()


@pytest.mark.parametrize("watertight", [True, False])
def test_holes_of_a_mesh_are_closed_where_it_shall_be_watertight(
    watertight: bool,
    folder: Path,
    observations: tuple[Observation, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def torn(mesh: Mesh, config: FinishingConfig) -> FinishedMesh:
        return finished(replace(mesh, triangles=mesh.triangles[1:]), config)

    monkeypatch.setattr(pipeline, "finished", torn)
    config = config_of(folder, mesh_detail="fast")
    config = replace(config, mesh=replace(config.mesh, watertight=watertight))
    (outcome,) = Reconstructor.load(config).reconstruct(observations[:1])
    assert is_watertight(made(outcome).mesh_object) == watertight
    said = [note for note in made(outcome).provenance.notes if "not watertight" in note]
    assert bool(said) != watertight


@pytest.mark.parametrize("rounds", [0, 10])
def test_the_surface_is_smoothed_where_that_is_asked_for(
    rounds: int, folder: Path, fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    config = config_of(folder, mesh_detail="fast")
    config = replace(config, mesh=replace(config.mesh, smoothing_rounds=rounds))
    rough = made(fast.reconstruct(observations[:1])[0]).mesh_object
    mesh = made(Reconstructor.load(config).reconstruct(observations[:1])[0]).mesh_object
    np.testing.assert_array_equal(mesh.triangles, rough.triangles)
    moved = np.linalg.norm(mesh.vertices - rough.vertices, axis=1).mean()
    assert (moved > 1e-4) == bool(rounds)
    assert roughness(mesh) < roughness(rough) or not rounds
    assert is_watertight(mesh)


@pytest.mark.parametrize(("share", "num_parts"), [(0.01, 1), (0.0, 2)])
def test_loose_parts_are_dropped_by_their_share_of_the_area(
    share: float,
    num_parts: int,
    folder: Path,
    observations: tuple[Observation, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_floater(mesh: Mesh, config: FinishingConfig) -> FinishedMesh:
        whole = finished(mesh, FinishingConfig()).mesh  # one part, of a size that is not decimated
        return finished(with_pyramid(whole), config)

    monkeypatch.setattr(pipeline, "finished", with_floater)
    config = config_of(folder, mesh_detail="fast")
    config = replace(config, mesh=replace(config.mesh, min_part_share=share))
    mesh = made(Reconstructor.load(config).reconstruct(observations[:1])[0]).mesh_object
    assert len(to_trimesh(mesh).split()) == num_parts


def test_a_result_says_where_it_comes_from_and_what_it_took(
    full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    result = made(full.reconstruct(observations[:1])[0])
    assert (result.provenance.backend, result.provenance.seed) == ("sam3d", 42)
    assert result.provenance.scale_source == ScaleSource.DEPTH
    assert set(result.stage_s) >= {"condition", "geometry", "occupancy", "refinement", "mesh"}
    assert all(seconds >= 0 for seconds in result.stage_s.values())
    assert np.isnan(result.gpu_peak_mb)
    assert 0 < result.quality.silhouette_iou <= 1
    assert 0 < result.quality.observed_fraction < 1
    assert result.mesh_object.observed.min() == 0
    assert result.mesh_object.observed.max() == 1


def test_splats_lie_along_the_mesh_in_the_same_frame(
    full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    (outcome,) = full.model(observations[:1], seeds=[1])
    both = made(outcome)
    assert both.splats is not None
    low, high = bounds(both.mesh_object)
    within = (both.splats.means > low - 0.1) & (both.splats.means < high + 0.1)
    assert within.all(axis=1).mean() > 0.95
    np.testing.assert_allclose(both.splats.means.mean(axis=0), (low + high) / 2, atol=0.1)


def test_fewer_splats_of_each_voxel_come_from_a_decoder_of_their_own(
    folder: Path, full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    config = config_of(folder, splats_per_voxel=4)
    sparing = Reconstructor.load(replace(config, gaussians=GaussiansConfig(publish=True)))
    many, few = (made(each.reconstruct(observations[:1])[0]).splats for each in (full, sparing))
    assert many is not None
    assert few is not None
    assert len(many) == 2 * len(few)  # of the tiny decoders: 4 and 2 of each voxel


@pytest.mark.parametrize(("number", "name"), [(32, SPLATS_FILE), (4, FEW_SPLATS_FILE)])
def test_splats_need_the_file_of_their_number_alone(
    number: int, name: str, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    wanted = GaussiansConfig(publish=True)
    for other in (32, 4):
        config = replace(config_of(copy, splats_per_voxel=other), gaussians=wanted)
        if other != number:
            Reconstructor.load(config)
            continue
        with pytest.raises(WeightsMissingError, match=f"has no {name}"):
            Reconstructor.load(config)
    Reconstructor.load(config_of(copy, splats_per_voxel=number))  # nobody asks for splats


def test_splats_are_made_where_they_are_asked_for_alone(
    folder: Path, observations: tuple[Observation, ...]
) -> None:
    for mesh_detail in ("fast", "full"):
        config = config_of(folder, mesh_detail=mesh_detail)
        for asked in (False, True):
            backend = Reconstructor.load(replace(config, gaussians=GaussiansConfig(publish=asked)))
            result = made(backend.reconstruct(observations[:1])[0])
            assert (result.splats is not None) == asked
            assert ("splats" in result.stage_s) == asked


def test_a_batch_gives_what_one_by_one_gives(
    folder: Path, full: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    alone = Reconstructor.load(config_of(folder, batch_size=1))
    pairs = zip(full.reconstruct(observations), alone.reconstruct(observations), strict=True)
    for together, single in pairs:
        first, second = made(together), made(single)
        np.testing.assert_allclose(
            first.camera_from_object.matrix, second.camera_from_object.matrix, atol=1e-5
        )
        np.testing.assert_allclose(bounds(first.mesh_object), bounds(second.mesh_object), atol=1e-3)


def test_equal_seeds_give_equal_results_and_others_do_not(
    fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    first, again, other = fast.model(observations[:1], seeds=[7, 7, 8])
    poses = [made(each).camera_from_object for each in (first, again, other)]
    np.testing.assert_allclose(poses[0].matrix, poses[1].matrix, atol=1e-6)
    assert not np.allclose(poses[0].matrix, poses[2].matrix, atol=1e-3)
    results = [made(fast.reconstruct(observations[:1])[0]) for _ in range(2)]
    np.testing.assert_array_equal(results[0].mesh_object.vertices, results[1].mesh_object.vertices)


def test_half_precision_and_shortcuts_change_little(
    folder: Path, fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    config = config_of(folder, mesh_detail="fast", shortcut=True)
    others = [
        Reconstructor.load(replace(config, precision="bf16")),
        Reconstructor.load(replace(config, precision="fp32")),
    ]
    expected = made(fast.reconstruct(observations[:1])[0]).camera_from_object
    for other in others:
        pose = made(other.reconstruct(observations[:1])[0]).camera_from_object
        np.testing.assert_allclose(pose.translation_m, expected.translation_m, atol=0.01)
        assert pose.scale == pytest.approx(expected.scale, rel=0.05)


def test_all_seeds_of_an_object_come_before_the_next_object(
    fast: Reconstructor, observations: tuple[Observation, ...]
) -> None:
    outcomes = fast.model(observations[:2], seeds=[3, 4])
    assert [made(each).provenance.seed for each in outcomes] == [3, 4, 3, 4]
    depths = [made(o).camera_from_object.translation_m[2] for o in outcomes]
    assert abs(depths[0] - depths[1]) < abs(depths[0] - depths[2])


def test_the_fast_mesh_needs_the_first_stage_alone(folder: Path, tmp_path: Path) -> None:
    for name in (*FIRST_STAGE, "architecture.json"):
        (tmp_path / name).symlink_to(folder / name)
    Reconstructor.load(config_of(tmp_path, mesh_detail="fast"))
    with pytest.raises(Sam3dError, match="slat_generator"):
        Reconstructor.load(config_of(tmp_path, mesh_detail="full"))


def test_the_full_mesh_needs_its_decoder(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != MESH_FILE:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(Sam3dError, match=MESH_FILE):
        Reconstructor.load(config_of(tmp_path))
