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

"""Where one object is and was: in the fixed frame where there is one, else in the camera's."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.scene.motion import Trajectory, turn_rad
from sam3d_ros.scene.resting import Estimate, RestingPlace
from sam3d_ros.structures import DepthFrame, Floats, Frame, ObjectFlag, Similarity

# A measurement of a time gone by corrects what was followed since where it differs by more.
CORRECTED_M, CORRECTED_RAD = 0.01, 0.15
UNKNOWN_M, UNKNOWN_RAD = 0.003, 0.03  # standard deviations of a pose that comes without any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """When something was seen, and from where."""

    stamp_ns: int
    fixed_from_camera: Similarity | None = None
    flags: int = 0  # of all that is seen then

    @classmethod
    def of(cls, frame: Frame | DepthFrame) -> "Moment":
        """Return that of a frame."""
        flags = int(ObjectFlag.MOTION) if frame.in_motion else 0
        pose = frame.fixed_from_camera
        return cls(stamp_ns=frame.stamp_ns, fixed_from_camera=pose, flags=flags)

    def in_frame(self, camera_from_object: Similarity) -> Similarity:
        """Return a pose in the fixed frame where there is one, else as it is."""
        if self.fixed_from_camera is None:
            return camera_from_object
        return self.fixed_from_camera @ camera_from_object


class Whereabouts:
    """The poses of one object, as they were measured.

    What rests in a fixed frame is where all viewpoints together saw it.
    """

    def __init__(self, camera_from_object: Similarity, covariance: Floats, moment: Moment) -> None:
        self.is_fixed = moment.fixed_from_camera is not None
        self._resting = RestingPlace()
        self._measured = moment.stamp_ns, moment.in_frame(camera_from_object)  # last
        pose = self._rested(camera_from_object, covariance, moment, is_guess=False)
        self._path = Trajectory(moment.stamp_ns, pose)

    def __len__(self) -> int:
        return len(self._path)

    @property
    def newest(self) -> Similarity:
        """The newest pose, in the frame in which they are remembered."""
        return self._path.at(self._path.newest_ns)

    def at(self, stamp_ns: int) -> Similarity:
        """Return where the object was, or is expected to be, in that frame."""
        return self._path.at(stamp_ns)

    def go_back(self, stamp_ns: int) -> None:
        """Begin anew at an earlier time, where the object was last."""
        self._path.restart(stamp_ns)
        self._resting = RestingPlace()

    def reframe(self, object_from_new: Similarity) -> None:
        """Express the object in another frame of its own, as far as anybody knows how that lies.

        What is measured next says alone where it rests: what was measured in the frame before
        would count once for each viewpoint, by one guess of how the frames relate.
        """
        self._path.reframe(object_from_new)
        self._resting = RestingPlace()

    def place(
        self,
        camera_from_object: Similarity,
        covariance: Floats,
        moment: Moment,
        *,
        is_guess: bool = False,
    ) -> None:
        """Remember a measured pose.

        Args:
            camera_from_object: The pose.
            covariance: Of it, (7, 7), as in ``Refinement``.
            moment: When, and from where it was measured.
            is_guess: It may be another thing, or turned otherwise.
        """
        is_fixed = moment.fixed_from_camera is not None
        is_other_frame = is_fixed != self.is_fixed
        if is_other_frame:
            self.is_fixed, self._resting = is_fixed, RestingPlace()
        was_mean, before_it = self._resting.is_mean, self._measured
        pose = self._rested(camera_from_object, covariance, moment, is_guess=is_guess)
        if is_other_frame:
            self._path.restart(moment.stamp_ns, pose)
            return
        if was_mean and not self._resting.is_mean and before_it[0] < moment.stamp_ns:
            # It moves: how fast, measurements say, not the step from the mean to one of them.
            self._path.restart(*before_it)
        before = self._path.at(moment.stamp_ns)
        shift_m = float(np.linalg.norm(pose.translation_m - before.translation_m))
        differs = shift_m > CORRECTED_M or turn_rad(pose, before) > CORRECTED_RAD
        is_past = self._path.newest_ns > moment.stamp_ns
        if differs and is_past and self._path.is_measured_at(moment.stamp_ns):
            self._path.correct(moment.stamp_ns, pose)
        else:
            self._path.add(moment.stamp_ns, pose)

    def _rested(
        self,
        camera_from_object: Similarity,
        covariance: Floats,
        moment: Moment,
        *,
        is_guess: bool,
    ) -> Similarity:
        """Return the pose to remember of a measured one."""
        pose = moment.in_frame(camera_from_object)
        self._measured = moment.stamp_ns, pose
        if moment.fixed_from_camera is None:
            return pose
        sigma_m, sigma_rad = UNKNOWN_M, UNKNOWN_RAD
        if covariance.any():
            variances = np.diag(covariance)
            sigma_m = float(np.sqrt(variances[:3].sum()))
            sigma_rad = float(np.sqrt(variances[3:6].sum()))
        measured = Estimate(pose=pose, sigma_m=sigma_m, sigma_rad=sigma_rad)
        camera_m = moment.fixed_from_camera.translation_m
        return self._resting.take_in(measured, camera_m, moment.stamp_ns, is_guess=is_guess)
