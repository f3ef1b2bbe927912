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

"""Solids of one given hypothesis, carved by what was seen; the best that is classical among them.

``lift`` chooses between hypotheses. Here one is taken whatever speaks for it.
"""

from dataclasses import replace

from sam3d_ros.completion.hypotheses import Hypothesis, hull_around
from sam3d_ros.completion.lift import MIN_POINTS
from sam3d_ros.completion.remainder import remainders_of
from sam3d_ros.completion.surface import dressed
from sam3d_ros.completion.views import Views, views_of
from sam3d_ros.completion.volume import Carving, filled, surface
from sam3d_ros.completion.workspace import Workspace, workspaces_of
from sam3d_ros.config import LiftConfig
from sam3d_ros.errors import DepthSparseError
from sam3d_ros.geometry.upright import object_from_work
from sam3d_ros.structures import ObjectReconstruction, Observation, Provenance


class CarvedHullBaseline:
    """The convex hull of the seen points without what is free space or beside the silhouette.

    A ``SingleObjectBackend``. Of what needs neither weights nor a guess at symmetries this came
    out best in our trials; it knows of no support plane and gives the object no back.
    """

    name = "carved"

    def __init__(self, config: LiftConfig) -> None:
        self._grid = config.grid

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        """Reconstruct one object.

        Raises:
            DepthSparseError: The mask has almost no known points.
            ReconstructionError: Free space leaves no volume.
        """
        if len(observation.object_points_camera) < MIN_POINTS:
            raise DepthSparseError(f"the mask must have at least {MIN_POINTS} points for a hull")
        views = views_of(replace(observation, support=None, earlier=()))
        workspace = workspaces_of(views)[0]
        made = closed_by(hull_around(workspace.surface), workspace, views, self._grid)
        provenance = replace(
            made.provenance, backend=self.name, scale_source=observation.scale_source
        )
        return replace(made, provenance=provenance)


def closed_by(
    hypothesis: Hypothesis, workspace: Workspace, views: Views, grid: int
) -> ObjectReconstruction:
    """Reconstruct one object as a hypothesis says.

    Args:
        hypothesis: What closes the unseen side.
        workspace: In which it was made.
        views: What was seen.
        grid: Cube root of the number of cells around the object.

    Raises:
        ReconstructionError: Free space and support leave no volume.
    """
    remainders = remainders_of(hypothesis, workspace)
    carving = Carving(hypothesis=hypothesis, remainders=remainders, workspace=workspace)
    vertices, triangles = surface(filled(carving, grid))
    mesh, quality = dressed(vertices, triangles, hypothesis, workspace, views)
    mesh, work_from_object = object_from_work(mesh)
    return ObjectReconstruction(
        mesh_object=mesh,
        camera_from_object=workspace.camera_from_work @ work_from_object,
        quality=quality,
        provenance=Provenance(backend="lift", hypothesis=hypothesis.name),
    )
