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


"""Let a follower, or the whole pipeline, follow a rendered sequence, and judge every image."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import open3d as o3d
from scipy.optimize import linear_sum_assignment

from sam3d_ros.evaluation.sequences import ObjectTruth, RenderedSequence, Step
from sam3d_ros.evaluation.tracking import NO_TRACK, JudgedShape, Row, Symmetry, pose_error
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.geometry.meshes import sample_surface
from sam3d_ros.geometry.raycasting import NUM_THREADS, raycasting_scene
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.following import Expected, Followed, Follower, FollowStatus
from sam3d_ros.scene.motion import Trajectory, spread_after
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import (
    NS_PER_S,
    DepthFrame,
    Floats,
    InstanceMask,
    Mesh,
    ObjectState,
    SceneObject,
    SceneSnapshot,
    Similarity,
)

NUM_POINTS = 300  # of a surface
NUM_SEEN_POINTS = 150
MATCH_M = 0.03  # mean distance of a mesh to the surface of the object that it stands for
SEEN_VERTEX = 0.5
REVOLVED = ("can", "bowl", "bottle")  # about the z axis
HALF_TURNED = ("box",)  # about all three axes
MS_PER_S = 1e3
START_SHIFT_M, START_TURN_RAD = 0.005, 0.05  # how far off reconstructions may be


@dataclass(slots=True)
class Run:
    """What came of following a sequence."""

    rows: list[Row] = field(default_factory=list)
    follow_ms: list[float] = field(default_factory=list)  # per image, all objects
    process_ms: list[float] = field(default_factory=list)  # per image with masks
    spurious: int = 0  # followed in an image, and none of the objects; counted per image
    revisions: dict[int, int] = field(default_factory=dict)  # highest, by track


class Judge:
    """Knows the true shapes of a sequence."""

    def __init__(self, sequence: RenderedSequence) -> None:
        named = list(zip(sequence.names, sequence.meshes, strict=True))
        self.shapes = [judged_shape(name, mesh) for name, mesh in named]
        self._surfaces = [raycasting_scene([mesh]) for _, mesh in named]

    def mesh_m(self, number: int, truth: Similarity, points_camera: Floats) -> float:
        """Mean distance of points to the true surface of an object."""
        points = truth.inverse().apply(points_camera).astype(np.float32)
        distance = self._surfaces[number].compute_distance(o3d.core.Tensor(points), NUM_THREADS)
        return float(distance.numpy().mean())


def judged_shape(name: str, mesh: Mesh) -> JudgedShape:
    """Prepare a mesh of the catalogue, whose symmetries are known."""
    points, _ = sample_surface(mesh, NUM_POINTS, np.random.default_rng(0))
    center = bounds(mesh).mean(axis=0)
    symmetry = Symmetry(center=center)
    if name in REVOLVED:
        symmetry = replace(symmetry, axis=np.array([0.0, 0.0, 1.0]))
    if name in HALF_TURNED:
        half_turns = [rotation_from_axis_angle(axis, np.pi) for axis in np.eye(3)]
        symmetry = replace(symmetry, turns=np.stack([np.eye(3), *half_turns]))
    return JudgedShape(points=points, center=center, symmetry=symmetry)


class FollowedMeshes:
    """Gives a follower the true meshes and lets it follow them alone, image by image.

    Poses start a little off and are led by the motion so far, as the registry leads them. Masks
    come on time, and it is known whose they are; the mask of a lost object starts it anew.
    """

    def __init__(self, sequence: RenderedSequence, follower: Follower) -> None:
        self.run = Run()
        self._sequence, self._follower = sequence, follower
        self._judge = Judge(sequence)
        self._rng = np.random.default_rng(sequence.spec.seed)
        self._leads: list[_Lead] = []

    def take(self, step: Step) -> None:
        """Follow into the next image."""
        if not self._leads:
            self._leads = [_Lead(step, truth, self._rng) for truth in step.truth]
        masks = _named_masks(step) if step.index % self._sequence.spec.mask_every == 0 else ()
        for number in [mask.instance_id - 1 for mask in masks]:
            if self._leads[number].is_lost:
                self._leads[number] = _Lead(step, step.truth[number], self._rng)
        frame = replace(step.frame, masks=masks)
        expected = [
            lead.expected(frame, number, mesh)
            for number, (lead, mesh) in enumerate(
                zip(self._leads, self._sequence.meshes, strict=True)
            )
        ]
        started = time.perf_counter()
        followed = self._follower.follow(frame, expected)
        self.run.follow_ms.append(MS_PER_S * (time.perf_counter() - started))
        for number, (lead, found) in enumerate(zip(self._leads, followed, strict=True)):
            lead.take(frame, found)
            self.run.rows.append(self._row(step, number, found))

    def _row(self, step: Step, number: int, found: Followed) -> Row:
        truth = step.truth[number]
        pose, shape = truth.camera_from_object, self._judge.shapes[number]
        return Row(
            frame=step.index,
            number=number,
            visible=truth.visible,
            is_present=pose is not None,
            track_id=found.track_id,
            status=found.status,
            error=pose_error(shape, found.camera_from_object, pose) if pose else None,
            revision=1,
        )


class _Lead:
    """Where an object is thought to be, in the fixed frame; stands for the registry."""

    def __init__(self, step: Step, truth: ObjectTruth, rng: np.random.Generator) -> None:
        pose = truth.camera_from_object or Similarity.identity()
        turn = rotation_from_axis_angle(rng.normal(size=3), START_TURN_RAD)
        shift_m = START_SHIFT_M * rng.normal(size=3) / np.sqrt(3.0)
        off = Similarity(turn @ pose.rotation, pose.translation_m + shift_m)
        self._path = Trajectory(step.frame.stamp_ns, _fixed_from_camera(step.frame) @ off)
        self.is_lost = False

    def expected(self, frame: DepthFrame, number: int, mesh: Mesh) -> Expected:
        unseen_s = (frame.stamp_ns - self._path.newest_ns) / NS_PER_S
        spread = spread_after(unseen_s, is_lost=self.is_lost)
        is_masked = number + 1 in [mask.instance_id for mask in frame.masks]
        return Expected(
            track_id=number + 1,
            revision=1,
            mesh_object=mesh,
            camera_from_object=_fixed_from_camera(frame).inverse() @ self._path.at(frame.stamp_ns),
            sigma_m=spread.sigma_m,
            sigma_rad=spread.sigma_rad,
            instance_id=number + 1 if is_masked else None,
        )

    def take(self, frame: DepthFrame, found: Followed) -> None:
        if found.status is FollowStatus.FOLLOWED:
            pose = _fixed_from_camera(frame) @ found.camera_from_object
            if self.is_lost:  # how it came there is not known
                self._path.restart(frame.stamp_ns, pose)
            self._path.add(frame.stamp_ns, pose)
        self.is_lost = found.status is FollowStatus.LOST


def _fixed_from_camera(frame: DepthFrame) -> Similarity:
    return frame.fixed_from_camera or Similarity.identity()


def _named_masks(step: Step) -> tuple[InstanceMask, ...]:
    numbers = [int(number) for number in np.unique(step.labels) if number > 0]
    return tuple(InstanceMask(instance_id=n, mask=step.labels == n) for n in numbers)


class FollowedScene:
    """Drives the whole pipeline with images, and with masks that come late."""

    def __init__(self, sequence: RenderedSequence, pipeline: ScenePipeline) -> None:
        self.run = Run()
        self.snapshot: SceneSnapshot | None = None  # the last
        self._pipeline = pipeline
        self._judge = _SceneJudge(sequence)

    def take(self, step: Step) -> None:
        """Follow into the next image, then take in the masks that came with it."""
        started = time.perf_counter()
        self.snapshot = self._pipeline.follow(step.frame)
        self.run.follow_ms.append(MS_PER_S * (time.perf_counter() - started))
        self._judge.add(step, self.snapshot, self.run)
        if step.late is not None:
            started = time.perf_counter()
            self._pipeline.process(step.late)
            self.run.process_ms.append(MS_PER_S * (time.perf_counter() - started))


class _SceneJudge:
    """Finds out which track is which object, and how far it is from it.

    A mesh of our own making has a frame of its own. Where that stands in the true one is taken
    from the first image that a revision of a mesh is followed in; errors count from there.
    """

    def __init__(self, sequence: RenderedSequence) -> None:
        self._judge = Judge(sequence)
        self._tracks: dict[int, int] = {}  # the last of each object
        self._truth_from_track: dict[tuple[int, int, int], Similarity] = {}

    def add(self, step: Step, snapshot: SceneSnapshot, run: Run) -> None:
        fixed_from_camera = _fixed_from_camera(step.frame)
        known = {each.track_id: _InCamera.of(each, fixed_from_camera) for each in snapshot.objects}
        status = {each.track_id: _status(each, snapshot) for each in snapshot.objects}
        self._tracks |= self._matched(step, known, status)
        for number, truth in enumerate(step.truth):
            track_id = self._tracks.get(number, NO_TRACK)
            row = Row(
                frame=step.index,
                number=number,
                visible=truth.visible,
                is_present=truth.camera_from_object is not None,
                track_id=track_id,
            )
            if track_id in known:
                run.revisions[track_id] = known[track_id].thing.revision
                row = replace(row, status=status[track_id])
                row = self._with_error(row, truth, known[track_id])
            run.rows.append(row)
        followed = {key for key, each in status.items() if each is FollowStatus.FOLLOWED}
        run.spurious += len(followed - set(self._tracks.values()))

    def _with_error(self, row: Row, truth: ObjectTruth, known: "_InCamera") -> Row:
        pose = truth.camera_from_object
        if pose is None:
            return row
        key = (row.number, row.track_id, known.thing.revision)
        if key not in self._truth_from_track:
            if row.status is not FollowStatus.FOLLOWED:
                return row
            self._truth_from_track[key] = pose.inverse() @ known.camera_from_object
        estimate = known.camera_from_object @ self._truth_from_track[key].inverse()
        return replace(
            row,
            revision=known.thing.revision,
            error=pose_error(self._judge.shapes[row.number], estimate, pose),
            mesh_mm=1000.0 * self._judge.mesh_m(row.number, pose, known.points_camera),
        )

    def _matched(
        self, step: Step, known: Mapping[int, "_InCamera"], status: Mapping[int, FollowStatus]
    ) -> dict[int, int]:
        """Return the track, by object, whose mesh stands where the object does."""
        ids = [key for key in known if status[key] is not FollowStatus.LOST]
        numbers = [k for k, truth in enumerate(step.truth) if truth.camera_from_object is not None]
        costs = np.full((len(numbers), len(ids)), np.inf)
        for row, number in enumerate(numbers):
            pose = step.truth[number].camera_from_object
            if pose is not None:
                for column, key in enumerate(ids):
                    points = known[key].points_camera
                    costs[row, column] = self._judge.mesh_m(number, pose, points)
        pairs = zip(*linear_sum_assignment(np.minimum(costs, 1.0)), strict=True)
        return {numbers[r]: ids[c] for r, c in pairs if costs[r, c] < MATCH_M}


@dataclass(frozen=True, slots=True, eq=False)
class _InCamera:
    """An object of the registry where it stands in one image."""

    thing: SceneObject
    camera_from_object: Similarity
    points_camera: Floats  # (N, 3) of the side of its mesh that was seen

    @classmethod
    def of(cls, thing: SceneObject, fixed_from_camera: Similarity) -> "_InCamera":
        pose = thing.camera_from_object(fixed_from_camera)
        mesh = thing.reconstruction.mesh_object
        seen = mesh.vertices[mesh.observed >= SEEN_VERTEX]
        points = seen if len(seen) else mesh.vertices
        few = points[:: max(1, len(points) // NUM_SEEN_POINTS)].astype(np.float64)
        return cls(thing, pose, pose.apply(few))


def _status(thing: SceneObject, snapshot: SceneSnapshot) -> FollowStatus:
    """Say what a snapshot claims of an object."""
    if thing.track_id in snapshot.updated:
        return FollowStatus.FOLLOWED
    return FollowStatus.LOST if thing.state == ObjectState.LOST else FollowStatus.OCCLUDED
