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

"""Everything that can be wrong with an input, as one family of errors.

Each error knows the ``ReportCode`` under which the node reports it, and its text says what was
expected, what came and what to check next.
"""

from enum import IntEnum
from typing import ClassVar


class ReportCode(IntEnum):
    """Outcome of one trigger or one object; equal to the constants of ``FrameReport.msg``."""

    OK = 0
    NO_TRANSFORM = 1
    MASK_STALE = 2
    NOT_SYNCED = 3
    QOS = 4
    CLOCK = 5
    MASK_EMPTY = 6
    MASK_SIZE = 7
    DEPTH_SPARSE = 8
    DEPTH_UNIT = 9
    ENCODING = 10
    DEPTH_ALIGN = 11
    NO_INTRINSICS = 12
    DISTORTION = 13
    OUT_OF_MEMORY = 14
    DROPPED = 15
    NO_WEIGHTS = 16
    TIME_JUMP = 17
    RECONSTRUCTION = 18
    BAD_INPUT = 19
    NOT_ACTIVE = 20
    UNKNOWN_OBJECT = 21
    BUSY = 22
    CANCELLED = 23
    FILE = 24
    OFF = 25
    PLANNER = 26


class Sam3dError(Exception):
    """Root of all errors this package raises on purpose."""

    code: ClassVar[ReportCode] = ReportCode.BAD_INPUT


class ShapeError(Sam3dError, ValueError):
    """An array does not have the announced shape."""


class ConfigError(Sam3dError, ValueError):
    """A setting is out of range or contradicts another one."""


class EncodingError(Sam3dError, ValueError):
    """An image or cloud comes in an encoding that cannot be read."""

    code = ReportCode.ENCODING


class IntrinsicsError(Sam3dError, ValueError):
    """The camera has no usable intrinsics."""

    code = ReportCode.NO_INTRINSICS


class DistortionError(Sam3dError, ValueError):
    """The camera has a distortion model that is not known."""

    code = ReportCode.DISTORTION


class DepthUnitError(Sam3dError, ValueError):
    """Depth values contradict the unit of their encoding."""

    code = ReportCode.DEPTH_UNIT


class DepthAlignError(Sam3dError, ValueError):
    """Depth and colour come from cameras whose relation is not known."""

    code = ReportCode.DEPTH_ALIGN


class MaskSizeError(Sam3dError, ValueError):
    """A mask is not of the image's size and not of its aspect ratio either."""

    code = ReportCode.MASK_SIZE


class MaskEmptyError(Sam3dError, ValueError):
    """A mask has too few pixels to reconstruct anything."""

    code = ReportCode.MASK_EMPTY


class MaskFullError(Sam3dError, ValueError):
    """A mask covers all of an image, as that of no object does."""


class DepthSparseError(Sam3dError, ValueError):
    """Too few pixels of a mask carry a depth."""

    code = ReportCode.DEPTH_SPARSE


class ReconstructionError(Sam3dError, RuntimeError):
    """The backend found no closed surface for an object."""

    code = ReportCode.RECONSTRUCTION


class DecodingError(ReconstructionError):
    """What a model answered is not a shape, or not a pose."""


class OutOfMemoryError(Sam3dError, RuntimeError):
    """The memory of a device does not suffice for one object."""

    code = ReportCode.OUT_OF_MEMORY


class CancelledError(Sam3dError, RuntimeError):
    """The work was called off before it was done; it ends as a whole, whatever of it was done."""

    code = ReportCode.DROPPED


class SelectionError(Sam3dError, ValueError):
    """What is asked for is not something that a frame can have."""


class UnknownObjectError(Sam3dError, LookupError):
    """No object has the id that was asked for."""

    code = ReportCode.UNKNOWN_OBJECT


class OutputFileError(Sam3dError, OSError):
    """A file must not be written where it was asked for, or cannot be."""

    code = ReportCode.FILE


class TransformError(Sam3dError, LookupError):
    """A transform is not known at the wanted time."""

    code = ReportCode.NO_TRANSFORM


class DatasetError(Sam3dError, ValueError):
    """A scene folder or bag cannot be read."""


class WeightsError(Sam3dError, ValueError):
    """A weights file cannot be read, is not to be trusted or does not fit the model."""

    code = ReportCode.NO_WEIGHTS


class WeightsMissingError(WeightsError):
    """A weights file is not there."""


class ConditionError(Sam3dError, ValueError):
    """A model is not given what its configuration asks for."""


class VoxelError(ReconstructionError):
    """Voxels are missing, twice the same or out of range."""


class SplatFileError(Sam3dError, ValueError):
    """A file of splats cannot be read."""


class DependencyError(Sam3dError, ImportError):
    """An optional package is needed and not installed."""


class ShapeProgramError(Sam3dError, ValueError):
    """A described shape is not in the language of shapes."""


class TrainingError(Sam3dError, RuntimeError):
    """Training cannot go on."""


class CheckpointError(Sam3dError, ValueError):
    """A checkpoint of a training run is damaged."""
