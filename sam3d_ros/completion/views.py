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


"""The views of one object that agree with each other, the present one first.

Poses between views carry the errors of whoever measured them. Each earlier view is therefore
fitted to those before it, starting with the one from the most similar direction, and left out
where it contradicts them all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.completion.aligning import Fit, Placed, fit, placed
from sam3d_ros.completion.maps import SurfaceMaps, surface_maps
from sam3d_ros.geometry.evidence import ViewEvidence, view_evidence
from sam3d_ros.structures import EarlierView, Observation, Similarity

MAX_MISFIT = 0.4  # of a view that is used; right ones reach 0.3 (mugs), 3 cm off is above 0.5
MIN_POINTS = 30  # of the object in a view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One look at the object, and where the present camera stands in its frame."""

    observation: Observation
    evidence: ViewEvidence
    view_from_camera: Similarity
    maps: SurfaceMaps | None = None  # drawn only if there are several views


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """What is used of all views, and what became of the others."""

    used: tuple[View, ...]  # the present one first
    notes: tuple[str, ...] = ()

    @property
    def maps(self) -> tuple[SurfaceMaps, ...]:
        """Those of the views, if there are several."""
        return tuple(view.maps for view in self.used if view.maps is not None)

    @property
    def present(self) -> View:
        """The view that the object is reconstructed in."""
        return self.used[0]


def views_of(observation: Observation) -> Views:
    """Gather the views of an object, fit the earlier ones, and leave out those that contradict."""
    evidence = view_evidence(observation)
    identity = Similarity.identity()
    present = View(observation=observation, evidence=evidence, view_from_camera=identity)
    earlier = _ordered(observation.earlier)
    if not earlier:
        return Views(used=(present,))
    maps = surface_maps(evidence, observation.scale_source)
    used = [replace(present, maps=maps)]
    others = [placed(maps, identity, observation.support)]
    notes = []
    for view in earlier:
        candidate = _placed(view)
        found = fit(candidate, others)
        notes.append(_note(found))
        if _contradicts(found):
            continue
        maps, pose = candidate.maps, found.view_from_camera
        used.append(
            View(
                observation=view.observation,
                evidence=maps.evidence,
                view_from_camera=pose,
                maps=maps,
            )
        )
        others.append(replace(candidate, view_from_camera=pose))
    return Views(used=tuple(used), notes=tuple(note for note in notes if note))


def _ordered(earlier: Sequence[EarlierView]) -> list[EarlierView]:
    """Sort views by how far their direction is from the present one, usable ones only."""
    usable = [view for view in earlier if len(view.observation.object_points_camera) >= MIN_POINTS]

    def angle_rad(view: EarlierView) -> float:
        points = view.observation.object_points_camera.astype(np.float64)
        middle = view.camera_from_earlier.apply(np.median(points, axis=0))
        eye = view.camera_from_earlier.translation_m
        cosine = middle @ (middle - eye)
        cosine /= np.linalg.norm(middle) * np.linalg.norm(middle - eye)
        return float(np.arccos(np.clip(cosine, -1.0, 1.0)))

    return sorted(usable, key=angle_rad)


def _placed(view: EarlierView) -> Placed:
    """Prepare a view; what stood around an object that was moved is no evidence."""
    seen = view.observation
    maps = surface_maps(view_evidence(seen), seen.scale_source)
    support = None if view.moved else seen.support
    return placed(maps, view.camera_from_earlier.inverse(), support)


def _contradicts(found: Fit) -> bool:
    return bool(found.misfit > MAX_MISFIT)


def _note(found: Fit) -> str:
    if _contradicts(found):
        return (
            f"an earlier view was left out: {found.misfit:.0%} of what it shows contradicts the "
            "others, check its pose"
        )
    if found.shift_m > 0.0:
        return (
            f"an earlier view was moved by {1000.0 * found.shift_m:.1f} mm and "
            f"{np.degrees(found.turn_rad):.1f} degrees to fit the others"
        )
    return ""
