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

"""What it takes to leave a pose that is expected: agreement that is clearly better elsewhere."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.geometry.registration.model import RegistrationModel
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.solving import pivots_m
from sam3d_ros.structures import Floats

# Agreement that a departure must gain: per squared standard deviation, and in any case enough. It
# is no likelihood: meshes are not exact, and their errors agree or not over whole regions at once.
GAIN_PER_SQUARE, CLEAR_GAIN = 0.01, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How far off a start may be, standard deviations."""

    sigma_m: float  # of the centre, in all
    sigma_rad: float

    def gains_due(self, model: RegistrationModel, poses: Poses, given: Poses) -> Floats:
        """Return how much better than the given pose each must agree with a view, ``(K,)``.

        Directions that no view tells, as turns about the axis of a bottle, thus stay as expected.
        """
        shifts = pivots_m(model, poses) - pivots_m(model, given)
        cosines = (np.einsum("kij,ij->k", poses.rotation, given.rotation[0]) - 1.0) / 2.0
        turns = np.arccos(np.clip(cosines, -1.0, 1.0))
        squares = np.square(shifts / self.sigma_m).sum(axis=1) + np.square(turns / self.sigma_rad)
        return np.minimum(GAIN_PER_SQUARE * squares, CLEAR_GAIN)
