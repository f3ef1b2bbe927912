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


"""ROS parameters from the settings: one per leaf of ``NodeConfig``, read when configured.

Those that are dynamic are in force as soon as they change.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from sam3d_ros.config import Limits, NodeConfig, leaves, retuned
from sam3d_ros.errors import ConfigError

ConfigT = TypeVar("ConfigT")
SECTIONS = [
    leaf.name for leaf in fields(NodeConfig()) if is_dataclass(getattr(NodeConfig(), leaf.name))
]
LEAVES = {name: (value, limits) for name, value, limits in leaves(NodeConfig())}


def declare_parameters(node: Node, retune: Callable[[Mapping[str, Any]], None]) -> None:
    """Declare every setting with its default, description and limits.

    Args:
        node: Gets them.
        retune: Gets the values of all that are dynamic, by name, whenever some change.

    Raises:
        ConfigError: A value from the command line or a parameter file has the wrong type or range,
            or contradicts another one of its section.
    """
    for name, (default, limits) in LEAVES.items():
        try:
            node.declare_parameter(name, default, descriptor_of(default, limits))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            kind = "list" if limits.several else type(default).__name__
            raise ConfigError(f"parameter {name} is a {kind}, like {default!r}: {error}") from error
        limits.check(name, node.get_parameter(name).value)
    for section in SECTIONS:
        _section(node, section)
    node.add_on_set_parameters_callback(partial(refuse_wrong_values, node))
    node.add_post_set_parameters_callback(lambda changed: _changed(node, changed, retune))


def config_from_parameters(node: Node) -> NodeConfig:
    """Return the settings in force.

    Raises:
        ConfigError: A value is out of range or contradicts another one.
    """
    return _read(node, NodeConfig(), "")


def descriptor_of(default: Any, limits: Limits) -> ParameterDescriptor:
    """Describe one setting as tools like ``ros2 param describe`` show it."""
    descriptor = ParameterDescriptor(description=limits.description, read_only=limits.read_only)
    number = "one or more" if limits.several else "one"
    constraints = [f"{number} of {limits.listed_choices}"] if limits.choices else []
    constraints.append(
        "it is read at start" if limits.read_only else f"a change is in force {_when(limits)}"
    )
    descriptor.additional_constraints = "; ".join(constraints)
    if limits.low is None or limits.high is None:
        return descriptor
    if isinstance(default, float):
        low, high = float(limits.low), float(limits.high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        low, high = int(limits.low), int(limits.high)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    return descriptor


def refuse_wrong_values(node: Node, parameters: "list[Parameter[Any]]") -> SetParametersResult:
    """Answer a change of parameters.

    What contradicts a setting of another section is found when the node is configured: before, the
    other one may change, too.
    """
    changes = {each.name: each.value for each in parameters if each.name in LEAVES}
    try:
        for name, value in changes.items():
            LEAVES[name][1].check(name, value)
        for section in SECTIONS:
            own = {
                name.removeprefix(f"{section}."): value
                for name, value in changes.items()
                if name.startswith(f"{section}.")
            }
            if own:
                retuned(_section(node, section), own)
    except ConfigError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _changed(
    node: Node, changed: "list[Parameter[Any]]", retune: Callable[[Mapping[str, Any]], None]
) -> None:
    """Pass on what is dynamic, and log since when a change is in force, as nobody else says it."""
    own = {each.name: each.value for each in changed if each.name in LEAVES}
    dynamic = [name for name, (_, limits) in LEAVES.items() if limits.dynamic]
    if any(name in own for name in dynamic):
        # All: before the first configure others differ from what is in force, too, and one value
        # may be right beside another one only.
        retune({name: node.get_parameter(name).value for name in dynamic})
    for name, value in own.items():
        verb = "is" if name in dynamic else "will be"
        node.get_logger().info(f"{name} {verb} {value!r} {_when(LEAVES[name][1])}")


def _when(limits: Limits) -> str:
    if limits.dynamic:
        return "from now on"
    return "from the next configure on: deactivate, cleanup, configure, activate"


def _section(node: Node, name: str) -> Any:
    return _read(node, getattr(NodeConfig(), name), f"{name}.")


def _read(node: Node, default: ConfigT, prefix: str) -> ConfigT:
    values: dict[str, Any] = {}
    for leaf in fields(default):  # type: ignore[arg-type]  # every config is a dataclass
        value = getattr(default, leaf.name)
        name = f"{prefix}{leaf.name}"
        if is_dataclass(value):
            values[leaf.name] = _read(node, value, f"{name}.")
        else:
            read = node.get_parameter(name).value
            values[leaf.name] = tuple(read) if isinstance(value, tuple) else read
    return replace(default, **values)  # type: ignore[type-var]  # every config is a dataclass
