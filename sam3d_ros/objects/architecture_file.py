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

"""``architecture.json`` in a weights folder: the sizes of a model that is not the released one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from sam3d_ros.errors import ConfigError, WeightsError
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.files import ARCHITECTURE_FILE

ConfigT = TypeVar("ConfigT")


def read_architecture(folder: Path) -> ObjectsArchitecture:
    """Return the sizes that a weights folder states; those of the release if it states none.

    Raises:
        WeightsError: The file cannot be read, or states what is no size of this model.
    """
    return stated_sizes(folder, ObjectsArchitecture())


def stated_sizes(folder: Path, default: ConfigT) -> ConfigT:
    """Return the sizes that a folder states of a model; ``default`` has what it does not state.

    Raises:
        WeightsError: The file cannot be read, or states what is no size of this model.
    """
    path = folder / ARCHITECTURE_FILE
    if not path.exists():
        return default
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    try:
        return _changed(default, stated, "architecture")
    except ConfigError as error:
        raise WeightsError(f"{path}: {error}") from error


def write_architecture(architecture: ObjectsArchitecture, folder: Path) -> None:
    """State all sizes of a model beside its weights."""
    text = json.dumps(asdict(architecture), indent=2)
    (folder / ARCHITECTURE_FILE).write_text(text + "\n", encoding="utf-8")


def _changed(config: ConfigT, stated: object, name: str) -> ConfigT:
    """Return a config with what is stated in place of its own values."""
    if not isinstance(stated, Mapping):
        raise ConfigError(f"{name} must be an object, got {stated!r}")
    known = {each.name for each in fields(config)}  # type: ignore[arg-type]  # a dataclass
    if unknown := sorted(set(stated) - known):
        raise ConfigError(
            f"{name} has no {unknown[0]}, expected some of {', '.join(sorted(known))}"
        )
    kinds = get_type_hints(type(config))
    values = {
        key: _value(getattr(config, key), kinds[key], value, f"{name}.{key}")
        for key, value in stated.items()
    }
    return replace(config, **values)  # type: ignore[type-var]  # a dataclass


def _value(present: Any, kind: Any, stated: Any, name: str) -> Any:
    """Return a stated value in the type of the one that it replaces."""
    optional = isinstance(kind, UnionType)
    if optional and stated is None:
        return None
    if optional:
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    if isinstance(kind, type) and is_dataclass(kind):
        return _changed(kind() if present is None else present, stated, name)
    if isinstance(present, tuple):
        if isinstance(stated, list) and all(type(each) is type(present[0]) for each in stated):
            return tuple(stated)
    elif type(stated) is type(present) or (isinstance(present, float) and type(stated) is int):
        return stated
    raise ConfigError(f"{name} must be like {present!r}, got {stated!r}")
