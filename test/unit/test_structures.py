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

"""Laws of the transforms and of the checks that the structures make."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sam3d_ros.errors import ShapeError
from sam3d_ros.geometry.measures import volume_m3
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import (
    Camera,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    Provenance,
    Quality,
    Similarity,
    window_of,
)


def random_similarity(seed: int) -> Similarity:
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    return Similarity(rotation, rng.normal(size=3), float(rng.uniform(0.2, 3.0)))


@pytest.mark.parametrize("seed", range(5))
def test_a_similarity_and_its_inverse_cancel(seed: int) -> None:
    a_from_b = random_similarity(seed)
    np.testing.assert_allclose((a_from_b @ a_from_b.inverse()).matrix, np.eye(4), atol=1e-12)
    np.testing.assert_allclose((a_from_b.inverse() @ a_from_b).matrix, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_composing_is_multiplying_matrices(seed: int) -> None:
    first, second = random_similarity(seed), random_similarity(seed + 100)
    np.testing.assert_allclose((first @ second).matrix, first.matrix @ second.matrix, atol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 4, 3)], ids=str)
def test_apply_maps_any_batch_like_the_matrix(shape: tuple[int, ...]) -> None:
    a_from_b = random_similarity(7)
    points = np.random.default_rng(0).normal(size=shape)
    homogeneous = np.concatenate([points, np.ones((*shape[:-1], 1))], axis=-1)
    np.testing.assert_allclose(
        a_from_b.apply(points), (homogeneous @ a_from_b.matrix.T)[..., :3], atol=1e-12
    )


def test_a_matrix_gives_back_its_similarity() -> None:
    a_from_b = random_similarity(3)
    again = Similarity.from_matrix(a_from_b.matrix)
    assert again.scale == pytest.approx(a_from_b.scale)
    np.testing.assert_allclose(again.rotation, a_from_b.rotation, atol=1e-12)


def test_a_mirroring_matrix_is_refused() -> None:
    with pytest.raises(ShapeError, match="handedness"):
        Similarity.from_matrix(np.diag([1.0, 1.0, -1.0, 1.0]))


def test_baking_moves_no_vertex_in_the_camera_frame(make_box: Callable[..., Mesh]) -> None:
    reconstruction = ObjectReconstruction(
        mesh_object=make_box(1.0, 0.5, 0.25),
        camera_from_object=random_similarity(1),
        quality=Quality(),
        provenance=Provenance(backend="test"),
        volume_m3=0.125,
    )
    baked = reconstruction.baked()
    assert baked.camera_from_object.scale == 1.0
    assert baked.volume_m3 == pytest.approx(volume_m3(baked.mesh_object), rel=1e-5)
    np.testing.assert_allclose(
        baked.camera_from_object.apply(baked.mesh_object.vertices),
        reconstruction.camera_from_object.apply(reconstruction.mesh_object.vertices),
        atol=1e-6,
    )


@pytest.mark.parametrize("margin_px", [0, 1, 5])
def test_the_window_of_a_mask_holds_all_of_it_and_a_margin_within_the_image(
    margin_px: int,
) -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3, 27] = mask[8, 11] = True
    assert window_of(mask, margin_px) == (
        slice(max(0, 3 - margin_px), 9 + margin_px),
        slice(11 - margin_px, min(30, 28 + margin_px)),
    )


def test_the_window_of_an_empty_mask_is_the_whole_image() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    assert mask[window_of(mask, 2)].shape == (20, 30)


def test_a_mask_of_another_size_than_the_image_is_refused(vga: Camera) -> None:
    mask = InstanceMask(instance_id=3, mask=np.zeros((240, 320), dtype=bool))
    with pytest.raises(ShapeError, match=r"mask 3 must have shape \(480, 640\), got \(240, 320\)"):
        Frame(rgb=np.zeros((480, 640, 3), dtype=np.uint8), camera=vga, masks=(mask,))


@pytest.mark.parametrize(
    ("shape", "spec", "fits"),
    [
        ((4, 3), "N 3", True),
        ((4, 4), "N N", True),
        ((4, 5), "N N", False),
        ((2, 2, 4, 3), "... N 3", True),
        ((3,), "... N 3", False),
        ((4, 2), "N 3", False),
        ((1, 4, 3), "N 3", False),
    ],
)
def test_the_shape_grammar(shape: tuple[int, ...], spec: str, fits: bool) -> None:
    array = np.zeros(shape)
    if fits:
        check_shape(array, spec, "array")
    else:
        with pytest.raises(ShapeError, match="array must have shape"):
            check_shape(array, spec, "array")
