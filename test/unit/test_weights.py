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


"""Reading weights files: what fits is loaded without a second copy, what does not is explained."""

import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sam3d_ros.errors import ReportCode, WeightsError, WeightsMissingError
from sam3d_ros.nn.weights import (
    StoredWeights,
    WeightsPart,
    fit,
    read_weights,
    split,
)

PREFIX = "_base_models.toy."


class Toy(nn.Module):
    """Every kind of tensor that a module can hold."""

    def __init__(self, dim: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(3, dim)
        self.register_buffer("table", torch.zeros(dim))
        self.register_buffer("index", torch.zeros(2, dtype=torch.int64))
        mean = torch.tensor([0.485, 0.456, 0.406], device="cpu")
        self.register_buffer("mean", mean, persistent=False)


class Payload:
    """Pickles to a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self.path), "w")


def toy_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "linear.weight": torch.randn(4, 3, generator=generator),
        "linear.bias": torch.randn(4, generator=generator),
        "table": torch.randn(4, generator=generator),
        "index": torch.tensor([7, 2**40 + 1]),
    }


def saved(path: Path, state: dict[str, Tensor] | None = None) -> Path:
    state = toy_state() if state is None else state
    torch.save({"state_dict": {PREFIX + name: value for name, value in state.items()}}, path)
    return path


def whole(path: Path) -> WeightsPart:
    """Return the part of a file that is the toy's."""
    (part,) = split(read_weights(path), [PREFIX])
    return part


def load_toy(path: Path, dtype: torch.dtype = torch.float32) -> Toy:
    return fit(Toy, whole(path)).load(device="cpu", dtype=dtype)


@pytest.mark.parametrize("container", [None, "state_dict", "model"])
@pytest.mark.parametrize("name", ["toy.ckpt", "toy.pt", "toy.pth"])
def test_an_archive_gives_its_tensors_from_every_container(
    tmp_path: Path, name: str, container: str | None
) -> None:
    state = toy_state()
    torch.save(state if container is None else {container: state, "epoch": 3}, tmp_path / name)

    stored = read_weights(tmp_path / name)

    assert stored.tensors.keys() == state.keys()
    assert all(torch.equal(stored.tensors[key], value) for key, value in state.items())
    assert stored.settings == ({} if container is None else {"epoch": 3})


@pytest.mark.parametrize("name", ["toy.safetensors", "toy.ckpt"])
def test_safetensors_are_read_like_an_archive(tmp_path: Path, name: str) -> None:
    save_file(toy_state(), tmp_path / name)

    assert read_weights(tmp_path / name).tensors.keys() == toy_state().keys()


def test_safetensors_without_their_package_name_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(toy_state(), tmp_path / "toy.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)

    with pytest.raises(WeightsError, match="pip install safetensors"):
        read_weights(tmp_path / "toy.safetensors")


def test_a_module_built_on_meta_holds_exactly_the_stored_values(tmp_path: Path) -> None:
    toy = load_toy(saved(tmp_path / "toy.ckpt"))

    assert all(torch.equal(toy.state_dict()[name], value) for name, value in toy_state().items())
    assert not toy.training
    assert not any(parameter.requires_grad for parameter in toy.parameters())


def test_nothing_stays_on_meta(tmp_path: Path) -> None:
    toy = load_toy(saved(tmp_path / "toy.ckpt"))

    assert not any(value.is_meta for value in (*toy.parameters(), *toy.buffers()))
    torch.testing.assert_close(toy.mean, torch.tensor([0.485, 0.456, 0.406]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("stored", [torch.float16, torch.float32])
def test_floats_become_the_wanted_dtype_and_integers_stay(
    tmp_path: Path, dtype: torch.dtype, stored: torch.dtype
) -> None:
    state = {n: t.to(stored) if t.is_floating_point() else t for n, t in toy_state().items()}
    toy = load_toy(saved(tmp_path / "toy.ckpt", state), dtype)

    assert {p.dtype for p in toy.parameters()} == {toy.table.dtype, toy.mean.dtype} == {dtype}
    assert torch.equal(toy.linear.weight, state["linear.weight"].to(dtype))
    assert toy.index.tolist() == [7, 2**40 + 1]


@pytest.mark.parametrize("save", [torch.save, save_file], ids=["archive", "safetensors"])
def test_weights_that_need_no_conversion_stay_in_the_mapped_file(
    tmp_path: Path, save: Callable[[dict[str, Tensor], Path], None]
) -> None:
    save(toy_state(), tmp_path / "toy")
    (part,) = split(read_weights(tmp_path / "toy"), [""])

    toy = fit(Toy, part).load(device="cpu", dtype=torch.float32)

    for name, value in toy.state_dict().items():
        assert value.data_ptr() == part.tensors[name].data_ptr()
        assert str(tmp_path) in mapping_of(value)


def mapping_of(tensor: Tensor) -> str:
    """Return the file behind a tensor's memory, empty where there is none."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= tensor.data_ptr() < last:
            return " ".join(line.split()[5:])
    return ""


def test_foreign_tensors_are_ignored_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path / "toy.ckpt")
    state = torch.load(path)["state_dict"]
    foreign = {f"_base_models.{model}.{i}.weight": torch.ones(1) for model in "ab" for i in (0, 1)}
    torch.save({"state_dict": state | foreign}, path)

    with caplog.at_level(logging.INFO):
        load_toy(path)

    (line,) = caplog.messages
    assert "ignored 4 tensors" in line
    assert "_base_models.a, _base_models.b" in line


def test_a_file_without_foreign_tensors_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        load_toy(saved(tmp_path / "toy.ckpt"))

    assert not caplog.messages


def test_parts_of_one_file_are_told_apart_by_their_prefixes() -> None:
    tensors = {"a.x": torch.zeros(1), "b.x": torch.ones(1), "b.y": torch.ones(2)}
    stored = StoredWeights(path=Path("file"), tensors=tensors, settings={})

    first, second = split(stored, ["b.", "a."])

    assert (set(first.tensors), set(second.tensors)) == ({"x", "y"}, {"x"})
    assert first.tensors["x"] is tensors["b.x"]


def without(name: str) -> dict[str, Tensor]:
    return {key: value for key, value in toy_state().items() if key != name}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (without("table"), r"1 missing: _base_models\.toy\.table \(4,\);"),
        (toy_state() | {"n": torch.ones(2, 1)}, r"1 unexpected: _base_models\.toy\.n \(2, 1\);"),
        (
            toy_state() | {"linear.weight": torch.zeros(4, 5)},
            r"toy\.linear\.weight must be \(4, 3\), got \(4, 5\);",
        ),
        (
            toy_state() | {"table": torch.zeros(4, dtype=torch.int8)},
            r"toy\.table must be \(4,\), got \(4,\) of torch\.int8;",
        ),
        (
            toy_state() | {"table": torch.zeros(4, device="meta")},
            r"toy\.table must be \(4,\), got no values;",
        ),
    ],
    ids=["missing", "unexpected", "shape", "kind", "meta"],
)
def test_a_misfit_is_named_with_what_was_expected_and_what_came(
    tmp_path: Path, state: dict[str, Tensor], text: str
) -> None:
    path = saved(tmp_path / "toy.ckpt", state)

    with pytest.raises(WeightsError, match=text) as raised:
        load_toy(path)

    assert str(path) in str(raised.value)
    assert "does not fit Toy" in str(raised.value)
    assert "check that it is this model's file" in str(raised.value)


def test_of_many_misfits_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    state = {f"extra{i}": torch.ones(1) for i in range(9)}
    path = saved(tmp_path / "toy.ckpt", state)

    with pytest.raises(WeightsError) as raised:
        load_toy(path)

    text = str(raised.value)
    assert "expected 4 tensors, found 9 under _base_models.toy." in text
    assert "4 missing" in text
    assert "and 1 more" in text
    assert "9 unexpected" in text
    assert "and 6 more" in text


@pytest.mark.parametrize(
    ("bad", "advice"),
    [
        (float("nan"), "fetch it again"),
        (float("inf"), "fetch it again"),
        (1e6, "take torch.bfloat16 or torch.float32"),
    ],
)
def test_values_that_are_not_finite_in_the_wanted_dtype_are_refused(
    tmp_path: Path, bad: float, advice: str
) -> None:
    path = saved(tmp_path / "toy.ckpt", toy_state() | {"table": torch.tensor([0.0, 1.0, bad, 2.0])})

    with pytest.raises(WeightsError, match=rf"toy\.table has values .* finite in torch.*{advice}"):
        load_toy(path, torch.float16)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = tmp_path / "toy.ckpt"
    torch.save({"state_dict": toy_state(), "callbacks": Payload(made)}, path)

    with pytest.raises(WeightsError, match="refused") as raised:
        read_weights(path)

    assert not made.exists()
    assert "pickles io.open" in str(raised.value)
    assert "converted to safetensors" in str(raised.value)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_not_opened(tmp_path: Path, protocol: int) -> None:
    made = tmp_path / "made"
    (tmp_path / "toy.pt").write_bytes(pickle.dumps(Payload(made), protocol=protocol))

    with pytest.raises(WeightsError, match=r"toy\.pt is (refused|neither)"):
        read_weights(tmp_path / "toy.pt")

    assert not made.exists()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("save", [torch.save, save_file], ids=["archive", "safetensors"])
def test_a_truncated_file_says_so(
    tmp_path: Path, save: Callable[[dict[str, Tensor], Path], None], share: float
) -> None:
    path = tmp_path / "toy"
    save({"weight": torch.ones(100_000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(WeightsError, match=r"cannot be read .* cut short or damaged"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty, expected weights; fetch it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12345\n",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html><html>Access denied</html>", "an error page in its place"),
        (b"PK", "neither a torch.save archive nor a safetensors file"),
        (b"PK\x03\x04 but no archive", "cannot be read"),
    ],
    ids=["empty", "lfs", "html", "stub", "zip"],
)
def test_what_is_no_weights_file_is_called_what_it_is(
    tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "toy.ckpt").write_bytes(content)

    with pytest.raises(WeightsError, match=text):
        read_weights(tmp_path / "toy.ckpt")


def test_a_missing_file_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"toy\.ckpt is not there; sam3d check --weights"):
        read_weights(tmp_path / "toy.ckpt")


def test_a_folder_in_the_place_of_a_file_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder, expected a file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.ones(1)], torch.ones(1), {"model": {}}])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "toy.ckpt")

    with pytest.raises(WeightsError, match="holds no named tensors"):
        read_weights(tmp_path / "toy.ckpt")


def test_weights_errors_are_reported_as_missing_weights() -> None:
    assert WeightsError.code is WeightsMissingError.code is ReportCode.NO_WEIGHTS
