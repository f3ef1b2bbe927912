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


"""Attention among the voxels of one object, or of one window of it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.nn.sparse.voxels import Voxels
from sam3d_ros.nn.sparse.windows import WindowBatch, Windows


def full_attention(qkv: Tensor, voxels: Voxels) -> Tensor:
    """Let every voxel read from all voxels of its object.

    Args:
        qkv: Queries, keys and values ``(N, 3, H, D)``.
        voxels: The N voxels.

    Returns:
        ``(N, H, D)``.
    """
    return torch.cat([_attend(each[None])[0] for each in torch.split(qkv, list(voxels.sizes))])


def window_attention(qkv: Tensor, windows: Windows) -> Tensor:
    """Let every voxel read from all voxels of its window.

    Args:
        qkv: Queries, keys and values ``(N, 3, H, D)``.
        windows: Of the N voxels.

    Returns:
        ``(N, H, D)``.
    """
    if not windows.batches:
        return qkv[:, 0]
    read = [_attend_in_windows(qkv, batch) for batch in windows.batches]
    return torch.cat(read).index_select(0, windows.positions)


def _attend_in_windows(qkv: Tensor, batch: WindowBatch) -> Tensor:
    """Return what the voxels of windows read, and what padding reads: ``(W * L, H, D)``."""
    gathered = qkv.index_select(0, batch.rows.flatten())
    windows = gathered.view(*batch.rows.shape, *qkv.shape[1:])
    return _attend(windows, batch.present).flatten(0, 1)


def _attend(qkv: Tensor, present: Tensor | None = None) -> Tensor:
    """Map ``(B, L, 3, H, D)`` to ``(B, L, H, D)``; keys are those that are present."""
    q, k, v = qkv.transpose(1, 3).unbind(2)  # each (B, H, L, D)
    mask = None if present is None else present[:, None, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
