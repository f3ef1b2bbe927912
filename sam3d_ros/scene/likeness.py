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


"""Whether two meshes may be one object: their size, their colours, the place that they fill."""

from dataclasses import dataclass

import numpy as np

from sam3d_ros.structures import Floats, Mesh, Similarity

MAX_SIZE_RATIO = 1.25  # of the extents, shortest with shortest
MIN_COLOR_OVERLAP = 0.5  # of the histograms
NUM_BINS = 5  # per channel; a colour counts for the bins around it, by how near they are
SEEN = 0.5  # vertices observed less have guessed colours
MIN_BOX_OVERLAP = 0.5  # intersection over union, from which two meshes fill one place
SAME_CENTER = 0.15  # of the smaller diameter, between centres of boxes of like size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """What an object looks like, wherever it is."""

    extents_m: Floats  # (3,) of the box, rising
    colors: Floats  # (B,) histogram, sums to 1

    @classmethod
    def of(cls, mesh_object: Mesh) -> "Looks":
        """Describe a baked mesh."""
        extents_m = np.sort(np.ptp(mesh_object.vertices, axis=0)).astype(np.float64)
        return cls(extents_m=extents_m, colors=_histogram(mesh_object))

    def likeness(self, other: "Looks") -> float:
        """Return the overlap of the colours, 0 to 1; 0 where sizes or colours are too different."""
        ratio = np.maximum(self.extents_m, 1e-6) / np.maximum(other.extents_m, 1e-6)
        if float(np.maximum(ratio, 1.0 / ratio).max()) > MAX_SIZE_RATIO:
            return 0.0
        overlap = float(np.minimum(self.colors, other.colors).sum())
        return overlap if overlap >= MIN_COLOR_OVERLAP else 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """The axis-aligned box that a mesh fills in some frame."""

    low_m: Floats  # (3,)
    high_m: Floats  # (3,)

    @classmethod
    def of(cls, mesh_object: Mesh, frame_from_object: Similarity) -> "Box":
        """Return the box of a mesh at a pose."""
        points = frame_from_object.apply(mesh_object.vertices)
        return cls(low_m=points.min(axis=0), high_m=points.max(axis=0))

    def is_filled_by(self, other: "Box") -> bool:
        """Tell whether two boxes are so much the same that two solids cannot be in them."""
        low, high = np.maximum(self.low_m, other.low_m), np.minimum(self.high_m, other.high_m)
        shared = float(np.prod(np.maximum(high - low, 0.0)))
        union = self._volume + other._volume - shared
        if shared >= MIN_BOX_OVERLAP * max(union, 1e-12):
            return True
        apart_m = float(np.linalg.norm(self._middle - other._middle))
        diameters = sorted((self._diameter, other._diameter))
        is_like = diameters[1] <= MAX_SIZE_RATIO * diameters[0]
        return is_like and apart_m <= SAME_CENTER * diameters[0]

    @property
    def _volume(self) -> float:
        return float(np.prod(self.high_m - self.low_m))

    @property
    def _middle(self) -> Floats:
        return (self.low_m + self.high_m) / 2

    @property
    def _diameter(self) -> float:
        return float(np.linalg.norm(self.high_m - self.low_m))


def _histogram(mesh: Mesh) -> Floats:
    """Count the colours of the seen vertices, trilinearly, so that light changes it little."""
    seen = mesh.observed >= SEEN
    colors = mesh.colors[seen if seen.any() else slice(None)]
    place = colors.astype(np.float64) * (NUM_BINS - 1) / 255.0
    low = np.minimum(np.floor(place).astype(np.int64), NUM_BINS - 2)
    share = place - low
    size = (NUM_BINS,) * 3
    histogram = np.zeros(NUM_BINS**3)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, share, 1.0 - share), axis=1)
        bins = np.ravel_multi_index(tuple((low + corner).T), size)
        histogram += np.bincount(bins, weight, minlength=len(histogram))
    return histogram / max(float(histogram.sum()), 1e-12)
