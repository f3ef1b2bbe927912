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

"""Several reconstructions of one object, of which one has to be chosen: closed, spoiled, drawn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.completion.hypotheses import Hypothesis, hull_of
from sam3d_ros.completion.prism import best_prism
from sam3d_ros.completion.reflection import best_half_turn, best_mirror, reflected
from sam3d_ros.completion.revolution import best_lying, best_standing, revolved
from sam3d_ros.completion.symmetry import Judge, judge_of
from sam3d_ros.completion.views import views_of
from sam3d_ros.completion.workspace import workspaces_of
from sam3d_ros.errors import Sam3dError
from sam3d_ros.evaluation.carving import closed_by
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import (
    Floats,
    ObjectReconstruction,
    Observation,
    Similarity,
)

GRID = 48  # cube root of the number of cells around an object
WRONG_SIZES = (0.8, 1.25)
NUM_DRAWN = 4
DRAWN_TURN_RAD, DRAWN_SHIFT, DRAWN_GROWTH = 0.25, 0.08, 0.12  # shift as share of the size

# Builds a hypothesis of one family from what was seen.
Family = Callable[[Judge], Hypothesis]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Reconstructions of one object, the first of which is taken by whoever does not choose."""

    kind: str
    several: list[ObjectReconstruction]


def cases(observation: Observation, made: ObjectReconstruction, seed: int) -> Iterator[Candidates]:
    """Yield what there is to choose from; ``made`` is a backend's own reconstruction."""
    rng = np.random.default_rng(seed)
    yield Candidates("closed", [made, *closed(observation)])
    yield Candidates("spoiled", _shuffled(spoiled(made), rng))
    yield Candidates("drawn", drawn(made, rng))


def closed(observation: Observation) -> list[ObjectReconstruction]:
    """Close one view by every hypothesis of ``lift`` in turn; those that cannot are left out."""
    views = views_of(observation)
    judge = judge_of(workspaces_of(views)[0])
    found = []
    for family in _families(judge):
        try:
            found.append(closed_by(family(judge), judge.workspace, views, GRID))
        except Sam3dError:
            continue
    return found


def spoiled(made: ObjectReconstruction) -> list[ObjectReconstruction]:
    """Return a reconstruction with ones of a wrong size, upside down, and turned aside."""
    across, upwards = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    errors = [Similarity(np.eye(3), np.zeros(3), size) for size in WRONG_SIZES]
    errors.append(Similarity(rotation_from_axis_angle(across, np.pi), np.zeros(3)))
    errors.append(Similarity(rotation_from_axis_angle(upwards, np.pi / 2), np.zeros(3)))
    return [made, *(_moved(made, error) for error in errors)]


def drawn(made: ObjectReconstruction, rng: np.random.Generator) -> list[ObjectReconstruction]:
    """Return a reconstruction as off in pose, size and proportions as a generator's seeds are."""
    found = []
    for _ in range(NUM_DRAWN):
        stretch = np.exp(rng.normal(0.0, DRAWN_GROWTH, 3))
        error = Similarity(
            rotation_from_axis_angle(rng.normal(size=3), rng.normal(0.0, DRAWN_TURN_RAD)),
            rng.normal(0.0, DRAWN_SHIFT, 3) * np.ptp(made.mesh_object.vertices, axis=0),
            float(np.exp(rng.normal(0.0, DRAWN_GROWTH))),
        )
        found.append(_moved(_stretched(made, stretch), error))
    return found


def _families(judge: Judge) -> Sequence[Family]:
    """Return the families that this view allows."""
    upright: list[Family] = [
        lambda judge: revolved("revolution, standing", best_standing(judge)[0], judge.workspace),
        lambda judge: hull_of(judge.workspace),
    ]
    level: list[Family] = [
        lambda judge: revolved("revolution, lying", best_lying(judge)[0], judge.workspace),
        lambda judge: reflected("half turn", best_half_turn(judge)[0], judge.workspace),
        lambda judge: reflected("mirror", best_mirror(judge)[0], judge.workspace),
        lambda judge: best_prism(judge)[0],
    ]
    return upright + level if judge.workspace.has_support else upright


def _moved(made: ObjectReconstruction, error: Similarity) -> ObjectReconstruction:
    """Put an object off by an error about the middle of its box."""
    vertices = made.mesh_object.vertices.astype(np.float64)
    middle = Similarity(np.eye(3), (vertices.min(axis=0) + vertices.max(axis=0)) / 2)
    off = middle @ error @ middle.inverse()
    return replace(made, camera_from_object=made.camera_from_object @ off)


def _stretched(made: ObjectReconstruction, factors: Floats) -> ObjectReconstruction:
    vertices = made.mesh_object.vertices.astype(np.float64)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    stretched = (middle + factors * (vertices - middle)).astype(np.float32)
    return replace(made, mesh_object=replace(made.mesh_object, vertices=stretched))


def _shuffled(
    several: list[ObjectReconstruction], rng: np.random.Generator
) -> list[ObjectReconstruction]:
    return [several[index] for index in rng.permutation(len(several))]
