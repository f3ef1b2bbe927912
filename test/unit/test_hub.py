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


"""Weights by the name of a repository: offline unless told otherwise, and what to do if not."""

import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import hub

from sam3d_ros import Reconstructor
from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.errors import WeightsError, WeightsMissingError
from sam3d_ros.objects.random_weights import write_random_weights

QUICK = SceneConfig(device="cpu", objects=ObjectsConfig(stage1_steps=2, stage2_steps=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    "source", ["no/such/folder/here", "../weights", "~/weights", Path("owner/name")]
)
def test_a_folder_that_is_none_says_so(source: str | Path) -> None:
    with pytest.raises(WeightsMissingError, match="no folder here"):
        Reconstructor.from_pretrained(source)


def test_a_name_of_the_hub_is_offline_unless_told_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def snapshot_download(repository: str, **options: Any) -> str:
        calls.append((repository, options["local_files_only"]))
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", hub(snapshot_download=snapshot_download))
    Reconstructor.from_pretrained("owner/name", QUICK, splats=False)
    Reconstructor.from_pretrained("owner/name", QUICK, splats=False, allow_download=True)
    assert calls == [("owner/name", True), ("owner/name", False)]


@pytest.mark.parametrize("splats_per_voxel", [4, 32])
def test_what_is_fetched_is_all_that_splats_need(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splats_per_voxel: int
) -> None:
    def snapshot_download(repository: str, *, allow_patterns: list[str], **_: Any) -> str:
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).symlink_to(path)
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", hub(snapshot_download=snapshot_download))
    objects = replace(QUICK.objects, splats_per_voxel=splats_per_voxel)
    config = replace(QUICK, objects=objects)
    Reconstructor.from_pretrained("owner/name", config, splats=True, allow_download=True)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            "GatedRepoError",
            "accept the licence and ask for access on https://huggingface.co/owner/name",
        ),
        ("RepositoryNotFoundError", "does not exist, or is hidden"),
        ("LocalEntryNotFoundError", "allow_download=True"),
        ("HFValidationError", "nor what a repository can be called"),
    ],
)
def test_a_repository_that_cannot_be_had_says_what_to_do(
    error: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = hub()

    def snapshot_download(repository: str, **options: Any) -> str:
        raise getattr(module.errors, error)("no")

    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    with pytest.raises(WeightsMissingError, match=text):
        Reconstructor.from_pretrained("owner/name")


def test_a_download_without_a_network_does_not_advise_to_download(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = hub()

    def snapshot_download(repository: str, **options: Any) -> str:
        raise module.errors.LocalEntryNotFoundError("no")

    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    with pytest.raises(WeightsMissingError, match=r"reaches https://huggingface\.co") as raised:
        Reconstructor.from_pretrained("owner/name", allow_download=True)
    assert "allow_download" not in str(raised.value)


@pytest.mark.parametrize("kind", [None, OSError, RuntimeError])
def test_a_download_that_breaks_off_is_missing_weights_and_no_bug(
    kind: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = hub()
    kind = kind or module.errors.HTTPError

    def snapshot_download(repository: str, **options: Any) -> str:
        raise kind("no space left on device")

    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    with pytest.raises(WeightsMissingError, match=r"no space left.*what was fetched is kept"):
        Reconstructor.from_pretrained("owner/name", allow_download=True)


def test_without_the_hubs_package_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match="pip install huggingface_hub"):
        Reconstructor.from_pretrained("owner/name")
