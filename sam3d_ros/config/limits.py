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

"""How settings are declared, and checked when a config is made."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from sam3d_ros.errors import ConfigError

T = TypeVar("T", bool, int, float, str)
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one setting means and which values it takes."""

    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str | float, ...] = ()
    dynamic: bool = False  # a change is in force at once, not from the next configure on
    several: bool = False  # the value is a list of choices
    is_frame: bool = False  # the value names a TF frame
    read_only: bool = False  # looked at once, when the node starts

    @property
    def listed_choices(self) -> str:
        """The choices as texts name them; empty where there are none."""
        return ", ".join(map(str, self.choices))

    def check(self, name: str, value: object) -> None:
        """Raise ``ConfigError`` unless ``value`` lies within these limits."""
        if self.several:
            self._check_several(name, value)
        elif self.choices and value not in self.choices:
            raise ConfigError(f"{name} must be one of {self.listed_choices}, got {value!r}")
        if self.low is None or self.high is None:
            return
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ConfigError(f"{name} must be within [{self.low:g}, {self.high:g}], got {value!r}")

    def _check_several(self, name: str, values: object) -> None:
        got = list(values) if isinstance(values, list | tuple) else values
        if not (isinstance(got, list) and got and all(each in self.choices for each in got)):
            raise ConfigError(
                f"{name} must be a list of one or more of {self.listed_choices}, got {got!r}"
            )


def setting(
    default: T,
    description: str,
    *limits: float,
    choices: tuple[T, ...] = (),
    dynamic: bool = False,
    read_only: bool = False,
) -> T:
    """Declare a field with its ``Limits``; ``limits`` is empty or (low, high)."""
    low, high = limits or (None, None)
    told = Limits(description, low, high, choices, dynamic, read_only=read_only)
    metadata = {"limits": told}
    result: T = field(default=default, metadata=metadata)
    return result


def frame_setting(description: str) -> str:
    """Declare a field that names a TF frame, or none; it has no leading slash, as in tf2."""
    metadata = {"limits": Limits(description, is_frame=True)}
    result: str = field(default="", metadata=metadata)
    return result


def choice_list(
    default: tuple[str, ...], description: str, choices: tuple[str, ...]
) -> tuple[str, ...]:
    """Declare a field that holds one or more of ``choices``."""
    metadata = {"limits": Limits(description, choices=choices, several=True)}
    result: tuple[str, ...] = field(default=default, metadata=metadata)
    return result


def limits_of(config_field: "Field[Any]") -> Limits:
    """Return the limits of a leaf field."""
    limits = config_field.metadata["limits"]
    assert isinstance(limits, Limits)
    return limits


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Limits]]:
    """Yield (dotted name, value, limits) of every leaf of a nested config."""
    for leaf in fields(config):
        value = getattr(config, leaf.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{leaf.name}.")
        else:
            yield f"{prefix}{leaf.name}", value, limits_of(leaf)


def retuned(config: ConfigT, changes: Mapping[str, Any]) -> ConfigT:
    """Return settings of which some leaves have other values.

    Args:
        config: The settings before.
        changes: The values, by dotted name.

    Raises:
        ConfigError: A value is out of range.
    """
    values, below = {}, dict[str, dict[str, Any]]()
    for name, value in changes.items():
        head, dot, rest = name.partition(".")
        if dot:
            below.setdefault(head, {})[rest] = value
        else:
            values[head] = value
    values |= {head: retuned(getattr(config, head), each) for head, each in below.items()}
    return replace(config, **values)  # type: ignore[type-var]  # every config is a dataclass


class Checked:
    """Checks every leaf field of a config when it is made, and takes slashes off frames."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for leaf in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, leaf.name)
            if is_dataclass(value):
                continue
            limits = limits_of(leaf)
            limits.check(leaf.name, value)
            if limits.is_frame:
                # tf2 knows /odom as odom; everybody whom we name a frame does not.
                object.__setattr__(self, leaf.name, value.lstrip("/"))
