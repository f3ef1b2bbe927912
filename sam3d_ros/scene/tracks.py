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


"""One object over time: its mesh, where it is and was, the views it was seen in."""

from dataclasses import dataclass, replace

import numpy as np

from sam3d_ros.geometry.measures import bounds
from sam3d_ros.scene.association import Sighting
from sam3d_ros.scene.compose import size_m, with_nearest_yaw
from sam3d_ros.scene.following import Expected, Followed
from sam3d_ros.scene.likeness import Box
from sam3d_ros.scene.motion import ANY_RAD, Spread, spread_after
from sam3d_ros.scene.reconstructor import KnownObject, MeasuredInstance, RememberedView
from sam3d_ros.scene.views import kept_views, used
from sam3d_ros.scene.whereabouts import Moment, Whereabouts
from sam3d_ros.structures import (
    NS_PER_S,
    Floats,
    InstanceMask,
    Mesh,
    ObjectFlag,
    ObjectReconstruction,
    ObjectState,
    Quality,
    RefinementStatus,
    ScaleSource,
    SceneObject,
    Similarity,
)

MISSING_S = 1.0  # looked for in vain for longer, an object may have been carried elsewhere
MAX_MISSED = 4  # images in a row that show an object's place without it, before it is LOST


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """One reconstruction of the present frame, not yet known by a track id."""

    instance: InstanceMask
    reconstruction: ObjectReconstruction  # baked
    flags: int = 0
    track_id: int | None = None  # of the known object whose mesh this improves
    camera_from_known: Similarity | None = None  # of that object's own frame, in this view
    view: RememberedView | None = None


class Track:
    """One object of the registry.

    Its poses are remembered in the fixed frame where there is one, else in that of the camera.
    """

    def __init__(
        self, track_id: int, detection: Detection, sighting: Sighting, moment: Moment
    ) -> None:
        self.sighting = sighting
        self.mask_stamp_ns = moment.stamp_ns  # when it was last seen by a mask
        self.views = used([detection.view] if detection.view else [])
        self._num_missed = 0
        self._is_guessed = False  # found again by depth alone, which may not tell how it is turned
        self._mesh_notes = detection.reconstruction.provenance.notes
        made = detection.reconstruction
        self._where = Whereabouts(made.camera_from_object, made.refinement.covariance, moment)
        self.known = SceneObject(
            track_id=track_id,
            class_id=detection.instance.class_id,
            score=detection.instance.score,
            state=ObjectState.NEW,
            reconstruction=detection.reconstruction,
            size_m=size_m(detection.reconstruction),
            middle_m=bounds(detection.reconstruction.mesh_object).mean(axis=0),
            revision=1,
            first_seen_ns=moment.stamp_ns,
            last_seen_ns=moment.stamp_ns,
            fixed_from_object=self._where.newest if self._where.is_fixed else None,
            flags=detection.flags,
        )

    @property
    def is_locked(self) -> bool:
        """Whether the mesh stays as it is."""
        return self.known.state == ObjectState.LOCKED

    def is_missing(self, followed_ns: int | None) -> bool:
        """Tell whether the object may be anywhere: it is lost, or was looked for in vain.

        Args:
            followed_ns: Stamp of the last image in which objects were looked for.
        """
        if self.known.state == ObjectState.LOST or followed_ns is None:
            return self.known.state == ObjectState.LOST
        return followed_ns - self.known.last_seen_ns > MISSING_S * NS_PER_S

    @property
    def _is_lost(self) -> bool:
        return self.known.state == ObjectState.LOST or self._num_missed >= MAX_MISSED

    @property
    def diameter_m(self) -> float:
        """Diagonal of the box around the mesh."""
        return float(np.linalg.norm(self.known.size_m))

    @property
    def center_m(self) -> Floats:
        """Middle of that box, in the fixed frame where there is one, ``(3,)``."""
        return self._where.newest.apply(self.known.middle_m)

    @property
    def box(self) -> Box:
        """What the object fills, in the fixed frame where there is one."""
        return Box.of(self.known.reconstruction.mesh_object, self._where.newest)

    @property
    def num_poses(self) -> int:
        """How many poses are remembered."""
        return len(self._where)

    def expected(self, moment: Moment) -> Similarity:
        """Return where the object should be in the camera of a moment."""
        if not self._where.is_fixed:
            return self._where.at(moment.stamp_ns)
        if moment.fixed_from_camera is None:
            return self.known.reconstruction.camera_from_object
        return moment.fixed_from_camera.inverse() @ self._where.at(moment.stamp_ns)

    def sighting_at(self, moment: Moment) -> Sighting:
        """Return what identifies the object, where it should be at a moment."""
        center = moment.in_frame(self.expected(moment)).apply(self.known.middle_m)
        return replace(self.sighting, center=center, diameter_m=self.diameter_m)

    def to_follow(self, moment: Moment) -> Expected:
        """Return what a follower must know of the object."""
        spread = self._spread(moment)
        return Expected(
            track_id=self.known.track_id,
            revision=self.known.revision,
            mesh_object=self.known.reconstruction.mesh_object,
            camera_from_object=self.expected(moment),
            sigma_m=spread.sigma_m,
            sigma_rad=spread.sigma_rad,
        )

    def to_measure(self, moment: Moment) -> KnownObject:
        """Return what a reconstructor must know of the object."""
        spread = self._spread(moment)
        if self._is_guessed or self._is_lost:
            spread = replace(spread, sigma_rad=ANY_RAD)
        return KnownObject(
            track_id=self.known.track_id,
            revision=self.known.revision,
            class_id=self.known.class_id,
            mesh_object=self.known.reconstruction.mesh_object,
            camera_from_object=self.expected(moment),
            sigma_m=spread.sigma_m,
            sigma_rad=spread.sigma_rad,
            is_locked=self.is_locked,
            views=self.views,
        )

    def age(self, stamp_ns: int, lost_after_s: float) -> float:
        """Let time pass: what is unseen for long is LOST; return for how many seconds it is."""
        unseen_s = (stamp_ns - self.known.last_seen_ns) / NS_PER_S
        if 0 < lost_after_s < unseen_s and not self.is_locked:
            self.known = replace(self.known, state=ObjectState.LOST)
        return unseen_s

    def go_back(self, stamp_ns: int) -> None:
        """Begin anew at an earlier time: what was seen later counts as seen now."""
        self.known = replace(self.known, last_seen_ns=min(self.known.last_seen_ns, stamp_ns))
        self.mask_stamp_ns = min(self.mask_stamp_ns, stamp_ns)
        self._where.go_back(stamp_ns)

    def lock(self, locked: bool) -> None:
        """Keep the mesh as it is, or no longer."""
        state = self.known.state if self.known.state != ObjectState.LOCKED else ObjectState.TRACKED
        self.known = replace(self.known, state=ObjectState.LOCKED if locked else state)

    def follow(self, followed: Followed, moment: Moment, shown: Moment) -> None:
        """Take in the pose that an image shows."""
        self._is_guessed = self._is_guessed or self._is_lost
        self._num_missed = 0
        before = self.known.reconstruction
        covariance = np.zeros((7, 7))
        covariance[:6, :6] = followed.covariance
        reconstruction = replace(
            before,
            quality=_measured_anew(before.quality, followed.quality),
            refinement=replace(
                before.refinement, status=RefinementStatus.ACCEPTED, covariance=covariance
            ),
        )
        pose = followed.camera_from_object
        self._where.place(pose, covariance, moment, is_guess=self._is_guessed)
        self._seen(moment)
        self.known = replace(self.known, reconstruction=reconstruction)
        self.show(shown)

    def miss(self) -> None:
        """Take in that an image shows the object's place without it."""
        self._num_missed += 1
        if self._num_missed >= MAX_MISSED and not self.is_locked:
            self.known = replace(self.known, state=ObjectState.LOST)

    def measure(
        self, measured: MeasuredInstance, instance: InstanceMask, moment: Moment, shown: Moment
    ) -> None:
        """Take in the pose that a mask shows; the mesh stays."""
        before = self.known.reconstruction
        if measured.refinement.status is RefinementStatus.ACCEPTED:
            self._is_guessed = False
            covariance = measured.refinement.covariance
            self._where.place(measured.camera_from_object, covariance, moment)
        notes = before.provenance.notes
        if measured.note:  # in place of what was said before
            notes = (*self._mesh_notes, measured.note)
        reconstruction = replace(
            before,
            quality=_measured_anew(before.quality, measured.quality),
            refinement=measured.refinement,
            provenance=replace(before.provenance, notes=notes),
        )
        self._see(instance, measured.flags, moment)
        self.known = replace(self.known, reconstruction=reconstruction)
        self.show(shown)

    def remake(self, detection: Detection, moment: Moment, shown: Moment, max_views: int) -> None:
        """Take in another mesh of the object: one made of several views, or made anew."""
        if not self.is_locked:
            made, known = detection.reconstruction, detection.camera_from_known
            if known is not None:  # the frame goes on: what was planned in it stays right
                made = made.reframed(made.camera_from_object.inverse() @ known)
            else:  # nobody knows where in its frame the object stood: another begins
                made = with_nearest_yaw(made, Similarity.identity(), self.expected(moment))
                self._reframe(made, moment)
            self._remake(made, moment)
            views = self.views if known is not None else ()
            view = detection.view
            if view is not None:
                view = replace(view, camera_from_object=made.camera_from_object)
            self.views = used(kept_views(views, view, max_views))
        self._see(detection.instance, detection.flags, moment)
        self.show(shown)

    def is_better_than(self, detection: Detection) -> bool:
        """Tell whether the mesh is to be kept: what was made does not fit, or is a guess."""
        made, mine = detection.reconstruction, self.known.reconstruction
        is_guess = made.provenance.scale_source is ScaleSource.MONOCULAR
        if is_guess and mine.provenance.scale_source is not ScaleSource.MONOCULAR:
            return True
        return made.refinement.status is RefinementStatus.REJECTED

    def refuse(self, detection: Detection, moment: Moment, shown: Moment) -> None:
        """Take in that a mask shows the object, though nothing could be made of it."""
        before = self.known.reconstruction
        refinement = replace(before.refinement, status=RefinementStatus.REJECTED)
        self.known = replace(self.known, reconstruction=replace(before, refinement=refinement))
        self._see(detection.instance, detection.flags, moment)
        self.show(shown)

    def show(self, moment: Moment) -> None:
        """Show the newest pose that was measured, in the camera of a moment."""
        pose = self._where.newest
        camera_from_object = pose
        if self._where.is_fixed and moment.fixed_from_camera is not None:
            camera_from_object = moment.fixed_from_camera.inverse() @ pose
        shown = replace(self.known.reconstruction, camera_from_object=camera_from_object)
        self.known = replace(
            self.known,
            reconstruction=shown,
            fixed_from_object=pose if self._where.is_fixed else None,
        )

    def take_over(self, other: "Track", moment: Moment, shown: Moment) -> None:
        """Become what another track of the same object is, but for the identity."""
        if not self.is_locked:
            made = other.known.reconstruction
            made = replace(made, camera_from_object=other.expected(moment))
            self._reframe(made, moment)
            self._remake(made, moment)
            self.views = other.views
        self.sighting, self.mask_stamp_ns = other.sighting, other.mask_stamp_ns
        self._seen(moment)
        self.show(shown)

    def remember(self, view: RememberedView | None, max_views: int) -> None:
        """Keep a view of the present mesh, if it is another one than those that are kept."""
        self.views = kept_views(self.views, view, max_views)
        if view is not None and view.is_used:  # with all others
            self.views = used(self.views)

    def _reframe(self, made: ObjectReconstruction, moment: Moment) -> None:
        """Let the path go on in the frame of another mesh."""
        if not _same_mesh(made.mesh_object, self.known.reconstruction.mesh_object):
            self._where.reframe(self.expected(moment).inverse() @ made.camera_from_object)

    def _remake(self, made: ObjectReconstruction, moment: Moment) -> None:
        """Take another mesh, where it was measured."""
        is_other = not _same_mesh(made.mesh_object, self.known.reconstruction.mesh_object)
        self._is_guessed = False
        self._mesh_notes = made.provenance.notes
        self._where.place(made.camera_from_object, made.refinement.covariance, moment)
        self.known = replace(
            self.known,
            reconstruction=made,
            size_m=size_m(made),
            middle_m=bounds(made.mesh_object).mean(axis=0),
            revision=self.known.revision + int(is_other),
        )

    def _spread(self, moment: Moment) -> Spread:
        unseen_s = (moment.stamp_ns - self.known.last_seen_ns) / NS_PER_S
        return spread_after(unseen_s, is_lost=self._is_lost)

    def _see(self, instance: InstanceMask, flags: int, moment: Moment) -> None:
        """Take in that a mask shows the object."""
        self._num_missed = 0
        self.mask_stamp_ns = moment.stamp_ns
        self.sighting = replace(self.sighting, instance_id=instance.instance_id, mask=instance.mask)
        self.known = replace(self.known, score=instance.score, flags=flags)
        self._seen(moment)

    def _seen(self, moment: Moment) -> None:
        state = ObjectState.LOCKED if self.is_locked else ObjectState.TRACKED
        last_seen_ns = max(self.known.last_seen_ns, moment.stamp_ns)
        flags = (self.known.flags & ~ObjectFlag.MOTION) | moment.flags
        self.known = replace(self.known, state=state, last_seen_ns=last_seen_ns, flags=flags)


def _measured_anew(before: Quality, now: Quality) -> Quality:
    """Take over what was measured; how much of the mesh was seen stays with it."""
    return replace(now, observed_fraction=before.observed_fraction)


def _same_mesh(first: Mesh, second: Mesh) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("vertices", "triangles", "colors", "observed")
    )
