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

"""Processes of the demo: started, watched, ended, and nothing left behind."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam3d_ros.apps.processes import (
    PORT,
    SHARED_MEMORY,
    RosProcesses,
    config_file,
    ros_environment,
)
from sam3d_ros.errors import ConfigError

NAME = "fastdds_0123456789abcdef_of_a_test"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[RosProcesses]:
    with RosProcesses(tmp_path / "logs") as running:
        yield running


def test_a_process_that_ends_by_itself_gives_its_exit_code(processes: RosProcesses) -> None:
    processes.start("calendar", "calendar", "--no-such-option")

    assert processes.wait("calendar", 20.0) == 2
    assert "no-such-option" in processes.last_lines("calendar")


def test_a_process_that_runs_is_ended_by_an_interrupt(processes: RosProcesses) -> None:
    processes.start("server", "http.server", "0", "--bind", "127.0.0.1")
    deadline_s = time.monotonic() + 20.0
    while "Serving" not in processes.last_lines("server"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)

    ended = processes.stop("server")

    assert ended.exit_code == 0  # http.server takes an interrupt for a proper end


def test_processes_in_sessions_of_their_own_belong_to_who_started_them(
    processes: RosProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "starts_others.py").write_text(
        "import subprocess, sys, time\n"
        "wait = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "for is_leader in (False, True):\n"
        "    print(subprocess.Popen(wait, start_new_session=is_leader).pid)\n"
        "print('ready')\ntime.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RosProcesses(tmp_path / "more") as others:
        others.start("starting", "starts_others")
        while "ready" not in others.last_lines("starting"):
            time.sleep(0.05)
        started = {int(pid) for pid in others.last_lines("starting").split()[:-1]}

        pids = others.pids("starting")

        assert len(started) == 2
        assert set(pids[1:]) == started
        assert others.kill("starting") == started
    for pid in started:
        os.kill(pid, signal.SIGKILL)  # a kill takes one process alone


def test_waiting_ends_when_another_process_fails(processes: RosProcesses) -> None:
    processes.start("server", "http.server", "0", "--bind", "127.0.0.1")
    processes.start("failing", "calendar", "--no-such-option")

    assert processes.wait("server", 20.0) is None
    assert processes.exit_code("failing") == 2


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="this system has no /dev/shm")
def test_shared_memory_that_a_process_leaves_behind_is_reported_unless_it_is_in_use(
    processes: RosProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "leaves_memory.py"
    module.write_text(
        f"open('/dev/shm/{NAME}', 'w').write('x' * 9)\nimport time\n"
        f"kept = open('/dev/shm/{NAME}')\nprint('ready')\ntime.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RosProcesses(tmp_path / "more") as others:
        others.start("leaving", "leaves_memory")
        path = SHARED_MEMORY / NAME
        try:
            while "ready" not in others.last_lines("leaving"):
                time.sleep(0.05)
            others.stop("leaving")
            assert others.files_left() == [NAME]
            assert processes.files_left() == []  # not theirs
            with path.open("rb"):
                assert others.files_left() == []
        finally:
            path.unlink(missing_ok=True)


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="this system has no /dev/shm")
def test_the_memory_of_who_is_killed_goes_but_not_the_lock_that_tells_that_its_port_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, lock = SHARED_MEMORY / NAME, SHARED_MEMORY / f"{PORT}0_of_a_test_el"
    (tmp_path / "keeps_open.py").write_text(
        f"import time\nkept = [open(name, 'w') for name in ({str(segment)!r}, {str(lock)!r})]\n"
        "print('ready')\ntime.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    try:
        with RosProcesses(tmp_path / "more") as others:
            others.start("keeping", "keeps_open")
            while "ready" not in others.last_lines("keeping"):
                time.sleep(0.05)
            others.kill("keeping")
            assert [segment.exists(), lock.exists()] == [False, True]
            others.remove_left()
            assert not lock.exists()
    finally:
        for path in (segment, lock):
            path.unlink(missing_ok=True)


def test_the_network_is_private_and_has_the_large_shared_memory() -> None:
    environment = ros_environment(domain=42)

    assert environment["ROS_DOMAIN_ID"] == "42"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "segment_size" in Path(environment["FASTDDS_DEFAULT_PROFILES_FILE"]).read_text()


def test_up_to_jazzy_the_profile_goes_by_its_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")

    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in ros_environment()


def test_a_config_file_that_is_nowhere_is_refused_with_the_places() -> None:
    with pytest.raises(ConfigError, match=r"nothing\.xml not found; looked for .*config"):
        config_file("nothing.xml")
