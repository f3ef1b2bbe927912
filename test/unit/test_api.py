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

"""The Python interface without ROS: image and masks in, posed objects and files out."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from scenes import box, camera_from_world, placed, scene

import sam3d_ros
from sam3d_ros import Reconstructor, compose
from sam3d_ros import api as interface
from sam3d_ros.config import DepthConfig, ObjectsConfig, SceneConfig
from sam3d_ros.errors import (
    ConfigError,
    DepthSparseError,
    EncodingError,
    IntrinsicsError,
    MaskEmptyError,
    ReconstructionError,
    ShapeError,
    WeightsMissingError,
)
from sam3d_ros.geometry.measures import bounds, is_watertight
from sam3d_ros.objects.files import DEPTH_MODEL_FILE
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.objects.splat_files import read_splats
from sam3d_ros.structures import Frame, ScaleSource

QUICK = SceneConfig(device="cpu", objects=ObjectsConfig(stage1_steps=2, stage2_steps=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def reconstructor(folder: Path) -> interface.Reconstructor:
    return Reconstructor.from_pretrained(folder, QUICK)


@pytest.fixture(scope="module")
def view() -> Frame:
    solids = [
        placed(box(0.10, 0.10, 0.10), 0.3, (0.0, 0.0, 0.0)),
        placed(box(0.06, 0.08, 0.12), 0.0, (0.2, 0.0, 0.0)),
    ]
    return scene(solids, camera_from_world(np.radians(35), 0.8), noise=0.5).frame


def arguments(view: Frame) -> tuple[Any, Any]:
    assert view.depth is not None
    return view.depth.depth_m, view.camera.matrix_px


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, sam3d_ros; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert sam3d_ros.Reconstructor is interface.Reconstructor
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = sam3d_ros.Nothing


def test_one_mask_becomes_one_object_in_metres(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    made = reconstructor(view.rgb, view.masks[0].mask, *arguments(view))
    assert is_watertight(made.mesh)
    assert made.camera_from_object.scale == 1.0
    assert 0.02 < np.ptp(made.mesh.vertices, axis=0).max() < 0.4
    assert made.reconstruction.provenance.seed == 42
    assert made.reconstruction.provenance.scale_source == ScaleSource.DEPTH
    assert re.fullmatch(r"PosedObject\(0.* m at \[.*\], \d+ triangles, \d+ splats\)", repr(made))


def test_images_of_pil_and_of_numpy_are_one(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    depth, intrinsics = arguments(view)
    mask = view.masks[0].mask
    given = Image.fromarray(view.rgb), Image.fromarray(mask)
    of_pil = reconstructor(*given, depth, intrinsics, seed=3)
    of_floats = reconstructor(view.rgb / 255.0, mask, depth, intrinsics, seed=3)
    np.testing.assert_array_equal(of_pil.mesh.vertices, of_floats.mesh.vertices)


def test_of_a_list_each_mask_becomes_an_object_or_an_error(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    masks = [view.masks[0].mask, np.zeros_like(view.masks[0].mask), view.masks[1].mask]
    first, second, third = reconstructor(view.rgb, masks, *arguments(view))
    assert isinstance(second, MaskEmptyError)
    assert isinstance(first, interface.PosedObject)
    assert isinstance(third, interface.PosedObject)
    assert reconstructor(view.rgb, [], *arguments(view)) == []
    with pytest.raises(MaskEmptyError):
        reconstructor(view.rgb, masks[1], *arguments(view))


def test_mesh_splats_and_files_agree_with_the_pose(
    reconstructor: interface.Reconstructor, view: Frame, tmp_path: Path
) -> None:
    made = reconstructor(view.rgb, view.masks[0].mask, *arguments(view))
    assert made.splats is not None
    made.save(tmp_path / "z.glb")
    made.save(tmp_path / "y.glb", up_axis="y")
    made.save(tmp_path / "mesh.ply")
    made.save_splats(tmp_path / "splats.ply")

    in_camera = made.camera_from_object.apply(made.mesh.vertices)
    for name in ("z.glb", "mesh.ply"):
        vertices = np.asarray(trimesh.load(tmp_path / name, force="mesh").vertices)
        read_in_camera = made.camera_from_object.apply(vertices)
        np.testing.assert_allclose(read_in_camera.min(axis=0), in_camera.min(axis=0), atol=1e-5)
    x, y, z = np.asarray(trimesh.load(tmp_path / "y.glb", force="mesh").vertices).T
    upright = made.camera_from_object.apply(np.stack((x, -z, y), axis=1))
    np.testing.assert_allclose(upright.max(axis=0), in_camera.max(axis=0), atol=1e-5)
    splats = read_splats(tmp_path / "splats.ply")
    centres = made.camera_from_object.apply(splats.means)
    reach = np.ptp(in_camera, axis=0).max()
    assert np.abs(centres.mean(axis=0) - in_camera.mean(axis=0)).max() < 0.5 * reach


def test_other_formats_are_refused(
    reconstructor: interface.Reconstructor, view: Frame, tmp_path: Path
) -> None:
    made = reconstructor(view.rgb, view.masks[0].mask, *arguments(view))
    with pytest.raises(ConfigError, match="must end in"):
        made.save(tmp_path / "mug.obj")
    bare = interface.PosedObject(replace(made.reconstruction, splats=None))
    with pytest.raises(ConfigError, match="splats=True"):
        bare.save_splats(tmp_path / "mug.ply")
    with pytest.raises(ConfigError, match=r"must end in \.ply"):
        made.save_splats(tmp_path / "mug.splat")


def test_a_textured_file_shows_the_mesh_where_it_is(
    reconstructor: interface.Reconstructor, view: Frame, tmp_path: Path
) -> None:
    made = reconstructor(view.rgb, view.masks[0].mask, *arguments(view))
    made.save_textured(tmp_path / "mug.glb")
    read = trimesh.load(tmp_path / "mug.glb", force="mesh")
    np.testing.assert_allclose(np.asarray(read.bounds), bounds(made.mesh), atol=1e-5)
    assert read.visual.material.baseColorTexture is not None


def test_folders_of_files_are_made(
    reconstructor: interface.Reconstructor, view: Frame, tmp_path: Path
) -> None:
    made = reconstructor(view.rgb, view.masks[0].mask, *arguments(view))
    made.save(tmp_path / "meshes" / "mug.glb")
    made.save_splats(tmp_path / "splats" / "mug.ply")
    assert {path.name for path in tmp_path.glob("*/*")} == {"mug.glb", "mug.ply"}


def test_what_does_not_fit_is_refused(reconstructor: interface.Reconstructor, view: Frame) -> None:
    depth, intrinsics = arguments(view)
    mask = view.masks[0].mask
    with pytest.raises(ConfigError, match="needs intrinsics"):
        reconstructor(view.rgb, mask, depth)
    with pytest.raises(ShapeError, match="image must have shape"):
        reconstructor(view.rgb[..., 0], mask, depth, intrinsics)
    with pytest.raises(ShapeError, match="go into a list"):
        reconstructor(view.rgb, view.rgb, depth, intrinsics)
    with pytest.raises(ShapeError, match="mask 1"):
        reconstructor(view.rgb, mask[:-1], depth, intrinsics)
    with pytest.raises(EncodingError, match="bytes or of floats"):
        reconstructor(view.rgb.astype(np.int32), mask, depth, intrinsics)
    for factor in (1.0, np.nan):
        with pytest.raises(EncodingError, match="divide by 255"):
            reconstructor(factor * view.rgb, mask, depth, intrinsics)
    with pytest.raises(IntrinsicsError, match="positive focal"):
        reconstructor(view.rgb, mask, depth, np.zeros((3, 3)))


def test_any_integer_that_a_generator_takes_is_a_seed(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    mask, given = view.masks[0].mask, arguments(view)
    made = reconstructor(view.rgb, mask, *given, seed=np.int64(7))  # type: ignore[call-overload]
    assert made.reconstruction.provenance.seed == 7
    for seed in (-1, 2**63):
        with pytest.raises(ConfigError, match="from 0 to"):
            reconstructor(view.rgb, mask, *given, seed=seed)
    with pytest.raises(ConfigError, match="must be an integer"):
        reconstructor(view.rgb, mask, *given, seed=0.5)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def without_depth_model(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> interface.Reconstructor:
    copy = tmp_path_factory.mktemp("other") / "weights"
    shutil.copytree(folder, copy)
    (copy / DEPTH_MODEL_FILE).unlink()
    return Reconstructor.from_pretrained(copy, QUICK, splats=False)


def test_without_depth_and_depth_model_it_says_what_to_fetch(
    without_depth_model: interface.Reconstructor, view: Frame
) -> None:
    depth, intrinsics = arguments(view)
    mask = view.masks[0].mask
    for given in (None, intrinsics):
        with pytest.raises(WeightsMissingError, match="sam3d check --weights"):
            without_depth_model(view.rgb, mask, None, given)
    holed = np.where(mask, np.nan, depth)
    with pytest.raises(DepthSparseError, match=r"let depth\.on_missing estimate it"):
        without_depth_model(view.rgb, mask, holed, intrinsics)


def test_who_wants_no_estimates_gets_none(folder: Path, view: Frame) -> None:
    config = replace(QUICK, depth=DepthConfig(on_missing="skip"))
    strict = Reconstructor.from_pretrained(folder, config, splats=False)
    depth, intrinsics = arguments(view)
    mask = view.masks[0].mask
    with pytest.raises(ConfigError, match="on_missing forbids that"):
        strict(view.rgb, mask)
    with pytest.raises(DepthSparseError):
        strict(view.rgb, mask, np.full_like(depth, np.nan), intrinsics)


def test_without_depth_the_depth_model_gives_scene_and_camera(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    for intrinsics in (None, view.camera.matrix_px):
        made = reconstructor(view.rgb, view.masks[0].mask, None, intrinsics)
        provenance, quality = made.reconstruction.provenance, made.reconstruction.quality
        assert provenance.scale_source == ScaleSource.MONOCULAR
        assert "distance and size are a guess" in provenance.notes[0]
        assert made.camera_from_object.translation_m[2] > 0.3
        assert is_watertight(made.mesh)
        assert np.isnan(quality.depth_residual_m)  # nothing was measured
        assert np.isnan(quality.inlier_fraction)


def test_where_depth_is_missing_for_one_mask_it_is_estimated_for_that_one(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    depth, intrinsics = arguments(view)
    masks = [each.mask for each in view.masks]
    holed = np.where(masks[0], np.nan, depth)
    made = reconstructor(view.rgb, masks, holed, intrinsics)
    first, second = (each.reconstruction.provenance for each in made)  # type: ignore[union-attr]
    assert (first.scale_source, second.scale_source) == (ScaleSource.MONOCULAR, ScaleSource.DEPTH)
    assert "fitted to" in first.notes[0]
    assert second.notes == ()


def test_without_depth_a_mask_fails_alone_and_one_of_another_size_for_all(
    reconstructor: interface.Reconstructor, view: Frame
) -> None:
    mask = view.masks[0].mask
    small = np.zeros_like(mask)
    small[:10, :10] = True
    first, *others = reconstructor(view.rgb, [mask, np.zeros_like(mask), small])
    assert isinstance(first, interface.PosedObject)
    for other in others:
        assert isinstance(other, MaskEmptyError)
    with pytest.raises(ShapeError, match="mask 2"):
        reconstructor(view.rgb, [mask, mask[:-1]])


def test_objects_of_an_image_become_one_scene_in_the_camera_frame(
    reconstructor: interface.Reconstructor, view: Frame, tmp_path: Path
) -> None:
    empty = np.zeros_like(view.masks[0].mask)
    masks = [view.masks[0].mask, empty, view.masks[1].mask]
    made = reconstructor(view.rgb, masks, *arguments(view))
    objects = [each for each in made if isinstance(each, interface.PosedObject)]
    placed_meshes = [each.mesh.transformed(each.camera_from_object) for each in objects]
    low, high = np.moveaxis([bounds(mesh) for mesh in placed_meshes], 1, 0)
    box_m = np.stack((low.min(axis=0), high.max(axis=0)))

    composed = compose(made)

    assert len(composed.objects) == len(objects) == 2
    composed.save(tmp_path / "out" / "scene.glb")
    composed.save(tmp_path / "viewer.glb", axes="gltf")
    composed.save_splats(tmp_path / "scene.ply")
    read = trimesh.load(tmp_path / "out" / "scene.glb")
    assert set(read.geometry) == {"object_1", "object_2"}
    np.testing.assert_allclose(read.bounds, box_m, atol=1e-4)
    turned = trimesh.load(tmp_path / "viewer.glb").bounds * (1, -1, -1)
    np.testing.assert_allclose(np.sort(turned, axis=0), box_m, atol=1e-4)
    splats = read_splats(tmp_path / "scene.ply")
    assert len(splats) == sum(len(each.splats or ()) for each in objects)
    first = objects[0]
    assert first.splats is not None
    np.testing.assert_allclose(
        splats.means[: len(first.splats)],
        first.camera_from_object.apply(first.splats.means),
        atol=1e-5,
    )


def test_a_scene_that_cannot_be_made_or_written_says_why(
    without_depth_model: interface.Reconstructor, view: Frame, tmp_path: Path
) -> None:
    with pytest.raises(ReconstructionError, match="one or more objects"):
        compose([])
    with pytest.raises(ReconstructionError, match="one or more objects"):
        compose([MaskEmptyError("nothing there")])
    composed = compose([without_depth_model(view.rgb, view.masks[0].mask, *arguments(view))])
    assert composed.splats is None
    with pytest.raises(ConfigError, match="splats=True"):
        composed.save_splats(tmp_path / "scene.ply")
    with pytest.raises(ConfigError, match=r"written as \.glb"):
        composed.save(tmp_path / "scene.ply")
    with pytest.raises(ConfigError, match="optical or gltf"):
        composed.save(tmp_path / "scene.glb", axes="z")
