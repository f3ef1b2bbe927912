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

"""Settings of the commands: a ROS parameter file, then what the command line says."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ConfigError

ConfigT = TypeVar("ConfigT")

PARAMETERS = "ros__parameters"
# Parameters of every ROS node, which are not this package's.
FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides")


def node_config(
    params_file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> NodeConfig:
    """Return the defaults, changed by a parameter file, changed by dotted ``overrides``.

    Raises:
        ConfigError: When the file cannot be read, or names or values are not known.
    """
    config = NodeConfig()
    if params_file is not None:
        config = changed(config, _read(params_file), str(params_file))
    for name, value in (overrides or {}).items():
        config = changed(config, {name: value}, "command line")
    return config


def masks_mode(params_file: Path) -> str:
    """Return the ``masks.mode`` of a parameter file, which may be of other nodes, too.

    Raises:
        ConfigError: When the file cannot be read, or the mode is not known.
    """
    stated = {
        name: value
        for name, value in _read(params_file).items()
        if name.partition(".")[0] == "masks"
    }
    return changed(NodeConfig(), stated, str(params_file)).masks.mode


def changed(config: ConfigT, values: Mapping[str, Any], source: str) -> ConfigT:
    """Return a nested config with some of its values replaced.

    Args:
        config: Any config dataclass.
        values: Nested, or with dotted names, or both, as ROS allows.
        source: What an error names.

    Raises:
        ConfigError: For a name that is not known or a value of another type.
    """
    known = {each.name for each in fields(config)}  # type: ignore[arg-type]  # a dataclass
    updates: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}  # sections: all at once, one is checked beside another
    for dotted, value in values.items():
        name, _, rest = dotted.partition(".")
        if name not in known:
            raise ConfigError(
                f"{source}: unknown setting {dotted!r}, expected one of {', '.join(sorted(known))}"
            )
        present = getattr(config, name)
        inner = {rest: value} if rest else value
        if is_dataclass(present) and isinstance(inner, Mapping):
            below.setdefault(name, {}).update(inner)
        else:
            updates[name] = _as_type_of(present, value, f"{source}: {name}")
    for name, each in below.items():
        updates[name] = changed(getattr(config, name), each, source)
    return replace(config, **updates)  # type: ignore[type-var]  # a dataclass


def changed_by(path: Path | None, config: ConfigT) -> ConfigT:
    """Return a nested config with the settings of a YAML file, if any, in place of its own.

    Raises:
        ConfigError: The file cannot be read, or says what is no setting.
    """
    if path is None:
        return config
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(stated, Mapping):
        raise ConfigError(f"{path} must hold settings by their names, got {stated!r}")
    return changed(config, stated, str(path))


def _as_type_of(present: Any, value: Any, name: str) -> Any:
    """Return ``value``; an integer becomes a float where one is expected, a list a tuple."""
    if isinstance(present, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(present, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(present):
        raise ConfigError(f"{name} must be of type {_kind(present)}, got {value!r}")
    return value


def _kind(present: Any) -> str:
    if is_dataclass(present):
        return "settings"
    return "list" if isinstance(present, tuple) else type(present).__name__


def _read(path: Path) -> dict[str, Any]:
    """Return all parameters of a ROS parameter file, those of later nodes over earlier ones."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the parameter file {path}: {error}") from error
    parameters: dict[str, Any] = {}
    for each in _sections(content, path):
        parameters.update(_dotted(each))
    return {
        name: value for name, value in parameters.items() if name.partition(".")[0] not in FOREIGN
    }


def _dotted(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by their whole names, as ROS sees them: sections are not replaced."""
    parameters: dict[str, Any] = {}
    for name, value in stated.items():
        if isinstance(value, Mapping):
            parameters.update({f"{name}.{rest}": each for rest, each in _dotted(value).items()})
        else:
            parameters[name] = value
    return parameters


def _sections(content: Any, path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the parameters of each node; nodes may be below namespaces, as ROS allows."""
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected a node name or /** with {PARAMETERS} below it")
    for below in content.values():
        if isinstance(below, Mapping) and isinstance(below.get(PARAMETERS), Mapping):
            yield below[PARAMETERS]
        else:
            yield from _sections(below, path)
