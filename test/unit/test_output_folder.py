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


"""Files stay below their folder, and are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trimesh

from sam3d_ros.config import MESH_FORMATS
from sam3d_ros.errors import ConfigError, OutputFileError, ReconstructionError
from sam3d_ros.geometry.mesh_files import mesh_bytes
from sam3d_ros.scene.output_folder import OutputFolder
from sam3d_ros.structures import Mesh

FILES = {"a.stl": lambda: b"one", "b.stl": lambda: b"two"}


def names(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if not each.is_dir())


def test_files_are_where_the_folder_says(tmp_path: Path) -> None:
    written = OutputFolder(str(tmp_path / "new")).write("x/y", FILES, overwrite=False)
    assert written == [tmp_path / "new" / "x" / "y" / name for name in FILES]
    assert [path.read_bytes() for path in written] == [b"one", b"two"]


@pytest.mark.parametrize("path", ["", ".", "./", "x/./y", "x//y", "..."])
def test_harmless_paths_are_taken(tmp_path: Path, path: str) -> None:
    (first, _) = OutputFolder(str(tmp_path)).write(path, FILES, overwrite=False)
    assert first.resolve().is_relative_to(tmp_path)


@pytest.mark.parametrize("path", ["..", "../x", "x/../../y", "/etc", "//etc", "x/..", "a\0b"])
def test_no_path_leads_outside(tmp_path: Path, path: str) -> None:
    with pytest.raises(OutputFileError, match="below output_directory"):
        OutputFolder(str(tmp_path / "out")).write(path, FILES, overwrite=True)
    assert not names(tmp_path)


@pytest.mark.parametrize("path", ["link", "link/below", "x/link"])
def test_no_link_leads_outside(tmp_path: Path, path: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "x").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "x" / "link").symlink_to("../../outside")
    with pytest.raises(OutputFileError, match="links are not followed"):
        OutputFolder(str(root)).write(path, FILES, overwrite=True)
    assert not names(outside)


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.stl").symlink_to(target)
    with pytest.raises(OutputFileError, match=r"a\.stl exists"):
        OutputFolder(str(root)).write("", FILES, overwrite=False)
    OutputFolder(str(root)).write("", FILES, overwrite=True)
    assert target.read_bytes() == b"mine"
    assert (root / "a.stl").read_bytes() == b"one"


def test_if_one_file_exists_none_is_written(tmp_path: Path) -> None:
    (tmp_path / "b.stl").write_bytes(b"mine")
    with pytest.raises(OutputFileError, match=r"b\.stl exists .* overwrite"):
        OutputFolder(str(tmp_path)).write("", FILES, overwrite=False)
    assert names(tmp_path) == ["b.stl"]
    assert (tmp_path / "b.stl").read_bytes() == b"mine"


def test_a_file_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(b"mine")

    def fail() -> bytes:
        raise ReconstructionError("no mesh")

    with pytest.raises(ReconstructionError):
        OutputFolder(str(tmp_path)).write("", {"a.stl": fail}, overwrite=True)
    assert names(tmp_path) == ["a.stl"]
    assert (tmp_path / "a.stl").read_bytes() == b"mine"


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputFileError, match="Not a directory"):
        OutputFolder(str(tmp_path)).write("file", FILES, overwrite=True)
    (tmp_path / "a.stl").mkdir()
    with pytest.raises(OutputFileError, match="Is a directory"):
        OutputFolder(str(tmp_path)).write("", FILES, overwrite=True)
    with pytest.raises(OutputFileError, match="File name too long"):
        OutputFolder(str(tmp_path)).write("x" * 300, FILES, overwrite=True)


def test_no_handle_stays_open(tmp_path: Path) -> None:
    folder = OutputFolder(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    folder.write("x/y/z", FILES, overwrite=True)
    with pytest.raises(OutputFileError):
        folder.write("x/y/z", FILES, overwrite=False)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_temporary_folder_goes_with_its_owner() -> None:
    folder = OutputFolder()
    (first, _) = folder.write("", FILES, overwrite=False)
    assert first.exists()
    folder.close()
    assert not first.parent.exists()
    folder.close()


@pytest.mark.parametrize("mesh_format", MESH_FORMATS)
def test_every_format_holds_the_mesh_in_metres(
    tmp_path: Path, make_box: Callable[..., Mesh], mesh_format: str
) -> None:
    path = tmp_path / f"box.{mesh_format}"
    path.write_bytes(mesh_bytes(make_box(0.1, 0.2, 0.3), mesh_format))
    loaded = trimesh.load(path, force="mesh")
    assert loaded.extents == pytest.approx([0.1, 0.2, 0.3], abs=1e-6)
    assert loaded.is_watertight


def test_only_a_glb_is_turned(make_box: Callable[..., Mesh]) -> None:
    mesh = make_box(0.1, 0.2, 0.3)
    assert mesh_bytes(mesh, "stl", "y") == mesh_bytes(mesh, "stl", "z")
    assert mesh_bytes(mesh, "glb", "y") != mesh_bytes(mesh, "glb", "z")
    with pytest.raises(ConfigError, match="glb, ply, obj, stl, got 'usd'"):
        mesh_bytes(mesh, "usd")
