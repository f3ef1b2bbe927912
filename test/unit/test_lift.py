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

"""Completion: known solids come out recognisable, closed, in place, and twice the same."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scenes import Scene, bowl, box, camera_from_world, can, drill, mug, placed, ramp, scene

from sam3d_ros.completion.hypotheses import hull_around
from sam3d_ros.completion.lift import WITHOUT_SUPPORT, LiftBackend
from sam3d_ros.config import LiftConfig, SceneConfig
from sam3d_ros.errors import DepthSparseError, ReconstructionError
from sam3d_ros.geometry.evidence import view_evidence
from sam3d_ros.geometry.measures import bounds, is_watertight
from sam3d_ros.geometry.meshes import occupancy
from sam3d_ros.geometry.upright import object_from_work
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Floats, Mesh, ObjectReconstruction, Observation

VIEW = camera_from_world(np.radians(35), 0.8, azimuth_rad=0.3)
GRID = 48


def observed(made: Scene, index: int = 0) -> Observation:
    return observe(made.frame, SceneConfig()).observations[index]


def lifted(observation: Observation) -> ObjectReconstruction:
    return LiftBackend(LiftConfig()).reconstruct(observation)


def in_camera(reconstruction: ObjectReconstruction) -> Mesh:
    return reconstruction.mesh_object.transformed(reconstruction.camera_from_object)


def volume_iou(first: Mesh, second: Mesh) -> float:
    corners = np.concatenate((bounds(first), bounds(second)))
    axes = [
        np.linspace(low, high, GRID)
        for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    a, b = occupancy(first, points), occupancy(second, points)
    return float((a & b).sum() / (a | b).sum())


SOLIDS: dict[str, tuple[Callable[[], Mesh], float]] = {
    "box": (lambda: placed(box(0.16, 0.06, 0.20), 0.5, (0, 0, 0)), 0.88),
    "can": (lambda: can(0.034, 0.102), 0.92),
    "bowl": (bowl, 0.65),
    "mug": (mug, 0.60),
    "drill": (lambda: placed(drill(), 0.9, (0, 0, 0)), 0.78),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_a_known_solid_comes_out_recognisable(name: str) -> None:
    make, floor = SOLIDS[name]
    made = scene([make()], VIEW, noise=0.5)
    reconstruction = lifted(observed(made))
    mesh, truth = in_camera(reconstruction), made.truth_camera[0]
    assert is_watertight(mesh)
    assert volume_iou(mesh, truth) > floor
    sizes = [float(np.linalg.norm(np.ptp(shape.vertices, axis=0))) for shape in (mesh, truth)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.06)
    assert reconstruction.quality.silhouette_iou > 0.85
    assert reconstruction.provenance.notes == ()


def test_a_ramp_seen_from_its_slope_is_no_gable_roof() -> None:
    made = scene([placed(ramp(0.1, 0.06, 0.06), np.pi, (0, 0, 0))], VIEW, noise=0.5)
    assert volume_iou(in_camera(lifted(observed(made))), made.truth_camera[0]) > 0.85


@pytest.mark.parametrize("height", [0.004, 0.008])
def test_a_flat_box_is_no_disc(height: float) -> None:
    view = camera_from_world(np.radians(40), 1.0, azimuth_rad=0.3)
    made = scene([placed(box(0.12, 0.09, height), 0.2, (0, 0, 0))], view, noise=1.0)
    reconstruction = lifted(observed(made))
    assert "revolution" not in reconstruction.provenance.hypothesis
    sizes = [
        np.ptp(each.vertices, axis=0)[0]
        for each in (in_camera(reconstruction), made.truth_camera[0])
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.08)


@pytest.mark.parametrize(("name", "is_known"), [("box", True), ("can", True), ("drill", False)])
def test_only_regular_shapes_tell_what_the_unseen_side_is(name: str, is_known: bool) -> None:
    made = scene([SOLIDS[name][0]()], VIEW, noise=0.5)
    prior = lifted(observed(made)).provenance.prior
    assert (prior > 0) == is_known


@pytest.mark.parametrize("make", [bowl, mug], ids=["bowl", "mug"])
def test_a_vessel_stays_empty(make: Callable[[], Mesh]) -> None:
    view = camera_from_world(np.radians(50), 0.7)
    made = scene([make()], view, noise=0.5)
    inside = view.apply(np.array([[0.0, 0.0, 0.035 + 0.005 * step] for step in range(4)]))
    assert not occupancy(in_camera(lifted(observed(made))), inside).any()


def test_the_result_is_the_same_to_the_byte_when_repeated() -> None:
    seen = observed(scene([mug()], VIEW, noise=1.0))
    first, second = lifted(seen), lifted(seen)
    assert first.mesh_object.vertices.tobytes() == second.mesh_object.vertices.tobytes()
    assert first.mesh_object.colors.tobytes() == second.mesh_object.colors.tobytes()
    assert first.camera_from_object.matrix.tobytes() == second.camera_from_object.matrix.tobytes()


def test_moving_the_camera_moves_the_result_with_it() -> None:
    solid = placed(box(0.16, 0.06, 0.20), 0.5, (0, 0, 0))
    in_world = []
    for azimuth in (0.2, 0.5):
        view = camera_from_world(np.radians(35), 0.8, azimuth)
        mesh = in_camera(lifted(observed(scene([solid], view))))
        in_world.append(mesh.transformed(view.inverse()))
    assert volume_iou(in_world[0], in_world[1]) > 0.85


def test_the_object_frame_stands_upright_along_the_sides_in_the_unit_cube() -> None:
    made = scene([placed(box(0.16, 0.06, 0.20), 0.5, (0, 0, 0))], VIEW)
    reconstruction = lifted(observed(made))
    pose = reconstruction.camera_from_object
    assert pose.rotation[:, 2] @ made.up_camera > 0.999
    np.testing.assert_allclose(bounds(reconstruction.mesh_object).sum(axis=0), 0.0, atol=1e-5)
    assert np.ptp(reconstruction.mesh_object.vertices, axis=0).max() == pytest.approx(1.0)
    size_m = np.sort(np.ptp(reconstruction.baked().mesh_object.vertices, axis=0))
    np.testing.assert_allclose(size_m, [0.06, 0.16, 0.20], atol=0.012)


def test_free_space_is_never_filled() -> None:
    made = scene([placed(drill(), 0.9, (0, 0, 0))], VIEW)
    seen = observed(made)
    mesh = in_camera(lifted(seen))
    free_m = view_evidence(seen).free_m(mesh.vertices.astype(np.float64))
    assert np.percentile(free_m, 99) < 0.004


def test_what_an_occluder_hides_is_not_carved() -> None:
    solid = can(0.04, 0.12)
    towards = np.array([np.cos(0.3), np.sin(0.3), 0.0])
    across = np.array([-towards[1], towards[0], 0.0])
    bar = placed(box(0.02, 0.02, 0.14), 0.3, 0.12 * towards + 0.03 * across)
    made = scene([solid, bar], VIEW, noise=0.5)
    shown = made.frame.masks[0].mask.sum()
    assert shown < 0.9 * scene([solid], VIEW).frame.masks[0].mask.sum()
    assert volume_iou(in_camera(lifted(observed(made))), made.truth_camera[0]) > 0.75


def test_without_a_support_it_says_so_and_still_closes() -> None:
    seen = replace(observed(scene([can(0.034, 0.102)], VIEW, noise=0.5)), support=None)
    reconstruction = lifted(seen)
    assert reconstruction.provenance.notes == (WITHOUT_SUPPORT,)
    assert is_watertight(reconstruction.mesh_object)


def test_seen_parts_are_marked_and_coloured_from_the_image() -> None:
    made = scene([placed(box(0.16, 0.06, 0.20), 0.5, (0, 0, 0))], VIEW)
    mesh = lifted(observed(made)).mesh_object
    np.testing.assert_allclose(np.median(mesh.colors, axis=0), (200, 40, 40), atol=1)
    assert 0.2 < mesh.observed.mean() < 0.8
    assert set(np.unique(mesh.observed)) == {0.0, 1.0}


def damaged_views() -> dict[str, Callable[[Floats], Floats]]:
    """Return ways in which depth is bad."""
    rng = np.random.default_rng(5)

    def holes(depth_m: Floats) -> Floats:
        return np.where(rng.random(depth_m.shape) < 0.6, np.nan, depth_m)

    def half(depth_m: Floats) -> Floats:
        lost = depth_m.copy()
        lost[:, :320] = np.nan
        return lost

    def steps(depth_m: Floats) -> Floats:
        return np.round(depth_m / 0.01) * 0.01

    return {"holes": holes, "half": half, "steps": steps}


@pytest.mark.parametrize("damage", damaged_views())
@pytest.mark.parametrize("pitch_deg", [10, 45, 89])
def test_bad_depth_from_any_height_still_gives_a_closed_mesh(damage: str, pitch_deg: float) -> None:
    solid = placed(box(0.10, 0.06, 0.03), 0.4, (0, 0, 0))
    made = scene([solid], camera_from_world(np.radians(pitch_deg), 0.7), noise=1.0)
    assert made.frame.depth is not None
    depth_m = damaged_views()[damage](made.frame.depth.depth_m).astype(np.float32)
    frame = replace(made.frame, depth=replace(made.frame.depth, depth_m=depth_m))
    assert is_watertight(lifted(observe(frame, SceneConfig()).observations[0]).mesh_object)


def test_an_object_cut_by_the_image_border_is_closed_at_its_visible_part() -> None:
    made = scene([placed(can(0.06, 0.25), 0.0, (0.0, 0.33, 0.0))], camera_from_world(0.4, 0.7))
    mask = made.frame.masks[0].mask
    assert mask[:, -1].any()
    assert is_watertight(lifted(observed(made)).mesh_object)


def test_almost_no_points_is_an_error_that_says_so() -> None:
    seen = observed(scene([can(0.034, 0.102)], VIEW))
    few = np.zeros_like(seen.mask)
    few[tuple(axis[:5] for axis in np.nonzero(seen.mask))] = True
    with pytest.raises(DepthSparseError, match="at least 30 points on the object, got 5"):
        lifted(replace(seen, mask=few))


@pytest.mark.parametrize(
    "directions",
    [np.zeros((1, 3)), np.ones((1, 3)), np.eye(3)[:1], np.eye(3)[:2], np.eye(3)[1:] + np.eye(3)[0]],
    ids=["one place", "diagonal", "line", "plane", "slanted plane"],
)
def test_points_without_a_volume_still_have_a_hull(directions: Floats) -> None:
    shares = np.random.default_rng(1).uniform(-0.1, 0.1, (40, len(directions)))
    points = shares @ directions + 0.5
    hull = hull_around(points)
    assert (hull.outside_m(points) < 1e-6).all()
    assert (hull.outside_m(points + 0.5) > 0.1).all()


def test_a_mesh_without_a_footprint_is_refused_with_a_hint() -> None:
    flat = box(0.1, 0.1, 0.1)
    flat = replace(flat, vertices=flat.vertices * np.float32([1.0, 0.0, 1.0]))
    with pytest.raises(ReconstructionError, match="check that mask and depth show more"):
        object_from_work(flat)


def test_a_mask_of_scattered_pixels_gives_a_closed_mesh() -> None:
    seen = observed(scene([can(0.034, 0.102)], VIEW))
    rng = np.random.default_rng(0)
    scattered = seen.silhouette & (rng.random(seen.silhouette.shape) < 0.15)
    ragged = replace(seen, silhouette=scattered, mask=seen.mask & scattered, support=None)
    assert is_watertight(lifted(ragged).mesh_object)


def test_what_a_camera_below_the_support_sees_is_refused_with_a_hint() -> None:
    seen = observed(scene([can(0.034, 0.102)], VIEW))
    assert seen.support is not None
    raised = replace(seen.support, offset_m=-0.3)
    with pytest.raises(ReconstructionError, match="leave no volume"):
        lifted(replace(seen, support=raised))
