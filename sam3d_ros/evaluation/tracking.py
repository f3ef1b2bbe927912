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


"""How well objects were followed: errors, wrong claims, losses, recoveries, ids.

One row says what was claimed of one object in one image, and what is true. Errors are modulo the
symmetries of the shape, which depth cannot tell apart. Figures are pure functions of rows, so the
follower alone and the whole pipeline are judged alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np

from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.structures import Floats, Similarity

SEEN_SHARE = 0.3  # of its silhouette: an object that shows as much can be followed
WRONG_MM = 20.0  # a pose that is claimed and off by more is wrong
DRIFT_FRAMES = 30
NO_TRACK = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Symmetry:
    """Turns about a point that leave a shape as it is: some, or all about an axis."""

    turns: Floats = field(default_factory=lambda: np.eye(3)[None])  # (S, 3, 3), with the identity
    axis: Floats | None = None  # (3,) unit; of revolution
    center: Floats = field(default_factory=lambda: np.zeros(3))  # (3,) metres

    def nearest(self, pose: Similarity, truth: Similarity) -> Similarity:
        """Return the pose as true as ``truth`` that is turned most like ``pose``."""
        apart = truth.rotation.T @ pose.rotation
        candidates = list(self.turns)
        if self.axis is not None:
            candidates = [turn @ _twist(turn.T @ apart, self.axis) for turn in candidates]
        best = min(candidates, key=lambda turn: angle_deg(turn, apart))
        return truth @ Similarity(best, self.center - best @ self.center)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedShape:
    """What judging poses of a shape takes."""

    points: Floats  # (N, 3) of its surface, in the frame of the pose
    center: Floats  # (3,)
    symmetry: Symmetry = field(default_factory=Symmetry)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseError:
    """How far a pose is from the nearest that is true."""

    surface_mm: float  # mean distance of points of the surface to where they should be
    center_mm: float
    turn_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object in one image."""

    frame: int
    number: int  # of the object, as the truth counts
    visible: float  # share of its silhouette
    is_present: bool = True  # false where it was taken away
    track_id: int = NO_TRACK  # that which follows it, or last did
    status: FollowStatus | None = None  # what is claimed; None: nothing is known of it yet
    error: PoseError | None = None  # None where there is no pose, or no truth to compare with
    mesh_mm: float = float("nan")  # mean distance of the mesh's seen side to the true surface
    revision: int = 0

    @property
    def is_seen(self) -> bool:
        """Whether enough of the object shows."""
        return self.visible >= SEEN_SHARE

    @property
    def is_right(self) -> bool:
        """Whether the object is followed, and where it is claimed to be."""
        return self.status is FollowStatus.FOLLOWED and not self.is_wrong

    @property
    def is_wrong(self) -> bool:
        """Whether a place is claimed at which the object is not."""
        if self.status is not FollowStatus.FOLLOWED:
            return False
        return self.error is None or not self.error.surface_mm <= WRONG_MM


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingFigures:
    """What many rows come to; NaN is "does not apply"."""

    median_mm: float  # of the surface; of objects that are seen and followed
    p95_mm: float
    median_center_mm: float
    median_deg: float  # modulo symmetry
    p95_deg: float
    median_mesh_mm: float
    followed_share: float  # of the rows in which an object is seen, after it was first followed
    wrong_claims: int
    id_switches: int
    lost_after: float  # frames from when an object is gone until that is said, the longest
    recovered_after: float  # frames that a seen object is not followed, the longest such time
    acquired_after: float  # frames until an object is first followed, the longest
    drift_mm: float  # more error at the end than at the beginning, median over objects


def pose_error(shape: JudgedShape, pose: Similarity, truth: Similarity) -> PoseError:
    """Compare a rigid pose with the true one."""
    right = shape.symmetry.nearest(pose, truth)
    apart_m = np.linalg.norm(pose.apply(shape.points) - right.apply(shape.points), axis=1)
    center_m = np.linalg.norm(pose.apply(shape.center) - right.apply(shape.center))
    return PoseError(
        surface_mm=1000.0 * float(apart_m.mean()),
        center_mm=1000.0 * float(center_m),
        turn_deg=angle_deg(right.rotation, pose.rotation),
    )


def angle_deg(first: Floats, second: Floats) -> float:
    """Angle between two rotations ``(3, 3)``, in degrees; exact for small ones, too."""
    apart = first.T @ second
    sine = np.linalg.norm(apart - apart.T) / np.sqrt(8.0)
    return float(np.degrees(np.arctan2(sine, (np.trace(apart) - 1.0) / 2.0)))


def figures(rows: Sequence[Row]) -> TrackingFigures:
    """Sum up."""
    tracks = by_object(rows)
    good = [row for row in rows if row.is_seen and row.status is FollowStatus.FOLLOWED]
    errors = [row.error for row in good if row.error is not None]
    known = [row for track in tracks for row in _once_followed(track) if row.is_seen]
    return TrackingFigures(
        median_mm=_quantile([error.surface_mm for error in errors], 0.5),
        p95_mm=_quantile([error.surface_mm for error in errors], 0.95),
        median_center_mm=_quantile([error.center_mm for error in errors], 0.5),
        median_deg=_quantile([error.turn_deg for error in errors], 0.5),
        p95_deg=_quantile([error.turn_deg for error in errors], 0.95),
        median_mesh_mm=_quantile([row.mesh_mm for row in good], 0.5),
        followed_share=float(np.mean([row.is_right for row in known])) if known else np.nan,
        wrong_claims=sum(row.is_wrong for row in rows),
        id_switches=sum(id_switches(track) for track in tracks),
        lost_after=_longest([wait for track in tracks for wait in waits_until_lost(track)]),
        recovered_after=_longest([wait for track in tracks for wait in recoveries(track)]),
        acquired_after=_longest([acquired_after(track) for track in tracks]),
        drift_mm=_quantile([drift_mm(track) for track in tracks], 0.5),
    )


def by_object(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each object in the order of the frames."""
    ordered = sorted(rows, key=lambda row: (row.number, row.frame))
    return [list(group) for _, group in groupby(ordered, key=lambda row: row.number)]


def id_switches(track: Sequence[Row]) -> int:
    """Count how often an object that is followed rightly changes its id."""
    ids = [row.track_id for row in track if row.is_right]
    return sum(first != second for first, second in pairwise(ids))


def recoveries(track: Sequence[Row]) -> list[int]:
    """Lengths of the times in which an object is seen, was followed before and is not.

    While it is hidden time stands still. What is not found at the end counts as long as it took.
    """
    waits = [0]
    for row in _once_followed(track):
        if row.is_right or not row.is_present:
            waits.append(0)
        else:
            waits[-1] += row.is_seen
    return [wait for wait in waits if wait]


def waits_until_lost(track: Sequence[Row]) -> list[float]:
    """Frames from each time that a followed object is taken away until it is LOST; inf is never."""
    waits = []
    for is_present, group in groupby(_once_followed(track), key=lambda row: row.is_present):
        if is_present:
            continue
        gone = list(group)
        said = [row.frame for row in gone if row.status is FollowStatus.LOST]
        waits.append(float(said[0] - gone[0].frame) if said else np.inf)
    return waits


def acquired_after(track: Sequence[Row]) -> float:
    """Frames in which an object is seen before it is first followed; inf is never."""
    seen = 0
    for row in track:
        if row.is_right:
            return float(seen)
        seen += row.is_seen
    return float("inf") if seen else float("nan")


def drift_mm(track: Sequence[Row]) -> float:
    """How much more the error is in the last than in the first frames that are followed."""
    errors = [row.error.surface_mm for row in track if row.is_right and row.error is not None]
    if len(errors) < 2 * DRIFT_FRAMES:
        return float("nan")
    return float(np.median(errors[-DRIFT_FRAMES:]) - np.median(errors[:DRIFT_FRAMES]))


def _once_followed(track: Sequence[Row]) -> list[Row]:
    """Rows from the first on in which the object is followed rightly."""
    first = next((k for k, row in enumerate(track) if row.is_right), len(track))
    return list(track[first:])


def _twist(rotation: Floats, axis: Floats) -> Floats:
    """Return that turn about an axis which is nearest to a rotation.

    Maximises ``trace(twist.T @ rotation)``.
    """
    sine = axis @ np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    cosine = np.trace(rotation) - axis @ rotation @ axis
    return rotation_from_axis_angle(axis, float(np.arctan2(sine, cosine)))


def _quantile(values: Sequence[float], share: float) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.quantile(known, share)) if known else float("nan")


def _longest(waits: Sequence[float]) -> float:
    known = [wait for wait in waits if not np.isnan(wait)]
    return max(known, default=0.0)
