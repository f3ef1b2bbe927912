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

"""Entry point of ``sam3d_node``: what must be settled before anything large is imported."""

import os
import signal
import sys

from sam3d_ros.heap import keep_large_blocks, make_ready

READY_BYTES = 256 << 20  # of memory, for the images and clouds of the first seconds
# Read when the libraries are loaded, here and in the process that reconstructs. Its arrays are
# small: threads that wait for each other would only take the cores from those who receive.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def settle() -> None:
    """Keep numerical libraries to one thread, unless the environment says otherwise.

    SIGINT or SIGTERM during the seconds of imports that follow end the process with exit code 0.
    """
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not sys.exit: modules in C make another error of the exception. Nothing is open yet.
        signal.signal(number, lambda *_: os._exit(0))
    if keep_large_blocks():
        make_ready(READY_BYTES)


def main() -> int:
    """Run the node."""
    settle()
    from sam3d_ros.ros.node import main as run_node  # noqa: PLC0415  # after the handlers

    return run_node()


if __name__ == "__main__":
    sys.exit(main())
