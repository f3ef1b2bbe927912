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


"""Registration by its laws: known answers are found, wrong questions are refused."""

from dataclasses import replace

import numpy as np
import pytest
from registering import (
    CLEAN,
    HALF,
    UP,
    known,
    look,
    misplaced,
    registered,
    seen,
    squarely,
)

from sam3d_ros.errors import ShapeError
from sam3d_ros.evaluation.benchmarks.registration_cases import (
    CaseSpec,
    pose_errors,
)
from sam3d_ros.evaluation.synthetic_objects import CATALOGUE
from sam3d_ros.geometry.registration.model import prepared
from sam3d_ros.geometry.registration.poses import Poses
from sam3d_ros.geometry.registration.register import (
    MIN_SCORE_OF_GUESSES,
    Registration,
    RegistrationConfig,
    register,
)
from sam3d_ros.geometry.registration.solving import stepped
from sam3d_ros.geometry.registration.starts import StartsConfig
from sam3d_ros.geometry.registration.terms import (
    Outlining,
    outline_rows,
    support_rows,
)
from sam3d_ros.geometry.registration.view import prepared_view
from sam3d_ros.geometry.transforms import rotation_from_axis_angle
from sam3d_ros.structures import Mesh, RefinementStatus, Similarity, SupportPlane


@pytest.mark.parametrize("name", ["drill", "mug", "box"])
def test_the_true_pose_stays(name: str) -> None:
    view = look(name, CLEAN)
    view = replace(view, start=view.truth)

    found = registered(name, view)

    errors = pose_errors(view.shape, found.camera_from_object, view.truth)
    assert found.status is RefinementStatus.ACCEPTED
    assert errors.add_s < 0.004
    assert errors.scale < 0.01
    assert found.refinement.score_after >= found.refinement.score_before > 0.8


@pytest.mark.parametrize("name", ["drill", "mug", "box", "can", "bottle", "bowl"])
@pytest.mark.parametrize("spec", [CLEAN, HALF], ids=["open", "half hidden"])
def test_a_misplaced_mesh_is_put_in_place(name: str, spec: CaseSpec) -> None:
    for seed in (1, 2):
        view = look(name, spec, seed)

        found = registered(name, view)

        errors = pose_errors(view.shape, found.camera_from_object, view.truth)
        before = pose_errors(view.shape, view.start, view.truth)
        assert found.status is RefinementStatus.ACCEPTED
        assert found.refinement.score_after > found.refinement.score_before
        assert errors.add_s < min(0.03, before.add_s)
        assert errors.scale < 0.04


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_the_size_is_found(scale: float) -> None:
    view = look("drill", CLEAN)
    view = replace(view, start=misplaced(view.truth, (0.0, 0.0, 0.0), scale))

    found = registered("drill", view)

    assert found.camera_from_object.scale == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("scale", [0.55, 1.8])
def test_a_size_that_is_far_off_is_found_where_that_may_be(scale: float) -> None:
    view = look("drill", HALF, 1)
    view = replace(view, start=misplaced(view.truth, (0.0, 0.0, 0.0), scale))

    refused = registered("drill", view)
    found = registered("drill", view, RegistrationConfig(max_growth=0.8))

    assert refused.status is RefinementStatus.REJECTED
    assert found.camera_from_object.scale == pytest.approx(1.0, abs=0.03)


def test_the_size_stays_where_it_is_said_to_be_right() -> None:
    view = look("drill", CLEAN)
    view = replace(view, start=misplaced(view.truth, (0.02, 0.0, 0.01), 1.0))

    found = registered("drill", view, RegistrationConfig(with_scale=False))

    assert found.camera_from_object.scale == 1.0
    assert pose_errors(view.shape, found.camera_from_object, view.truth).add_s < 0.01


def test_it_does_not_matter_where_the_object_has_its_frame() -> None:
    view = look("mug", CLEAN, 3)
    object_from_other = Similarity(rotation_from_axis_angle(np.ones(3), 1.0), UP * 0.1, 2.0)
    mesh: Mesh = view.shape.mesh.transformed(object_from_other.inverse())

    found = registered("mug", view).camera_from_object
    start = view.start @ object_from_other
    other = register(prepared(mesh), prepared_view(seen(view)), start).camera_from_object

    expected = (found @ object_from_other).matrix
    np.testing.assert_allclose(other.matrix, expected, atol=6e-3)


def test_when_the_scene_moves_the_answer_moves_with_it() -> None:
    view = look("drill", CLEAN, 4)
    # Half a turn about the optical axis maps pixels to pixels, for a camera centred in its image.
    half_turn = Similarity(rotation_from_axis_angle(UP, np.pi), np.zeros(3))
    turned = replace(
        view,
        points_camera=half_turn.apply(view.points_camera[::-1, ::-1]),
        mask=view.mask[::-1, ::-1].copy(),
        start=half_turn @ view.start,
    )

    found = half_turn @ registered("drill", view).camera_from_object

    np.testing.assert_allclose(
        registered("drill", turned).camera_from_object.matrix, found.matrix, atol=1e-2
    )


def test_the_same_question_has_the_same_answer() -> None:
    view = look("mug", HALF, 5)

    first, second = registered("mug", view), registered("mug", view)

    np.testing.assert_array_equal(first.camera_from_object.matrix, second.camera_from_object.matrix)
    np.testing.assert_array_equal(first.refinement.covariance, second.refinement.covariance)


@pytest.mark.parametrize(
    ("name", "other"), [("mug", "drill"), ("drill", "box"), ("bowl", "bottle"), ("box", "mug")]
)
def test_the_mask_of_another_object_is_refused(name: str, other: str) -> None:
    view = look(other, CLEAN, 6)

    found = registered(name, view)

    assert found.status is RefinementStatus.REJECTED
    np.testing.assert_array_equal(found.camera_from_object.matrix, view.start.matrix)
    assert found.refinement.score_after < 0.75
    assert found.refinement.covariance[0, 0] > 0.03**2


# How tracking asks whether a known mesh explains a mask: it need not fit as well as one that is
# exact, since it was made from one side.
LOOSE = RegistrationConfig(
    starts=StartsConfig(tilt_rad=0.2, num_moved=3),
    wider=None,
    with_scale=False,
    min_score=MIN_SCORE_OF_GUESSES,
    min_iou=0.4,
    min_inliers=0.5,
)


def test_few_of_a_hundred_masks_of_other_objects_pass_even_where_little_is_asked() -> None:
    names, rng = list(CATALOGUE), np.random.default_rng(0)
    accepted: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(20):
        other = names[seed % len(names)]
        view = look(other, CaseSpec(noise=0.003, hidden=0.0), seed)
        prepared_once = prepared_view(seen(view))
        for name in names:
            start = misplaced(view.truth, tuple(rng.normal(0.0, 0.01, 3)), 1.0)
            status = register(known(name), prepared_once, start, LOOSE).status
            accepted[name == other].append(status is RefinementStatus.ACCEPTED)

    assert len(accepted[False]) == 100
    assert sum(accepted[False]) <= 2
    assert all(accepted[True])


def test_the_mask_of_an_equal_object_elsewhere_is_refused() -> None:
    view = look("mug", CLEAN, 7)
    view = replace(view, start=misplaced(view.truth, (0.3, 0.0, 0.0), 1.0))

    assert registered("mug", view).status is RefinementStatus.REJECTED


def test_what_is_not_seen_at_all_is_said_to_be_occluded() -> None:
    view = look("mug", CLEAN)
    nothing = replace(view, mask=np.zeros_like(view.mask))

    found = registered("mug", nothing)

    assert found.status is RefinementStatus.OCCLUDED
    np.testing.assert_array_equal(found.camera_from_object.matrix, view.start.matrix)
    assert np.isnan(found.refinement.score_after)


def test_an_object_behind_the_camera_is_not_registered() -> None:
    view = look("mug", CLEAN)
    behind = replace(view, start=Similarity(np.eye(3), -UP))

    assert registered("mug", behind).status is RefinementStatus.NOT_RUN


def test_what_hides_an_object_is_no_evidence_against_it() -> None:
    view = look("box", HALF, 8)
    view = replace(view, start=view.truth)

    found = registered("box", view)

    # Half of its pixels show something else, but something nearer.
    assert found.silhouette_iou > 0.95
    assert found.inlier_fraction > 0.95


def test_a_turn_that_cannot_be_seen_is_uncertain() -> None:
    can, drill = look("can", CLEAN), look("drill", CLEAN)

    about_axes = [
        view.truth.rotation.T
        @ registered(view.shape.name, view).refinement.covariance[3:6, 3:6]
        @ view.truth.rotation
        for view in (can, drill)
    ]

    assert about_axes[0][2, 2] > 30 * about_axes[0][0, 0]
    assert about_axes[0][2, 2] > 50 * about_axes[1][2, 2]


def test_covariances_are_symmetric_and_positive_and_grow_with_the_noise() -> None:
    quiet, loud = (
        registered("drill", look("drill", CaseSpec(noise=noise, hidden=0.0))).refinement.covariance
        for noise in (0.001, 0.02)
    )

    np.testing.assert_allclose(quiet, quiet.T, atol=1e-12)
    assert np.linalg.eigvalsh(quiet).min() > 0
    assert np.trace(loud[:3, :3]) > np.trace(quiet[:3, :3])


def test_a_half_turn_is_found_among_the_turns_that_are_asked_for() -> None:
    view = look("drill", CLEAN, 9)
    half_turn = Similarity(rotation_from_axis_angle(UP, np.pi), np.zeros(3))
    view = replace(view, start=view.truth @ half_turn)
    config = RegistrationConfig(starts=StartsConfig(tilt_rad=0.0, yaws=8))

    found = registered("drill", view, config)

    errors = pose_errors(view.shape, found.camera_from_object, view.truth)
    assert found.status is RefinementStatus.ACCEPTED
    assert errors.turn_deg < 2.0


@pytest.mark.parametrize(("name", "seed"), [("mug", 4), ("drill", 2), ("box", 4)])
def test_many_starts_reach_farther_than_one(name: str, seed: int) -> None:
    far = CaseSpec(noise=0.002, hidden=0.0, max_turn_deg=60.0, max_shift_m=0.02, max_growth=0.05)
    view = look(name, far, seed)
    alone = RegistrationConfig(starts=StartsConfig(tilt_rad=0.0), wider=None)

    one, many = (registered(name, view, config) for config in (alone, RegistrationConfig()))

    assert one.status is RefinementStatus.REJECTED
    assert many.status is RefinementStatus.ACCEPTED
    assert pose_errors(view.shape, many.camera_from_object, view.truth).turn_deg < 2.0


def test_outlines_show_what_the_depth_of_a_flat_face_cannot() -> None:
    # Seen squarely, a box is one plane at one depth: only its outline tells where it is and its
    # size. The wrong one is inside the mask, where no free space speaks against it.
    view = squarely()
    view = replace(view, start=misplaced(view.truth, (0.003, 0.0, 0.0), 0.92))

    found = registered("box", view).camera_from_object

    assert found.scale == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(found.translation_m, view.truth.translation_m, atol=0.002)


def test_what_stands_upright_stays_so_where_it_is_held() -> None:
    view = look("mug", HALF, 3)
    tilted = rotation_from_axis_angle(view.truth.rotation[:, 0], 0.15)  # as the camera seems to say
    upright = replace(view, start=view.truth)
    wrong_up = tilted @ view.truth.rotation @ UP
    held = RegistrationConfig(upright_sigma_rad=0.001)
    start = Similarity(tilted @ view.truth.rotation, view.truth.translation_m, 1.0)

    def tilt_rad(config: RegistrationConfig) -> float:
        given = prepared_view(replace(seen(upright), up_camera=wrong_up))
        found = register(known("mug"), given, start, config)
        across = np.cross(found.camera_from_object.rotation[:, 2], wrong_up)
        return float(np.linalg.norm(across))

    assert tilt_rad(RegistrationConfig()) > 0.1  # back to how it stands
    assert tilt_rad(held) < 0.01


def test_a_mesh_that_is_too_large_is_taken_out_of_free_space() -> None:
    poses = Poses.of([squarely().truth, misplaced(squarely().truth, (0.0, 0.0, 0.0), 1.2)])
    view = prepared_view(seen(squarely()))

    rows = outline_rows(known("box"), poses, view, Outlining(sigma_px=1.0, kernel_px=20.0))

    beside = rows.residuals_m[:, len(view.contour.pixels) :]
    beside_weights = rows.weights[:, len(view.contour.pixels) :]
    exact, large = (np.abs(beside) * (beside_weights > 0)).max(axis=1)
    assert exact < 0.001  # a pixel
    assert large > 0.008  # a tenth of the half width


def test_a_lone_support_brings_down_what_hovers() -> None:
    truth = squarely().truth
    hovering = misplaced(truth, (0.0, -0.01, 0.0), 1.0)
    plane = SupportPlane(normal_camera=-np.eye(3)[1], offset_m=0.08, confidence=1.0)
    view = prepared_view(replace(seen(squarely()), support=plane))

    poses = Poses.of([hovering])
    rows = support_rows(known("box"), poses, view)

    assert rows.residuals_m[0, 0] == pytest.approx(0.01, abs=0.001)
    moved = stepped(known("box"), poses, rows, with_scale=False)
    assert 0.0 < moved.translation_m[0, 1] - hovering.translation_m[1] < 0.012


def test_a_support_pulls_the_lowest_point_onto_it() -> None:
    view = look("box", HALF, 10)
    normal = view.truth.rotation @ UP
    plane = SupportPlane(
        normal_camera=normal, offset_m=-float(normal @ view.truth.translation_m), confidence=1.0
    )

    free, standing = (
        register(known("box"), prepared_view(replace(seen(view), support=support)), view.start)
        for support in (None, plane)
    )

    def lowest_m(found: Registration) -> float:
        vertices = found.camera_from_object.apply(view.shape.mesh.vertices)
        return abs(float(plane.height_m(vertices).min()))

    assert lowest_m(standing) < max(0.002, lowest_m(free))


def test_a_mesh_without_area_is_refused() -> None:
    line = Mesh(
        vertices=np.zeros((3, 3), dtype=np.float32),
        triangles=np.array([[0, 1, 2]], dtype=np.int32),
        colors=np.zeros((3, 3), dtype=np.uint8),
        observed=np.zeros(3, dtype=np.float32),
    )

    with pytest.raises(ShapeError, match="must have area"):
        prepared(line)
