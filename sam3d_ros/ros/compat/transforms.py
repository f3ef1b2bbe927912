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

"""The node's transforms: looked up by ``tf2_ros`` where it is installed."""

from types import ModuleType

from sam3d_ros.errors import TransformError
from sam3d_ros.ros.compat.packages import optional_module
from sam3d_ros.ros.compat.tf_buffer import (
    TransformBuffer,
    TransformStampedMsg,
    frame_name,
)
from sam3d_ros.ros.decode import transform_from_msg
from sam3d_ros.structures import Similarity

MAX_VANISHED = 100  # frames that tf2 may remember although nobody sends them any more
AUTHORITY = "sam3d_node"  # who is named where tf2 logs that a transform cannot be used


def make_transforms(cache_s: float) -> TransformBuffer:
    """Return an empty buffer: of ``tf2_ros``, or the one that does without."""
    package = optional_module("tf2_ros")
    return TransformBuffer(cache_s) if package is None else Tf2Buffer(package, cache_s)


def looked_up_by(transforms: TransformBuffer) -> str:
    """Say who answers lookups, for diagnostics."""
    if isinstance(transforms, Tf2Buffer):
        return "looked up by tf2_ros"
    return "looked up by the node itself, as tf2_ros is not installed"


class Tf2Buffer(TransformBuffer):
    """Lets tf2 answer; explains what that cannot answer, and forgets what tf2 never would.

    Args:
        package: ``tf2_ros``.
        cache_s: How long transforms are kept.
    """

    def __init__(self, package: ModuleType, cache_s: float) -> None:
        super().__init__(cache_s)
        self._package = package
        self._begin()

    def add(self, stamped: TransformStampedMsg, *, static: bool) -> None:
        """Take in one ``geometry_msgs/TransformStamped`` of ``/tf`` or ``/tf_static``."""
        child, parent = frame_name(stamped.child_frame_id), frame_name(stamped.header.frame_id)
        if not child or not parent or child == parent:  # tf2 would log each
            return
        was_static, num_samples = child in self._static, len(self._samples.get(child, ()))
        super().add(stamped, static=static)
        is_same_kind = was_static == static or not (was_static or num_samples)
        goes_on = static or len(self._samples[child]) >= num_samples or num_samples <= 1
        if is_same_kind and goes_on:
            self._tell(stamped, static=static)
        else:
            self._begin()

    def lookup(self, target: str, source: str, stamp_ns: int) -> Similarity:
        """Return ``target_from_source`` at a time.

        Raises:
            TransformError: It is not known at that time; says which part is missing.
        """
        if stamp_ns <= 0:  # tf2 would take that for "the latest"
            return super().lookup(target, source, stamp_ns)
        try:
            found = self._buffer.lookup_transform_core(
                frame_name(target), frame_name(source), self._time(nanoseconds=stamp_ns)
            )
        except self._package.TransformException as error:
            super().lookup(target, source, stamp_ns)  # fails, too, and says more
            raise TransformError(f"tf2: {error}") from error
        return transform_from_msg(found.transform)

    def forget_after(self, stamp_ns: int) -> None:
        """Drop what is younger than a time, which is in the future again after a jump back."""
        super().forget_after(stamp_ns)
        self._begin()

    def forget_vanished(self, present_ns: int) -> None:
        """Drop the frames that nobody has sent for as long as samples are kept."""
        num_frames = len(self._samples)
        super().forget_vanished(present_ns)
        self._num_vanished += num_frames - len(self._samples)
        if self._num_vanished > MAX_VANISHED:
            self._begin()

    def clear(self) -> None:
        """Drop everything."""
        super().clear()
        self._begin()

    def _begin(self) -> None:
        """Have tf2 know what is known here, and nothing else."""
        from rclpy.duration import Duration  # noqa: PLC0415  # there where tf2_ros is
        from rclpy.time import Time  # noqa: PLC0415

        self._time = Time
        self._num_vanished = 0
        self._buffer = self._package.Buffer(Duration(nanoseconds=self._cache_ns))
        for sample in self._static.values():
            self._tell(sample.message, static=True)
        for samples in self._samples.values():
            for sample in samples:
                self._tell(sample.message, static=False)

    def _tell(self, stamped: TransformStampedMsg, *, static: bool) -> None:
        if static:
            self._buffer.set_transform_static(stamped, AUTHORITY)
        else:
            self._buffer.set_transform(stamped, AUTHORITY)
