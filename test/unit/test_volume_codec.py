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

"""Distances as latents and back, and the surface that is drawn from them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sam3d_ros.errors import ConfigError, DecodingError
from sam3d_ros.geometry.measures import bounds, is_watertight, volume_m3
from sam3d_ros.objects.volume.codec import (
    LinearCodec,
    blocks_of,
    fit_codec,
    fit_trust,
    volume_of,
)
from sam3d_ros.objects.volume.features import voxel_middles
from sam3d_ros.objects.volume.random_weights import random_solids
from sam3d_ros.objects.volume.surface import THINNED, mesh_of
from sam3d_ros.objects.volume.view import TRUNCATION
from sam3d_ros.structures import Floats

SIZE = 32


def solids(num: int, seed: int) -> Tensor:
    return random_solids(num, SIZE, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def codec() -> LinearCodec:
    fitted = LinearCodec(8, 64)
    fit_codec(fitted, solids(40, 0))
    return fitted


def ball(radius: float, middle: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Floats:
    points = voxel_middles(SIZE, torch.device("cpu")) - torch.tensor(middle)
    distance = ((points.norm(dim=1) - radius) / TRUNCATION).clamp(-1.0, 1.0)
    return distance.reshape((SIZE,) * 3).numpy()


def test_blocks_put_together_are_the_volume() -> None:
    volume = torch.arange(2 * 16**3).reshape(2, 16, 16, 16)
    blocks = blocks_of(volume, 8)
    assert blocks.shape == (2, 8, 512)
    assert torch.equal(blocks[1, 5, :8], volume[1, 8, 0, 8:16])  # block (1, 0, 1)
    assert torch.equal(volume_of(blocks, 8), volume)


def test_shapes_that_it_was_not_fitted_to_come_back(codec: LinearCodec) -> None:
    distance = solids(8, 1)
    back = codec.decode(codec.encode(distance))
    same = (back < 0) & (distance < 0)
    either = (back < 0) | (distance < 0)
    iou = same.flatten(1).sum(dim=1) / either.flatten(1).sum(dim=1)
    assert float(iou.median()) > 0.97


def test_empty_space_is_zero_and_zero_is_empty_space(codec: LinearCodec) -> None:
    empty = torch.ones(1, SIZE, SIZE, SIZE)
    assert codec.encode(empty).abs().max() < 1e-5
    torch.testing.assert_close(codec.decode(codec.encode(empty)), empty)


def test_latents_of_blocks_that_vary_are_white(codec: LinearCodec) -> None:
    distance = solids(40, 0)
    latent = codec.encode(distance).flatten(0, 1)
    low, high = blocks_of(distance, 8).flatten(0, 1).aminmax(dim=1)
    white = latent[high - low > 1e-3]
    covariance = white.T @ white / len(white)
    torch.testing.assert_close(covariance, torch.eye(64), atol=1e-2, rtol=0)


def test_fitting_again_gives_the_same_codec(codec: LinearCodec) -> None:
    again = LinearCodec(8, 64)
    fit_codec(again, solids(40, 0))
    assert torch.equal(again.components, codec.components)


def test_too_few_shapes_to_fit_to_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least as many blocks that vary, got 0"):
        fit_codec(LinearCodec(8, 4), torch.ones(1, SIZE, SIZE, SIZE))


def test_a_guess_that_is_wrong_along_a_component_is_not_trusted_there(codec: LinearCodec) -> None:
    fitted = LinearCodec(8, 64)
    fitted.load_state_dict(codec.state_dict())
    true = solids(8, 2)
    latent = codec.encode(true)
    fit_trust(fitted, true, true)
    torch.testing.assert_close(fitted.trust, torch.ones(64))
    latent[..., 3] *= -1.0
    fit_trust(fitted, codec.decode(latent), true)
    assert fitted.trust[3] == 0.0
    assert fitted.trust[0] > 0.9


def test_a_ball_is_a_closed_mesh_of_its_size_in_its_place() -> None:
    mesh, notes = mesh_of(ball(0.25, (0.05, 0.0, -0.1)))
    assert notes == ()
    assert is_watertight(mesh)
    np.testing.assert_allclose(bounds(mesh).mean(axis=0), (0.05, 0.0, -0.1), atol=2e-3)
    assert volume_m3(mesh) == pytest.approx(4 / 3 * np.pi * 0.25**3, rel=0.03)


def test_only_the_largest_part_stays_and_its_cavities_are_filled() -> None:
    shell = np.maximum(ball(0.3), -ball(0.15))
    both = np.minimum(shell, ball(0.05, (0.43, 0.43, 0.43)))
    mesh, _ = mesh_of(both)
    assert is_watertight(mesh)
    assert np.abs(bounds(mesh)).max() < 0.32
    assert volume_m3(mesh) == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.03)


def test_what_reaches_the_border_of_the_box_is_closed_there() -> None:
    mesh, _ = mesh_of(ball(0.3, (0.4, 0.0, 0.0)))
    assert is_watertight(mesh)
    assert bounds(mesh)[1, 0] == pytest.approx(0.5, abs=0.03)


def test_a_wall_that_the_model_is_unsure_of_is_made_thicker() -> None:
    points = voxel_middles(SIZE, torch.device("cpu"))
    off = (points.norm(dim=1) - 0.3).abs()
    unsure = (0.1 + 0.4 * off / TRUNCATION).clamp(max=1.0).reshape((SIZE,) * 3).numpy()
    mesh, notes = mesh_of(unsure)
    assert notes == (THINNED,)
    assert is_watertight(mesh)


def test_fragments_are_an_error_never_a_mesh() -> None:
    places = [(x, y, 0.0) for x in (-0.3, 0.0, 0.3) for y in (-0.3, 0.0, 0.3)]
    fragments = np.min([ball(0.08, place) for place in places], axis=0)
    with pytest.raises(DecodingError, match=r"in one part, the largest has 1\d%"):
        mesh_of(fragments)
    with pytest.raises(DecodingError, match="in one part, the largest has 0%"):
        mesh_of(np.ones((SIZE,) * 3, dtype=np.float32))
