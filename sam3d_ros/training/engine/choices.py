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

"""A person in the judge's place: a text file with one line per case, edited by hand.

Each line is a case, the number of its best candidate and that of its worst, as the contact sheets
number them. ``-`` for both leaves the case out. ``#`` begins a comment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sam3d_ros.errors import TrainingError

CHOICES_FILE = "choices.txt"
LEFT_OUT = "-"
HEADING = """\
# One line per case: its id, the best candidate, the worst candidate; numbers as on sheets/ID.png.
# "- -" leaves a case out, which is right where all are alike or none is any good.
# What stands here is what the judge chose; change what you see otherwise.
"""


@dataclass(frozen=True, slots=True)
class ChosenPair:
    """Which candidates of a case are the best and the worst one."""

    best: int
    worst: int


def write_choices(
    path: Path, choices: Mapping[str, ChosenPair | None], names: Mapping[str, str]
) -> None:
    """Write the file for a person to edit; what it has lines of already stays as it is.

    Raises:
        TrainingError: The file that is there cannot be read.
    """
    before = _text_of(path) if path.exists() else HEADING
    known = {line.split()[0] for line in before.splitlines() if line.strip()}
    lines = [_line(case, pair, names[case]) for case, pair in choices.items() if case not in known]
    path.write_text(before + "".join(lines), encoding="utf-8")


def read_choices(path: Path, cases: Iterable[str], num_candidates: int) -> dict[str, ChosenPair]:
    """Read what a person chose, by case; cases that are left out are not in it.

    Raises:
        TrainingError: A line cannot be understood; names file and line.
    """
    text = _text_of(path)
    known = set(cases)
    chosen: dict[str, ChosenPair] = {}
    seen: dict[str, int] = {}  # lines
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{path}, line {number}"
        case, pair = _parsed(words, num_candidates, where)
        if case not in known:
            raise TrainingError(f"{where}: there is no case {case!r}; ids are those of the sheets")
        if case in seen:
            raise TrainingError(f"{where}: case {case} stands in line {seen[case]} already")
        seen[case] = number
        if pair is not None:
            chosen[case] = pair
    return chosen


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error


def _parsed(words: list[str], num: int, where: str) -> tuple[str, ChosenPair | None]:
    if len(words) != 3:
        raise TrainingError(
            f"{where}: expected a case, its best and its worst candidate, got {' '.join(words)!r}"
        )
    case, *stated = words
    if stated == [LEFT_OUT, LEFT_OUT]:
        return case, None
    best, worst = (_candidate(word, num, where) for word in stated)
    if best == worst:
        raise TrainingError(f"{where}: best and worst are both {best}; write '- -' to leave it out")
    return case, ChosenPair(best, worst)


def _candidate(word: str, num: int, where: str) -> int:
    if not word.isdecimal() or int(word) >= num:
        raise TrainingError(f"{where}: expected a candidate from 0 to {num - 1}, got {word!r}")
    return int(word)


def _line(case: str, pair: ChosenPair | None, name: str) -> str:
    best, worst = (LEFT_OUT, LEFT_OUT) if pair is None else (pair.best, pair.worst)
    return f"{case} {best} {worst}  # {name}\n"
