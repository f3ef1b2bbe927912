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


"""A bounded memory of one topic's messages, found again by their stamps."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, NamedTuple

from sam3d_ros.structures import NS_PER_S


@dataclass(frozen=True, slots=True)
class Entry:
    """One message and what is needed to find or drop it."""

    stamp_ns: int
    message: Any
    num_bytes: int = 0


class Search(NamedTuple):
    """What was found for a stamp, and whether waiting could still change that."""

    entry: Entry | None
    decided: bool


NOTHING = Search(None, decided=True)


class StampCache:
    """Messages ordered by stamp, within some seconds of the one that came last.

    Where that is far from the one before, also of that: a single wrong stamp empties nothing.
    """

    def __init__(self, max_seconds: float) -> None:
        self._max_ns = int(max_seconds * NS_PER_S)
        self._entries: list[Entry] = []
        self.num_bytes = 0
        self.num_received = 0
        self.last_ns: int | None = None  # stamp of what came last
        self.latest: Entry | None = None  # what came last, whatever has been forgotten since

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """Oldest and newest stamp, None when empty."""
        return (self._entries[0].stamp_ns, self._entries[-1].stamp_ns) if self._entries else None

    def add(self, stamp_ns: int, message: Any) -> None:
        """Remember a message; one with the same stamp is replaced."""
        entry = Entry(stamp_ns, message, len(getattr(message, "data", ())))
        place = bisect_left(self._entries, stamp_ns, key=_stamp_ns)
        if place < len(self._entries) and self._entries[place].stamp_ns == stamp_ns:
            self.num_bytes -= self._entries.pop(place).num_bytes
        self._entries.insert(place, entry)
        self.num_bytes += entry.num_bytes
        self.num_received += 1
        before_ns = stamp_ns if self.last_ns is None else self.last_ns
        self.last_ns, self.latest = stamp_ns, entry
        if abs(stamp_ns - before_ns) > self._max_ns:  # one of both is wrong, or time has jumped
            self._forget_far_from(before_ns, stamp_ns)
            return
        # What is far in the future is of no more use than what is long past: after a jump back it
        # would be taken for the newest.
        self._keep(
            bisect_left(self._entries, stamp_ns - self._max_ns, key=_stamp_ns),
            bisect_right(self._entries, stamp_ns + self._max_ns, key=_stamp_ns),
        )

    def search(self, stamp_ns: int, slop_ns: int, *, final: bool) -> Search:
        """Find the message of a stamp: the exact one, else the nearest within ``slop_ns``.

        The nearest is only certain once the topic has gone on to that stamp, because messages of
        one topic come in order; ``final`` takes what is there.
        """
        place = bisect_left(self._entries, stamp_ns, key=_stamp_ns)
        has_gone_on = place < len(self._entries)
        if not has_gone_on and not final:
            return Search(None, decided=False)
        near = self._entries[max(place - 1, 0) : place + 1]
        best = min(near, key=lambda each: abs(each.stamp_ns - stamp_ns), default=None)
        if best is None or abs(best.stamp_ns - stamp_ns) > slop_ns:
            return NOTHING
        return Search(best, decided=True)

    def num_after(self, stamp_ns: int) -> int:
        """Return how many remembered messages are younger than a time."""
        return len(self._entries) - bisect_right(self._entries, stamp_ns, key=_stamp_ns)

    def drop_oldest(self) -> None:
        """Forget one message."""
        self._keep(1, len(self._entries))

    def forget_after(self, stamp_ns: int) -> None:
        """Drop what is younger than a time."""
        self._keep(0, bisect_right(self._entries, stamp_ns, key=_stamp_ns))
        if self.last_ns is not None and self.last_ns > stamp_ns:
            self.last_ns = self._entries[-1].stamp_ns if self._entries else None

    def _forget_far_from(self, *stamps_ns: int) -> None:
        """Drop what is near none of some times."""
        self._entries = [
            each
            for each in self._entries
            if any(abs(each.stamp_ns - stamp_ns) <= self._max_ns for stamp_ns in stamps_ns)
        ]
        self.num_bytes = sum(entry.num_bytes for entry in self._entries)

    def _keep(self, start: int, stop: int) -> None:
        entries = self._entries
        for gone in (entries[stop:], entries[:start]):
            self.num_bytes -= sum(entry.num_bytes for entry in gone)
        del entries[stop:], entries[:start]


def _stamp_ns(entry: Entry) -> int:
    return entry.stamp_ns
