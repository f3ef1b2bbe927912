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

"""Programs as text: a description that a person can read, and the way back.

A node is ``{"is": "Box", "half": [0.03, 0.02, 0.05], "radius": 0.002}``: its kind and its fields,
as JSON. Numbers carry 6 significant digits; parsing and describing again gives the same text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from sam3d_ros.errors import ShapeProgramError
from sam3d_ros.training.shapes import combining, deforming, flats, painting, primitives
from sam3d_ros.training.shapes.nodes import Node, Paint, Points, Solid

DIGITS = 6


@dataclass(frozen=True, slots=True)
class Program(Node):
    """A solid and what it looks like."""

    solid: Solid
    paint: Paint

    def distance(self, points: Tensor) -> Tensor:
        """Return how far outside the solid points ``(..., 3)`` are, in metres, to first order."""
        return self.solid.distance(Points(*points.unbind(-1))).expand(points.shape[:-1])

    def color(self, points: Tensor) -> Tensor:
        """Return colours ``(..., 3)`` in [0, 1] at points ``(..., 3)`` in metres."""
        colors: Tensor = self.paint.color(Points(*points.unbind(-1)))
        return torch.movedim(colors, 0, -1)


def described(program: Program) -> str:
    """Return the text of a program."""
    return json.dumps(_plain(program), separators=(", ", ": "))


def parsed(text: str) -> Program:
    """Return the program that a text describes.

    Raises:
        ShapeProgramError: The text is not JSON, or names what the language does not have.
    """
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise ShapeProgramError(f"a program must be JSON: {error}") from error
    program = _node(tree, Program, "program")
    if not isinstance(program, Program):
        raise ShapeProgramError(f"expected a Program, got {type(program).__name__}")
    return program


def skeleton(node: object) -> str:
    """Return the kinds of a program's solids and flats, nested, without their numbers."""
    if isinstance(node, Program):
        return skeleton(node.solid)
    if isinstance(node, tuple):
        return ",".join(filter(None, map(skeleton, node)))
    if not isinstance(node, Node):
        return ""
    inner = [skeleton(getattr(node, field.name)) for field in fields(node)]  # type: ignore[arg-type]
    return f"{type(node).__name__}({','.join(filter(None, inner))})"


def _plain(value: object) -> object:
    if isinstance(value, Node):
        named = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
        return {"is": type(value).__name__} | {name: _plain(each) for name, each in named.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _node(tree: object, kind: type, where: str) -> object:
    """Return the node that ``tree`` describes, which must be a ``kind``."""
    if not isinstance(tree, Mapping) or tree.get("is") not in KINDS:
        found = tree.get("is") if isinstance(tree, Mapping) else tree
        raise ShapeProgramError(f"{where} must be one of {', '.join(KINDS)}, got {found!r}")
    made = KINDS[tree["is"]]
    if not issubclass(made, kind):
        raise ShapeProgramError(f"{where} must be a {kind.__name__}, got the {tree['is']}")
    hints = get_type_hints(made)
    if unknown := sorted(set(tree) - set(hints) - {"is"}):
        raise ShapeProgramError(
            f"{where}: {tree['is']} has no {unknown[0]}, but {', '.join(hints)}"
        )
    given = {name: each for name, each in tree.items() if name != "is"}
    values = {name: _value(each, hints[name], f"{where}.{name}") for name, each in given.items()}
    try:
        return made(**values)
    except TypeError as error:
        raise ShapeProgramError(f"{where}: {error}") from error


def _value(stated: object, hint: Any, where: str) -> object:
    """Return a stated value as its type hint wants it."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(stated, list):
            raise ShapeProgramError(f"{where} must be a list, got {stated!r}")
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(stated)
        if len(kinds) != len(stated):
            raise ShapeProgramError(f"{where} must be {len(kinds)} values, got {len(stated)}")
        return tuple(
            _value(each, kind, f"{where}[{index}]")
            for index, (each, kind) in enumerate(zip(stated, kinds, strict=True))
        )
    if hint in (int, float):
        whole = isinstance(stated, int) and not isinstance(stated, bool)
        if whole or (hint is float and isinstance(stated, float)):
            return hint(stated)
        raise ShapeProgramError(f"{where} must be a number ({hint.__name__}), got {stated!r}")
    return _node(stated, hint, where)


def _kinds(*modules: ModuleType) -> dict[str, type]:
    found = (each for module in modules for each in vars(module).values())
    named = {each.__name__: each for each in found if isinstance(each, type)}
    return {name: each for name, each in named.items() if issubclass(each, Node)}


KINDS: dict[str, type] = {
    name: kind
    for name, kind in _kinds(primitives, combining, deforming, flats, painting).items()
    if not getattr(kind, "__abstractmethods__", None) and kind is not Node
} | {"Program": Program}
