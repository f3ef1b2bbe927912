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


"""Who moves when in a rendered sequence: the camera, the objects, and what passes before them.

Everything is known for every frame before the first is rendered. An invisible hand slides and turns
one object, lifts it once and puts it down; takes another away and puts it down elsewhere. The
camera swings around the table, sways as in a hand, and once turns aside so far that a third object
leaves the view. In between an arm reaches into the view, stops before an object and passes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from sam3d_ros.evaluation.synthetic import UP, looking_at
from sam3d_ros.evaluation.synthetic_render import PlacedObject
from sam3d_ros.geometry.cameras import project
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Camera, Floats, Similarity

Frames = tuple[int, int]  # the first, and the one after the last

SWING_RAD, RISE_RAD, ZOOM = 0.42, 0.14, 0.06  # of the camera around the target
SWAY_HZ = (0.7, 1.6, 2.9)
SWAY_M = (2.5e-3, 1.0e-3, 0.4e-3)
SWAY_RAD = (7e-3, 3e-3, 1.5e-3)
REACH_M = np.array([0.30, 0.20])  # half of the part of the table on which things are put down
MAX_SLIDE_M, MIN_REMOVAL_M, CLEARANCE_M = 0.25, 0.12, 0.006
SLIDE_TURN_RAD, LIFT_TURN_RAD, LIFT_TILT_RAD, LIFT_M = 1.0, -0.8, 0.35, 0.14
NUM_DRAWS = 400
ARM_PLANE_M, ARM_HEIGHT_M, ARM_REACH_M = -0.32, 0.15, 0.75
OUT_OF_VIEW_PX = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When what happens; what lies after the end of a sequence does not."""

    swing: int = 300  # frames until the camera is back where it began
    slide: Frames = (30, 75)
    arm: Frames = (85, 127)
    lift: Frames = (135, 180)
    taken: Frames = (170, 246)  # not there in between
    aside: Frames = (188, 238)  # the camera looks aside in the middle of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which object does what; indices."""

    moved: int
    taken: int
    leaving: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choreography:
    """Where everything is in each frame; ``None`` is nowhere."""

    roles: Roles
    world_from_camera: tuple[Similarity, ...]
    world_from_objects: tuple[tuple[Similarity | None, ...], ...]  # by frame, then by object
    world_from_arm: tuple[Similarity | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Viewpoint:
    """The camera and where its swing begins."""

    camera: Camera
    eye_m: Floats  # (3,)
    target_m: Floats  # (3,)


def choreograph(
    objects: Sequence[PlacedObject],
    viewpoint: Viewpoint,
    schedule: Schedule,
    num_frames: int,
    rng: np.random.Generator,
) -> Choreography:
    """Say where the camera, the objects and the arm are in each of 30 frames a second."""
    swing = [_swung(viewpoint, 2.0 * np.pi * i / schedule.swing) for i in range(schedule.swing)]
    middle = swing[sum(schedule.aside) // 2 % schedule.swing]
    leaving, aside_rad = _leaving(objects, viewpoint.camera, middle)
    slides = {i: _longest_slide(objects, i, rng) for i in range(len(objects)) if i != leaving}
    moved = max(slides, key=lambda i: float(np.linalg.norm(slides[i] - _place(objects[i]))))
    taken = int(rng.choice([i for i in slides if i != moved] or [leaving]))
    roles = Roles(moved=moved, taken=taken, leaving=leaving)
    paths = {
        moved: _moved_path(objects, roles, slides[moved], schedule, num_frames, rng),
        taken: _taken_path(objects, roles, slides[moved], schedule, num_frames, rng),
    }
    sway = _Sway(rng)
    hidden = int(rng.choice([i for i in range(len(objects)) if i != moved]))
    stop_m = _arm_stop(objects[hidden], swing[schedule.arm[0] % schedule.swing])
    return Choreography(
        roles=roles,
        world_from_camera=tuple(
            sway.swayed(_turned(swing[i % len(swing)], aside_rad * _hold(i, schedule.aside)), i)
            for i in range(num_frames)
        ),
        world_from_objects=tuple(
            tuple(paths[k][i] if k in paths else o.world_from_object for k, o in enumerate(objects))
            for i in range(num_frames)
        ),
        world_from_arm=tuple(_arm(i, schedule.arm, stop_m) for i in range(num_frames)),
    )


class _Sway:
    """Small motions of a hand that holds a camera; none at the first frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._shift_m = np.array(SWAY_M)[:, None] * rng.normal(size=(3, 3))
        self._turn_rad = np.array(SWAY_RAD)[:, None] * rng.normal(size=(3, 3))

    def swayed(self, world_from_camera: Similarity, frame: int) -> Similarity:
        waves = np.sin(2.0 * np.pi * np.array(SWAY_HZ) * frame / 30.0)
        turn: Floats = Rotation.from_rotvec(waves @ self._turn_rad).as_matrix()
        return world_from_camera @ Similarity(turn, waves @ self._shift_m)


def _swung(viewpoint: Viewpoint, phase_rad: float) -> Similarity:
    """Look at the target from somewhere on a closed curve around it."""
    start = viewpoint.eye_m - viewpoint.target_m
    radius_m = float(np.linalg.norm(start)) * (1.0 + ZOOM * np.sin(phase_rad))
    azimuth = np.arctan2(start[1], start[0]) + SWING_RAD * np.sin(phase_rad)
    elevation = np.arctan2(start[2], np.hypot(*start[:2])) - RISE_RAD * np.sin(2.0 * phase_rad)
    level = np.cos(elevation)
    direction = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    return looking_at(viewpoint.target_m + radius_m * direction, viewpoint.target_m)


def _turned(world_from_camera: Similarity, angle_rad: float) -> Similarity:
    """Turn a camera about the vertical through it."""
    turn = rotation_from_axis_angle(UP, angle_rad)
    return Similarity(turn @ world_from_camera.rotation, world_from_camera.translation_m)


def _leaving(
    objects: Sequence[PlacedObject], camera: Camera, world_from_camera: Similarity
) -> tuple[int, float]:
    """Return the object that leaves the view first when the camera turns, and by which angle."""
    for angle_rad in np.radians(np.arange(1.0, 90.0)):
        for signed_rad in (float(angle_rad), -float(angle_rad)):
            turned = _turned(world_from_camera, signed_rad)
            for index, thing in enumerate(objects):
                if _is_out(thing, camera, turned):
                    return index, signed_rad
    return 0, 0.0


def _is_out(thing: PlacedObject, camera: Camera, world_from_camera: Similarity) -> bool:
    camera_from_object = world_from_camera.inverse() @ thing.world_from_object
    corners = camera_from_object.apply(
        np.stack(np.meshgrid(*thing.model.bounds_m.T), axis=-1).reshape(-1, 3)
    )
    u = project(camera, corners)[:, 0]
    return bool((u < -OUT_OF_VIEW_PX).all() or (u > camera.width + OUT_OF_VIEW_PX).all())


def _place(thing: PlacedObject) -> Floats:
    """Where an object stands on the table, ``(2,)``."""
    return thing.world_from_object.translation_m[:2]


def _radius(thing: PlacedObject) -> float:
    """Return how far an object reaches around the place where it stands."""
    return float(np.linalg.norm(np.abs(thing.model.bounds_m[:, :2]).max(axis=0)))


def _clearance(way: Floats, index: int, objects: Sequence[PlacedObject]) -> float:
    """Least distance of an object on a way ``(N, 2)`` to all others; negative where they touch."""
    others = [thing for k, thing in enumerate(objects) if k != index]
    gaps = [
        np.linalg.norm(way - _place(thing), axis=1) - _radius(thing) - _radius(objects[index])
        for thing in others
    ]
    return float(np.min(gaps)) if gaps else np.inf


def _longest_slide(objects: Sequence[PlacedObject], index: int, rng: np.random.Generator) -> Floats:
    """Find a place ``(2,)`` to which an object can be slid in a straight line; maybe its own."""
    start = _place(objects[index])
    best, best_m = start, 0.0
    for goal in rng.uniform(-REACH_M, REACH_M, size=(NUM_DRAWS, 2)):
        length_m = float(np.linalg.norm(goal - start))
        way = start + np.linspace(0.0, 1.0, 20)[:, None] * (goal - start)
        free = _clearance(way, index, objects) > CLEARANCE_M
        if free and best_m < length_m < MAX_SLIDE_M:
            best, best_m = goal, length_m
    return np.asarray(best)


def _moved_path(
    objects: Sequence[PlacedObject],
    roles: Roles,
    goal: Floats,
    schedule: Schedule,
    num_frames: int,
    rng: np.random.Generator,
) -> list[Similarity | None]:
    """Slide to the goal, later lift, carry back half of the way, tilt and put down."""
    thing = objects[roles.moved]
    start = thing.world_from_object
    axis = np.array([*rng.normal(size=2), 0.0])
    path: list[Similarity | None] = []
    for i in range(num_frames):
        slid, carried = _progress(i, schedule.slide), _progress(i, schedule.lift)
        lifted = _hold(i, schedule.lift)
        way = (slid - 0.5 * carried) * (goal - _place(thing))
        yaw = rotation_from_axis_angle(UP, slid * SLIDE_TURN_RAD + carried * LIFT_TURN_RAD)
        tilt = rotation_from_axis_angle(axis, lifted * LIFT_TILT_RAD)
        place = start.translation_m + np.array([*way, lifted * LIFT_M])
        path.append(Similarity(tilt @ yaw @ start.rotation, place))
    return path


def _taken_path(
    objects: Sequence[PlacedObject],
    roles: Roles,
    goal: Floats,
    schedule: Schedule,
    num_frames: int,
    rng: np.random.Generator,
) -> list[Similarity | None]:
    """Stand, be nowhere, stand turned elsewhere: near the camera, away from where it was."""
    start = objects[roles.taken].world_from_object
    end_of_lift = (_place(objects[roles.moved]) + goal) / 2.0
    least_m = _radius(objects[roles.moved]) + _radius(objects[roles.taken]) + CLEARANCE_M
    best, best_y = start.translation_m[:2], np.inf
    for place in rng.uniform(-REACH_M, REACH_M, size=(NUM_DRAWS, 2)):
        is_free = _clearance(place[None], roles.taken, objects) > CLEARANCE_M
        is_free &= bool(np.linalg.norm(place - end_of_lift) > least_m)
        is_elsewhere = np.linalg.norm(place - start.translation_m[:2]) > MIN_REMOVAL_M
        if is_free and is_elsewhere and place[1] < best_y:
            best, best_y = place, float(place[1])
    turn = rotation_from_axis_angle(UP, float(rng.uniform(-np.pi, np.pi)))
    after = Similarity(turn @ start.rotation, np.array([*best, 0.0]))
    first, last = schedule.taken
    return [start if i < first else None if i < last else after for i in range(num_frames)]


def _arm_stop(thing: PlacedObject, world_from_camera: Similarity) -> float:
    """Where in its plane the arm hides the middle of an object, x in the world."""
    eye, middle = world_from_camera.translation_m, thing.world_from_object.translation_m
    share = (ARM_PLANE_M - eye[1]) / (middle[1] - eye[1])
    return float(eye[0] + share * (middle[0] - eye[0]))


def _arm(frame: int, when: Frames, stop_m: float) -> Similarity | None:
    """Come in from one side, stop, and go out at the other."""
    if not when[0] <= frame < when[1]:
        return None
    third = (when[1] - when[0]) // 3
    came = _progress(frame, (when[0], when[0] + third))
    went = _progress(frame, (when[1] - third, when[1]))
    x = -ARM_REACH_M + came * (stop_m + ARM_REACH_M) + went * (ARM_REACH_M - stop_m)
    return Similarity(np.eye(3), np.array([x, ARM_PLANE_M, ARM_HEIGHT_M]))


def _progress(frame: int, when: Frames) -> float:
    """Go from 0 before to 1 after, smoothly."""
    share = float(np.clip((frame - when[0]) / (when[1] - when[0]), 0.0, 1.0))
    return share * share * (3.0 - 2.0 * share)


def _hold(frame: int, when: Frames) -> float:
    """Rise from 0 to 1, stay a fifth of the time, fall to 0."""
    ramp = 2 * (when[1] - when[0]) // 5
    rise = _progress(frame, (when[0], when[0] + ramp))
    return rise - _progress(frame, (when[1] - ramp, when[1]))
