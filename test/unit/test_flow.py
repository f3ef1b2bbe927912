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

"""The flow solver, whatever flows."""

import pytest
import torch
from torch import Tensor

from sam3d_ros.errors import CancelledError, ConfigError
from sam3d_ros.nn.flow import (
    TIME_SCALE,
    FlowConfig,
    FlowStep,
    guided,
    integrate,
    schedule,
    time_grid,
)

RELEASED_REFINEMENT = FlowConfig(strength=1.0, rescale=1.0)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 25])
@pytest.mark.parametrize("rescale", [0.5, 1.0, 3.0])
def test_a_constant_velocity_leads_exactly_to_the_target(num_steps: int, rescale: float) -> None:
    start = torch.linspace(-3.0, 3.0, 10, dtype=torch.float64)
    target = start.flip(0).exp()
    flow = FlowConfig(num_steps=num_steps, rescale=rescale)

    end = integrate(lambda x, step: target - start, start, schedule(flow))

    torch.testing.assert_close(end, target, atol=0, rtol=1e-13)


@pytest.mark.parametrize("num_steps", [1, 2, 4, 25, 100])
def test_who_always_knows_the_data_reaches_it_in_any_number_of_steps(num_steps: int) -> None:
    noise = torch.linspace(-3.0, 3.0, 10, dtype=torch.float64)
    data = noise.flip(0).exp()

    def velocity(x: Tensor, step: FlowStep) -> Tensor:
        return (data - x) / (1.0 - step.time / TIME_SCALE)

    end = integrate(velocity, noise, schedule(FlowConfig(num_steps=num_steps)))

    torch.testing.assert_close(end, data, atol=0, rtol=1e-5)  # of times in float32


def test_smaller_steps_come_closer_to_the_solution() -> None:
    errors = []
    for num_steps in (10, 20, 40):
        flow = FlowConfig(num_steps=num_steps, rescale=1.0)
        end = integrate(lambda x, step: x, torch.ones(1, dtype=torch.float64), schedule(flow))
        errors.append(abs(end.item() - torch.e))

    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.15)
    assert errors[1] / errors[2] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("rescale", [0.5, 1.0, 3.0])
def test_times_run_from_noise_to_data(rescale: float) -> None:
    times = time_grid(FlowConfig(num_steps=10, rescale=rescale))

    assert times[0] == 0
    assert times[-1] == 1
    assert (times.diff() > 0).all()
    assert (times[5] < 0.5, times[5] > 0.5) == (rescale > 1, rescale < 1)


def test_steps_are_what_lies_between_the_times() -> None:
    steps = schedule(FlowConfig(num_steps=4))

    times = [0.0, 1000 / 10, 250.0, 500.0]  # u / (3 - 2 u) for quarters u
    assert [step.time for step in steps] == pytest.approx(times)
    assert [step.size for step in steps] == pytest.approx([0.1, 0.15, 0.25, 0.5])
    assert [step.index for step in steps] == [0, 1, 2, 3]


def test_both_ends_of_the_interval_are_guided() -> None:
    steps = schedule(FlowConfig(num_steps=4, interval=(100.0, 250.0), strength=2.0))

    assert [step.strength for step in steps] == [0.0, 2.0, 2.0, 0.0]


@pytest.mark.parametrize(("num_steps", "rescale"), [(3, 2.0), (5, 4.0), (6, 5.0)])
def test_an_end_of_the_interval_is_guided_though_its_time_has_a_rounding_error(
    num_steps: int, rescale: float
) -> None:
    flow = FlowConfig(num_steps=num_steps, rescale=rescale, interval=(500.0, 500.0))
    assert (time_grid(flow)[:-1] != 0.5).all()

    steps = schedule(flow)

    assert [step.time for step in steps if step.strength] == [500.0]


@pytest.mark.parametrize(
    ("flow", "dtype", "expected"),
    [(FlowConfig(), torch.float64, 19), (RELEASED_REFINEMENT, torch.float32, 13)],
)
def test_the_released_settings_guide_as_many_steps_as_the_reference(
    flow: FlowConfig, dtype: torch.dtype, expected: int
) -> None:
    guided_steps = [step.index for step in schedule(flow, dtype) if step.strength]

    assert guided_steps == list(range(expected))


def test_guidance_extrapolates_beyond_the_condition() -> None:
    c, u = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 4.0])

    torch.testing.assert_close(guided(c, u, 7.0), 8.0 * c - 7.0 * u)
    torch.testing.assert_close(guided(c, u, 0.0), c)


def test_only_shortcuts_tell_the_size_of_a_step() -> None:
    assert FlowConfig().step_size == 0.0
    assert FlowConfig.with_shortcut(4).step_size == 250.0
    assert not any(step.strength for step in schedule(FlowConfig.with_shortcut(4)))


def test_progress_is_told_after_every_step() -> None:
    told: list[tuple[int, int]] = []
    steps = schedule(FlowConfig(num_steps=3))

    integrate(lambda x, step: x, torch.ones(1), steps, progress=lambda *now: told.append(now))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_cancelled_flow_takes_no_further_step() -> None:
    taken: list[int] = []

    def velocity(x: Tensor, step: FlowStep) -> Tensor:
        taken.append(step.index)
        return x

    steps = schedule(FlowConfig(num_steps=5))
    with pytest.raises(CancelledError, match="stopped after 2 of 5 flow steps"):
        integrate(velocity, torch.ones(1), steps, cancelled=lambda: len(taken) == 2)
    assert taken == [0, 1]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"strength": -1.0}, "0 switches guidance off"),
        ({"strength": float("nan")}, "strength must be a number"),
        ({"interval": (500.0, 0.0)}, "interval must be"),
        ({"interval": (0.0, 1.5e3)}, "thousandths of the flow"),
        ({"rescale": 0.0}, "1 spaces the steps evenly"),
        ({"rescale": float("inf")}, "rescale must be a number > 0"),
    ],
)
def test_impossible_settings_are_refused_with_a_way_out(settings: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        FlowConfig(**settings)
