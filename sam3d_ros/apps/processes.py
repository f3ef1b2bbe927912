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

"""Several ROS processes with a network of their own, ended cleanly whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import sam3d_ros
from sam3d_ros.errors import ConfigError

MAX_DOMAIN = 101  # of ROS 2 on every operating system
# Up to Jazzy, Fast DDS reads its profiles from the second variable.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
DISTROS_WITH_FASTRTPS = ("humble", "iron", "jazzy")
SHARED_MEMORY = Path("/dev/shm")
PORT = "fastdds_port"  # in the names of what belongs to one: its memory, fastdds_port1_el, ...
SETTLE_S = 0.3
END_S = 5.0  # for a process to end after SIGINT
LAST_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one process ended."""

    name: str
    exit_code: int
    seconds: float  # from SIGINT to the end


class RosProcesses(AbstractContextManager["RosProcesses"]):
    """Starts Python modules as processes that share a private ROS domain.

    Leaving the context ends what still runs: SIGINT first, SIGKILL after ``END_S``.
    """

    def __init__(self, log_directory: Path, domain: int | None = None) -> None:
        self._logs = log_directory
        self._environment = ros_environment(domain)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._files_before = _shared_files()
        self._files_used: set[str] = set()
        log_directory.mkdir(parents=True, exist_ok=True)
        # Shells let background jobs ignore SIGINT, and children would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Run ``python -m module arguments``; output goes to ``<name>.log``."""
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, who pass it on once
            )

    def log(self, name: str) -> Path:
        """Return the file with the output of a process."""
        return self._logs / f"{name}.log"

    def last_lines(self, name: str) -> str:
        """Return the end of the output of a process."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a process that ended by itself, else ``None``."""
        return self._running[name].poll()

    def wait(self, name: str, timeout_s: float) -> int | None:
        """Wait for a process to end; ``None`` when it or any other ended too late or too early."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if (code := self.exit_code(name)) is not None:
                return code
            if any(process.poll() is not None for process in self._running.values()):
                return None
            time.sleep(0.05)
        return None

    def stop(self, name: str) -> Ended:
        """Interrupt a process and wait for its end."""
        process = self._running.pop(name)
        self._files_used |= _mapped_files(_family(process.pid))
        started = time.monotonic()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            for each in _family(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(int(each.name), signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - started
        return Ended(name=name, exit_code=process.returncode, seconds=seconds)

    def kill(self, name: str) -> set[int]:
        """End a process in mid-air, as the kernel would; return those that it had started.

        The shared memory that nobody else has mapped goes with it, but not ports and their locks:
        by an unlocked one Fast DDS knows the port of somebody dead. Without it the next process
        would share that port with the dead one, for which all messages are kept until it is full.
        """
        process = self._running.pop(name)
        family = _family(process.pid)
        files = _mapped_files(family) - self._files_before
        process.kill()
        process.wait()
        for unused in files - _mapped_files(_all_processes()):
            if PORT in unused:
                continue
            (SHARED_MEMORY / unused).unlink(missing_ok=True)
        self._files_used |= files
        return {int(each.name) for each in family} - {process.pid}

    def pids(self, name: str) -> list[int]:
        """Return the ids of a process and of those that it has started, in that order."""
        return sorted(int(each.name) for each in _family(self._running[name].pid))

    def files_left(self) -> list[str]:
        """Return shared memory of our processes that is still there though no process uses it."""
        mine = (_shared_files() & self._files_used) - self._files_before
        unused = mine - _mapped_files(_all_processes())
        time.sleep(SETTLE_S)  # one that has just ended may have been about to remove it
        return sorted(unused & _shared_files())

    def remove_left(self) -> None:
        """Remove the shared memory that killed processes could not remove."""
        for name in self.files_left():
            (SHARED_MEMORY / name).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self._running):
            self.stop(name)


def ros_environment(domain: int | None = None) -> dict[str, str]:
    """Return the environment for processes that talk to each other on this host and to nobody else.

    Args:
        domain: ROS domain; ``None`` takes one derived from the process id.
    """
    source = str(Path(sam3d_ros.__file__).resolve().parents[1])
    python_path = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(1 + os.getpid() % MAX_DOMAIN if domain is None else domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        _profile_variable(): str(config_file("fastdds_shm.xml")),
        "PYTHONPATH": os.pathsep.join(python_path),
        "PYTHONUNBUFFERED": "1",
    }


def use_fastdds_profile() -> None:
    """Let DDS in this process carry large messages, unless a profile is set.

    Both sides need that; it must be called before the first node is made.
    """
    if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        os.environ[_profile_variable()] = str(config_file("fastdds_shm.xml"))


def _profile_variable() -> str:
    return PROFILE_VARIABLES[os.environ.get("ROS_DISTRO") in DISTROS_WITH_FASTRTPS]


def config_file(name: str) -> Path:
    """Return a file of ``config/`` from the source tree or from where it is installed.

    Raises:
        ConfigError: When it is in neither; lists where it was looked for.
    """
    prefixes = [Path(sys.prefix), *map(Path, _split(os.environ.get("AMENT_PREFIX_PATH", "")))]
    candidates = [Path(sam3d_ros.__file__).resolve().parents[1] / "config" / name]
    candidates += [prefix / "share" / "sam3d_ros" / "config" / name for prefix in prefixes]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(f"{name} not found; looked for {', '.join(map(str, candidates))}")


def _split(paths: str) -> list[str]:
    return [path for path in paths.split(os.pathsep) if path]


def _shared_files() -> set[str]:
    return {path.name for path in SHARED_MEMORY.glob("*")}


def _family(ancestor: int) -> list[Path]:
    """Return a process that runs and those that it has started, and these in turn."""
    parents = {}
    for process in _all_processes():
        with suppress(OSError):  # it has just ended
            # After the name, which is in brackets and may contain anything.
            fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            parents[process] = int(fields[1])
    family = {ancestor}
    while born := {int(each.name) for each, parent in parents.items() if parent in family} - family:
        family |= born
    return [process for process in parents if int(process.name) in family]


def _all_processes() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*"))


def _mapped_files(processes: Iterable[Path]) -> set[str]:
    """Return the names of shared memory that some processes have mapped or open."""
    paths: set[str] = set()
    for process in processes:
        with suppress(OSError):  # it ended, or is not ours
            lines = (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
            paths |= {line.split()[-1] for line in lines if str(SHARED_MEMORY) in line}
            for link in (process / "fd").iterdir():
                with suppress(OSError):  # closed meanwhile
                    paths.add(os.readlink(link))
    return {Path(path).name for path in paths if path.startswith(f"{SHARED_MEMORY}/")}
