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

"""Memory of what is freed is used again, and what is much goes back to the system.

Each test asks a process of its own: settings of the C library last as long as the process.
"""

import subprocess
import sys

import pytest

from sam3d_ros import heap

pytestmark = pytest.mark.skipif(not heap.spare_bytes(), reason="needs glibc 2.33 or newer")
# Prints the page faults of a thousand copies of an image, one after the other.
FAULTS = """
import resource, sys
from sam3d_ros import heap
if sys.argv[1] == "kept":
    assert heap.keep_large_blocks()
image = bytes(4_000_000)
copies = [bytearray(image), bytearray(image)]
copies.clear()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for number in range(1000):
    copy = bytearray(image)
    copy[0] = number % 256
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# Prints the page faults of ten images that stay, after memory of a size was made ready.
READY = """
import resource, sys
from sam3d_ros import heap
assert heap.keep_large_blocks()
heap.make_ready(int(sys.argv[1]))
image = bytes(int(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
images = [bytearray(image) for _ in range(10)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# Prints the resident MB with many images, with every other, and once the spare memory went back.
SPARE = """
from pathlib import Path
from sam3d_ros import heap
assert heap.keep_large_blocks()
def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
assert heap.spare_bytes() < heap.SPARE_BYTES
image = bytes(1_000_000)
images = [bytearray(image) for _ in range(300)]
most = resident_mb()
del images[::2]
left = resident_mb()
heap.give_back_spare()
print(most, left, resident_mb())
"""


def answered(code: str, *arguments: str) -> list[float]:
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return [float(each) for each in ended.stdout.split()]


def test_copies_of_an_image_take_no_new_memory() -> None:
    (faults,) = answered(FAULTS, "kept")
    assert faults < 5000  # each copy has 977 pages


@pytest.mark.parametrize("image_bytes", [16_000_000, 1_000_000])  # more than a block, and less
def test_what_was_made_ready_needs_no_new_memory(image_bytes: int) -> None:
    (faults,) = answered(READY, str(12 * image_bytes), str(image_bytes))
    assert faults < 10 * image_bytes / 4096 / 8


def test_spare_memory_between_what_stays_goes_back() -> None:
    most, left, rest = answered(SPARE)
    assert most - left < 30  # else the test shows nothing
    assert most - rest > 120  # of 150
