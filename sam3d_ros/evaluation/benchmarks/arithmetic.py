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

"""How many floating point operations the parts of SAM 3D Objects take, from their sizes alone.

A multiplication and the addition that follows it count as two. Matrix products, attention and
convolutions count; norms, activations and sums do not. All figures are for one object.
"""

from sam3d_ros.nn.embeddings import NUM_TIME_FREQUENCIES
from sam3d_ros.nn.flow import FlowConfig, schedule
from sam3d_ros.nn.vit import VitConfig
from sam3d_ros.objects.architecture import (
    ConditionConfig,
    GeometryConfig,
    OccupancyConfig,
    PointPatchConfig,
)
from sam3d_ros.objects.occupancy import UPSAMPLING
from sam3d_ros.objects.streams import LAYOUT

TAPS = 27  # of a 3 x 3 x 3 convolution


def linear_flop(num_tokens: int, in_dim: int, out_dim: int) -> int:
    """Count a linear layer."""
    return 2 * num_tokens * in_dim * out_dim


def attention_flop(num_queries: int, num_keys: int, dim: int) -> int:
    """Count attention itself, all heads together: the scores and the means."""
    return 4 * num_queries * num_keys * dim


def encoder_flop(config: VitConfig) -> int:
    """Count the image encoder, for one image."""
    dim, num_patches = config.dim, config.grid_size**2
    num_tokens = 1 + config.num_registers + num_patches
    block = (
        linear_flop(num_tokens, dim, 4 * dim)  # queries, keys, values; output
        + attention_flop(num_tokens, num_tokens, dim)
        + 2 * linear_flop(num_tokens, dim, int(config.mlp_ratio * dim))
    )
    return linear_flop(num_patches, 3 * config.patch_size**2, dim) + config.depth * block


def point_patch_flop(config: PointPatchConfig) -> int:
    """Count the embedder of point maps, for one map; only a window's first token is a query."""
    dim, num_windows = config.dim, config.grid_size**2
    num_tokens = 1 + config.patch_size**2
    window = (
        linear_flop(num_tokens, dim, 2 * dim)  # keys and values
        + linear_flop(1, dim, 2 * dim)  # the query; output
        + attention_flop(1, num_tokens, dim)
        + 2 * linear_flop(1, dim, int(config.mlp_ratio * dim))
    )
    return linear_flop(config.input_size**2, 3, dim) + num_windows * window


def projection_flop(config: ConditionConfig) -> int:
    """Count the gated projections of all tokens."""
    hidden, width = config.hidden_dim, config.width
    sizes = zip(config.tokens_per_view, config.embedder_dims, strict=True)
    return sum(
        2 * (linear_flop(num, dim, 2 * hidden) + linear_flop(num, hidden, width))
        for num, dim in sizes
    )


def condition_flop(config: ConditionConfig) -> int:
    """Count the condition embedder: two views of image, mask and point map."""
    points = 0 if config.point_patch is None else 2 * point_patch_flop(config.point_patch)
    return 4 * encoder_flop(config.encoder) + points + projection_flop(config)


def unconditional_flop(config: GeometryConfig) -> int:
    """Count a velocity of the geometry model without condition: no cross-attention is left."""
    dim, num_shape, num_layout = config.dim, config.resolution**3, len(LAYOUT)
    num_tokens = num_shape + num_layout
    block = (
        linear_flop(num_tokens, dim, 4 * dim)  # queries, keys, values; output
        + attention_flop(num_shape, num_shape, dim)
        + attention_flop(num_layout, num_tokens, dim)
        + 2 * linear_flop(num_tokens, dim, int(config.mlp_ratio * dim))
    )
    channels = num_shape * config.shape_channels + 6 + 3 + 3 + 1  # of all latents
    return config.num_blocks * block + 2 * linear_flop(1, channels, dim)


def conditional_flop(config: GeometryConfig, num_condition: int) -> int:
    """Count a velocity given prepared keys and values of ``num_condition`` tokens."""
    dim, num_tokens = config.dim, config.resolution**3 + len(LAYOUT)
    queries = linear_flop(num_tokens, dim, 2 * dim)  # and output
    block = queries + attention_flop(num_tokens, num_condition, dim)
    return unconditional_flop(config) + config.num_blocks * block


def context_flop(config: GeometryConfig, num_condition: int) -> int:
    """Count preparing keys and values for both streams, and what stands for no condition."""
    keys_values = linear_flop(num_condition, config.condition_dim, 2 * config.dim)
    return config.num_blocks * 2 * (keys_values + linear_flop(1, config.dim, config.dim))


def modulation_flop(config: GeometryConfig, num_times: int) -> int:
    """Count preparing the modulation at ``num_times`` times and for one size of steps."""
    dim = config.dim
    embedding = linear_flop(1, 2 * NUM_TIME_FREQUENCIES, dim) + linear_flop(1, dim, dim)
    blocks = config.num_blocks * linear_flop(num_times, dim, 6 * dim)
    return (num_times + 1) * embedding + blocks


def reference_flop(config: GeometryConfig, num_condition: int) -> int:
    """Count a velocity with everything computed on the spot; without condition it is the same."""
    prepared = context_flop(config, num_condition) + modulation_flop(config, 1)
    return conditional_flop(config, num_condition) + prepared


def sampling_flop(config: GeometryConfig, num_condition: int, flow: FlowConfig) -> int:
    """Count a run of the flow with all that no step changes prepared once."""
    num_guided = sum(step.strength > 0 for step in schedule(flow))
    return (
        context_flop(config, num_condition)
        + config.num_blocks * 2 * linear_flop(1, config.dim, config.dim)
        + modulation_flop(config, flow.num_steps)
        + flow.num_steps * conditional_flop(config, num_condition)
        + num_guided * unconditional_flop(config)
    )


def reference_sampling_flop(config: GeometryConfig, num_condition: int, flow: FlowConfig) -> int:
    """Count a run of the flow with everything computed at every step."""
    num_guided = sum(step.strength > 0 for step in schedule(flow))
    return (flow.num_steps + num_guided) * reference_flop(config, num_condition)


def occupancy_flop(config: OccupancyConfig, resolution: int) -> int:
    """Count the occupancy decoder of a shape latent of ``resolution``^3 tokens."""
    first, last = config.channels[0], config.channels[-1]
    total = _convolution_flop(resolution, config.latent_channels, first)
    total += 2 * config.num_middle_blocks * _convolution_flop(resolution, first, first)
    before = 0
    for channels in config.channels:
        if before:
            total += _convolution_flop(resolution, before, channels * UPSAMPLING**3)
            resolution *= UPSAMPLING
        total += 2 * config.num_res_blocks * _convolution_flop(resolution, channels, channels)
        before = channels
    return total + _convolution_flop(resolution, last, 1)


def _convolution_flop(resolution: int, in_channels: int, out_channels: int) -> int:
    return linear_flop(resolution**3, TAPS * in_channels, out_channels)
