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

"""From a surface in the object frame to a result: placed, coloured, judged by the view."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.dressing import colors_nearby, fit_quality, view_surface
from sam3d_ros.geometry.evidence import view_evidence
from sam3d_ros.structures import (
    Bools,
    Bytes,
    Floats,
    Ints,
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Similarity,
)

UNSEEN_COLOR = 128  # grey, where not one vertex was seen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """A closed surface in the object frame."""

    vertices: Floats  # (V, 3)
    triangles: Ints  # (F, 3), counter-clockwise seen from outside
    colors: Bytes | None = None  # (V, 3), where the model gives them

    def transformed(self, a_from_b: Similarity) -> "Surface":
        """Return the surface with its vertices mapped from frame b to frame a."""
        vertices = a_from_b.apply(self.vertices)
        return Surface(vertices=vertices, triangles=self.triangles, colors=self.colors)


def assembled(
    surface: Surface,
    camera_from_object: Similarity,
    observation: Observation,
    provenance: Provenance,
) -> ObjectReconstruction:
    """Compare a surface with what was observed; without colours of its own it gets the image's."""
    evidence = view_evidence(observation)
    view = view_surface(surface.transformed(camera_from_object), observation, evidence)
    colors = surface.colors
    if colors is None:
        colors = _image_colors(surface.vertices, view.seen, view.colors)
    mesh = Mesh(
        vertices=surface.vertices.astype(np.float32),
        triangles=surface.triangles.astype(np.int32),
        colors=colors,
        observed=view.seen.astype(np.float32),
    )
    return ObjectReconstruction(
        mesh_object=mesh,
        camera_from_object=camera_from_object,
        quality=fit_quality(mesh, view.raster, evidence),
        provenance=provenance,
    )


def _image_colors(vertices: Floats, seen: Bools, seen_colors: Bytes) -> Bytes:
    """Colour what was not seen like what was seen near it."""
    colors = np.full((len(vertices), 3), UNSEEN_COLOR, dtype=np.uint8)
    colors[seen] = seen_colors
    if seen.any() and not seen.all():
        colors[~seen] = colors_nearby(vertices[seen], seen_colors, vertices[~seen])
    return colors
