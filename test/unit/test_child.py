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


"""A process that answers questions: told once what lasts, and its death has a reason."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from sam3d_ros.apps.usage import is_running
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError, MaskEmptyError, ReconstructionError
from sam3d_ros.protocols import Cancelled, Step, tell
from sam3d_ros.scene import child as child_module
from sam3d_ros.scene.child import Answering, ChildProcess, ProcessCrashError, Role
from sam3d_ros.structures import Mesh


@dataclass(frozen=True)
class CrashSlowly:
    """A question that ends the process by an exception, after some seconds of taking it down."""

    seconds: float


class Lingering:
    """Holds up the end of an interpreter that has taken down all else, its pipes too."""

    def __init__(self, seconds: float) -> None:
        self._linger = partial(time.sleep, seconds)

    def __del__(self) -> None:
        self._linger()


def make(config: SceneConfig) -> Answering:
    """Make what answers with its process, its niceness and whether it has seen the mesh before."""
    seen: list[int] = []

    def answer(question: object, cancelled: Cancelled) -> object:
        if question == "refuse":
            raise MaskEmptyError("told to refuse")
        if question == "crash":
            raise KeyError("a bug")
        if isinstance(question, CrashSlowly):
            vars(sys)["lingering"] = Lingering(question.seconds)
            raise KeyError("a bug")
        if question == "leave":
            os._exit(0)
        if question == "hold":
            (Path(os.environ["HELD"]) / "pid").write_text(str(os.getpid()))
            re.fullmatch("(a|aa)+", "a" * 60 + "b")  # for years, without letting go of the lock
        if question == "count":
            for number in range(3):
                tell(cancelled, Step(stage="count", done=number, total=3))
            return "counted"
        is_known = id(question) in seen
        seen.append(id(question))
        return os.getpid(), os.nice(0), is_known

    return answer


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    child = ChildProcess(Role(name="test", niceness=3, make=make), SceneConfig())
    yield child
    child.close()


def test_it_answers_in_a_nicer_process_that_knows_what_it_was_told(
    child: ChildProcess, make_box: Callable[..., Mesh]
) -> None:
    mesh = make_box(0.1, 0.1, 0.1)
    answers = [child.ask(mesh, lasting=[mesh]) for _ in range(2)]
    assert [is_known for _, _, is_known in answers] == [False, True]
    pid, niceness, _ = answers[0]
    assert pid != os.getpid()
    assert niceness == min(19, os.nice(0) + 3)


def test_a_real_time_priority_of_who_starts_it_is_not_inherited(child: ChildProcess) -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("this system grants us no real-time priority")
    try:
        pid, *_ = child.ask("who")
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    assert os.sched_getscheduler(pid) == os.SCHED_OTHER


def test_it_is_a_session_of_its_own_so_that_its_work_is_not_taken_off_our_share(
    child: ChildProcess,
) -> None:
    pid, _, _ = child.ask("first")
    assert os.getsid(pid) == pid
    autogroup = Path(f"/proc/{pid}/autogroup")
    if autogroup.is_file():  # where Linux shares out processors by session
        assert autogroup.read_text().split()[-1] == "3"


PARENT = """
from test_child import Role, SceneConfig, ChildProcess, make
if __name__ == "__main__":
    ChildProcess(Role(name="test", niceness=3, make=make), SceneConfig()).ask("hold")
"""


def test_it_ends_with_a_parent_that_is_killed_even_while_it_holds_the_interpreter_lock(
    tmp_path: Path,
) -> None:
    script, told = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT)
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "HELD": str(tmp_path), "PYTHONPATH": here}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as parent:
        wait_until(lambda: told.is_file() and told.read_text(), 60.0)
        pid = int(told.read_text())
        time.sleep(0.2)  # it is in the middle of it
        assert is_running(pid)
        parent.kill()
    try:
        wait_until(lambda: not is_running(pid), 3.0)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], object], patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {patience_s} s"
        time.sleep(0.01)


def test_its_errors_arrive_and_do_not_end_it(child: ChildProcess) -> None:
    pid, _, _ = child.ask("first")
    with pytest.raises(MaskEmptyError, match="told to refuse"):
        child.ask("refuse")
    assert child.ask("second")[0] == pid


def test_after_a_signal_it_starts_again_and_is_told_everything_again(
    child: ChildProcess, make_box: Callable[..., Mesh]
) -> None:
    mesh = make_box(0.1, 0.1, 0.1)
    pid, _, _ = child.ask(mesh, lasting=[mesh])
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ReconstructionError, match=r"test process \(exit code -9"):
        child.ask(mesh, lasting=[mesh])
    assert child.ask(mesh, lasting=[mesh])[2] is False


def test_a_bug_in_it_is_no_error_of_the_input(child: ChildProcess) -> None:
    with pytest.raises(ProcessCrashError, match="test process ended with exit code 1"):
        child.ask("crash")


def test_a_bug_is_told_from_a_signal_however_long_the_process_takes_to_end(
    child: ChildProcess,
) -> None:
    with pytest.raises(ProcessCrashError, match="test process ended with exit code 1"):
        child.ask(CrashSlowly(2.0))


def test_closing_does_not_wait_for_the_reason_of_an_end(child: ChildProcess) -> None:
    pid, *_ = child.ask("first")
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(child.ask, CrashSlowly(60.0))
        time.sleep(2.0)  # the pipe is at its end by now, and the process is not
        assert is_running(pid)
        assert not asked.done()
        began_s = time.monotonic()
        child.close()
        with pytest.raises(CancelledError, match="test process was closed"):
            asked.result(60.0)
    assert time.monotonic() - began_s < 5.0
    assert not is_running(pid)


def test_an_end_that_nothing_tells_the_reason_of_is_not_taken_for_a_signal(
    child: ChildProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "KNOWN_S", 0.2)
    with pytest.raises(ReconstructionError, match="so that nothing tells why") as caught:
        child.ask(CrashSlowly(60.0))
    assert "signal" not in str(caught.value)
    child.ask("again")


def test_an_end_with_exit_code_0_is_not_taken_for_a_signal(child: ChildProcess) -> None:
    with pytest.raises(ReconstructionError, match=r"without an answer or an error \(exit code 0"):
        child.ask("leave")
    child.ask("again")


def test_a_question_that_is_called_off_starts_no_process_again(child: ChildProcess) -> None:
    child.close()
    with pytest.raises(CancelledError, match="called off before the test process was asked"):
        child.ask("late", cancelled=lambda: True)
    assert not child.is_alive


def test_an_answer_nobody_wants_any_more_is_thrown_away(child: ChildProcess) -> None:
    with pytest.raises(CancelledError):
        child.ask("first", cancelled=lambda: True)
    child.ask("second")


class Asking:
    """Who asks, and hears how far the answer is."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def __call__(self) -> bool:
        return False

    def hear(self, step: Step) -> None:
        self.steps.append(step)


def test_who_asks_hears_how_far_the_answer_is(child: ChildProcess) -> None:
    asking = Asking()
    assert child.ask("count", cancelled=asking) == "counted"
    assert asking.steps == [Step(stage="count", done=number, total=3) for number in range(3)]


def test_who_does_not_listen_gets_the_answer_alone(child: ChildProcess) -> None:
    assert child.ask("count") == "counted"
