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


"""How much memory of a device models may take, and what is said where it does not suffice."""

import gc
import logging
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sam3d_ros.config import ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError, OutOfMemoryError
from sam3d_ros.nn.devices import dtype_named, limit_memory, within_memory
from sam3d_ros.objects import loading
from sam3d_ros.objects.random_weights import write_random_weights

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def fractions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.device]]:
    """Stand in for a GPU of 16 GB; return what torch is told about it."""
    told: list[tuple[float, torch.device]] = []
    properties = SimpleNamespace(total_memory=16_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(
        torch.cuda,
        "set_per_process_memory_fraction",
        lambda fraction, device: told.append((fraction, device)),
    )
    return told


def test_a_limit_is_a_share_of_what_the_gpu_has(
    fractions: list[tuple[float, torch.device]],
) -> None:
    limit_memory(GPU, 4.0)
    limit_memory(GPU, 80.0)
    assert fractions == [(0.25, GPU), (1.0, GPU)]


def test_no_limit_leaves_alone_what_others_have_set(
    fractions: list[tuple[float, torch.device]],
) -> None:
    limit_memory(GPU, 0.0)
    assert fractions == []


def test_on_a_cpu_a_limit_is_said_to_have_no_effect(
    fractions: list[tuple[float, torch.device]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sam3d_ros.nn.devices")
    limit_memory(CPU, 0.0)
    assert not caplog.text
    limit_memory(CPU, 4.0)
    assert "gpu_memory_limit_gb has no effect: models run on cpu" in caplog.text
    assert fractions == []


@pytest.mark.parametrize("limit", [-1.0, 1000.0])
def test_a_limit_out_of_range_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="gpu_memory_limit_gb must be within"):
        SceneConfig(gpu_memory_limit_gb=limit)


def test_an_error_of_memory_holds_nothing_of_what_was_allocated() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def greedy() -> None:
        tensor = torch.zeros(10)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried.\nMore text.")

    with pytest.raises(OutOfMemoryError, match=r"cpu has too little memory for a test: .* Tried"):
        within_memory(greedy, CPU, "a test")
    gc.collect()
    assert held[0]() is None


def test_an_error_of_a_gpu_says_how_much_was_taken_and_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (200_000_000, 8_000_000_000))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 7_500_000_000)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    def greedy() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemoryError, match="peak 7500 MB, free 200 of 8000 MB"):
        within_memory(greedy, torch.device("cuda:0"), "a test")


def test_what_is_no_lack_of_memory_passes() -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        within_memory(broken, CPU, "a test")


def test_weights_larger_than_the_limit_are_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(loading, "load_geometry_stage", load)
    config = SceneConfig(
        device="cpu",
        objects=ObjectsConfig(mesh_detail="fast"),
        weights=WeightsConfig(objects=str(write_random_weights(tmp_path))),
    )
    with pytest.raises(OutOfMemoryError, match=r"for the weights: .* raise gpu_memory_limit_gb"):
        loading.load_stages(config, splats=False)


@pytest.mark.parametrize(
    ("device", "has_bf16", "expected"),
    [
        (GPU, True, torch.bfloat16),
        (GPU, False, torch.float32),
        (CPU, True, torch.float32),
        (CPU, False, torch.float32),
    ],
)
def test_auto_is_half_precision_on_gpus_that_have_it(
    device: torch.device, has_bf16: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    assert dtype_named("auto", device) == expected


@pytest.mark.parametrize("has_bf16", [True, False])
@pytest.mark.parametrize(
    ("name", "expected"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_precision_that_is_named_is_taken(
    name: str, expected: torch.dtype, has_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    assert dtype_named(name, GPU) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [("fp16", "needs a GPU, device is cpu"), ("half", "must be one of auto, fp32")],
)
def test_a_precision_that_cannot_be_had_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        dtype_named(name, CPU)
