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

"""With ``low_memory`` each stage has its own networks on the device, and only while it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from three_boxes import config_of, made, three_boxes
from torch import nn

from sam3d_ros.errors import DecodingError, Sam3dError
from sam3d_ros.objects import stages as stages_module
from sam3d_ros.objects.loading import LoadedStages, home_of, load_stages
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.structures import Observation

CPU = torch.device("cpu")


@dataclass
class Loans:
    """What is lent now, what was lent together, and what was used without being lent."""

    now: list[nn.Module] = field(default_factory=list)
    groups: list[list[nn.Module]] = field(default_factory=list)
    used: list[nn.Module] = field(default_factory=list)

    @contextmanager
    def lent_to(self, module: nn.Module, device: torch.device) -> Iterator[nn.Module]:
        """Stand in for the real one, whose copies nobody can tell apart on a CPU."""
        assert device == CPU
        if not self.now:
            self.groups.append([])
        self.groups[-1].append(module)
        self.now.append(module)
        try:
            yield module
        finally:
            self.now.remove(module)

    def watch(self, networks: Sequence[nn.Module]) -> None:
        """Let each network say when it is used, and refuse to be where it is not lent."""
        owners: dict[nn.Module, list[nn.Module]] = {}
        for network in networks:
            for part in network.modules():
                owners.setdefault(part, []).append(network)
        for part, of in owners.items():
            part.register_forward_pre_hook(self._checker(of))

    def _checker(self, owners: list[nn.Module]) -> Callable[..., None]:
        def check(*_: object) -> None:
            lent = [owner for owner in owners if owner in self.now]
            assert lent, f"{owners[0]} is used and not on the device"
            self.used.extend(owner for owner in lent if owner not in self.used)

        return check


@pytest.fixture(scope="module")
def observations() -> tuple[Observation, ...]:
    return three_boxes()


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedStages:
    config = replace(config_of(write_random_weights(tmp_path)), low_memory=True)
    return load_stages(config, splats=True)


@pytest.fixture
def loans(monkeypatch: pytest.MonkeyPatch, loaded: LoadedStages) -> Loans:
    found = Loans()
    monkeypatch.setattr(stages_module, "lent_to", found.lent_to)
    found.watch(loaded.modules)
    return found


def lent_by_stage(loaded: LoadedStages) -> list[list[nn.Module]]:
    """Return the networks of each stage, in the order in which stages run."""
    first, second = loaded.first, loaded.second
    assert second is not None
    assert second.splats is not None
    assert second.mesh is not None
    return [
        list(first.embedders),
        [first.geometry],
        list(first.decoders),
        [second.networks.condition],
        [second.networks.refinement],
        [second.splats],
        [second.mesh],
    ]


@pytest.mark.parametrize("low_memory", [True, False])
def test_with_low_memory_weights_wait_on_the_cpu(low_memory: bool, tmp_path: Path) -> None:
    gpu = torch.device("cuda", 0)
    config = replace(config_of(tmp_path), low_memory=low_memory)
    assert home_of(config, gpu) == (CPU if low_memory else gpu)


def test_each_stage_lends_its_own_networks_and_gives_them_back(
    loaded: LoadedStages, loans: Loans, observations: tuple[Observation, ...], tmp_path: Path
) -> None:
    outcomes = Reconstructor(loaded, config_of(tmp_path)).model(observations, [1])

    assert all(made(outcome).splats is not None for outcome in outcomes)
    assert loans.groups == lent_by_stage(loaded)
    assert loans.now == []
    assert {*loans.used} == {*loaded.modules}  # so that the watch above saw all of them


def test_networks_of_a_stage_that_fails_are_given_back_too(
    loaded: LoadedStages,
    loans: Loans,
    observations: tuple[Observation, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise DecodingError("planted")

    monkeypatch.setattr(loaded.first.decoders[0], "forward", broken)
    (outcome,) = Reconstructor(loaded, config_of(tmp_path)).model(observations[:1], [1])

    assert isinstance(outcome, Sam3dError)
    assert loans.groups == lent_by_stage(loaded)[:3]  # later stages have nothing to work on
    assert loans.now == []
