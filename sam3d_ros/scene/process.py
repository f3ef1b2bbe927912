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

"""The reconstructor in a process of its own.

Ray casting and decimation hold the interpreter lock for tens of milliseconds. In a process that
also receives images, every such call would hold up the callbacks; here it cannot.
"""

import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import CancelledError, ReconstructionError, Sam3dError
from sam3d_ros.objects.files import NEEDED, check_present
from sam3d_ros.protocols import Cancelled, never
from sam3d_ros.scene.process_logs import logs_from, logs_to
from sam3d_ros.scene.reconstructor import ReconstructedFrame
from sam3d_ros.scene.transfer import receive, send
from sam3d_ros.structures import Frame

POLL_S = 0.02  # how soon a cancellation is passed on
NICENESS = 5  # drivers, planners and the callbacks of our own node go first
END_S = 0.5  # how long the process may take to end by itself


logger = logging.getLogger(__name__)
Reconstruct = Callable[[Frame, Cancelled], ReconstructedFrame]


class ReconstructorCrashError(RuntimeError):
    """The process failed in a way that no input should be able to cause."""


class ReconstructorProcess:
    """A ``FrameReconstructor`` behind a pipe; ``start`` starts its process."""

    def __init__(self, config: SceneConfig) -> None:
        self._config = config
        # "spawn" keeps the child free of the threads and DDS handles of this process.
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._cancel: Event | None = None

    def start(self) -> None:
        """Start the process unless it runs; returns before it is ready.

        Raises:
            WeightsMissingError: The backend that is named needs weights that are not there.
        """
        if self._process is not None and self._process.is_alive():
            return
        if self._config.objects.backend == "sam3d":  # seconds sooner than the process would say it
            needed = NEEDED[self._config.objects.mesh_detail]
            check_present(self._config.weights.objects, needed)
        ours, theirs = self._context.Pipe()
        our_logs, their_logs = self._context.Pipe(duplex=False)
        self._pipe, self._cancel = ours, self._context.Event()
        self._process = self._context.Process(
            target=_serve, args=(theirs, their_logs, self._cancel, self._config), daemon=True
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

    def reconstruct(self, frame: Frame, cancelled: Cancelled = never) -> ReconstructedFrame:
        """Reconstruct every mask of a frame in the process.

        Raises:
            CancelledError: When ``cancelled`` answered true, or ``close`` was called meanwhile.
            ReconstructionError: When a signal ended the process (out of memory); it is started
                again for the next frame.
            ReconstructorCrashError: When an exception ended it, which is a bug.
            Sam3dError: As raised in the process, at this frame or when it got ready.
        """
        self.start()
        pipe, cancel = self._pipe, self._cancel
        if pipe is None or cancel is None:  # another thread has closed it since
            raise CancelledError("the reconstruction process was closed")
        cancel.clear()
        try:
            send(pipe, frame)
            while not pipe.poll(POLL_S):
                if cancelled():
                    cancel.set()
            answer = receive(pipe)
        except (EOFError, OSError) as error:
            raise self._why_it_ended() from error
        if isinstance(answer, Sam3dError):
            raise answer
        if cancel.is_set():  # it came too late to stop the last object
            raise CancelledError("stopped after the last object")
        assert isinstance(answer, ReconstructedFrame)
        return answer

    def close(self) -> None:
        """End the process, by force if it does not end by itself."""
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
        process.close()

    def _why_it_ended(self) -> Exception:
        """Say why the other end of the pipe is gone."""
        if self._process is None:
            return CancelledError("the reconstruction process was closed")
        self._process.join(END_S)
        code = self._process.exitcode
        self.close()
        if code is not None and code > 0:
            return ReconstructorCrashError(
                f"the reconstruction process ended with exit code {code}; its error stands above"
            )
        return ReconstructionError(
            f"a signal ended the reconstruction process (exit code {code}; -9 is often the "
            "kernel's out-of-memory killer); it is started again for the next frame"
        )


def _serve(pipe: Connection, logs: Connection, cancel: Event, config: SceneConfig) -> None:
    """Answer frames with results or errors until the other end is closed."""
    # Ctrl-C goes to the whole process group; our parent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    logs_to(logs)
    reconstruct = _made_ready(config)
    while True:
        try:
            frame = receive(pipe)
        except (EOFError, OSError):  # the node has closed its end, or is gone
            return
        answer: ReconstructedFrame | Sam3dError
        try:
            answer = reconstruct(frame, cancel.is_set)
        except Sam3dError as error:
            answer = error
        try:
            send(pipe, answer)
        except OSError:
            return


def _made_ready(config: SceneConfig) -> Reconstruct:
    """Return what answers frames; where the backend cannot be had, each is answered with why."""
    # Imported here: it takes seconds and a hundred megabytes that only this process has to spend.
    from sam3d_ros.scene.local import local_reconstructor  # noqa: PLC0415

    try:
        reconstructor = local_reconstructor(config)
        reconstructor.warm_up()
    except Sam3dError as error:
        logger.error("nothing can be reconstructed: %s", error)
        return _refuser(error)
    return reconstructor.reconstruct


def _refuser(error: Sam3dError) -> Reconstruct:
    def refuse(frame: Frame, cancelled: Cancelled) -> ReconstructedFrame:
        raise error

    return refuse
