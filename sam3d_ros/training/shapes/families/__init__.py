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

"""The families: what each makes of a seed, and how often it is drawn."""

from collections.abc import Callable

from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families import boxes, turned
from sam3d_ros.training.shapes.language import Program

Builder = Callable[[Draw], Program]

TRAINING_BUILDERS: dict[str, Builder] = {
    "can": turned.can,
    "bottle": turned.bottle,
    "carton": boxes.carton,
}
HELD_OUT_BUILDERS: dict[str, Builder] = {"polyhedron": boxes.polyhedron}

TRAINING_FAMILIES: dict[str, float] = {"can": 1.0, "bottle": 1.0, "carton": 1.0}
HELD_OUT_FAMILIES: dict[str, float] = {"polyhedron": 1.0}
