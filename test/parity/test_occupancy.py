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

"""Occupancy and its voxels agree with the reference; the full-size decoder with its checkpoint."""

from collections.abc import Callable

import pytest
import torch
from fixtures import Golden
from torch import Tensor

from sam3d_ros.objects.architecture import OccupancyConfig
from sam3d_ros.objects.occupancy import OccupancyDecoder
from sam3d_ros.objects.voxels import halved, occupied_coords, surface_of


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Golden]) -> Golden:
    return golden("ss_decoder")


@pytest.fixture(scope="module")
def occupied(recorded: Golden) -> Tensor:
    """Return what the recorded logits occupy, so that none of ours near zero matters."""
    return recorded.outputs["logits"][:, 0] > 0


@torch.inference_mode()
def test_logits_agree(recorded: Golden) -> None:
    config = OccupancyConfig(
        latent_channels=recorded.config["latent_channels"],
        channels=tuple(recorded.config["channels"]),
        num_res_blocks=recorded.config["num_res_blocks"],
        num_middle_blocks=recorded.config["num_res_blocks_middle"],
    )
    decoder = OccupancyDecoder(config)
    decoder.load_state_dict(recorded.weights)

    logits = decoder(recorded.inputs["latent_tokens"])

    recorded.close(logits[:, None], "logits")


def test_occupied_voxels_agree_in_their_order(recorded: Golden, occupied: Tensor) -> None:
    recorded.close(occupied_coords(occupied), "coords")


def test_the_surface_agrees(recorded: Golden, occupied: Tensor) -> None:
    recorded.close(occupied_coords(surface_of(occupied)), "coords_pruned")


def test_the_surface_of_a_solid_agrees(recorded: Golden) -> None:
    solid = grid_of(recorded.inputs["solid_coords"])

    recorded.close(occupied_coords(surface_of(solid)), "solid_pruned")


@pytest.mark.parametrize(
    ("voxels", "expected", "factor", "limit"),
    [
        ("coords", "coords_downsampled", "downsample_factor", "downsample_max_coords_a"),
        (
            "solid_coords",
            "solid_downsampled",
            "solid_downsample_factor",
            "downsample_max_coords_solid",
        ),
    ],
)
def test_too_many_voxels_are_halved_alike(
    recorded: Golden, voxels: str, expected: str, factor: str, limit: str
) -> None:
    coords, max_voxels = (recorded.inputs | recorded.outputs)[voxels], recorded.config[limit]
    too_many = len(coords) > max_voxels

    fewer = halved(coords) if too_many else coords

    recorded.close(torch.tensor(2 if too_many else 1), factor)
    if len(fewer) <= max_voxels:
        recorded.close(fewer, expected)
    else:  # the reference takes some at random, where we would halve again
        chosen = recorded.outputs[expected]
        assert len(chosen) == max_voxels
        assert {*map(tuple, chosen.tolist())} <= {*map(tuple, fewer.tolist())}


def test_the_full_size_decoder_holds_the_tensors_of_its_checkpoint(
    manifest: Callable[..., dict[str, tuple[int, ...]]],
) -> None:
    with torch.device("meta"):
        decoder = OccupancyDecoder(OccupancyConfig())

    shapes = {name: tuple(tensor.shape) for name, tensor in decoder.state_dict().items()}
    assert shapes == manifest("ss_decoder")


def grid_of(coords: Tensor) -> Tensor:
    occupied = torch.zeros(tuple(coords.amax(dim=0) + 1), dtype=torch.bool)
    occupied[tuple(coords.long().T)] = True
    return occupied
