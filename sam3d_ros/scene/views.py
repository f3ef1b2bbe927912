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


"""Views of one object from which its mesh is made: which are kept, and how a backend gets them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sam3d_ros.scene.motion import turn_rad
from sam3d_ros.scene.reconstructor import RememberedView
from sam3d_ros.structures import EarlierView, Floats, Observation, Similarity

MARGIN_PX = 24  # around the silhouette: free space beside the object
MAX_PIXELS = 60_000  # of one view, 28 bytes each
SAME_WAY_RAD = 0.2  # directions this near show the same side
STILL_M, STILL_RAD = 0.015, 0.15  # less is no motion of the object, but error of its poses


def remembered(
    observation: Observation,
    camera_from_object: Similarity,
    fixed_from_camera: Similarity | None = None,
) -> RememberedView:
    """Make of an observation what is kept of it: its own part, no finer than needed."""
    return RememberedView(
        observation=_coarser(observation.cropped(MARGIN_PX)),
        camera_from_object=camera_from_object,
        fixed_from_camera=fixed_from_camera,
    )


def direction(view: RememberedView) -> Floats:
    """Return where the camera was as seen from the object, a unit vector ``(3,)`` in its frame."""
    eye_m = view.camera_from_object.inverse().translation_m
    return eye_m / max(float(np.linalg.norm(eye_m)), 1e-9)


def kept_views(
    views: Sequence[RememberedView], new: RememberedView | None, max_views: int
) -> tuple[RememberedView, ...]:
    """Return the views to keep when a new one comes: those from the most different directions.

    Of two that show the same side the one with more readings stays, if equal the newer.
    """
    if new is None:
        return tuple(views)
    kept = [view for view in views if _apart_rad(view, new) > SAME_WAY_RAD]
    same = [view for view in views if _apart_rad(view, new) <= SAME_WAY_RAD]
    kept.append(max([*same, new], key=lambda view: (_num_readings(view), view is new)))
    while len(kept) > max_views:
        del kept[_least_different(kept)]
    return tuple(kept)


def is_repeated(views: Sequence[RememberedView], new: RememberedView) -> bool:
    """Tell whether an earlier view shows as much from the same side."""
    return any(
        _apart_rad(view, new) <= SAME_WAY_RAD and _num_readings(view) >= 0.9 * _num_readings(new)
        for view in views
    )


def used(views: Sequence[RememberedView]) -> tuple[RememberedView, ...]:
    """Mark views that went into a mesh, or would have made it worse."""
    return tuple(replace(view, is_used=True) for view in views)


def earlier_views(
    views: Sequence[RememberedView],
    camera_from_object: Similarity,
    fixed_from_camera: Similarity | None,
) -> tuple[EarlierView, ...]:
    """Return earlier views as an observation takes them along.

    Args:
        views: What is remembered.
        camera_from_object: Where the object is in the new view.
        fixed_from_camera: Camera of the new view, where it is known.
    """
    return tuple(
        EarlierView(
            observation=view.observation,
            camera_from_earlier=camera_from_object @ view.camera_from_object.inverse(),
            moved=_has_moved(view, camera_from_object, fixed_from_camera),
        )
        for view in views
    )


def _has_moved(
    view: RememberedView, camera_from_object: Similarity, fixed_from_camera: Similarity | None
) -> bool:
    """Tell whether the object moved since; without a fixed frame only a still scene is sure."""
    now, then = camera_from_object, view.camera_from_object
    if fixed_from_camera is not None and view.fixed_from_camera is not None:
        now, then = fixed_from_camera @ now, view.fixed_from_camera @ then
    shift_m = float(np.linalg.norm(now.translation_m - then.translation_m))
    return shift_m > STILL_M or turn_rad(now, then) > STILL_RAD


def _apart_rad(first: RememberedView, second: RememberedView) -> float:
    return float(np.arccos(np.clip(direction(first) @ direction(second), -1.0, 1.0)))


def _num_readings(view: RememberedView) -> float:
    """Count readings as if all views were equally near and equally fine."""
    matrix_px = view.observation.camera.matrix_px
    distance_m = float(np.linalg.norm(view.camera_from_object.translation_m))
    area = (distance_m**2) / abs(float(matrix_px[0, 0] * matrix_px[1, 1]))
    return float(np.count_nonzero(view.observation.mask)) * area


def _least_different(views: Sequence[RememberedView]) -> int:
    """Return the older view of the nearest pair."""
    directions = np.stack([direction(view) for view in views])
    likeness = np.triu(directions @ directions.T, k=1) - 2.0 * np.tri(len(views))
    return int(np.unravel_index(int(likeness.argmax()), likeness.shape)[0])


def _coarser(view: Observation) -> Observation:
    """Leave out rows and columns until a view is no larger than ``MAX_PIXELS``."""
    step = int(np.ceil(np.sqrt(view.mask.size / MAX_PIXELS)))
    if step <= 1:
        return view
    every = slice(None, None, step)
    return view.part(every, every)
