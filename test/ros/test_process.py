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


"""The node as a process: how it ends, how it comes back, and what it leaves behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rig import INPUTS, PATIENCE_S, frame
from sam3d_ros.msg import FrameReport
from visualization_msgs.msg import Marker, MarkerArray

from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.qos import best_effort, latched, reliable

pytestmark = [pytest.mark.ros, pytest.mark.slow]
SHARED_MEMORY = Path("/dev/shm")
# A node whose pipeline takes a minute, and looks up now and then.
SLOW = """
import sys, time
from sam3d_ros.errors import CancelledError
from sam3d_ros.ros import node

class Slow:
    can_follow = False
    is_ready = True
    def start(self): ...
    def process(self, frame, cancelled, *, anew, show):
        print("started", flush=True)
        ends_s = time.monotonic() + 60
        while time.monotonic() < ends_s and not cancelled():
            time.sleep(0.01)
        raise CancelledError("stopped")
    def advance(self, stamp_ns, frame_id): ...
    def reset(self): return ()
    def close(self): ...

node.Sam3dNode.__init__.__defaults__ = (lambda config: Slow(),)
sys.exit(node.main())
"""
REAL = (
    "import sys\nfrom sam3d_ros.ros.start import main\nif __name__ == '__main__': sys.exit(main())"
)


class Process:
    """One node process, and what it prints."""

    def __init__(self, code: str, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._before = shared_files()
        # Background jobs of a shell ignore SIGINT, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        script, self._log = folder / "run_node.py", folder / "log.txt"
        script.write_text(code)
        self._popen = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdout=self._log.open("wb"),
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        return self._log.read_text()

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; return exit code and seconds until the end."""
        started_s = time.monotonic()
        self._popen.send_signal(number)
        code = self._popen.wait(PATIENCE_S)
        return code, time.monotonic() - started_s

    @property
    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def wait(self) -> int:
        return self._popen.wait(PATIENCE_S)

    def kill(self) -> None:
        """End the process in mid-air; 32 MB of shared memory would stay behind each time."""
        own = mapped_by(self.pid) - self._before
        self._popen.kill()
        self._popen.wait()
        for path in own:
            path.unlink(missing_ok=True)
            # Fast DDS keeps a lock beside each file.
            path.with_name(f"{path.name}_el").unlink(missing_ok=True)


class Peer:
    """What talks to the process."""

    def __init__(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = Node("peer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.publishers = {
            name: self._node.create_publisher(INPUTS[name], f"/{name}", best_effort(10))
            for name in ("image", "camera_info", "depth", "depth/camera_info", "masks")
        }
        self._number = 0
        self.reports = self._listen(FrameReport, "report", reliable(10))
        self.markers = self._listen(MarkerArray, "markers", latched(100))

    def _listen(self, message_type: Any, name: str, qos: Any) -> list[Any]:
        heard: list[Any] = []
        self._node.create_subscription(message_type, f"/sam3d_node/{name}", heard.append, qos)
        return heard

    def until(self, condition: Callable[[], Any], what: str, patience_s: float = 90.0) -> None:
        deadline_s = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline_s, f"waited {patience_s} s for {what}"
            self._executor.spin_once(timeout_sec=0.05)

    def hear_out(self, quiet_s: float = 0.5) -> None:
        """Take in, and forget, what a process that has ended had sent before."""
        ends_s = time.monotonic() + quiet_s
        while time.monotonic() < ends_s:
            if self.reports or self.markers:
                ends_s = time.monotonic() + quiet_s
            self.reports.clear()
            self.markers.clear()
            self._executor.spin_once(timeout_sec=0.05)

    def stream_until(self, condition: Callable[[], Any], what: str) -> None:
        """Send one frame after the other until something is so.

        The first are lost: that the node is known here does not mean that we are known there.
        """

        def send() -> None:
            self._number += 1
            for name, message in frame(self._number).items():
                self.publishers[name.replace("depth_info", "depth/camera_info")].publish(message)

        timer = self._node.create_timer(0.3, send)
        self.until(condition, what)
        self._node.destroy_timer(timer)

    @property
    def successes(self) -> list[Any]:
        return [report for report in self.reports if report.code == ReportCode.OK]

    def close(self) -> None:
        if not self._context.ok():
            return
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def start(code: str, *arguments: str) -> Process:
        processes.append(Process(code, tmp_path / str(len(processes)), *arguments))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def shared_files() -> set[Path]:
    patterns = ("*fastdds_*", "*fastrtps_*", "sem.mp-*")
    return {path for pattern in patterns for path in SHARED_MEMORY.glob(pattern)}


def mapped_by(pid: int | str) -> set[Path]:
    """Return the shared memory that a process has mapped; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    mapped = {line.split()[-1] for line in lines if str(SHARED_MEMORY) in line}
    return {path for path in shared_files() if str(path) in mapped}


def unused_files() -> set[Path]:
    """Return the shared memory that nobody has mapped."""
    pids = [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
    mapped = {path for pid in pids for path in mapped_by(pid)}
    return shared_files() - mapped


def runs(pid: str) -> bool:
    """Tell whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_reconstruction_ends_the_node_at_once_and_cleanly(
    peer: Peer, start: Callable[..., Process], number: signal.Signals
) -> None:
    before = shared_files()
    process = start(SLOW)
    peer.stream_until(lambda: "started" in process.output, "the reconstruction")
    own = mapped_by(process.pid) - before
    code, seconds = process.end(number)
    assert code == 0, process.output
    assert seconds < 2.0
    assert "Traceback" not in process.output
    assert own
    peer.close()  # it has mapped them, too
    deadline_s = time.monotonic() + 5.0
    # Who else has seen the node, such as a participant of another test, may be removing them.
    while (left := own & unused_files()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert not left


def test_a_backend_that_never_looks_up_cannot_hold_the_process(
    peer: Peer, start: Callable[..., Process]
) -> None:
    process = start(SLOW.replace("cancelled()", "False"))
    peer.stream_until(lambda: "started" in process.output, "the reconstruction")
    code, seconds = process.end(signal.SIGINT)
    assert (code, seconds < 2.0) == (0, True), process.output


def test_a_follower_that_never_comes_back_cannot_hold_the_process(
    peer: Peer, start: Callable[..., Process]
) -> None:
    follow = "can_follow = True\n    def follow(self, frame):\n        print('follows', flush=True)"
    process = start(SLOW.replace("can_follow = False", f"{follow}; time.sleep(60)"))
    peer.stream_until(lambda: "follows" in process.output, "an image that is followed")
    code, seconds = process.end(signal.SIGINT)
    assert (code, seconds < 2.0) == (0, True), process.output


def test_the_process_ends_with_its_node(peer: Peer, start: Callable[..., Process]) -> None:
    """Releasing what was imported takes seconds, in which ros2 launch would wait."""
    told = "code = node.main()\nprint('ended', time.monotonic(), flush=True)\nsys.exit(code)"
    process = start(SLOW.replace("sys.exit(node.main())", told))
    peer.stream_until(lambda: "started" in process.output, "the reconstruction")
    process.end(signal.SIGINT)
    ended_s = float(process.output.rpartition("ended ")[2].split()[0])
    assert time.monotonic() - ended_s < 0.7


def test_with_its_own_processes_the_node_ends_as_fast(
    peer: Peer, start: Callable[..., Process]
) -> None:
    process = start(REAL)
    peer.stream_until(lambda: peer.successes, "a report")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    code, seconds = process.end(signal.SIGINT)
    assert (code, seconds < 2.0) == (0, True), process.output
    assert children
    peer.until(lambda: not any(runs(child) for child in children), "the end of the children")


def test_the_node_leaves_large_libraries_to_the_processes_that_need_them() -> None:
    """Together they take 250 MB, and three seconds until the node hears anything."""
    code = (
        "import sys, sam3d_ros.ros.node\n"
        "print(sorted({'open3d', 'torch', 'trimesh', 'matplotlib', 'pandas'} & {*sys.modules}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_a_signal_during_the_imports_ends_the_node_cleanly(start: Callable[..., Process]) -> None:
    process = start(REAL.replace("import sys", "import sys; print('started', flush=True)"))
    deadline_s = time.monotonic() + PATIENCE_S
    while "started" not in process.output and time.monotonic() < deadline_s:
        time.sleep(0.01)
    time.sleep(0.1)  # the handlers are there, the imports under way
    code, seconds = process.end(signal.SIGINT)
    assert (code, seconds < 2.0) == (0, True), process.output


def test_a_killed_node_comes_back_and_viewers_forget_what_it_had_shown(
    peer: Peer, start: Callable[..., Process]
) -> None:
    for _ in range(2):
        process = start(REAL)
        peer.stream_until(lambda: peer.successes, "a report")
        assert list(peer.successes[0].object_ids) == ["sam3d_object_1", "sam3d_object_2"]
        peer.until(lambda: len(peer.markers) >= 3, "markers")
        actions = [array.markers[0].action for array in peer.markers[:3]]
        assert actions == [Marker.DELETEALL, Marker.ADD, Marker.ADD]
        process.kill()
        peer.hear_out()


def test_a_bug_ends_the_process_with_its_traceback(
    peer: Peer, start: Callable[..., Process]
) -> None:
    process = start(SLOW.replace("time.sleep(0.01)", "1 / 0"))
    peer.stream_until(lambda: process.has_ended, "the end of the node")
    assert process.wait() == 1
    assert "ZeroDivisionError" in process.output
    assert "CrashError" in process.output


@pytest.mark.parametrize(
    ("given", "part"),
    [("sync.slop:=7.0", "sync.slop"), ("depth.min:=20.0", "must be below depth.max (10 m)")],
)
def test_a_wrong_parameter_ends_the_process_with_a_sentence(
    start: Callable[..., Process], given: str, part: str
) -> None:
    process = start(REAL, "--ros-args", "-p", given)
    assert process.wait() == 1
    assert part in process.output
    assert "Traceback" not in process.output
