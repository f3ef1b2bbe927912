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

"""What a process logs, logged by the process that started it."""

import logging
from multiprocessing.connection import Connection
from threading import Thread

ROOT = "sam3d_ros"  # whose loggers are forwarded


class PipeHandler(logging.Handler):
    """Sends what is logged through a pipe, whose other end ``logs_from`` reads."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(logging.INFO)
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send name, level and text of one record, unless nobody listens any more."""
        try:
            self._pipe.send((record.name, record.levelno, record.getMessage()))
        except OSError:
            return


def logs_to(pipe: Connection) -> None:
    """Let everything that this package logs in this process go through a pipe alone."""
    logger = logging.getLogger(ROOT)
    logger.setLevel(logging.INFO)
    logger.addHandler(PipeHandler(pipe))
    logger.propagate = False


def logs_from(pipe: Connection) -> Thread:
    """Log in this process what comes through a pipe, in a thread that ends with the pipe."""
    thread = Thread(target=_log, args=(pipe,), name="logs", daemon=True)
    thread.start()
    return thread


def _log(pipe: Connection) -> None:
    while True:
        try:
            name, level, text = pipe.recv()
        except (EOFError, OSError):
            pipe.close()
            return
        logging.getLogger(name).log(level, "%s", text)
