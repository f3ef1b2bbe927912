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

"""The flow solver, without any model: times, guidance and Euler steps from noise to data.

A flow runs from noise at time 0 to data at time 1; models count time in thousandths.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch

from sam3d_ros.errors import CancelledError, ConfigError
from sam3d_ros.protocols import Cancelled, never

TIME_SCALE = 1000.0  # of the times that models get


class FlowState(Protocol):
    """What a flow carries: anything that adds and scales as a vector, such as a tensor."""

    def __add__(self, other: Self, /) -> Self:
        """Return the sum."""
        ...

    def __mul__(self, factor: float, /) -> Self:
        """Return the product with a number."""
        ...


StateT = TypeVar("StateT", bound=FlowState)
Progress = Callable[[int, int], None]  # steps done, steps in total


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowConfig:
    """How to run a flow; the defaults are those of the released geometry model."""

    num_steps: int = 25
    strength: float = 7.0  # of guidance; 0 for none
    interval: tuple[float, float] = (0.0, 500.0)  # times with guidance, thousandths, both included
    rescale: float = 3.0  # above 1: more steps near the noise
    shortcut: bool = False  # tell the model the size of its steps, which makes few steps enough

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ConfigError(f"num_steps must be at least 1, got {self.num_steps}")
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ConfigError(
                f"strength must be a number >= 0, got {self.strength}; 0 switches guidance off"
            )
        low, high = self.interval
        if not 0 <= low <= high <= TIME_SCALE:
            raise ConfigError(
                f"interval must be (low, high) with 0 <= low <= high <= {TIME_SCALE:g}, got "
                f"{self.interval}; times are counted in thousandths of the flow"
            )
        if not (math.isfinite(self.rescale) and self.rescale > 0):
            raise ConfigError(
                f"rescale must be a number > 0, got {self.rescale}; 1 spaces the steps evenly"
            )

    @classmethod
    def with_shortcut(cls, num_steps: int) -> Self:
        """Return the settings of a run in few steps: 1, 2 or 4.

        Without guidance: the released model has it learned in for such steps.
        """
        return cls(num_steps=num_steps, strength=0.0, shortcut=True)

    @property
    def step_size(self) -> float:
        """What a model with step sizes is told, in thousandths of the flow.

        The same for all steps, although rescaled ones differ: so the released model was used.
        """
        return TIME_SCALE / self.num_steps if self.shortcut else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStep:
    """One Euler step."""

    index: int
    time: float  # at its beginning, thousandths, rounded to float32 as models get it
    size: float  # 1 for the whole flow
    strength: float  # of guidance


def time_grid(config: FlowConfig, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return the times ``(num_steps + 1,)`` from 0 to 1 between which to step."""
    even = torch.arange(config.num_steps + 1, dtype=dtype) / config.num_steps
    return even / (1 + (config.rescale - 1) * (1 - even))


def schedule(config: FlowConfig, dtype: torch.dtype = torch.float64) -> tuple[FlowStep, ...]:
    """Return the steps of a flow whose times are computed in ``dtype``.

    Guidance goes by times rounded to float32: one that is an end of the interval but for an error
    in the last place of float64 is within.
    """
    times, (low, high) = time_grid(config, dtype), config.interval
    starts, sizes = (TIME_SCALE * times[:-1]).float().tolist(), times.diff().tolist()
    return tuple(
        FlowStep(
            index=index,
            time=time,
            size=size,
            strength=config.strength if low <= time <= high else 0.0,
        )
        for index, (time, size) in enumerate(zip(starts, sizes, strict=True))
    )


def guided(conditional: StateT, unconditional: StateT, strength: float) -> StateT:
    """Push a velocity away from the one without condition: ``(1 + s) c - s u``."""
    return conditional * (1.0 + strength) + unconditional * -strength


def unheard(done: int, total: int) -> None:
    """Take progress for callers that do not want it."""


def integrate(
    velocity: Callable[[StateT, FlowStep], StateT],
    x: StateT,
    steps: Sequence[FlowStep],
    cancelled: Cancelled = never,
    progress: Progress = unheard,
) -> StateT:
    """Carry ``x`` along ``velocity`` with Euler steps.

    Both callbacks are called between steps. Nothing waits for a device here: on a GPU they tell
    and stop what is queued, which runs ahead of what is done.

    Raises:
        CancelledError: When ``cancelled`` answered true before a step.
    """
    for done, step in enumerate(steps):
        if cancelled():
            raise CancelledError(f"stopped after {done} of {len(steps)} flow steps")
        x = x + velocity(x, step) * step.size
        progress(done + 1, len(steps))
    return x
