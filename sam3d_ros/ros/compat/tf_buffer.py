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


"""Transforms by frame and time, without ROS: the same answers for the node and for a bag.

tf2 has a buffer of its own. This one exists because ``sam3d offline`` must answer like the node
where no ROS is installed; so the node uses it too, instead of two buffers that might differ. The
rules are those of tf2: a child has one parent at a time, a transform is interpolated between two
samples and never extrapolated, a static one holds at all times.
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sam3d_ros.errors import Sam3dError, TransformError
from sam3d_ros.geometry.rigid import Rigid
from sam3d_ros.ros.decode import rigid_from_msg, stamp_ns_from_msg
from sam3d_ros.structures import NS_PER_S, Similarity

TransformStampedMsg: TypeAlias = Any  # of rclpy or of rosbags
CACHE_S = 10.0  # as tf2


@dataclass(slots=True, order=True)
class Sample:
    """One transform as it was sent; read when it is needed, as few of them are."""

    stamp_ns: int
    parent: str = field(compare=False)
    message: TransformStampedMsg = field(compare=False)
    read: Rigid | None = field(default=None, compare=False)  # the message, once it was needed

    def parent_from_child(self) -> Rigid:
        """Return the transform.

        Raises:
            TransformError: It is not one: its quaternion is zero or not finite.
        """
        if self.read is None:
            try:
                self.read = rigid_from_msg(self.message.transform)
            except Sam3dError as error:
                child = self.message.child_frame_id
                raise TransformError(f"transform {self.parent} from {child}: {error}") from error
        return self.read


class TransformBuffer:
    """All transforms of the last seconds; ``add`` messages, ``lookup`` similarities."""

    def __init__(self, cache_s: float = CACHE_S) -> None:
        self._cache_ns = int(cache_s * NS_PER_S)
        self._samples: dict[str, list[Sample]] = {}  # by child frame, ordered by stamp
        self._static: dict[str, Sample] = {}

    @property
    def frames(self) -> frozenset[str]:
        """Every frame of which the parent is known."""
        return frozenset({*self._static, *self._samples})

    def add(self, stamped: TransformStampedMsg, *, static: bool) -> None:
        """Take in one ``geometry_msgs/TransformStamped`` of ``/tf`` or ``/tf_static``."""
        child = frame_name(stamped.child_frame_id)
        parent = frame_name(stamped.header.frame_id)
        if not child or not parent or child == parent:
            return
        sample = Sample(stamp_ns_from_msg(stamped.header.stamp), parent, stamped)
        if static:
            self._static[child] = sample
            self._samples.pop(child, None)
        else:
            self._static.pop(child, None)
            self._insert(self._samples.setdefault(child, []), sample)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Similarity:
        """Return ``target_from_source`` at a time.

        Raises:
            TransformError: It is not known at that time; says which part is missing.
        """
        from_source = self._chain(frame_name(source), stamp_ns)
        from_target = self._chain(frame_name(target), stamp_ns)
        if (loop := from_source.loop or from_target.loop) is not None:
            raise TransformError(loop)
        shared = next((name for name in from_source.frames if name in from_target.frames), None)
        if shared is None:
            raise self._unrelated(from_target, from_source, stamp_ns)
        shared_from_target = from_target.ancestor_from_start(shared)
        shared_from_source = from_source.ancestor_from_start(shared)
        return (shared_from_target.inverse() @ shared_from_source).similarity

    def lookup_between(self, target: tuple[str, int], source: tuple[str, int]) -> Similarity:
        """Return ``target_from_source`` of two frames, each at its own (name, stamp).

        What relates the two times is the frame at the root of the tree, which stands still.

        Raises:
            TransformError: One of them is not known at its time.
        """
        (target_name, target_ns), (source_name, source_ns) = target, source
        if target_ns == source_ns:
            return self.lookup(target_name, source_name, target_ns)
        chain = self._chain(frame_name(source_name), source_ns)
        if chain.end is not None:
            raise TransformError(chain.end)
        root = chain.frames[-1]
        root_from_target = self.lookup(root, target_name, target_ns)
        return root_from_target.inverse() @ self.lookup(root, source_name, source_ns)

    def is_rigid(self, first: str, second: str) -> bool:
        """Tell whether only static transforms lie between two frames."""
        mounts = [self._static_ancestors(frame_name(name)) for name in (first, second)]
        return bool(mounts[0] & mounts[1])

    def forget_after(self, stamp_ns: int) -> None:
        """Drop what is younger than a time, which is in the future again after a jump back."""
        self._samples = {
            child: kept
            for child, samples in self._samples.items()
            if (kept := [sample for sample in samples if sample.stamp_ns <= stamp_ns])
        }

    def forget_vanished(self, present_ns: int) -> None:
        """Drop the frames that nobody has sent for as long as samples are kept.

        Args:
            present_ns: Stamp of an image, as lookups are for. That of a transform would be no
                measure: one publisher with a wrong clock would end all the others.
        """
        oldest_ns = present_ns - self._cache_ns
        vanished = [child for child, each in self._samples.items() if each[-1].stamp_ns < oldest_ns]
        for child in vanished:
            del self._samples[child]

    def clear(self) -> None:
        """Drop everything."""
        self._samples.clear()
        self._static.clear()

    def _insert(self, samples: list[Sample], sample: Sample) -> None:
        """Insert a sample and drop what is out of date.

        A sample far older than the others is the first after a jump back: then they are.
        """
        if samples and sample.stamp_ns < samples[-1].stamp_ns - self._cache_ns:
            samples.clear()
        place = bisect_left(samples, sample)
        if place < len(samples) and samples[place].stamp_ns == sample.stamp_ns:
            samples[place] = sample
        else:
            insort(samples, sample)
        oldest_ns = samples[-1].stamp_ns - self._cache_ns
        del samples[: bisect_left(samples, oldest_ns, key=lambda each: each.stamp_ns)]

    def _chain(self, frame: str, stamp_ns: int) -> "Chain":
        """Climb from a frame towards the root of its tree, as far as that time is known."""
        chain = Chain([frame], stamp_ns)
        while chain.end is None:
            try:
                neighbours = self._neighbours(chain.frames[-1], stamp_ns)
            except TransformError as error:
                chain.end = str(error)
                break
            if neighbours is None:
                break
            chain.climb(*neighbours)
        return chain

    def _static_ancestors(self, frame: str) -> set[str]:
        """Return a frame and all above it, up to the first that moves."""
        ancestors = {frame}
        while frame in self._static and (frame := self._static[frame].parent) not in ancestors:
            ancestors.add(frame)
        return ancestors

    def _neighbours(self, child: str, stamp_ns: int) -> tuple[Sample, Sample] | None:
        """Return the samples of a frame around a time; None when it has no parent."""
        if child in self._static:
            return self._static[child], self._static[child]
        samples = self._samples.get(child)
        if not samples:
            return None
        place = bisect_right(samples, stamp_ns, key=lambda each: each.stamp_ns)
        if place and samples[place - 1].stamp_ns == stamp_ns:
            return samples[place - 1], samples[place - 1]
        if 0 < place < len(samples):
            return samples[place - 1], samples[place]
        nearest = samples[0 if place == 0 else -1]
        gap_s = abs(stamp_ns - nearest.stamp_ns) / NS_PER_S
        known = "newest" if place else "oldest"
        raise TransformError(
            f"transform {nearest.parent} from {child} is not known at {seconds(stamp_ns)}: the "
            f"{known} one is {gap_s:.3f} s {'older' if place else 'younger'}; check its publisher, "
            "or raise tf.timeout"
        )

    def _unrelated(
        self, from_target: "Chain", from_source: "Chain", stamp_ns: int
    ) -> TransformError:
        """Say why two chains do not meet."""
        parents = [sample.parent for sample in self._static.values()]
        parents += [samples[-1].parent for samples in self._samples.values()]
        known = {*self._static, *self._samples, *parents}
        target, source = from_target.frames[0], from_source.frames[0]
        missing = sorted({target, source} - known)
        end = from_source.end or from_target.end
        if end is not None and not missing:
            return TransformError(end)
        reason = f"nothing is known of {' and '.join(missing)}" if missing else "no shared ancestor"
        return TransformError(
            f"no transform {target} from {source} at {seconds(stamp_ns)}: {reason}; known frames: "
            f"{', '.join(sorted(known)) or 'none, check that /tf and /tf_static are published'}"
        )


@dataclass(slots=True)
class Chain:
    """The way from one frame up its tree at one time."""

    frames: list[str]  # from the start upwards
    stamp_ns: int
    steps: list[tuple[Sample, Sample]] = field(default_factory=list)  # around the time
    # Sentences, not errors: those know who raised them, and with that the chain, and the messages
    # of the caller. Circles of such references stay for minutes.
    end: str | None = None  # why it goes no further, unless at the root
    # Two ways lead to a frame then, and one of them is wrong: no lookup can be trusted.
    loop: str | None = None

    def climb(self, before: Sample, after: Sample) -> None:
        """Go on to the parent of the last frame."""
        if before.parent in self.frames:
            self.end = self.loop = (
                f"frames {', '.join(self.frames)} are each other's parents; check for two "
                "publishers of the same frame"
            )
            return
        self.frames.append(before.parent)
        self.steps.append((before, after))

    def ancestor_from_start(self, ancestor: str) -> Rigid:
        """Return the transform from the first frame to one of the others."""
        result = Rigid.identity()
        for before, after in self.steps[: self.frames.index(ancestor)]:
            result = _between(before, after, self.stamp_ns) @ result
        return result


def frame_name(name: str) -> str:
    """Return a frame id without the leading slash that some old drivers still send."""
    return name.removeprefix("/")


def seconds(stamp_ns: int) -> str:
    """Write a stamp as seconds, exactly."""
    return f"{stamp_ns // NS_PER_S}.{stamp_ns % NS_PER_S:09d} s"


def _between(before: Sample, after: Sample, stamp_ns: int) -> Rigid:
    """Return the transform at a time between two samples of one child."""
    first = before.parent_from_child()
    if before is after or before.parent != after.parent:
        return first
    fraction = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
    return first.towards(after.parent_from_child(), fraction)
