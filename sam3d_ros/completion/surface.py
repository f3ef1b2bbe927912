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

"""Dressing a closed surface: what cameras saw of it, colours, and how well it fits the view."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.completion.hypotheses import Hypothesis
from sam3d_ros.completion.views import View, Views
from sam3d_ros.completion.workspace import Workspace
from sam3d_ros.geometry.dressing import SurfaceView, colors_nearby, fit_quality, view_surface
from sam3d_ros.geometry.measures import vertex_normals
from sam3d_ros.structures import Bytes, Floats, Ints, Mesh, Quality


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bare:
    """A closed surface without colours, in the frame of a camera."""

    vertices: Floats  # (V, 3)
    triangles: Ints  # (F, 3)


def dressed(
    vertices: Floats,
    triangles: Ints,
    hypothesis: Hypothesis,
    workspace: Workspace,
    views: Views,
) -> tuple[Mesh, Quality]:
    """Colour a surface given in work; return it in work, and its fit to the present view."""
    looks = [
        _look(Bare(vertices=placed.view_from_work.apply(vertices), triangles=triangles), view)
        for placed, view in zip(workspace.space.views, views.used, strict=True)
    ]
    seen = np.any([look.seen for look in looks], axis=0)
    mesh = Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=np.zeros((len(vertices), 3), dtype=np.uint8),
        observed=seen.astype(np.float32),
    )
    colors = _best_colors(mesh, looks, workspace)
    if seen.any() and not seen.all():
        twins = hypothesis.twins(vertices[~seen])
        colors[~seen] = colors_nearby(vertices[seen], colors[seen], twins)
    mesh = replace(mesh, colors=colors)
    return mesh, fit_quality(mesh, looks[0].raster, views.present.evidence)


def _look(surface_view: Bare, view: View) -> SurfaceView:
    return view_surface(surface_view, view.observation, view.evidence)


def _best_colors(mesh: Mesh, looks: Sequence[SurfaceView], workspace: Workspace) -> Bytes:
    """Return the colour of each vertex from the view with most pixels on the surface there."""
    colors = mesh.colors.copy()
    if len(looks) == 1:
        colors[looks[0].seen] = looks[0].colors
        return colors
    normals = vertex_normals(mesh)
    best = np.full(len(colors), -np.inf)
    for look, view in zip(looks, workspace.space.views, strict=True):
        sight = view.eye - mesh.vertices[look.seen]
        distance = np.linalg.norm(sight, axis=1)
        cosine = np.einsum("ni,ni->n", normals[look.seen], sight) / distance
        per_m = cosine * view.evidence.matrix_px[0, 0] / distance
        better = per_m > best[look.seen]
        chosen = np.flatnonzero(look.seen)[better]
        best[chosen], colors[chosen] = per_m[better], look.colors[better]
    return colors
