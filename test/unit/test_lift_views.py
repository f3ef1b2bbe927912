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


"""Completion from several views: what any of them saw is kept, what contradicts is left out."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import bowl, box, camera_from_world, can, drill, placed, scene

from sam3d_ros.completion.lift import LiftBackend
from sam3d_ros.config import LiftConfig, SceneConfig
from sam3d_ros.geometry.measures import bounds, is_watertight, volume_m3
from sam3d_ros.geometry.meshes import occupancy, sample_surface, signed_distance
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import (
    EarlierView,
    Floats,
    Mesh,
    ObjectReconstruction,
    Observation,
    Similarity,
)

MARGIN_PX = 24
PITCH_RAD = np.radians(35.0)
FRONT = camera_from_world(PITCH_RAD, 0.8, azimuth_rad=0.3)
BACK = camera_from_world(PITCH_RAD, 0.8, azimuth_rad=0.3 + 0.8 * np.pi)
LEFT = camera_from_world(PITCH_RAD, 0.8, azimuth_rad=0.3 - 0.6 * np.pi)
BOX_M = (0.14, 0.08, 0.18)
MM = 1e-3


def seen(objects: list[Mesh], view: Similarity, noise: float = 0.5) -> Observation:
    return observe(scene(objects, view, noise=noise).frame, SceneConfig()).observations[0]


def earlier(
    objects: list[Mesh],
    view: Similarity,
    present: Similarity = FRONT,
    present_from_earlier_world: Similarity | None = None,
) -> EarlierView:
    """Look from elsewhere; the world may have been another one in which the object stood."""
    between = present_from_earlier_world or Similarity.identity()
    return EarlierView(
        observation=seen(objects, view).cropped(MARGIN_PX),
        camera_from_earlier=present @ between @ view.inverse(),
        moved=present_from_earlier_world is not None,
    )


def shifted(view: EarlierView, shift_m: Floats, turn_deg: float = 0.0) -> EarlierView:
    """Be wrong about where a view was taken from, by a shift and a turn about the object."""
    points = view.observation.object_points_camera.astype(np.float64)
    middle = view.camera_from_earlier.apply(np.median(points, axis=0))
    turn = rotation_from_axis_angle(np.array([0.3, 1.0, -0.5]), np.radians(turn_deg))
    error = Similarity(turn, middle - turn @ middle + shift_m)
    return replace(view, camera_from_earlier=error @ view.camera_from_earlier)


def lifted(observation: Observation, *views: EarlierView) -> ObjectReconstruction:
    return LiftBackend(LiftConfig()).reconstruct(replace(observation, earlier=views))


def in_world(reconstruction: ObjectReconstruction, view: Similarity = FRONT) -> Mesh:
    return reconstruction.mesh_object.transformed(
        view.inverse() @ reconstruction.camera_from_object
    )


def volume_iou(first: Mesh, second: Mesh) -> float:
    corners = np.concatenate((bounds(first), bounds(second)))
    axes = [
        np.linspace(low, high, 56)
        for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    a, b = occupancy(first, points), occupancy(second, points)
    return float((a & b).sum() / (a | b).sum())


def solid() -> Mesh:
    return placed(box(*BOX_M), 0.5, (0.0, 0.0, 0.0))


def side_errors_m(mesh: Mesh) -> list[float]:
    """Median distance of each side of the true box, without its rim, to a mesh."""
    errors = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            if axis == 2 and sign < 0:
                continue  # the bottom is never seen
            points = np.random.default_rng(0).uniform(-0.35, 0.35, (300, 3)) * BOX_M
            points[:, axis] = sign * 0.5 * BOX_M[axis]
            points[:, 2] += 0.5 * BOX_M[2]
            cosine, sine = np.cos(0.5), np.sin(0.5)
            turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
            errors.append(float(np.median(np.abs(signed_distance(mesh, points @ turn.T)))))
    return errors


def test_a_box_seen_from_both_sides_is_measured_on_all_of_them() -> None:
    present = seen([solid()], FRONT)
    both = lifted(present, earlier([solid()], BACK))
    mesh = in_world(both)
    assert is_watertight(mesh)
    assert max(side_errors_m(mesh)) < 2.0 * MM
    assert volume_m3(mesh) == pytest.approx(np.prod(BOX_M), rel=0.05)
    assert both.quality.observed_fraction > lifted(present).quality.observed_fraction + 0.15


def test_a_second_side_takes_back_what_one_view_left_open() -> None:
    thing = placed(drill(), 0.9, (0, 0, 0))
    present = seen([thing], FRONT)
    assert lifted(present).provenance.prior < 0
    assert lifted(present, earlier([thing], BACK)).provenance.prior >= 0


def test_errors_of_registration_are_taken_back_and_said() -> None:
    view = shifted(earlier([solid()], BACK), np.array([2.0, -1.5, 2.0]) * MM, turn_deg=1.0)
    both = lifted(seen([solid()], FRONT), view)
    mesh = in_world(both)
    assert max(side_errors_m(mesh)) < 3.0 * MM
    assert volume_m3(mesh) == pytest.approx(np.prod(BOX_M), rel=0.06)
    (note,) = both.provenance.notes
    assert note.startswith("an earlier view was moved by")


def test_what_was_hidden_is_completed_by_another_view() -> None:
    towards = np.array([np.cos(0.3), np.sin(0.3), 0.0])
    across = np.array([-towards[1], towards[0], 0.0])
    blind = placed(box(0.02, 0.12, 0.16), 0.3, 0.16 * towards + 0.05 * across)
    half_hidden = seen([solid(), blind], FRONT)
    assert half_hidden.silhouette.sum() < 0.75 * seen([solid()], FRONT).silhouette.sum()
    alone = in_world(lifted(half_hidden))
    both = in_world(lifted(half_hidden, earlier([solid(), blind], LEFT)))
    assert volume_iou(both, solid()) > max(0.9, volume_iou(alone, solid()))


@pytest.mark.parametrize("direction", [0, 1, 2])
def test_a_view_with_a_wrong_pose_is_left_out_and_said(direction: int) -> None:
    present = seen([solid()], FRONT)
    wrong = shifted(earlier([solid()], LEFT), 0.05 * np.eye(3)[direction])
    both, alone = lifted(present, wrong), lifted(present)
    (note,) = both.provenance.notes
    assert "left out" in note
    assert "check its pose" in note
    assert both.mesh_object.vertices.tobytes() == alone.mesh_object.vertices.tobytes()
    assert both.mesh_object.colors.tobytes() == alone.mesh_object.colors.tobytes()


def test_what_stood_around_an_object_that_was_moved_is_no_evidence() -> None:
    """It stood on a pedestal before, turned, beside something that is where it stands now."""
    turn = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), 0.9)
    earlier_from_present_world = Similarity(turn, np.array([0.05, -0.04, 0.06]))
    before = [
        solid().transformed(earlier_from_present_world),
        placed(box(0.3, 0.3, 0.06), 0.0, (0.05, -0.04, 0.0)),
        placed(box(0.05, 0.05, 0.2), 0.0, (-0.16, 0.08, 0.0)),
    ]
    view = earlier(before, BACK, FRONT, earlier_from_present_world.inverse())
    moved = in_world(lifted(seen([solid()], FRONT), view))
    assert volume_iou(moved, solid()) > 0.9
    assert max(side_errors_m(moved)) < 3.0 * MM


def test_the_order_of_earlier_views_does_not_matter() -> None:
    present = seen([solid()], FRONT)
    back = shifted(earlier([solid()], BACK), np.array([2.0, 0.0, 1.0]) * MM)
    left = earlier([solid()], LEFT)
    first, second = lifted(present, back, left), lifted(present, left, back)
    assert first.mesh_object.vertices.tobytes() == second.mesh_object.vertices.tobytes()
    assert first.provenance == second.provenance


def test_views_that_show_nothing_of_the_object_change_nothing() -> None:
    present = seen([solid()], FRONT)
    view = earlier([solid()], LEFT)
    blind = replace(view.observation, mask=np.zeros_like(view.observation.mask))
    both, alone = lifted(present, replace(view, observation=blind)), lifted(present)
    assert both.mesh_object.vertices.tobytes() == alone.mesh_object.vertices.tobytes()
    assert both.quality == alone.quality


def test_a_bowl_seen_from_above_and_from_the_side_is_hollow_and_keeps_its_wall() -> None:
    above = camera_from_world(np.radians(65), 0.7, azimuth_rad=0.3)
    side = camera_from_world(np.radians(15), 0.7, azimuth_rad=1.5)
    both = lifted(seen([bowl()], above), earlier([bowl()], side, above))
    mesh = in_world(both, above)
    assert is_watertight(mesh)
    assert volume_iou(mesh, bowl()) > 0.65
    inside = np.array([[0.0, 0.0, 0.02 + 0.01 * step] for step in range(4)])
    assert not occupancy(mesh, inside).any()
    to_true_m, _ = sample_surface(bowl(), 2000, np.random.default_rng(0))
    assert np.percentile(np.abs(signed_distance(mesh, to_true_m)), 90) < 4.0 * MM


def test_each_side_takes_the_colour_of_the_view_that_sees_it_best() -> None:
    view = earlier([can(0.04, 0.12)], BACK)
    green = np.zeros_like(view.observation.rgb)
    green[..., 1] = 1.0
    view = replace(view, observation=replace(view.observation, rgb=green))
    mesh = in_world(lifted(seen([can(0.04, 0.12)], FRONT), view))
    for pose, color in ((FRONT, (200, 40, 40)), (BACK, (0, 255, 0))):
        eye = pose.inverse().translation_m
        facing = mesh.vertices[:, :2] @ (eye[:2] / np.linalg.norm(eye[:2])) > 0.03
        middle = (mesh.vertices[:, 2] > 0.03) & (mesh.vertices[:, 2] < 0.09)
        np.testing.assert_allclose(np.median(mesh.colors[facing & middle], axis=0), color, atol=2)


def test_the_result_of_several_views_is_the_same_to_the_byte_when_repeated() -> None:
    present, views = seen([bowl()], FRONT), (earlier([bowl()], LEFT), earlier([bowl()], BACK))
    first, second = lifted(present, *views), lifted(present, *views)
    assert first.mesh_object.vertices.tobytes() == second.mesh_object.vertices.tobytes()
    assert first.mesh_object.colors.tobytes() == second.mesh_object.colors.tobytes()
