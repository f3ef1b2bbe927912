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


"""A process of its own that answers one question after the other through a pipe.

What holds the interpreter lock for tens of milliseconds must not run where images are received:
every such call would hold up the callbacks.
"""

import fcntl
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError, ReconstructionError, Sam3dError
from sam3d_ros.heap import (
    GIVE_BACK_PERIOD_S,
    give_back_spare,
    keep_large_blocks,
    make_ready,
)
from sam3d_ros.protocols import Cancelled, Step, never, tell
from sam3d_ros.scene.process_logs import logs_from, logs_to
from sam3d_ros.scene.transfer import Inbox, Outbox, receive, send

AUTOGROUP = Path("/proc/self/autogroup")
AUTOGROUP_PERIOD_S = 0.1  # Linux lets one process of all do that in this time, unless privileged
AUTOGROUP_TRIES = 10
KEPT_BYTES = 12 << 20  # of free memory: what one rare question needed goes back
POLL_S = 0.02  # how soon a cancellation is passed on
END_S = 0.5  # how long the process may take to end by itself
# How long one may take whose end of the pipe is gone: an interpreter that ends by an exception
# takes its libraries down first, which lasts seconds on a busy machine.
KNOWN_S = 10.0

Answering: TypeAlias = Callable[[Any, Cancelled], object]


class ProcessCrashError(RuntimeError):
    """The process failed in a way that no input should be able to cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a process is for."""

    name: str  # in the texts of errors: "the <name> process"
    niceness: int  # drivers, planners and the callbacks of our own node go first
    # Of a module's top level: called in the process, makes what answers its questions.
    make: Callable[[SceneConfig], Answering]


class ChildProcess:
    """The end of the pipe that asks; ``start`` starts the process at the other end."""

    def __init__(self, role: Role, config: SceneConfig) -> None:
        self._role = role
        self._config = config
        # "spawn" keeps the child free of the threads and DDS handles of this process.
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._cancel: Event | None = None
        self._ready: Event | None = None
        self._outbox = Outbox()
        # Two threads may find out at once that the process is to begin, or to end.
        self._turning = Lock()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        process = self._process  # once: another thread may be closing it
        return process is not None and process.is_alive()

    @property
    def is_ready(self) -> bool:
        """Whether a question would be looked at at once, as far as the process is concerned."""
        ready = self._ready
        return self.is_alive and ready is not None and ready.is_set()

    def start(self) -> None:
        """Start the process unless it runs; returns before it is ready."""
        with self._turning:
            if not self.is_alive:
                self._start()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        our_logs, their_logs = self._context.Pipe(duplex=False)
        self._pipe, self._outbox = ours, Outbox()
        self._cancel, self._ready = self._context.Event(), self._context.Event()
        pipes, events = (theirs, their_logs), (self._cancel, self._ready)
        self._process = self._context.Process(
            target=_serve,
            args=(pipes, events, self._role, self._config),
            name=self._role.name,
            daemon=True,
        )
        # Until the process can ignore Ctrl-C, which goes to the whole group, it must not see it.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        theirs.close()  # so that the death of the process ends our waiting
        their_logs.close()
        logs_from(our_logs)

    def ask(
        self, question: object, lasting: Sequence[object] = (), cancelled: Cancelled = never
    ) -> Any:
        """Return what the process answers, once it has said how far it is as often as it likes.

        Args:
            question: What is sent.
            lasting: Parts of it that are sent only once; see ``Outbox``.
            cancelled: Whether the answer is still wanted.

        Raises:
            CancelledError: When ``cancelled`` answered true, or ``close`` was called meanwhile.
            ReconstructionError: When a signal ended the process (out of memory), or nothing tells
                what did; it is started again for the next question.
            ProcessCrashError: When an exception ended it, which is a bug.
            Sam3dError: As raised in the process, at this question or when it got ready.
        """
        if cancelled():  # maybe by who has closed us: that must not start the process again
            raise CancelledError(f"called off before the {self._role.name} process was asked")
        if self._process is not None and not self.is_alive:  # since the last question
            raise self._why_it_ended()
        self.start()
        pipe, cancel = self._pipe, self._cancel
        if pipe is None or cancel is None:  # another thread has closed it since
            raise self._was_closed()
        cancel.clear()
        try:
            self._outbox.send(pipe, question, lasting)
            while isinstance(answer := _heard(pipe, cancel, cancelled), Step):
                tell(cancelled, answer)
        except (EOFError, OSError) as error:
            raise self._why_it_ended() from error
        if isinstance(answer, Sam3dError):
            raise answer
        if cancel.is_set():  # it came too late to stop the last object
            raise CancelledError("stopped after the last object")
        return answer

    def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        with self._turning:
            process, pipe, cancel = self._process, self._pipe, self._cancel
            self._process = self._pipe = self._cancel = None
        if process is None or pipe is None or cancel is None:
            return
        cancel.set()
        # Not pipe.close(): another thread may be using it, and finds its end this way.
        with socket.socket(fileno=os.dup(pipe.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
        process.join(END_S)
        if process.is_alive():
            process.kill()
            process.join()

    def _was_closed(self) -> CancelledError:
        return CancelledError(f"the {self._role.name} process was closed")

    def _why_it_ended(self) -> Exception:
        """Say why the other end of the pipe is gone."""
        process = self._process
        code = None if process is None else self._exit_code(process)
        if process is None or self._process is not process:  # another thread has closed it
            return self._was_closed()
        self.close()
        name = f"the {self._role.name} process"
        if code is None:
            what = (
                f"{name} let go of its pipe and had not ended {KNOWN_S:g} s later, so that nothing "
                "tells why; if it was an exception, that stands above"
            )
        elif code > 0:
            return ProcessCrashError(f"{name} ended with exit code {code}; its error stands above")
        elif code == 0:
            what = f"{name} ended without an answer or an error (exit code 0)"
        else:
            what = (
                f"a signal ended {name} (exit code {code}; -9 is often the kernel's out-of-memory "
                "killer)"
            )
        return ReconstructionError(f"{what}; it is started again for the next frame")

    def _exit_code(self, process: multiprocessing.process.BaseProcess) -> int | None:
        """Wait for the exit code of a process that is ending; None where it does not come in time.

        Nor does it come to who waits when another thread closes the process meanwhile.
        """
        deadline_s = time.monotonic() + KNOWN_S
        while (code := process.exitcode) is None and self._process is process:
            if time.monotonic() > deadline_s:
                break
            process.join(POLL_S)
        return code


class _Asking:
    """Who asked, as the process sees it; hears how far it is through the pipe."""

    def __init__(self, pipe: Connection, cancel: Event) -> None:
        self._pipe = pipe
        self._cancel = cancel

    def __call__(self) -> bool:
        """Answer whether the question was called off."""
        return self._cancel.is_set()

    def hear(self, step: Step) -> None:
        """Pass it on; where the other end is gone, the answer will find that out."""
        with suppress(OSError):
            send(self._pipe, step)


def _heard(pipe: Connection, cancel: Event, cancelled: Cancelled) -> Any:
    """Wait for what the process says next, and pass a cancellation on meanwhile."""
    while not pipe.poll(POLL_S):
        if cancelled():
            cancel.set()
    return receive(pipe)


def _serve(
    pipes: tuple[Connection, Connection],
    events: tuple[Event, Event],
    role: Role,
    config: SceneConfig,
) -> None:
    """Answer questions with results or errors until the other end is closed.

    Args:
        pipes: For questions and answers; for logs.
        events: Set from outside to call off what is done; set here once questions are looked at.
        role: What answers.
        config: Settings.
    """
    (pipe, logs), (cancel, ready) = pipes, events
    # Ctrl-C goes to the whole process group; our parent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    step_back(role.niceness)
    keep_large_blocks()
    logs_to(logs)
    answering = role.make(config)
    make_ready(KEPT_BYTES)  # what is kept later anyway: from the first question on it is the same
    ready.set()
    _answer_all(pipe, cancel, answering)
    # Taking libraries down in good order lasts half a second, and nothing here waits for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def end_with_parent() -> None:
    """End this process as soon as its parent ends, even by SIGKILL, and whatever is done here.

    The parent holds the other end of a pipe through which nothing comes any more. Once it is gone,
    the kernel sends SIGIO, which ends a process that does not handle it; a thread that watched the
    pipe would have to wait for imports and for whatever else holds the interpreter lock.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    handle = parent.sentinel
    # Who started the node may have it ignored or blocked.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
    fcntl.fcntl(handle, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) | os.O_ASYNC)
    if multiprocessing.connection.wait([handle], 0):  # it has ended before
        os._exit(0)


def step_back(niceness: int) -> None:
    """Let the node that started this process have the processors first.

    Niceness counts among the processes of one session only where Linux shares out the processors
    by session (sched_autogroup): what is used here would then be taken off the node's own share,
    and whoever publishes images would interrupt its callbacks. So this becomes a session of its
    own, with a niceness of its own. A real-time priority that the node was started with is no
    business of what computes for seconds.
    """
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setsid()
    os.nice(niceness)
    with suppress(OSError):  # a kernel without
        for _ in range(AUTOGROUP_TRIES):
            try:
                AUTOGROUP.write_text(str(niceness), encoding="ascii")
                return
            except BlockingIOError:  # others have just done so; see AUTOGROUP_PERIOD_S
                time.sleep(AUTOGROUP_PERIOD_S)


def _answer_all(pipe: Connection, cancel: Event, answering: Answering) -> None:
    inbox, asking = Inbox(), _Asking(pipe, cancel)
    looked_s = time.monotonic()
    while True:
        try:
            question = inbox.receive(pipe)
        except (EOFError, OSError):  # the node has closed its end, or is gone
            return
        answer: object
        try:
            answer = answering(question, asking)
        except Sam3dError as error:
            answer = error
        try:
            send(pipe, answer)
        except OSError:
            return
        if time.monotonic() - looked_s > GIVE_BACK_PERIOD_S:
            looked_s = time.monotonic()
            give_back_spare(KEPT_BYTES)
