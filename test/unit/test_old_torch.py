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

"""Normalisation where torch is too old to bring it."""

import pytest
import torch
from torch import nn

from sam3d_ros.nn.norms import RMS_EPS, rms_scaled


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_vectors_are_scaled_as_torch_scales_them(dtype: torch.dtype, tolerance: float) -> None:
    vectors = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(4)).to(dtype)
    ours, torchs = rms_scaled(vectors), nn.functional.rms_norm(vectors, (16,), eps=RMS_EPS)
    assert ours.dtype == dtype
    assert torch.allclose(ours, torchs, atol=tolerance, rtol=tolerance)
    lengths = ours.float().norm(dim=-1)
    assert torch.allclose(lengths, torch.full_like(lengths, 4.0), rtol=max(tolerance, 1e-4))
