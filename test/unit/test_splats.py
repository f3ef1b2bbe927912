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

"""Splats move with their object, and their files say the same to us and to others."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from sam3d_ros.errors import ReconstructionError, ShapeError, SplatFileError
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.objects.architecture import SplatActivation
from sam3d_ros.objects.gaussian_decoder import RawSplats, activated, raw_splats_of
from sam3d_ros.objects.scene import PlacedSplats, compose_splats, turntable_splats
from sam3d_ros.objects.splat_files import (
    COLUMNS,
    NEEDED,
    ply_from_splats,
    ply_rows,
    read_splats,
    splats_from_ply,
    write_splats,
)
from sam3d_ros.structures import (
    Floats,
    Mesh,
    ObjectReconstruction,
    Provenance,
    Quality,
    Similarity,
    Splats,
)

POSE = Similarity(
    rotation_from_axis_angle(np.array([1.0, 2.0, 3.0]), 2.5), np.array([0.3, -1.0, 2.0]), 0.4
)


def make_splats(num: int = 50, seed: int = 0, min_scale: float = 0.0) -> Splats:
    rng = np.random.default_rng(seed)
    return Splats(
        means=rng.uniform(-0.5, 0.5, (num, 3)).astype(np.float32),
        scales=rng.uniform(0.001, 0.02, (num, 3)).astype(np.float32),
        quats_wxyz=rng.normal(size=(num, 4)).astype(np.float32),
        opacities=rng.uniform(0.01, 0.99, num).astype(np.float32),
        sh_dc=rng.normal(size=(num, 3)).astype(np.float32),
        min_scale=min_scale,
    )


def assert_same(actual: Splats, expected: Splats) -> None:
    for each in fields(Splats):
        np.testing.assert_allclose(
            getattr(actual, each.name), getattr(expected, each.name), rtol=2e-5, atol=1e-6
        )


def density(splats: Splats, points: Floats) -> Floats:
    """Return the sum of all Gaussians, weighted by opacity, at points ``(M, 3)``."""
    difference = points[:, None] - splats.means
    inverse = np.linalg.inv(splats.covariances.astype(np.float64))
    distance = np.einsum("mni,nij,mnj->mn", difference, inverse, difference)
    return np.exp(-0.5 * distance) @ splats.opacities


def test_what_splats_show_moves_with_the_object() -> None:
    splats = make_splats()
    points = splats.means[:20] + np.float32(0.003)

    moved = splats.transformed(POSE)

    np.testing.assert_allclose(density(moved, POSE.apply(points)), density(splats, points), 1e-3)


def test_covariances_turn_and_grow_with_the_object() -> None:
    splats, linear = make_splats(), POSE.scale * POSE.rotation

    moved = splats.transformed(POSE).covariances

    np.testing.assert_allclose(moved, linear @ splats.covariances @ linear.T, rtol=1e-4, atol=1e-9)


def test_quaternions_keep_their_length_and_give_the_turned_axes() -> None:
    splats = make_splats()

    moved = splats.transformed(POSE)

    lengths = [np.linalg.norm(each.quats_wxyz, axis=1) for each in (moved, splats)]
    np.testing.assert_allclose(*lengths, rtol=1e-5)
    np.testing.assert_allclose(moved.rotations, POSE.rotation @ splats.rotations, atol=1e-5)


def test_there_and_back_is_nothing() -> None:
    splats = make_splats(min_scale=0.0009)

    back = splats.transformed(POSE).transformed(POSE.inverse())

    signs = np.sign(splats.quats_wxyz[:, :1])  # a quaternion and its opposite are one rotation
    assert_same(
        back,
        Splats(
            means=splats.means,
            scales=splats.scales,
            quats_wxyz=signs * splats.quats_wxyz,
            opacities=splats.opacities,
            sh_dc=splats.sh_dc,
            min_scale=splats.min_scale,
        ),
    )


@pytest.mark.parametrize("step", ["baked", "reframed"])
def test_another_frame_of_the_object_moves_no_splat_in_the_camera_frame(
    step: str, make_box: Callable[..., Mesh]
) -> None:
    splats = make_splats(min_scale=0.0009)
    before = ObjectReconstruction(
        mesh_object=make_box(1.0, 0.5, 0.25),
        camera_from_object=POSE,
        quality=Quality(),
        provenance=Provenance(backend="test"),
        splats=splats,
    )

    after = before.baked() if step == "baked" else before.reframed(POSE.inverse())

    assert after.splats is not None
    assert_same(after.splats.transformed(after.camera_from_object), splats.transformed(POSE))


def test_colours_of_zero_coefficients_are_grey() -> None:
    splats = make_splats(3)

    np.testing.assert_allclose(splats.colors - 0.28209479177387814 * splats.sh_dc, 0.5, atol=1e-6)


def test_attributes_of_other_numbers_of_splats_are_refused() -> None:
    good = make_splats(5)

    with pytest.raises(ShapeError, match=r"opacities must have shape \(5\), got \(4,\)"):
        Splats(
            means=good.means,
            scales=good.scales,
            quats_wxyz=good.quats_wxyz,
            opacities=good.opacities[:4],
            sh_dc=good.sh_dc,
        )


# Files


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    splats = make_splats()

    write_splats(tmp_path / "object.ply", splats)

    assert_same(read_splats(tmp_path / "object.ply"), splats)


def test_writing_what_was_read_gives_the_same_file() -> None:
    content = ply_from_splats(make_splats())
    once = ply_from_splats(splats_from_ply(content))

    assert len(once) == len(content)
    np.testing.assert_allclose(rows_of(once), rows_of(content), rtol=1e-5, atol=1e-6)


def test_a_file_has_the_header_that_viewers_expect() -> None:
    header = ply_from_splats(make_splats(7)).split(b"end_header\n")[0].decode().splitlines()

    assert header[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 7"]
    assert header[3:] == [f"property float {name}" for name in COLUMNS]


def test_splats_that_are_opaque_or_points_have_finite_rows() -> None:
    splats = make_splats(4)
    splats.opacities[:2] = (0.0, 1.0)
    splats.scales[0] = 0.0

    assert np.isfinite(ply_rows(splats)).all()
    assert_same(splats_from_ply(ply_from_splats(splats)), splats)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_files_of_other_writers_are_read(order: str) -> None:
    splats = make_splats(9)
    rows = dict(zip(COLUMNS, ply_rows(splats).T, strict=True))
    rest = [f"f_rest_{index}" for index in range(45)]
    names = [*reversed(NEEDED), "red", *rest]  # in another order, without normals, with more
    types = {"red": "u1", "x": "f8"}
    table = np.zeros(9, [(name, order + types.get(name, "f4")) for name in names])
    for name in NEEDED:
        table[name] = rows[name]
    kinds = {"red": "uchar", "x": "double"}
    header = [
        *("ply", f"format binary_{'little' if order == '<' else 'big'}_endian 1.0"),
        *("comment of another tool", "element vertex 9"),
        *(f"property {kinds.get(name, 'float')} {name}" for name in names),
        *("element face 0", "property list uchar int vertex_indices", "end_header"),
    ]

    read = splats_from_ply(("\r\n".join(header) + "\r\n").encode() + table.tobytes())

    assert_same(read, splats)


def test_a_file_may_have_no_splats() -> None:
    assert len(splats_from_ply(ply_from_splats(make_splats(0)))) == 0


GOOD = ply_from_splats(make_splats(3))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "expected a PLY file"),
        (b"glTF" + GOOD, "expected a PLY file"),
        (GOOD.replace(b"binary_little_endian", b"ascii"), "expected the format binary_.*ascii"),
        (GOOD.replace(b"opacity", b"visible"), "without opacity; take a file of 3D Gaussian"),
        (GOOD.replace(b"float rot_", b"float turn_"), "without rot_0, rot_1, rot_2, rot_3"),
        (GOOD.replace(b"vertex", b"chunk"), "expected vertices and their number first, got 'chunk"),
        (GOOD.replace(b"vertex 3", b""), "vertices and their number first, got ''"),
        (GOOD.replace(b"float opacity", b"half opacity"), "got 'property half opacity'"),
        (GOOD.replace(b"float nx", b"list uchar int nx"), "properties of one number"),
        (GOOD.replace(b"float ny", b"float nx"), "properties of different names, got nx twice"),
        (GOOD[:-1], "expected 3 splats of 68 bytes, found 203 bytes"),
        (GOOD[:-4] + b"\x00\x00\xc0\x7f", "1 of 3 splats have values that are not finite"),
        (GOOD[:-16] + bytes(16), "a quaternion of zeros"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content: bytes, text: str) -> None:
    with pytest.raises(SplatFileError, match=text):
        splats_from_ply(content)


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.ply").write_bytes(GOOD[:-1])

    with pytest.raises(SplatFileError, match=r"broken\.ply: expected 3 splats"):
        read_splats(tmp_path / "broken.ply")
    with pytest.raises(SplatFileError, match=r"none\.ply cannot be read"):
        read_splats(tmp_path / "none.ply")


# Activations


def test_activating_undoes_its_inverse() -> None:
    splats, activation = make_splats(min_scale=0.0009), SplatActivation()

    assert_same(activated(raw_splats_of(splats, activation), activation), splats)


def test_zeros_are_small_faint_splats_that_are_not_turned() -> None:
    zeros = {name: torch.zeros(1, width) for name, width in WIDTHS.items()}
    activation = SplatActivation()

    splats = activated(RawSplats(**zeros), activation)

    np.testing.assert_allclose(splats.means, -0.5)
    np.testing.assert_allclose(splats.scales, np.hypot(0.004, 0.0009), rtol=1e-5)
    np.testing.assert_allclose(splats.quats_wxyz, [[1, 0, 0, 0]])
    np.testing.assert_allclose(splats.opacities, 0.1, rtol=1e-5)


WIDTHS = {"xyz": 3, "sh_dc": 3, "scaling": 3, "rotation": 4, "opacity": 1}


# Scenes


def test_one_object_alone_is_where_its_pose_puts_it() -> None:
    splats = make_splats(min_scale=0.0005)  # scales are from twice that

    scene = compose_splats([PlacedSplats(splats=splats, camera_from_object=POSE)])

    assert_same(scene, splats.transformed(POSE))


def test_a_scene_has_the_smallest_scale_of_all_objects_and_their_splats_in_order() -> None:
    small = Similarity(np.eye(3), np.zeros(3), 0.1)
    big = Similarity(np.eye(3), np.ones(3), 2.0)
    a, b = make_splats(5, min_scale=0.0009), make_splats(6, seed=1, min_scale=0.0009)
    a.scales[0] = 0.0009  # as small as can be: a tenth more in a scene, so as not to vanish

    scene = compose_splats(
        [
            PlacedSplats(splats=a, camera_from_object=big),
            PlacedSplats(splats=b, camera_from_object=small),
        ]
    )

    assert scene.min_scale == pytest.approx(0.00009)
    np.testing.assert_allclose(scene.means[5:], 0.1 * b.means, atol=1e-7)
    widened = (2 * a.scales.clip(1.1 * 0.0009)) ** 2
    np.testing.assert_allclose(
        scene.scales[:5] ** 2, widened - 0.0018**2 + 0.00009**2, rtol=1e-4, atol=1e-9
    )


def test_splats_without_a_smallest_scale_keep_theirs_in_a_scene() -> None:
    splats = make_splats()

    scene = compose_splats([PlacedSplats(splats=splats, camera_from_object=POSE)] * 2)

    np.testing.assert_allclose(scene.scales[50:], POSE.scale * splats.scales, rtol=1e-5)


def test_a_turntable_shows_what_is_up_in_the_image_upwards_at_size_one() -> None:
    splats = make_splats(400)
    splats.opacities[:] = 0.95

    shown = turntable_splats(splats.transformed(POSE))

    np.testing.assert_allclose(np.ptp(shown.means, axis=0).max(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(shown.means.max(axis=0) + shown.means.min(axis=0), 0.0, atol=1e-6)
    below = POSE.apply(splats.means)[:, 1]  # y of the camera is down
    assert np.corrcoef(below, shown.means[:, 2])[0, 1] < -0.999


def test_scenes_of_nothing_are_refused() -> None:
    with pytest.raises(ReconstructionError, match="one or more objects, got none"):
        compose_splats([])
    for num in (0, 1):
        with pytest.raises(ReconstructionError, match=f"{num} are in one"):
            turntable_splats(make_splats(num))


def rows_of(content: bytes) -> Floats:
    return np.frombuffer(content.split(b"end_header\n")[1], np.float32).reshape(-1, len(COLUMNS))
