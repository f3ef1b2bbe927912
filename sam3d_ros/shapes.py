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

"""One shape grammar for docstrings and run-time checks: ``"... H W 3"``."""

from functools import lru_cache
from typing import Protocol

from sam3d_ros.errors import ShapeError


class HasShape(Protocol):
    """Anything with a ``shape``: a NumPy array, a torch tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...


def check_shape(array: HasShape, spec: str, name: str) -> dict[str, int]:
    """Check ``array`` against ``spec`` and return the sizes that its letters stand for.

    Args:
        array: What to check.
        spec: Axes divided by blanks: a number is that length, a name any length (the same one at
            each occurrence), a leading ``...`` any number of axes.
        name: What the error calls the array.

    Raises:
        ShapeError: With expected and actual shape.
    """
    axes = _axes(spec)
    shape = tuple(array.shape)
    trailing = axes[1:] if axes[:1] == ("...",) else axes
    sizes: dict[str, int] = {}
    fits = len(shape) == len(trailing) or (trailing != axes and len(shape) >= len(trailing))
    if fits:
        for axis, length in zip(trailing, shape[len(shape) - len(trailing) :], strict=True):
            expected = int(axis) if axis.isdigit() else sizes.setdefault(axis, length)
            fits = fits and expected == length
    if not fits:
        raise ShapeError(f"{name} must have shape ({', '.join(axes)}), got {shape}")
    return sizes


@lru_cache(maxsize=1024)
def _axes(spec: str) -> tuple[str, ...]:
    return tuple(spec.split())
