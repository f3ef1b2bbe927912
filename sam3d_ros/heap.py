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

"""How the C library keeps memory for large arrays: images and clouds come too often for new one.

By default glibc gives what is large a mapping of its own, or soon learns not to. The first costs a
page fault for every 4 KB of every copy of every message: half of the time of the thread that
receives, at 1280x720 and 30 Hz. The second keeps for ever what a node once had use for.
"""

import ctypes
from functools import cache
from typing import Any

# Of mallopt.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE_BYTES = 32 << 20  # what is larger has a mapping of its own; the most that glibc takes
NEVER_BYTES = 2**31 - 1
SPARE_BYTES = 64 << 20  # so much free memory is no reason to give any back: messages come again
BLOCK_BYTES = 16 << 20  # of what is made ready: below LARGE_BYTES, else it is no part of the heap
GIVE_BACK_PERIOD_S = 10.0  # between two looks at it


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def keep_large_blocks() -> bool:
    """Let what is freed be used again; return whether this C library can.

    To be called before much is allocated, in each process. ``give_back_spare`` belongs to it.
    """
    library = _glibc()
    if library is None:
        return False
    library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    # Not whenever the end of the heap is free: that would hold up whoever frees its last block.
    library.mallopt(M_TRIM_THRESHOLD, NEVER_BYTES)
    return True


def make_ready(num_bytes: int) -> None:
    """Have so much memory at hand for what comes next; ``give_back_spare`` returns what does not.

    The first touch of a page of memory takes the longest, most of all in a virtual machine: where
    images come before that is done, their first seconds are late, and some are lost. To be called
    after ``keep_large_blocks``, without which it would go back at once.
    """
    # Written to, else the system only promises it; all at once, else it is the same block.
    starts = range(0, num_bytes, BLOCK_BYTES)
    blocks = [b"\x01" * min(BLOCK_BYTES, num_bytes - start) for start in starts]
    del blocks


def spare_bytes() -> int:
    """Return how much memory is free for the next array; 0 where this C library cannot tell."""
    library = _glibc()
    return 0 if library is None else int(library.mallinfo2().fordblks)


def give_back_spare(kept_bytes: int = SPARE_BYTES) -> None:
    """Return free memory to the system if it is more than is to be kept.

    That takes a few milliseconds, in which no other thread gets memory.
    """
    if spare_bytes() > kept_bytes:
        _glibc().malloc_trim(kept_bytes)


@cache
def _glibc() -> Any:
    """Return the C library if it has all that is needed: glibc since 2.33."""
    library = ctypes.CDLL(None)
    if not all(hasattr(library, name) for name in ("mallopt", "malloc_trim", "mallinfo2")):
        return None
    library.mallinfo2.restype = _MallocInfo
    library.malloc_trim.argtypes = (ctypes.c_size_t,)
    return library
