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

from collections.abc import Callable, Mapping

from sam3d_ros.training.shapes.drawing import Draw
from sam3d_ros.training.shapes.families import abstract, boxes, grown, tools, turned, vessels
from sam3d_ros.training.shapes.language import Program

Builder = Callable[[Draw], Program]

BUILDERS: Mapping[str, Builder] = {
    "can": turned.can,
    "bottle": turned.bottle,
    "bowl": turned.bowl,
    "cup": turned.cup,
    "spindle": turned.spindle,
    "mug": vessels.mug,
    "jug": vessels.jug,
    "pan": vessels.pan,
    "tray": vessels.tray,
    "carton": boxes.carton,
    "gadget": boxes.gadget,
    "stand": boxes.stand,
    "hammer": tools.hammer,
    "stick": tools.stick,
    "drill": tools.drill,
    "flat_tool": tools.flat_tool,
    "dispenser": tools.dispenser,
    "fruit": grown.fruit,
    "prism": abstract.prism,
    "csg": abstract.csg,
    "rods": abstract.rods,
    "stone": boxes.polyhedron,
    "bracket": boxes.bracket,
    "basket": vessels.basket,
    "animal": grown.animal,
    "shoe": grown.shoe,
}

# How often each is drawn. Household things foremost; shells, which are hard, more often.
TRAINING_FAMILIES: Mapping[str, float] = {
    "can": 1.0,
    "bottle": 1.2,
    "bowl": 1.5,
    "cup": 1.2,
    "spindle": 0.6,
    "mug": 1.6,
    "jug": 1.2,
    "pan": 0.8,
    "tray": 0.8,
    "carton": 1.4,
    "gadget": 0.6,
    "stand": 0.4,
    "hammer": 0.6,
    "stick": 0.6,
    "drill": 1.2,
    "flat_tool": 0.4,
    "dispenser": 1.0,
    "fruit": 1.2,
    "prism": 0.8,
    "csg": 1.2,
    "rods": 0.4,
}
# Never trained on: what a model makes of these says what it makes of the unknown.
HELD_OUT_FAMILIES: Mapping[str, float] = {
    "stone": 1.0,
    "bracket": 1.0,
    "basket": 1.0,
    "animal": 1.0,
    "shoe": 1.0,
}
