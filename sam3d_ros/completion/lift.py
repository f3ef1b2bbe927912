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

"""The geometry-only object backend: carve, close by the best hypothesis, dress, place."""

import time
from dataclasses import dataclass, field

from sam3d_ros.completion.remainder import remainders_of
from sam3d_ros.completion.score import best_hypothesis
from sam3d_ros.completion.surface import dressed
from sam3d_ros.completion.views import Views, views_of
from sam3d_ros.completion.volume import Carving, filled, surface
from sam3d_ros.completion.workspace import Workspace, workspaces_of
from sam3d_ros.config import LiftConfig
from sam3d_ros.errors import DepthSparseError
from sam3d_ros.geometry.upright import object_from_work
from sam3d_ros.structures import ObjectReconstruction, Observation, Provenance

MIN_POINTS = 30
WITHOUT_SUPPORT = "support plane unsure: closed without it"


@dataclass(slots=True)
class _Clock:
    """Seconds per stage, in the order in which they end."""

    stage_s: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def tick(self, stage: str) -> None:
        now = time.perf_counter()
        self.stage_s[stage] = now - self.last
        self.last = now


class LiftBackend:
    """Completes objects from depth and masks alone, of one view or several.

    A ``protocols.SingleObjectBackend``.
    """

    name = "lift"

    def __init__(self, config: LiftConfig, seed: int = 0) -> None:
        self._config = config
        self._seed = seed  # recorded only: nothing here is drawn at random

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        """Reconstruct one object.

        Raises:
            DepthSparseError: The mask has almost no known points.
            ReconstructionError: Free space and support leave no volume.
        """
        num_points = len(observation.object_points_camera)
        if num_points < MIN_POINTS:
            raise DepthSparseError(
                f"lift needs at least {MIN_POINTS} points on the object, got {num_points}; check "
                "that depth is registered to the image"
            )
        clock = _Clock()
        views = views_of(observation)
        workspaces = workspaces_of(views)
        clock.tick("evidence")
        best = best_hypothesis(workspaces)
        workspace, hypothesis = best.workspace, best.build()
        remainders = remainders_of(hypothesis, workspace)
        clock.tick("hypotheses")
        carving = Carving(hypothesis=hypothesis, remainders=remainders, workspace=workspace)
        vertices, triangles = surface(filled(carving, self._config.grid))
        clock.tick("surface")
        mesh, quality = dressed(vertices, triangles, hypothesis, workspace, views)
        mesh, work_from_object = object_from_work(mesh)
        clock.tick("colors")
        return ObjectReconstruction(
            mesh_object=mesh,
            camera_from_object=workspace.camera_from_work @ work_from_object,
            quality=quality,
            provenance=Provenance(
                backend=self.name,
                seed=self._seed,
                scale_source=observation.scale_source,
                hypothesis=hypothesis.name,
                prior=_prior(best.prior, views),
                notes=_notes(observation, workspace, views),
            ),
            stage_s=clock.stage_s,
        )


def _prior(prior: float, views: Views) -> float:
    """Return how well the unseen side is known: what one view leaves open, another has seen."""
    return prior if len(views.used) == 1 else max(prior, 0.0)


def _notes(observation: Observation, workspace: Workspace, views: Views) -> tuple[str, ...]:
    """Say what was unsure or left out."""
    support = () if workspace.has_support else (WITHOUT_SUPPORT,)
    return (*observation.notes, *support, *views.notes)
