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


"""Laws of the refinement model: objects do not mix, order is free, preparing changes nothing."""

import pytest
import torch
from torch import Tensor

from sam3d_ros.errors import CancelledError, ShapeError, VoxelError
from sam3d_ros.nn.flow import FlowConfig, integrate, schedule
from sam3d_ros.nn.sparse.voxels import SparseTensor, Voxels, voxels_of, voxels_of_objects
from sam3d_ros.objects.architecture import GeometryConfig, RefinementConfig
from sam3d_ros.objects.refinement_model import RefinementModel
from sam3d_ros.objects.refinement_sampling import (
    TIMES_DTYPE,
    CachedVelocity,
    ReferenceVelocity,
    initial_noise,
    refinement_flow,
    sample_refinement,
    structured,
)
from sam3d_ros.objects.sampling import initial_noise as geometry_noise

CONFIG = RefinementConfig(
    dim=24, num_blocks=2, num_heads=2, condition_dim=16, resolution=16, io_channels=12
)
SIZES = (60, 1, 35)
FLOW = FlowConfig(num_steps=4, strength=2.0, rescale=1.0)


@pytest.fixture(scope="module")
def model() -> RefinementModel:
    torch.manual_seed(0)
    model = RefinementModel(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return model.eval().requires_grad_(False)


def random_voxels(*sizes: int) -> Voxels:
    generator = torch.Generator().manual_seed(1)
    corner = CONFIG.resolution - 1
    rows = [torch.randint(0, corner, (4 * size, 3), generator=generator) for size in sizes]
    return voxels_of_objects(
        [torch.unique(each, dim=0)[:size].int() for each, size in zip(rows, sizes, strict=True)]
    )


def noise_on(voxels: Voxels) -> SparseTensor:
    generators = [torch.Generator().manual_seed(i) for i in range(voxels.num_objects)]
    return SparseTensor(voxels, initial_noise(CONFIG, voxels.sizes, generators))


def tokens(num_objects: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(num_objects, 7, CONFIG.condition_dim, generator=generator)


@pytest.fixture(scope="module")
def noise() -> SparseTensor:
    return noise_on(random_voxels(*SIZES))


def test_prepared_parts_give_what_everything_on_the_spot_gives(
    model: RefinementModel, noise: SparseTensor
) -> None:
    condition = tokens(len(SIZES))
    prepared = CachedVelocity(model, condition, noise, FLOW)
    on_the_spot = ReferenceVelocity(model, condition, noise.voxels)

    for step in schedule(FLOW, TIMES_DTYPE):
        expected = on_the_spot(noise.feats, step)
        torch.testing.assert_close(prepared(noise.feats, step), expected, atol=1e-4, rtol=1e-4)


def test_objects_of_a_batch_get_what_they_get_alone(
    model: RefinementModel, noise: SparseTensor
) -> None:
    condition = tokens(len(SIZES))

    together = sample_refinement(model, condition, noise, FLOW)

    parts = zip(noise.voxels.objects(), noise.objects(), condition, strict=True)
    for out, (voxels, feats, one) in zip(together.objects(), parts, strict=True):
        alone = sample_refinement(model, one[None], SparseTensor(voxels, feats), FLOW)
        torch.testing.assert_close(out, alone.feats, atol=1e-4, rtol=1e-4)


def test_another_order_of_voxels_gives_the_same_in_that_order(model: RefinementModel) -> None:
    noise = noise_on(random_voxels(80))
    order = torch.randperm(80, generator=torch.Generator().manual_seed(3))
    permuted = SparseTensor(voxels_of(noise.voxels.coords[order]), noise.feats[order])

    expected = sample_refinement(model, tokens(1), noise, FLOW)
    out = sample_refinement(model, tokens(1), permuted, FLOW)

    torch.testing.assert_close(out.feats, expected.feats[order], atol=1e-4, rtol=1e-4)


def test_each_object_may_be_at_its_own_time(model: RefinementModel, noise: SparseTensor) -> None:
    times, condition = torch.tensor([100.0, 500.0, 900.0]), tokens(len(SIZES))

    together = model(noise, times, condition)

    parts = zip(noise.voxels.objects(), noise.objects(), times, condition, strict=True)
    for out, (voxels, feats, time, one) in zip(together.objects(), parts, strict=True):
        alone = model(SparseTensor(voxels, feats), time[None], one[None])
        torch.testing.assert_close(out, alone.feats)


def test_samples_of_one_object_may_share_its_condition(
    model: RefinementModel, noise: SparseTensor
) -> None:
    one = tokens(1)

    shared = sample_refinement(model, one, noise, FLOW)

    repeated = sample_refinement(model, one.expand(len(SIZES), -1, -1), noise, FLOW)
    torch.testing.assert_close(shared.feats, repeated.feats)


def test_guidance_and_condition_matter(model: RefinementModel, noise: SparseTensor) -> None:
    condition = tokens(len(SIZES))
    flows = (refinement_flow(4), refinement_flow(4, strength=0.0))

    outs = [sample_refinement(model, condition, noise, flow).feats for flow in flows]
    other = sample_refinement(model, condition.flip(1) + 1, noise, flows[1]).feats

    assert not torch.allclose(outs[0], outs[1], atol=1e-3)
    assert not torch.allclose(outs[1], other, atol=1e-3)


def test_the_released_flow_guides_the_first_thirteen_of_its_steps() -> None:
    strengths = [step.strength for step in schedule(refinement_flow(), TIMES_DTYPE)]

    assert strengths == [1.0] * 13 + [0.0] * 12


def test_noise_goes_on_where_the_geometry_model_s_ended() -> None:
    shapes = ((1, 6), (1, 3), (64, 8), (1, 3), (1, 1))
    mine, reference = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    for shape in shapes:
        torch.randn(1, *shape, generator=reference)

    geometry_noise(GeometryConfig(resolution=4), [mine])
    drawn = initial_noise(CONFIG, [50], [mine])

    assert torch.equal(drawn, torch.randn(1, 50, 8, generator=reference)[0])


def test_a_seed_s_noise_does_not_depend_on_the_batch() -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    together = initial_noise(CONFIG, [20, 30], generators)

    alone = initial_noise(CONFIG, [30], [torch.Generator().manual_seed(4)])

    assert torch.equal(together[20:], alone)


def test_latents_get_the_range_that_decoders_know(
    model: RefinementModel, noise: SparseTensor
) -> None:
    out = sample_refinement(model, tokens(1), noise, FLOW).feats

    velocity = CachedVelocity(model, tokens(1), noise, FLOW)
    latents = integrate(velocity, noise.feats, schedule(FLOW, TIMES_DTYPE))
    torch.testing.assert_close(out, structured(latents, CONFIG))
    torch.testing.assert_close(
        structured(torch.zeros(1, 8), CONFIG)[0], torch.tensor(CONFIG.latent_mean)
    )


def test_half_precision_is_close_to_single(model: RefinementModel, noise: SparseTensor) -> None:
    expected = sample_refinement(model, tokens(3), noise, FLOW).feats
    half = RefinementModel(CONFIG).bfloat16()
    half.load_state_dict(model.state_dict())

    out = sample_refinement(half, tokens(3), noise, FLOW).feats

    assert out.dtype == torch.float32
    assert (out - expected).norm() < 0.02 * expected.norm()


def test_progress_is_told_and_a_cancelled_run_stops(
    model: RefinementModel, noise: SparseTensor
) -> None:
    told: list[tuple[int, int]] = []

    with pytest.raises(CancelledError, match="after 2 of 4"):
        sample_refinement(
            model, tokens(1), noise, FLOW, lambda: len(told) == 2, lambda *p: told.append(p)
        )

    assert told == [(1, 4), (2, 4)]


def test_objects_without_voxels_are_refused(model: RefinementModel) -> None:
    noise = noise_on(random_voxels(5, 0))

    with pytest.raises(VoxelError, match=r"objects \[1\] of 2 have none"):
        sample_refinement(model, tokens(2), noise, FLOW)


def test_what_does_not_belong_together_is_refused(
    model: RefinementModel, noise: SparseTensor
) -> None:
    with pytest.raises(ShapeError, match="1 object or of 3"):
        sample_refinement(model, tokens(2), noise, FLOW)
    with pytest.raises(ShapeError, match="noise must have shape"):
        sample_refinement(model, tokens(1), noise.replace(noise.feats[:-1]), FLOW)
    with pytest.raises(ShapeError, match="condition must have shape"):
        sample_refinement(model, tokens(1)[..., :-1], noise, FLOW)


def test_all_weights_get_gradients(noise: SparseTensor) -> None:
    torch.manual_seed(0)
    model = RefinementModel(CONFIG)
    x = SparseTensor(noise.voxels, noise.feats.clone().requires_grad_())

    model(x, torch.tensor([300.0]), tokens(3)).feats.square().sum().backward()

    assert x.feats.grad is not None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
