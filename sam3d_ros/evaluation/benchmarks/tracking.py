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


"""How well and how fast objects are followed, in rendered sequences and in a bag, against limits.

Measures only; ``sam3d bench tracking`` prints and draws.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.evaluation.sequences import RenderedSequence, SequenceSpec, Step
from sam3d_ros.evaluation.tracking import Row, TrackingFigures, by_object, figures
from sam3d_ros.evaluation.tracking_runs import FollowedMeshes, FollowedScene, Run
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.following import Expected
from sam3d_ros.scene.local import local_reconstructor
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import DepthFrame, Floats, Frame, SceneSnapshot, Similarity

MAX_MM, MAX_DEG, MAX_RECOVERY, MIN_HZ, MAX_SPREAD_MM = 3.0, 2.0, 10, 20.0, 6.0
MS_PER_S, MM_PER_M = 1e3, 1e3
CROWD = ("can", "bottle", "mug", "box", "can", "bottle", "mug", "bottle", "can", "box")
CROWD_SIZES = (1, 5, 10)
CROWD_IMAGES, WARM_UP = 24, 4
MISPLACED_M = 0.003  # how far off objects are expected, where only speed counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long following so many objects into one image takes."""

    num_objects: int
    median_ms: float
    p95_ms: float
    processor_ms: float  # median, of all cores together


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One figure beside its limit."""

    name: str
    value: float
    limit: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far one object that stands still was seen from its usual place, over all views."""

    track_id: int
    num_views: int
    num_revisions: int  # of its mesh; each may move the origin
    radius_mm: float  # farthest from the median place
    diameter_mm: float  # between any two
    revision_mm: float  # farthest from the median place of the same revision


@dataclass(slots=True, kw_only=True, eq=False)
class MeasuredSequence:
    """One rendered sequence: true meshes followed alone, and the whole pipeline."""

    sequence: RenderedSequence
    alone: FollowedMeshes
    scene: FollowedScene


def speeds() -> list[Speed]:
    """Time the follower with few and with many objects, all of them on one table."""
    sequence = RenderedSequence(
        SequenceSpec(objects=CROWD, num_frames=CROWD_IMAGES + WARM_UP, mask_every=10**6)
    )
    steps = [sequence.step(index) for index in range(CROWD_IMAGES + WARM_UP)]
    return [_speed(sequence, steps, num) for num in CROWD_SIZES]


def _speed(sequence: RenderedSequence, steps: Sequence[Step], num_objects: int) -> Speed:
    follower, rng = DepthFollower(), np.random.default_rng(0)
    wall_ms, processor_ms = [], []
    for step in steps:
        expected = _expected(sequence, step, num_objects, rng)
        started, started_cpu = time.perf_counter(), time.process_time()
        follower.follow(step.frame, expected)
        wall_ms.append(MS_PER_S * (time.perf_counter() - started))
        processor_ms.append(MS_PER_S * (time.process_time() - started_cpu))
    follower.close()
    return Speed(
        num_objects=num_objects,
        median_ms=float(np.median(wall_ms[WARM_UP:])),
        p95_ms=float(np.quantile(wall_ms[WARM_UP:], 0.95)),
        processor_ms=float(np.median(processor_ms[WARM_UP:])),
    )


def _expected(
    sequence: RenderedSequence, step: Step, num_objects: int, rng: np.random.Generator
) -> list[Expected]:
    """Expect objects near where they are."""
    expected = []
    for number in range(num_objects):
        pose = step.truth[number].camera_from_object
        if pose is not None:
            shift_m = MISPLACED_M * rng.normal(size=3)
            near = Similarity(pose.rotation, pose.translation_m + shift_m)
            mesh = sequence.meshes[number]
            expected.append(
                Expected(track_id=number + 1, revision=1, mesh_object=mesh, camera_from_object=near)
            )
    return expected


def _pipeline(config: SceneConfig) -> ScenePipeline:
    return ScenePipeline(config, local_reconstructor(config), DepthFollower())


def measured_steps(
    spec: SequenceSpec, config: SceneConfig
) -> Iterator[tuple[Step, MeasuredSequence]]:
    """Render a sequence once and follow it twice; yields after each image."""
    sequence = RenderedSequence(spec)
    pipeline = _pipeline(config)
    measured = MeasuredSequence(
        sequence=sequence,
        alone=FollowedMeshes(sequence, DepthFollower()),
        scene=FollowedScene(sequence, pipeline),
    )
    try:
        for step in sequence.steps():
            measured.alone.take(step)
            measured.scene.take(step)
            yield step, measured
    finally:
        pipeline.close()


def verdicts(run: Run) -> list[Verdict]:
    """Hold what came of a sequence against the limits."""
    result = figures(run.rows)
    hz = MS_PER_S / float(np.mean(run.follow_ms))
    return [
        _at_most("median error, mm", result.median_mm, MAX_MM),
        _at_most("median turn, degrees", result.median_deg, MAX_DEG),
        _at_most("id switches", result.id_switches, 0),
        _at_most("frames until found again", result.recovered_after, MAX_RECOVERY),
        _at_most("frames until a loss is said", result.lost_after, MAX_RECOVERY),
        _at_most("wrong claims, frames", result.wrong_claims, 0),
        Verdict(name="images a second", value=hz, limit=f">= {MIN_HZ:g}", kept=hz >= MIN_HZ),
    ]


def _at_most(name: str, value: float, limit: float) -> Verdict:
    return Verdict(name=name, value=float(value), limit=f"<= {limit:g}", kept=bool(value <= limit))


def object_figures(rows: Sequence[Row]) -> dict[int, TrackingFigures]:
    """Return the figures of each object, by its number."""
    return {track[0].number: figures(track) for track in by_object(rows)}


def spreads(frames: Iterable[Frame], config: SceneConfig) -> list[Spread]:
    """Let the whole pipeline look at objects that stand still, and say how far they seem to move.

    Every frame is first followed, as the image that it is, then its masks are taken in. Frames
    need a fixed frame.
    """
    pipeline = _pipeline(config)
    places: dict[int, list[_Place]] = {}
    for frame in frames:
        updated: dict[int, _Place] = {}
        if (depth_frame := _depth_frame(frame)) is not None:
            updated |= _places(pipeline.follow(depth_frame))
        updated |= _places(pipeline.process(frame))
        for track_id, place in updated.items():
            places.setdefault(track_id, []).append(place)
    pipeline.close()
    return [_spread(track_id, seen) for track_id, seen in sorted(places.items())]


def _depth_frame(frame: Frame) -> DepthFrame | None:
    if frame.depth is None:
        return None
    return DepthFrame(
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
        camera=frame.camera,
        depth=frame.depth,
        fixed_from_camera=frame.fixed_from_camera,
        fixed_frame_id=frame.fixed_frame_id,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where one revision of an object was seen in the fixed frame, ``(3,)``."""

    revision: int
    place_m: Floats


def _places(snapshot: SceneSnapshot) -> dict[int, _Place]:
    """Where the objects that were seen are, by track."""
    return {
        known.track_id: _Place(known.revision, known.fixed_from_object.translation_m)
        for known in snapshot.objects
        if known.track_id in snapshot.updated and known.fixed_from_object is not None
    }


def _spread(track_id: int, seen: Sequence[_Place]) -> Spread:
    places = np.array([each.place_m for each in seen])
    revisions = np.array([each.revision for each in seen])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return Spread(
        track_id=track_id,
        num_views=len(places),
        num_revisions=len(np.unique(revisions)),
        radius_mm=_radius_mm(places),
        diameter_mm=MM_PER_M * float(apart.max()),
        revision_mm=max(_radius_mm(places[revisions == each]) for each in np.unique(revisions)),
    )


def _radius_mm(places: Floats) -> float:
    """Farthest distance from the median place."""
    usual = np.median(places, axis=0)
    return MM_PER_M * float(np.linalg.norm(places - usual, axis=1).max())


def plain(values: Mapping[str, object]) -> dict[str, object]:
    """Return figures as JSON knows them: no NaN, no infinity."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in values.items()
    }


def sequence_json(measured: MeasuredSequence) -> dict[str, object]:
    """Describe what came of a sequence."""
    names = measured.sequence.names
    described: dict[str, object] = {
        "seed": measured.sequence.spec.seed,
        "objects": list(names),
        "roles": asdict(measured.sequence.choreography.roles),
    }
    for level, run in (("alone", measured.alone.run), ("scene", measured.scene.run)):
        per_object = object_figures(run.rows)
        described[level] = {
            **plain(asdict(figures(run.rows))),
            "spurious": run.spurious,
            "revisions": list(run.revisions.values()),
            "follow_ms_median": float(np.median(run.follow_ms)),
            "follow_ms_p95": float(np.quantile(run.follow_ms, 0.95)),
            "process_ms": [round(ms, 1) for ms in run.process_ms],
            "verdicts": [plain(asdict(verdict)) for verdict in verdicts(run)],
            "by_object": {names[k]: plain(asdict(each)) for k, each in per_object.items()},
        }
    return described


def row_tables(measured: MeasuredSequence) -> list[dict[str, object]]:
    """Return everything that was claimed, one line per object and image."""
    lines = []
    for level, run in (("alone", measured.alone.run), ("scene", measured.scene.run)):
        for row in run.rows:
            errors = asdict(row.error) if row.error is not None else {}
            lines.append(
                {
                    "seed": measured.sequence.spec.seed,
                    "level": level,
                    "frame": row.frame,
                    "object": measured.sequence.names[row.number],
                    "visible": round(row.visible, 3),
                    "track_id": row.track_id,
                    "revision": row.revision,
                    "status": row.status.name if row.status is not None else "",
                    "mesh_mm": row.mesh_mm,
                    **dict.fromkeys(("surface_mm", "center_mm", "turn_deg"), np.nan),
                    **errors,
                }
            )
    return lines
