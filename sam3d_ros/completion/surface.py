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

"""Dressing a closed surface: what the camera saw of it, colours, and how well it fits the view."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.completion.hypotheses import Hypothesis
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.geometry.dressing import colors_nearby, fit_quality, view_surface
from sam3d_ros.geometry.evidence import ViewEvidence
from sam3d_ros.structures import Floats, Ints, Mesh, Observation, Quality


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bare:
    """A closed surface without colours, in the camera frame."""

    vertices: Floats  # (V, 3)
    triangles: Ints  # (F, 3)


def dressed(
    vertices: Floats,
    triangles: Ints,
    hypothesis: Hypothesis,
    workspace: Workspace,
    evidence: ViewEvidence,
    observation: Observation,
) -> tuple[Mesh, Quality]:
    """Colour a surface given in work; return it in work, and its fit to the observation."""
    surface_camera = Bare(vertices=workspace.camera_from_work.apply(vertices), triangles=triangles)
    view = view_surface(surface_camera, observation, evidence)
    seen = view.seen
    colors = np.zeros((len(vertices), 3), dtype=np.uint8)
    colors[seen] = view.colors
    if seen.any() and not seen.all():
        twins = hypothesis.twins(vertices[~seen])
        colors[~seen] = colors_nearby(vertices[seen], view.colors, twins)
    mesh = Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=colors,
        observed=seen.astype(np.float32),
    )
    return mesh, fit_quality(mesh, view.raster, evidence)
