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


"""A folder below which files are written on request, and never outside of it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TypeAlias

from sam3d_ros.errors import OutputFileError

# Neither the folder nor what lies in it may be exchanged for a link to somewhere else.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
MAX_DEPTH = 16
Content: TypeAlias = Callable[[], bytes]


class OutputFolder:
    """Writes files into folders that are named by whoever asks.

    Every folder on the way is opened by its name in the one before, and links are not followed, so
    that neither ``..`` nor a link leads outside, whoever puts it there while files are written.

    Args:
        path: The folder, made when the first file is written; empty is a temporary one, which
            ``close`` removes.
    """

    def __init__(self, path: str = "") -> None:
        self._given = path
        self._temporary: Path | None = None
        self._lock = Lock()  # calls and the node itself write from different threads

    @property
    def is_temporary(self) -> bool:
        """Whether nobody keeps what is written."""
        return not self._given

    def write(self, folder: str, files: Mapping[str, Content], *, overwrite: bool) -> list[Path]:
        """Write files into a folder below; return where they are.

        Args:
            folder: Relative; empty is the output folder itself.
            files: What makes the content, by name; no name has a slash.
            overwrite: Whether to replace files; otherwise none is written if one exists.

        Raises:
            OutputFileError: The folder is not one below, a file exists, or the system refuses.
        """
        parts = _parts(folder)
        try:
            root = self._root()
            with _opened(root, parts) as directory:
                if not overwrite:
                    _refuse_existing(directory, files, folder)
                for name, content in files.items():
                    _put(directory, name, content())
        except OSError as error:
            if isinstance(error, OutputFileError):
                raise
            where = f"{folder!r} below {self._given or 'the temporary folder'}"
            raise OutputFileError(
                f"nothing can be written to {where}: {error.strerror or error}; links are not "
                "followed; check output_directory, its rights and the space there"
            ) from error
        return [root.joinpath(*parts, name) for name in files]

    def close(self) -> None:
        """Remove the folder if it is a temporary one."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _root(self) -> Path:
        """Return the folder itself; the one that is given may be reached through links."""
        if self._given:
            root = Path(self._given).expanduser()
            root.mkdir(parents=True, exist_ok=True)
            return root.resolve()
        with self._lock:
            if self._temporary is None:
                self._temporary = Path(tempfile.mkdtemp(prefix="sam3d_"))
            return self._temporary


def _parts(folder: str) -> tuple[str, ...]:
    """Return the names on the way to a folder."""
    path = PurePosixPath(folder)
    is_below = not path.is_absolute() and ".." not in path.parts
    if not is_below or "\0" in folder or len(path.parts) > MAX_DEPTH:
        raise OutputFileError(
            f"the path must name a folder below output_directory, without '..' and not from '/' "
            f"on, got {folder[:80]!r}"
        )
    return path.parts


@contextmanager
def _opened(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open a folder below ``root``, which is made if it is not there."""
    directory = os.open(root, DIRECTORY)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=directory)
            below = os.open(part, DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        yield directory
    finally:
        os.close(directory)


def _refuse_existing(directory: int, names: Iterable[str], folder: str) -> None:
    there = sorted(set(os.listdir(directory)).intersection(names))
    if there:
        raise OutputFileError(
            f"{', '.join(there[:5])} exists in {folder or 'output_directory'}; set overwrite, or "
            "choose another path"
        )


def _put(directory: int, name: str, content: bytes) -> None:
    """Write a file beside and move it to its name, so that nobody ever reads half of one."""
    partial = f".{name}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(partial, dir_fd=directory)
    try:
        with open(os.open(partial, NEW_FILE, 0o644, dir_fd=directory), "wb") as file:
            file.write(content)
        os.replace(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(partial, dir_fd=directory)
        raise
