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

"""The memory of this process; apart from ``measuring``, which imports torch."""

from pathlib import Path

BYTES_PER_KB = 1024
STATUS = Path("/proc/self/status")


def process_peak_bytes() -> int:
    """Return the most memory that this process had on Linux, libraries included.

    Not ``ru_maxrss`` of getrusage: that begins with what the parent process had.
    """
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * BYTES_PER_KB
