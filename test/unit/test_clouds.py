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

"""Point clouds in the image: nothing hidden, little lost."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sam3d_ros.geometry.cameras import pixel_rays, project
from sam3d_ros.geometry.clouds import point_map_from_cloud
from sam3d_ros.geometry.depth import metric_depth, unproject
from sam3d_ros.geometry.raster import render
from sam3d_ros.structures import Bools, Camera, Floats, Mesh, PointCloud, Similarity

MakeBox = Callable[..., Mesh]
BOX_Z_M, WALL_Z_M = 1.0, 1.4


def cloud_of(points: Floats, camera_from_sensor: Similarity | None = None) -> PointCloud:
    return PointCloud(points=points, camera_from_sensor=camera_from_sensor or Similarity.identity())


def lidar_scan(mesh: list[Mesh], position: Floats, step_deg: tuple[float, float]) -> Floats:
    """Return what a scanner at ``position`` measures, steps in (elevation, azimuth), (N, 3)."""
    down_deg, across_deg = step_deg
    per_px = 0.05
    scanner = Camera(
        width=1201,
        height=901,
        matrix_px=np.array(
            [[1 / np.radians(per_px), 0, 600], [0, 1 / np.radians(per_px), 450], [0, 0, 1]]
        ),
    )
    depth_m = render(
        [m.transformed(Similarity(np.eye(3), -position)) for m in mesh], scanner
    ).depth_m
    points = unproject(depth_m, scanner)
    rows, columns = round(down_deg / per_px), round(across_deg / per_px)
    kept = points[::rows, ::columns].reshape(-1, 3)
    return kept[np.isfinite(kept).all(axis=-1)] + position


@pytest.fixture
def scene(make_box: MakeBox) -> list[Mesh]:
    """Return a box of 0.3 m x 0.3 m at 1 m before a wall at 1.4 m."""
    box = make_box(0.3, 0.3, 0.02).transformed(Similarity(np.eye(3), np.array([0, 0, 1.01])))
    wall = make_box(6.0, 6.0, 0.02).transformed(Similarity(np.eye(3), np.array([0, 0, 1.41])))
    return [box, wall]


def inside_of_box(camera: Camera, scene: list[Mesh], margin_px: int) -> Bools:
    box = (render(scene, camera).object_index == 0).astype(np.uint8)
    return cv2.erode(box, np.ones((2 * margin_px + 1,) * 2, dtype=np.uint8)) > 0


def test_a_point_comes_to_the_pixel_that_sees_it(vga: Camera) -> None:
    points = np.array([[0.1, -0.05, 1.0], [-0.2, 0.1, 2.0]])

    point_map = point_map_from_cloud(cloud_of(points), vga, 0)

    assert point_map.dtype == np.float32
    pixels = np.rint(project(vga, points)).astype(int)
    known = np.isfinite(point_map).all(axis=-1)
    assert set(zip(*np.nonzero(known), strict=True)) == {(v, u) for u, v in pixels}
    half_pixel_m = 0.5 / 600 * points[:, 2] * np.sqrt(2)
    error_m = np.linalg.norm(point_map[pixels[:, 1], pixels[:, 0]] - points, axis=-1)
    assert (error_m <= half_pixel_m).all()


def test_the_nearest_point_of_a_pixel_wins(vga: Camera) -> None:
    ray = pixel_rays(vga)[100, 200]

    point_map = point_map_from_cloud(cloud_of(np.outer([3.0, 1.0, 2.0], ray)), vga, 0)

    np.testing.assert_allclose(point_map[100, 200], ray, rtol=1e-6)


def test_points_are_moved_into_the_camera_frame(vga: Camera) -> None:
    # A LiDAR looks along x, with z up; 1 m ahead of it is 1 m ahead of the camera.
    camera_from_lidar = Similarity(
        np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), np.array([0.0, 0.1, 0.2])
    )

    point_map = point_map_from_cloud(cloud_of(np.array([[1.0, 0, 0]]), camera_from_lidar), vga, 0)

    rows, columns = np.nonzero(np.isfinite(point_map[..., 2]))
    assert (rows[0], columns[0]) == (round(239.5 + 600 * 0.1 / 1.2), 320)
    assert point_map[rows[0], columns[0], 2] == pytest.approx(1.2)


def test_splatting_fills_a_disc_with_the_depth_of_its_point(vga: Camera) -> None:
    point_map = point_map_from_cloud(cloud_of(pixel_rays(vga)[100, 200][None] * 2.0), vga, 2)

    rows, columns = np.nonzero(np.isfinite(point_map[..., 2]))
    assert np.hypot(rows - 100, columns - 200).max() == pytest.approx(np.sqrt(5), abs=0.01)
    np.testing.assert_allclose(point_map[rows, columns, 2], 2.0)
    np.testing.assert_allclose(
        project(vga, point_map[rows, columns]), np.stack([columns, rows], -1), atol=1e-3
    )


def test_between_two_splats_the_closer_point_speaks(vga: Camera) -> None:
    rays = pixel_rays(vga)
    points = np.array([rays[100, 200] * 1.0, rays[100, 204] * 1.02])

    depth_m = point_map_from_cloud(cloud_of(points), vga, 4)[..., 2]

    np.testing.assert_allclose(depth_m[100, [201, 203]], [1.0, 1.02], rtol=1e-6)


@pytest.mark.parametrize("step_deg", [(0.2, 0.2), (0.5, 0.15), (1.0, 0.1), (0.15, 0.8)], ids=str)
def test_the_wall_does_not_shine_through_the_box(
    step_deg: tuple[float, float], vga: Camera, scene: list[Mesh]
) -> None:
    position = np.array([0.25, -0.2, 0.0])  # from there the scanner sees the wall behind the box
    points = lidar_scan(scene, position, step_deg)

    depth_m = point_map_from_cloud(cloud_of(points), vga, 0)[..., 2]

    pixels = project(vga, points)
    inner = inside_of_box(vga, scene, round(600 * np.radians(max(step_deg))))
    columns, rows = np.rint(pixels).astype(int).T
    image = (columns >= 0) & (columns < 640) & (rows >= 0) & (rows < 480)
    behind = image.copy()
    behind[image] &= inner[rows[image], columns[image]] & (points[image, 2] > 1.2)
    assert behind.sum() > 10  # else this would prove nothing
    assert not (depth_m[inner] > 1.2).any()


@pytest.mark.parametrize("step_deg", [(0.2, 0.2), (0.5, 0.15), (0.15, 0.8)], ids=str)
def test_what_the_camera_sees_is_kept(
    step_deg: tuple[float, float], vga: Camera, scene: list[Mesh]
) -> None:
    points = lidar_scan(scene, np.array([0.25, -0.2, 0.0]), step_deg)
    seen_m = render(scene, vga).depth_m

    depth_m = point_map_from_cloud(cloud_of(points), vga, 0)[..., 2]

    columns, rows = np.rint(project(vga, points)).astype(int).T
    image = (columns >= 0) & (columns < 640) & (rows >= 0) & (rows < 480)
    columns, rows, points = columns[image], rows[image], points[image]
    visible = np.abs(seen_m[rows, columns] - points[:, 2]) < 0.01
    assert np.isfinite(depth_m[rows, columns])[visible].mean() > 0.95


def test_ground_seen_at_a_grazing_angle_is_kept(vga: Camera) -> None:
    rows, columns = np.meshgrid(np.arange(280, 480, 6), np.arange(0, 640, 3), indexing="ij")
    # The farthest row is seen at 4 degrees.
    ground = unproject_ground(vga, height_m=0.5)[rows, columns].reshape(-1, 3)
    ground *= 1.0 + 0.005 * np.random.default_rng(0).normal(size=(len(ground), 1))

    depth_m = point_map_from_cloud(cloud_of(ground), vga, 0)[..., 2]

    assert np.isfinite(depth_m).sum() > 0.98 * len(ground)


def unproject_ground(camera: Camera, height_m: float) -> Floats:
    rays = pixel_rays(camera)
    depth_m = np.where(rays[..., 1] > 0, height_m / rays[..., 1], np.nan)
    return rays * depth_m[..., None]


def test_a_distorted_camera_gets_its_points_where_it_sees_them(vga: Camera) -> None:
    camera = replace(vga, distortion_model="plumb_bob", distortion=(-0.3, 0.1, 0.001, 0.0, 0.0))
    points = pixel_rays(camera)[::40, ::40].reshape(-1, 3) * 2.0

    point_map = point_map_from_cloud(cloud_of(points), camera, 0)

    np.testing.assert_allclose(point_map[::40, ::40].reshape(-1, 3), points, atol=1e-3)


@pytest.mark.parametrize("num_points", [0, 1])
def test_hardly_any_points_are_no_problem(num_points: int, vga: Camera) -> None:
    points = np.tile([0.0, 0.0, 1.0], (num_points, 1))

    known = np.isfinite(point_map_from_cloud(cloud_of(points), vga, 0)).all(axis=-1)

    assert known.sum() == num_points


@pytest.mark.filterwarnings("error")
def test_a_million_wild_points_are_no_problem(vga: Camera) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(1_000_000, 3)) * [2.0, 2.0, 10.0]
    points[::7], points[::11, 0], points[::13, 2], points[::17] = np.nan, np.inf, -np.inf, 0.0

    point_map = point_map_from_cloud(cloud_of(points), vga, 1)

    known = np.isfinite(point_map).all(axis=-1)
    assert known.any()
    assert (point_map[known, 2] > 0).all()
    assert np.isnan(point_map[~known]).all()


@pytest.mark.parametrize("scene_name", ["scene_01", "scene_02", "scene_03"])
def test_lidar_agrees_with_the_true_depth_of_rendered_scenes(
    scene_name: str, shared_data: Path
) -> None:
    folder = shared_data / "synthetic_tabletop" / scene_name
    truth_m, camera, calibration = load_rendered(folder)
    cloud = cloud_of(
        np.load(folder / "lidar.npz")["points"],
        Similarity.from_matrix(np.array(calibration["T_cam_lidar"])),
    )

    error_m = point_map_from_cloud(cloud, camera, 0)[..., 2] - truth_m

    error_m = error_m[np.isfinite(error_m)]
    assert len(error_m) > 20_000
    assert np.median(np.abs(error_m)) < 0.006  # the noise of this scanner
    assert (error_m > 0.04).mean() < 0.005  # without a test for visibility: 5 to 8 %


def load_rendered(folder: Path) -> tuple[Floats, Camera, dict[str, list[list[float]]]]:
    calibration = json.loads((folder / "camera.json").read_text())
    fx, fy, cx, cy = (calibration[name] for name in ("fx", "fy", "cx", "cy"))
    camera = Camera(
        width=calibration["width"],
        height=calibration["height"],
        matrix_px=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
    )
    raw = cv2.imread(str(folder / "depth.png"), cv2.IMREAD_UNCHANGED)
    return metric_depth(raw), camera, calibration
