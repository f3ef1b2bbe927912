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

"""The occupancy decoder keeps its axes, its batch and its numbers in every precision."""

import pytest
import torch

from sam3d_ros.objects.architecture import OccupancyConfig
from sam3d_ros.objects.occupancy import OccupancyDecoder, Upsampling

SMALL = OccupancyConfig(latent_channels=3, channels=(8, 6, 4), num_res_blocks=1)


@pytest.fixture(scope="module")
def decoder() -> OccupancyDecoder:
    torch.manual_seed(0)
    return OccupancyDecoder(SMALL).eval()


def tokens(batch: int = 1, resolution: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, resolution**3, SMALL.latent_channels, generator=generator)


def test_a_batch_is_decoded_one_by_one(decoder: OccupancyDecoder) -> None:
    with torch.inference_mode():
        together = decoder(tokens(batch=3))
        alone = torch.cat([decoder(one[None]) for one in tokens(batch=3)])

    assert together.shape == (3, 16, 16, 16)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_token_reaches_only_voxels_near_its_place(decoder: OccupancyDecoder) -> None:
    resolution = 16
    place = torch.tensor([2, 8, 13])
    changed = tokens(resolution=resolution)
    changed[0, (place[0] * resolution + place[1]) * resolution + place[2]] += 5.0

    with torch.inference_mode():
        difference = decoder(changed) - decoder(tokens(resolution=resolution))

    reached = (difference.abs() > 0.2 * difference.abs().max()).nonzero()[:, 1:].float()
    assert (reached.mean(dim=0) / 4 - place - 0.5).abs().max() < 1.5


def test_eight_channels_become_the_eight_finer_voxels_in_order() -> None:
    upsampling = Upsampling(1, 2)
    with torch.no_grad():
        upsampling.conv.weight.zero_()
        upsampling.conv.bias.copy_(torch.arange(16.0))
        fine = upsampling(torch.zeros(1, 1, 2, 2, 2))

    assert fine.shape == (1, 2, 4, 4, 4)
    for channel in range(2):
        block = fine[0, channel, 2:, :2, 2:]  # of voxel (1, 0, 1)
        assert block.flatten().tolist() == [8.0 * channel + part for part in range(8)]


@pytest.mark.parametrize(
    ("dtype", "share"), [(torch.bfloat16, 0.1), (torch.float16, 0.01)], ids=str
)
def test_half_precision_comes_near_to_float32(
    decoder: OccupancyDecoder, dtype: torch.dtype, share: float
) -> None:
    half = OccupancyDecoder(SMALL).to(dtype)
    half.load_state_dict(decoder.state_dict())

    with torch.inference_mode():
        exact, rounded = decoder(tokens()), half(tokens())

    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < share * exact.abs().max()
