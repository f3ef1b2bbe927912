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

"""A user's captures become training batches; what is wrong with them is said by file."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import scenes
import torch
from capture_folders import VIEW, change_truth, turned, write_capture

from sam3d_ros.errors import ConfigError, DatasetError, DepthSparseError
from sam3d_ros.evaluation.solids import distance_to_surface, is_inside
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.objects.volume.box import points_in_camera
from sam3d_ros.objects.volume.features import voxel_middles
from sam3d_ros.objects.volume.prepare import PreparedVolume, prepare
from sam3d_ros.objects.volume.view import TRUNCATION
from sam3d_ros.structures import Mesh, Observation
from sam3d_ros.training.captures import source
from sam3d_ros.training.captures.reading import captures_in
from sam3d_ros.training.captures.solids import check_closed, resampled_m, solid_grids
from sam3d_ros.training.captures.source import CaptureSet, CaptureSource, capture_set
from sam3d_ros.training.captures.variation import NO_VARIATION, Variation, mirrored_view, varied
from sam3d_ros.training.engine import cases
from sam3d_ros.training.engine.cases import cases_in

CPU = torch.device("cpu")

ONLY_MIRROR = replace(NO_VARIATION, mirror=1.0)


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> CaptureSet:
    folder = tmp_path_factory.mktemp("captures")
    write_capture(folder / "one")
    write_capture(folder / "two", scenes.can(0.04, 0.10), "can")
    return capture_set(captures_in(folder))


def test_the_truth_is_the_distance_to_the_posed_mesh_at_the_boxes_voxels(
    captures: CaptureSet,
) -> None:
    batch = CaptureSource(captures, NO_VARIATION).batch(0, 2)

    index = batch.families.index("one/box")
    mesh = scenes.box(0.10, 0.06, 0.12).transformed(VIEW)
    points = points_in_camera(batch.box, voxel_middles(64, torch.device("cpu")))[index].numpy()
    distance = distance_to_surface(mesh, points) / float(batch.box.side_m[index] * TRUNCATION)
    truth = np.where(is_inside(mesh, points), -distance, distance).clip(-1, 1)
    error = np.abs(batch.distance[index].numpy().reshape(-1) - truth)
    assert error.mean() < 0.01
    assert error.max() < 0.3  # a third of a voxel's TRUNCATION of four, at the box's corners


def test_an_object_of_which_too_little_is_seen_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refusing(observation: Observation, size: int, device: str = "cpu") -> PreparedVolume:
        if observation.instance.class_id in unseen:
            raise DepthSparseError("no depth in the crop")
        return prepare(observation, size, device)

    write_capture(tmp_path / "one")
    write_capture(tmp_path / "two", scenes.can(0.04, 0.10), "can")
    for module in (source, cases):
        monkeypatch.setattr(module, "prepare", refusing)
    unseen = {"can"}
    assert capture_set(captures_in(tmp_path)).names == ("one/box",)
    assert [each.names for each in cases_in(tmp_path, 56, CPU)] == [("one/box",)]
    assert caplog.text.count("two/can is left out: no depth in the crop") == 2
    unseen = {"box", "can"}
    with pytest.raises(DatasetError, match="all were left out; check that depth is registered"):
        capture_set(captures_in(tmp_path))
    with pytest.raises(DatasetError, match="expected masks with depth, found none; no depth in"):
        list(cases_in(tmp_path, 56, CPU))


def test_the_layout_puts_the_objects_bounds_where_its_voxels_are(captures: CaptureSet) -> None:
    batch = CaptureSource(captures, Variation()).batch(3, 4)

    middles = voxel_middles(64, torch.device("cpu"))
    for index in range(4):
        inside = middles[batch.distance[index].reshape(-1) < 0]
        local = (inside - batch.box_centre_object[index]) @ batch.box_rotation_object[index]
        size = local.amax(dim=0) - local.amin(dim=0)
        torch.testing.assert_close(size, batch.extent[index], atol=2.5 / 64, rtol=0)
        middle = (local.amax(dim=0) + local.amin(dim=0)) / 2
        torch.testing.assert_close(middle, torch.zeros(3), atol=1 / 64, rtol=0)


def test_a_mirrored_sample_has_the_mirrored_truth_and_a_proper_rotation(
    captures: CaptureSet,
) -> None:
    plain = CaptureSource(captures, NO_VARIATION).batch(0, 2)
    mirrored = CaptureSource(captures, ONLY_MIRROR).batch(0, 2)

    # The box's y axis is to the left: a mirror beside the camera turns it round.
    torch.testing.assert_close(mirrored.distance.flip(2), plain.distance, atol=0.05, rtol=0)
    det = torch.linalg.det(mirrored.box_rotation_object)
    torch.testing.assert_close(det, torch.ones(2))


def test_mirroring_twice_changes_nothing(captures: CaptureSet) -> None:
    everywhere = torch.ones(2, dtype=torch.bool)

    again = mirrored_view(mirrored_view(captures.view, everywhere), everywhere)

    torch.testing.assert_close(again.depth_m, captures.view.depth_m, equal_nan=True)
    torch.testing.assert_close(again.matrix_px, captures.view.matrix_px)
    torch.testing.assert_close(again.plane, captures.view.plane)


def test_a_batch_follows_from_seed_step_and_size_alone(captures: CaptureSet) -> None:
    first = CaptureSource(captures, Variation(), seed=5).batch(7, 3)
    again = CaptureSource(captures, Variation(), seed=5).batch(7, 3)
    other = CaptureSource(captures, Variation(), seed=6).batch(7, 3)

    assert torch.equal(first.distance, again.distance)
    assert not torch.equal(first.view.mask, other.view.mask)


def test_every_capture_comes_once_before_any_comes_twice(captures: CaptureSet) -> None:
    source = CaptureSource(captures, NO_VARIATION)

    for round_ in range(5):
        names = {source.batch(2 * round_ + i, 1).families[0] for i in range(2)}
        assert names == {"one/box", "two/can"}


def test_variation_loses_depth_moves_the_outline_and_tilts_the_plane(captures: CaptureSet) -> None:
    several = captures.view[torch.tensor([0] * 64)]

    changed = varied(several, Variation(), torch.Generator().manual_seed(0))

    lost = changed.depth_m.isnan().float().mean() - several.depth_m.isnan().float().mean()
    assert 0.02 < float(lost) < 0.10
    ratio = changed.mask.sum(dim=(1, 2)) / several.mask.sum(dim=(1, 2))
    assert 0.8 < float(ratio.min()) < 0.99
    assert 1.01 < float(ratio.max()) < 1.2
    has_plane = changed.plane.any(dim=1)
    assert 0.7 < float(has_plane.float().mean()) < 1.0
    cosine = (changed.plane[has_plane, :3] * several.plane[has_plane, :3]).sum(1)
    assert 0.02 < float(cosine.clamp(max=1).acos().mean()) < 0.06


def test_an_impossible_probability_is_refused() -> None:
    with pytest.raises(ConfigError, match="mirror must be between 0 and 1, got 2"):
        Variation(mirror=2.0)


def test_distances_beyond_a_grid_go_on_growing() -> None:
    grids = solid_grids([scenes.box(0.1, 0.1, 0.1)], resolution=16)
    points = torch.tensor([[[0.2, 0.0, 0.0], [0.0, 0.0, -0.5]]])

    distance_m = resampled_m(grids, torch.tensor([0]), points)

    torch.testing.assert_close(distance_m, torch.tensor([[0.15, 0.45]]), atol=5e-3, rtol=0)


def test_a_mesh_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    change_truth(folder, mesh="lost.ply")

    with pytest.raises(DatasetError, match=r"lost\.ply: expected a file, found none"):
        list(captures_in(tmp_path))


def test_a_mesh_that_is_not_closed_is_named_with_what_to_do(tmp_path: Path) -> None:
    closed = scenes.box(0.10, 0.06, 0.12)
    folder = write_capture(tmp_path / "scene")
    opened = Mesh(
        vertices=closed.vertices,
        triangles=closed.triangles[:-4],
        colors=closed.colors,
        observed=closed.observed,
    )
    write_mesh(opened, folder / "box.ply")

    with pytest.raises(DatasetError, match=r"box\.ply: expected a closed mesh.*close its holes"):
        capture_set(captures_in(tmp_path))


def test_a_small_hole_does_not_matter() -> None:
    ball = scenes.can(0.05, 0.1)
    holed = Mesh(
        vertices=ball.vertices,
        triangles=ball.triangles[1:],
        colors=ball.colors,
        observed=ball.observed,
    )

    check_closed(holed, Path("holed.ply"))


def test_a_pose_with_scale_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    change_truth(folder, T_cam_obj=turned(VIEW, scale=1.25))

    with pytest.raises(DatasetError, match=r"gt\.json: T_cam_obj of box has scale 1\.25.*multiply"):
        list(captures_in(tmp_path))


def test_a_pose_the_wrong_way_round_is_refused(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    change_truth(folder, T_cam_obj=turned(VIEW.inverse()))

    with pytest.raises(DatasetError, match="takes mesh to camera"):
        list(captures_in(tmp_path))


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    cv2.imwrite(str(folder / "masks/box.png"), np.full((240, 320), 255, dtype=np.uint8))

    with pytest.raises(DatasetError, match=r"box\.png: expected 640x480 pixels.*got 320x240"):
        list(captures_in(tmp_path))


def test_a_scene_without_depth_is_named_with_what_to_add(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    (folder / "depth.png").unlink()

    with pytest.raises(DatasetError, match=r"scene: expected depth in one of depth_noisy\.png"):
        list(captures_in(tmp_path))


def test_a_mesh_in_millimetres_is_refused(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    write_mesh(scenes.box(100.0, 60.0, 120.0), folder / "box.ply")

    with pytest.raises(DatasetError, match=r"box\.ply: expected a size.*millimetres"):
        list(captures_in(tmp_path))


def test_objects_of_which_no_mesh_is_known_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_capture(tmp_path / "one")
    folder = write_capture(tmp_path / "two")
    change_truth(folder, mesh=None)

    assert [capture.name for capture in captures_in(tmp_path)] == ["one/box"]
    assert "two/box is left out: gt.json knows no mesh or no pose" in caplog.text


def test_a_folder_in_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "scene")
    change_truth(folder, T_cam_obj=None)

    with pytest.raises(DatasetError, match="expected objects with a mesh, a pose and depth"):
        list(captures_in(tmp_path))
