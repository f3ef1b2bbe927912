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


"""Hostile messages to a running node, good ones between them, and what it made of both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message

from sam3d_ros.apps.bags import RawMessage
from sam3d_ros.errors import ConfigError, ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.harness.attack import OUT_OF_TIME, Attack
from sam3d_ros.ros.harness.hostile import attacks
from sam3d_ros.ros.harness.ledger import Ledger
from sam3d_ros.ros.harness.peer import Peer
from sam3d_ros.structures import Floats

PATIENCE_S = 20.0  # for a report
FIRST_S = 180.0  # for the first one, which waits for the node's processes
ALONE = 10  # messages that come alone, for each that takes a place in an exposure
BETWEEN_GOOD = 3  # exposures with something wrong in them, from one good exposure to the next
STRAY_S = 0.3  # for what may come of a mask that nobody may be able to read
MAX_OFF_M = 0.05  # from a transform to the middle of the nearest true object
MAX_TOLD = 5  # messages before a problem that it names
MAX_FOUND = 40  # problems that are written down


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is sent."""

    seed: int = 0
    only: str = ""  # part of the name of an attack, as "topic: name"

    def attacks(self) -> list[Attack]:
        """Return the attacks that are chosen from.

        Raises:
            ConfigError: There is none of that name.
        """
        chosen = [each for each in attacks() if self.only in name_of(each)]
        if not chosen:
            raise ConfigError(f"no attack has {self.only!r} in its name")
        return chosen


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was seen."""

    num_hostile: int = 0
    num_good: int = 0
    num_transforms: int = 0
    codes: dict[str, int] = field(default_factory=dict)  # of exposures with something wrong
    slowest_good_s: float = 0.0  # from the first message to the report
    slowest_hostile_s: float = 0.0
    longest_silence_s: float = 0.0  # of the node's executor
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Note what must not be."""
        if len(self.problems) < MAX_FOUND:
            self.problems.append(text)


class Fuzzer:
    """One exposure after the other, each waiting for its report.

    Args:
        peer: Talks to the node.
        good: The messages of one good exposure, the mask last.
        centers_m: Middle of each object in the frame of the transforms ``(N, 3)``.
        is_alive: Whether the node's process runs.
        choice: Of what is sent, and when.
    """

    def __init__(
        self,
        peer: Peer,
        good: Sequence[RawMessage],
        centers_m: Floats,
        is_alive: Callable[[], bool],
        choice: Choice,
    ) -> None:
        self.findings = Findings()
        self._peer = peer
        self._good = good
        self._centers_m = centers_m
        self._is_alive = is_alive
        self._ledger = Ledger(peer, is_alive)
        self._rng = np.random.default_rng(choice.seed)
        self._attacks = choice.attacks()
        self._codes_besides: frozenset[ReportCode] = frozenset()  # that the next report may have
        self._last: list[str] = []  # of what was sent, the newest last

    def run(self, num_messages: int, seconds: float) -> Findings:
        """Attack until so many hostile messages were sent, or so long; then a last good one."""
        deadline_s = time.monotonic() + seconds
        if not self._has_begun():
            self.findings.problem(f"no good exposure was processed within {FIRST_S:g} s")
            return self.findings
        while self.findings.num_hostile < num_messages and time.monotonic() < deadline_s:
            for _ in range(BETWEEN_GOOD):
                for _ in range(ALONE):
                    self._send_alone(self._draw())
                self._send_exposure(self._draw())
            self._send_good()
            if not self._is_alive():
                self.findings.problem(f"the node ended after {'; '.join(self._last)}")
                return self.findings
        self._end()
        return self.findings

    def _has_begun(self) -> bool:
        """Send good exposures until the node has its objects; return whether it has."""
        deadline_s = time.monotonic() + FIRST_S
        while time.monotonic() < deadline_s and self._is_alive():
            stamp_ns = time.time_ns()
            report = self._ledger.expose(self._messages(stamp_ns), FIRST_S)
            if report is not None and report.code == ReportCode.OK:
                return True
        return False

    def _end(self) -> None:
        """Say which masks had no report, or two."""
        self._peer.spin(1.0)
        for stamp_ns in self._ledger.settle():
            self.findings.problem(f"the mask at {stamp_ns} ns had no report")
        if self._ledger.num_strays > self._ledger.num_strays_allowed:
            num, most = self._ledger.num_strays, self._ledger.num_strays_allowed
            self.findings.problem(f"{num} reports on no mask, of which {most} may be")

    def _draw(self) -> Attack:
        return self._attacks[int(self._rng.integers(len(self._attacks)))]

    def _send_alone(self, attack: Attack) -> None:
        """Send only the hostile message; a mask never comes without its image."""
        if attack.topic == "masks":
            self._send_exposure(attack)
            return
        self._note(attack)
        stamp_ns = time.time_ns()
        target = self._target(attack)
        data = self._hostile(attack, target, stamp_ns)
        self._ledger.note_image(target.topic, data)
        self._codes_besides |= OUT_OF_TIME if attack.moves_time else frozenset()
        self._peer.send(target.topic, data)
        self._peer.spin(0.0)

    def _send_exposure(self, attack: Attack) -> None:
        """Send an exposure in which one message is hostile, and judge the report."""
        self._note(attack)
        started_s, stamp_ns = time.monotonic(), time.time_ns()
        messages = self._messages(stamp_ns, attack)
        if attack.topic == "masks" and not attack.is_readable:
            self._ledger.stray(messages, STRAY_S)
            return
        report = self._ledger.expose(messages, PATIENCE_S)
        self._check_transforms()
        if report is None:
            self._no_report()
            return
        took_s = time.monotonic() - started_s
        self.findings.slowest_hostile_s = max(self.findings.slowest_hostile_s, took_s)
        code, wanted = ReportCode(report.code), attack.codes | self._codes_besides
        self._codes_besides = frozenset()
        self.findings.codes[code.name] = self.findings.codes.get(code.name, 0) + 1
        if code not in wanted:
            names = ", ".join(sorted(each.name for each in wanted))
            self._problem(f"reported {code.name} ({report.message[:300]!r}), wanted {names}")
        if code != ReportCode.OK and not report.message.strip():
            self._problem("a refusal without a sentence")

    def _send_good(self) -> None:
        """Send a good exposure, which must be processed whatever came before."""
        started_s, stamp_ns = time.monotonic(), time.time_ns()
        report = self._ledger.expose(self._messages(stamp_ns), PATIENCE_S)
        self._check_transforms()
        if report is None:
            self._no_report()
            return
        self.findings.num_good += 1
        took_s = time.monotonic() - started_s
        self.findings.slowest_good_s = max(self.findings.slowest_good_s, took_s)
        if report.code != ReportCode.OK or not report.object_ids:
            code = ReportCode(report.code).name
            self._problem(f"a good exposure was refused: {code} ({report.message[:300]!r})")

    def _messages(self, stamp_ns: int, attack: Attack | None = None) -> list[tuple[str, bytes]]:
        """Return topic and content of an exposure, one of them hostile where there is an attack."""
        target = self._target(attack) if attack is not None else None
        # Points only stand in for depth: beside it, nothing would come of them.
        without = "/sam3d/depth" if attack is not None and attack.topic == "points" else ""
        return [
            (
                message.topic,
                self._hostile(attack, message, stamp_ns)
                if attack is not None and message is target
                else self._peer.stamped(message, stamp_ns),
            )
            for message in self._good
            if message.topic != without
        ]

    def _target(self, attack: Attack) -> RawMessage:
        names = (attack.topic, f"/sam3d/{attack.topic}")
        return next(each for each in self._good if each.topic in names)

    def _hostile(self, attack: Attack, message: RawMessage, stamp_ns: int) -> bytes:
        changed = self._peer.read(message, stamp_ns)
        data = attack.change(changed, self._rng)
        return bytes(serialize_message(changed)) if data is None else data

    def _check_transforms(self) -> None:
        """Say which transforms of objects are none, or not where an object is."""
        for transform, _ in self._peer.transforms:
            self.findings.num_transforms += 1
            if why := self._why_wrong(transform):
                self._problem(f"wrong transform: {why}")
        self._peer.transforms.clear()

    def _why_wrong(self, transform: Any) -> str:
        shift, quat = transform.transform.translation, transform.transform.rotation
        place = np.array([shift.x, shift.y, shift.z])
        length = float(np.linalg.norm([quat.x, quat.y, quat.z, quat.w]))
        name = transform.child_frame_id
        if transform.header.frame_id != "world":
            return f"{name} in {transform.header.frame_id!r}"
        if stamp_ns_from_msg(transform.header.stamp) not in self._ledger.image_stamps:
            return f"{name} at a stamp of no image"
        if not abs(length - 1.0) < 1e-6:
            return f"{name} has a quaternion of length {length:g}"
        off_m = float(np.linalg.norm(self._centers_m - place, axis=1).min())
        return "" if off_m < MAX_OFF_M else f"{name} is {off_m:g} m from every object"

    def _no_report(self) -> None:
        if self._is_alive():
            self._problem(f"no report within {PATIENCE_S:g} s")

    def _problem(self, text: str) -> None:
        self.findings.problem(f"{text}; the last messages: {'; '.join(self._last)}")

    def _note(self, attack: Attack) -> None:
        self.findings.num_hostile += 1
        self._last = [*self._last[-MAX_TOLD:], name_of(attack)]


def name_of(attack: Attack) -> str:
    """Return topic and name."""
    return f"{attack.topic}: {attack.name}"
