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

"""From a mesh in the object frame to a result: placed, coloured, judged by the view."""

from dataclasses import replace

import numpy as np

from sam3d_ros.geometry.dressing import SurfaceView, colors_nearby, fit_quality, view_surface
from sam3d_ros.geometry.evidence import view_evidence
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Similarity,
)


def assembled(
    mesh: Mesh,
    camera_from_object: Similarity,
    observation: Observation,
    provenance: Provenance,
    *,
    has_colors: bool,
) -> ObjectReconstruction:
    """Compare a mesh in the object frame with what was observed.

    Args:
        mesh: Of which nothing is observed yet.
        camera_from_object: Where it stands.
        observation: What it shall agree with.
        provenance: Where it comes from.
        has_colors: Whether its colours are the model's; others are taken from the image.
    """
    evidence = view_evidence(observation)
    view = view_surface(mesh.transformed(camera_from_object), observation, evidence)
    mesh = replace(mesh, observed=view.seen.astype(np.float32))
    return ObjectReconstruction(
        mesh_object=mesh if has_colors else _image_colored(mesh, view),
        camera_from_object=camera_from_object,
        quality=fit_quality(mesh, view.raster, evidence),
        provenance=provenance,
    )


def _image_colored(mesh: Mesh, view: SurfaceView) -> Mesh:
    """Take the image's colours; what was not seen is coloured like what was seen near it."""
    colors, seen = mesh.colors.copy(), view.seen
    colors[seen] = view.colors
    if seen.any() and not seen.all():
        colors[~seen] = colors_nearby(mesh.vertices[seen], view.colors, mesh.vertices[~seen])
    return replace(mesh, colors=colors)
