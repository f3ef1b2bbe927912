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

"""Procedural objects: programs of signed distances, families of them by seed, and their grids."""

from sam3d_ros.training.shapes.families import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from sam3d_ros.training.shapes.grids import ShapeGrids, gridded
from sam3d_ros.training.shapes.language import Program, described, parsed
from sam3d_ros.training.shapes.shape import Shape, shape_of

__all__ = [
    "HELD_OUT_FAMILIES",
    "TRAINING_FAMILIES",
    "Program",
    "Shape",
    "ShapeGrids",
    "described",
    "gridded",
    "parsed",
    "shape_of",
]
