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


"""Views of single known objects, from which tests of registration start."""

from dataclasses import replace
from functools import cache

import numpy as np

from sam3d_ros.evaluation.benchmarks.registration_cases import (
    CaseSpec,
    RegistrationCase,
    Shape,
    case,
    shape_of,
)
from sam3d_ros.evaluation.synthetic_objects import model
from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.registration.model import RegistrationModel, prepared
from sam3d_ros.geometry.registration.register import (
    Registration,
    RegistrationConfig,
    register,
)
from sam3d_ros.geometry.registration.view import Seen, prepared_view
from sam3d_ros.structures import Similarity

CLEAN = CaseSpec(noise=0.001, hidden=0.0)
HALF = CaseSpec(noise=0.005, hidden=0.5)
UP = np.array([0.0, 0.0, 1.0])


@cache
def shape(name: str) -> Shape:
    return shape_of(name, model(name).mesh(0.003))


@cache
def known(name: str) -> RegistrationModel:
    return prepared(shape(name).mesh)


def seen(view: RegistrationCase) -> Seen:
    return Seen(
        points_camera=view.points_camera, mask=view.mask, silhouette=view.mask, camera=view.camera
    )


def registered(
    name: str, view: RegistrationCase, config: RegistrationConfig | None = None
) -> Registration:
    return register(known(name), prepared_view(seen(view)), view.start, config)


def look(name: str, spec: CaseSpec, seed: int = 0) -> RegistrationCase:
    return case(shape(name), spec, np.random.default_rng(seed))


def misplaced(pose: Similarity, shift_m: tuple[float, float, float], scale: float) -> Similarity:
    return Similarity(pose.rotation, pose.translation_m + shift_m, pose.scale * scale)


def squarely() -> RegistrationCase:
    view = look("box", CLEAN)
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # z up, y away
    truth = Similarity(upright, np.array([0.0, 0.08, 0.7]))
    raster = render([view.shape.mesh.transformed(truth)], view.camera)
    return replace(
        view,
        points_camera=pixel_rays(view.camera) * raster.depth_m[..., None],
        mask=raster.object_index == 0,
        truth=truth,
    )
