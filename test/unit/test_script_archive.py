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

"""Archives of TorchScript as data: all of their tensors, and nothing else."""

import io
import pickle
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sam3d_ros.errors import WeightsError
from sam3d_ros.nn.weights import read_weights

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 2))
        self.register_buffer("parents", torch.tensor([-1, 0, 1], dtype=torch.int32))
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).t())
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("rough", torch.rand(4, dtype=torch.float16))
        self.register_buffer("none", torch.zeros(0, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Outer(nn.Module):
    """Every kind of attribute that scripts of body models have."""

    names: list[str]
    counts: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.register_buffer("base", torch.rand(5, 3))
        self.names, self.counts = ["a", "b"], [1, 2]
        self.scale, self.table = 0.5, {"a": 1}

    def forward(self, x: Tensor) -> Tensor:
        count = len(self.names) + self.counts[0] + self.table["a"]
        return self.layers(self.inner(x)[:, :2]) * self.scale * count


@pytest.fixture(scope="module")
def content() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Outer()), buffer)
    return buffer.getvalue()


@pytest.fixture
def archive(content: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "script.pt"
    path.write_bytes(content)
    return path


def test_tensors_are_those_of_the_script(archive: Path) -> None:
    expected = torch.jit.load(archive).state_dict()

    tensors = read_weights(archive).tensors

    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name


def test_torch_loads_no_script(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the script was run, or parsed")

    for name in ("torch.jit.load", "torch.load", "torch._C.import_ir_module"):
        monkeypatch.setattr(name, refuse)

    assert read_weights(archive).tensors


def test_code_is_not_looked_at(archive: Path) -> None:
    rewritten(archive, lambda name, data: b"this is no code" if name.endswith(".py") else data)

    assert "inner.weight" in read_weights(archive).tensors


class Payload:
    """Pickles to a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self.path), "w")


def test_a_pickle_that_names_more_than_tensors_is_refused_and_not_run(
    archive: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    payload = pickle.dumps(Payload(made), protocol=2)
    rewritten(archive, lambda name, data: payload if name.endswith("/data.pkl") else data)

    with pytest.raises(WeightsError, match=r"refused, nothing in it was run: it pickles io.open"):
        read_weights(archive)

    assert not made.exists()


@pytest.mark.parametrize(
    "name", ["torch.jit load", "torch.hub load", "builtins eval", "torch._utils _rebuild_parameter"]
)
def test_other_functions_of_torch_are_refused_by_name(archive: Path, name: str) -> None:
    module, function = name.split()
    call = f"c{module}\n{function}\n(Vx\ntR.".encode()
    rewritten(archive, lambda each, data: call if each.endswith("/data.pkl") else data)

    with pytest.raises(WeightsError, match=f"it pickles {module}.{function}"):
        read_weights(archive)


def test_a_compressed_archive_gives_the_same_tensors(archive: Path) -> None:
    expected = {name: tensor.clone() for name, tensor in read_weights(archive).tensors.items()}
    rewritten(archive, lambda _, data: data, zipfile.ZIP_DEFLATED)

    tensors = read_weights(archive).tensors

    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_an_archive_cut_short_says_so(archive: Path, kept: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(WeightsError, match="cut short or damaged"):
        read_weights(archive)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_bytes_are_changed_only_weights_errors_come(archive: Path, seed: int) -> None:
    draws = random.Random(seed)
    content = bytearray(archive.read_bytes())
    start = content.index(b"\x80\x02c__torch__")  # of the pickle
    for _ in range(1 + seed % 5):
        place = start + draws.randrange(1300) if seed % 2 else draws.randrange(len(content))
        content[place] = draws.randrange(256)
    archive.write_bytes(content)

    with suppress(WeightsError):
        read_weights(archive)


def test_a_record_that_is_too_short_is_damage(archive: Path) -> None:
    rewritten(archive, lambda name, data: data[:2] if "/data/" in name else data)

    with pytest.raises(WeightsError, match=r"record \d+ has [02] bytes"):
        read_weights(archive)


def test_values_stay_in_the_mapped_file(archive: Path) -> None:
    tensors = read_weights(archive).tensors

    start = tensors["base"].data_ptr()
    files = [
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if int(line.split("-")[0], 16) <= start < int(line.split("-")[1].split()[0], 16)
    ]
    assert files == [str(archive)]


def rewritten(
    path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """Replace an archive by one with changed records."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, change(name, data))
