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

"""Lens distortion in normalised image coordinates (``x / z``, ``y / z``).

All models share one form: a radial profile ``r_d = p * N(p^2) / D(p^2)``, where ``p`` is the radius
(``plumb_bob``, ``rational_polynomial``) or the angle to the optical axis (``equidistant``), plus a
tangential part. Formulas as in OpenCV 4, modules calib3d and fisheye.

Beyond the radius where its profile stops growing, a polynomial folds the image back: what is far
outside the view would appear inside it. There this module answers NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial

from sam3d_ros.errors import DistortionError
from sam3d_ros.structures import Camera, Floats

NUM_COEFFICIENTS = {"none": 0, "plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
OTHER_NAMES = {"radtan": "plumb_bob", "equi": "equidistant", "fisheye": "equidistant"}
MAX_ANGLE_RAD = np.radians(89.0)  # a plane image cannot hold directions further off the axis
RECALIBRATE = "rectify the images first or recalibrate with one of these models"
TABLE_SIZE = 2048  # linear interpolation in it is a start from which one Newton step is exact
NEWTON_STEPS = 3  # from the solution without the tangential part, which is a small one
SETTLED = 1e-6  # a last step as short leaves an error of its square
WITHIN = 1.0 - 1e-6  # of the limit: at a pole, rounding decides the sign of the profile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lens:
    """One lens: a radial profile, a tangential part and how far out both hold."""

    numerator: Polynomial  # N, of p^2
    denominator: Polynomial  # D, of p^2
    tangential: tuple[float, float]  # p1, p2
    angular: bool  # p is an angle in radians, not a radius

    def distort(self, ideal: Floats) -> Floats:
        """Map normalised coordinates ``(..., 2)`` to where the lens shows them, NaN outside."""
        x, y = np.moveaxis(ideal, -1, 0)
        return np.stack(self._distort(x, y), axis=-1)

    def undistort(self, distorted: Floats) -> Floats:
        """Invert ``distort``; NaN where no direction of view leads to a coordinate."""
        target_x, target_y = np.ascontiguousarray(np.moveaxis(distorted, -1, 0))
        factor = self._inverse_factor(np.hypot(target_x, target_y))
        x, y = target_x * factor, target_y * factor
        step_x = step_y = np.zeros_like(x)
        for _ in range(NEWTON_STEPS if any(self.tangential) else 0):
            shown_x, shown_y = self._distort(x, y)
            step_x, step_y = self._solve(x, y, target_x - shown_x, target_y - shown_y)
            x, y = x + step_x, y + step_y
        settled = np.abs(step_x) + np.abs(step_y) < SETTLED
        return np.where(settled[..., None], np.stack([x, y], axis=-1), np.nan)

    def _distort(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        square = x**2 + y**2
        factor = self._factor(square)
        (p1, p2), product = self.tangential, 2.0 * x * y
        return (
            x * factor + p1 * product + p2 * (square + 2.0 * x**2),
            y * factor + p1 * (square + 2.0 * y**2) + p2 * product,
        )

    def _solve(self, x: Floats, y: Floats, error_x: Floats, error_y: Floats) -> list[Floats]:
        """Return the step from (x, y) that removes the error to first order (Newton)."""
        square, (p1, p2) = x**2 + y**2, self.tangential
        numerator, denominator = self.numerator(square), self.denominator(square)
        factor = numerator / denominator
        slope = (self.numerator.deriv()(square) - factor * self.denominator.deriv()(square)) * 2.0
        slope /= denominator
        xx = factor + slope * x**2 + 2.0 * p1 * y + 6.0 * p2 * x
        yy = factor + slope * y**2 + 6.0 * p1 * y + 2.0 * p2 * x
        xy = slope * x * y + 2.0 * (p1 * x + p2 * y)
        determinant = xx * yy - xy**2
        return [
            (yy * error_x - xy * error_y) / determinant,
            (xx * error_y - xy * error_x) / determinant,
        ]

    def _factor(self, square: Floats) -> Floats:
        """Return ``r_d / r`` of squared radii, NaN beyond the limit."""
        if not self.angular:
            factor = self.numerator(square) / self.denominator(square)
            return np.where(square <= self._limit() ** 2, factor, np.nan)
        radius = np.sqrt(np.maximum(square, np.finfo(np.float64).tiny))
        angle_rad = np.arctan(radius)
        return np.where(angle_rad <= self._limit(), self._profile(angle_rad) / radius, np.nan)

    def _inverse_factor(self, radius_d: Floats) -> Floats:
        """Return ``r / r_d`` of radii without tangential part: a table, then a Newton step."""
        radius_d = np.maximum(radius_d, np.finfo(np.float64).tiny)
        angles = np.linspace(0.0, np.arctan(self._limit()), TABLE_SIZE)
        table = np.linspace(0.0, self._limit(), TABLE_SIZE) if self.angular else np.tan(angles)
        parameter = np.interp(radius_d, self._profile(table), table, right=np.nan)
        parameter += (radius_d - self._profile(parameter)) / self._slope(parameter)
        return (np.tan(parameter) if self.angular else parameter) / radius_d

    def _profile(self, parameter: Floats) -> Floats:
        square = parameter**2
        return np.asarray(parameter * self.numerator(square) / self.denominator(square))

    def _slope(self, parameter: Floats) -> Floats:
        """Return ``dr_d / dp``, kept from zero at the very limit."""
        square = parameter**2
        slope = self._slope_numerator()(square) / self.denominator(square) ** 2
        return np.maximum(slope, 1e-6)

    def _slope_numerator(self) -> Polynomial:
        """Return the polynomial in p^2 whose sign is that of ``dr_d / dp``."""
        square = Polynomial([0.0, 2.0])
        growth = self.numerator + square * self.numerator.deriv()
        return growth * self.denominator - square * self.numerator * self.denominator.deriv()

    def _limit(self) -> float:
        """Return the largest p up to which the profile grows and has no pole."""
        roots = np.concatenate([self._slope_numerator().roots(), self.denominator.roots()])
        real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
        widest = MAX_ANGLE_RAD if self.angular else np.tan(MAX_ANGLE_RAD)
        return float(min(WITHIN * np.sqrt(real.min(initial=np.inf)), widest))


def lens_of(camera: Camera) -> Lens:
    """Return the lens of a camera.

    Raises:
        DistortionError: The model is not known or has too many coefficients.
    """
    model = camera.distortion_model
    k = _coefficients(camera)
    if model == "equidistant":
        return Lens(
            numerator=Polynomial([1.0, *k]),
            denominator=Polynomial([1.0]),
            tangential=(0.0, 0.0),
            angular=True,
        )
    k = np.pad(k, (0, 8 - len(k)))
    return Lens(
        numerator=Polynomial([1.0, k[0], k[1], k[4]]),
        denominator=Polynomial([1.0, *k[5:]]),
        tangential=(float(k[2]), float(k[3])),
        angular=False,
    )


def _coefficients(camera: Camera) -> Floats:
    """Return the coefficients, filled up with zeros to the number of the model."""
    model, given = camera.distortion_model, camera.distortion
    if model not in NUM_COEFFICIENTS:
        known = OTHER_NAMES.get(model)
        raise DistortionError(
            f"distortion_model must be one of {', '.join(NUM_COEFFICIENTS)}, got {model!r}; "
            + (f"what you call {model} is named {known} here" if known else RECALIBRATE)
        )
    wanted = NUM_COEFFICIENTS[model]
    if any(given[wanted:]) or not np.isfinite(given).all():
        raise DistortionError(
            f"{model} has {wanted} finite coefficients, got {given}; check D of camera_info"
        )
    return np.array([*given[:wanted], *[0.0] * (wanted - len(given))])
