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

"""Laws of reconstructing the people of an image, with an untrained model and a made-up rig."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam3d_ros.body import passes as passes_module
from sam3d_ros.body.architecture import BackboneKind
from sam3d_ros.body.asked import asked_person, cut_bodies
from sam3d_ros.body.pipeline import BodyReconstructor
from sam3d_ros.body.random_weights import (
    TINY_RIG,
    random_body,
    tiny_body_architecture,
    write_random_body,
)
from sam3d_ros.body.rotations import matrix_from_quat_xyzw
from sam3d_ros.config import BodyConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import (
    CancelledError,
    DecodingError,
    IntrinsicsError,
    MaskEmptyError,
    OutOfMemoryError,
    ReportCode,
    Sam3dError,
    SelectionError,
    WeightsMissingError,
)
from sam3d_ros.protocols import BodyBackend
from sam3d_ros.structures import Camera
from sam3d_ros.structures.people import BodyReconstruction, PeopleView, PersonPrompt

CPU = torch.device("cpu")
WIDTH, HEIGHT = 960, 720
CAMERA = Camera(
    width=WIDTH,
    height=HEIGHT,
    matrix_px=np.array([[800.0, 0, 470], [0, 800, 365], [0, 0, 1]]),
)
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backend() -> BodyReconstructor:
    return reconstructor()


def reconstructor(kind: BackboneKind = BackboneKind.DINOV3, **body: object) -> BodyReconstructor:
    generator = torch.Generator().manual_seed(1)
    loaded = random_body(tiny_body_architecture(kind), TINY_RIG, generator, torch.float32)
    loaded.model.head_pose.proj.layers[1].weight.mul_(10)  # so that what is said is heard
    return BodyReconstructor.of(loaded, SceneConfig(body=BodyConfig(**body)), CPU)


def person(place: int, **given: object) -> PersonPrompt:
    """Somebody of another size and at another place for each number."""
    x, y, high = 30.0 + 90 * place, 20.0 + 11 * place, 480.0 + 20 * (place % 3)
    box_px = np.array([x, y, x + 190, y + high])
    return replace(PersonPrompt(instance_id=place + 1, box_px=box_px), **given)


def view_of(*people: PersonPrompt, camera: Camera = CAMERA) -> PeopleView:
    return PeopleView(rgb=RGB, camera=camera, people=people)


def mask_of(box_px: np.ndarray) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    x1, y1, x2, y2 = (int(value) for value in box_px)
    mask[max(y1, 0) : y2, max(x1, 0) : x2] = True
    return mask


def body_of(outcome: BodyReconstruction | Sam3dError) -> BodyReconstruction:
    assert isinstance(outcome, BodyReconstruction), outcome
    return outcome


def assert_same(one: BodyReconstruction, other: BodyReconstruction, atol: float = 2e-5) -> None:
    for name in ("vertices_camera", "keypoints_camera", "joints_camera", "camera_from_joint"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=atol)
    np.testing.assert_allclose(one.parameters.rig, other.parameters.rig, atol=atol)
    np.testing.assert_allclose(one.parameters.hand_pose, other.parameters.hand_pose, atol=atol)
    assert one.notes == other.notes


def test_it_is_a_body_backend(backend):
    assert isinstance(backend.name, str)
    typed: BodyBackend = backend
    assert typed.reconstruct(view_of()) == []


def test_eight_people_at_once_are_eight_people_alone(backend):
    mask = mask_of(person(2).box_px)
    wrist = np.array([[390.0, 300.0, 41.0], [410.0, 250.0, 8.0]])
    people = [person(place) for place in range(8)]
    people[2] = person(2, mask=mask)
    people[3] = person(3, keypoints_px=wrist)
    people[4] = person(4, box_px=np.array([400.0, 300.0, 440.0, 400.0]))  # its hands are small
    together = backend.reconstruct(view_of(*people))
    alone = [backend.reconstruct(view_of(each))[0] for each in people]
    assert len({body_of(each).notes for each in alone}) > 1  # hands of some fit, of others not
    for one, other, prompt in zip(together, alone, people, strict=True):
        assert_same(body_of(one), body_of(other))
        assert body_of(one).instance_id == prompt.instance_id


def test_as_the_released_code_has_it_people_depend_on_who_else_is_there(backend):
    people = [person(place) for place in range(8)]
    together = backend.official(view_of(*people))
    alone = [backend.official(view_of(each))[0] for each in people]
    moved = [
        np.abs(one.pred_vertices - other.pred_vertices).max()
        for one, other in zip(together, alone, strict=True)
    ]
    # All are told four prompts, also those of hands that nobody believes; alone these are left out.
    assert max(moved) > 1e-4
    ours = [body_of(each) for each in backend.reconstruct(view_of(*people))]
    for own, official in zip(ours, alone, strict=True):
        moved_m = official.pred_vertices + official.pred_cam_t
        np.testing.assert_allclose(own.vertices_camera, moved_m, atol=2e-5)


def test_looking_at_hands_needs_two_calls_of_the_backbone_whatever_the_number(monkeypatch):
    backend, calls = reconstructor(), []
    features = backend._passes.model.features

    def counted(images):
        calls.append(len(images))
        return features(images)

    monkeypatch.setattr(backend._passes.model, "features", counted)
    backend.reconstruct(view_of(*(person(place) for place in range(5))))
    assert calls == [5, 10]


def test_without_hands_the_body_is_the_first_pass(backend):
    body = body_of(reconstructor(inference="body").reconstruct(view_of(person(0)))[0])
    assert body.notes == ()
    assert set(body.stage_s) == {"body", "surface"}
    full = body_of(backend.reconstruct(view_of(person(0)))[0])
    assert set(full.stage_s) == {"body", "hands", "body again"}


def test_people_beyond_the_largest_batch_come_in_the_next():
    people = [person(place) for place in range(5)]
    several = reconstructor(max_people=2, inference="body").reconstruct(view_of(*people))
    once = reconstructor(max_people=8, inference="body").reconstruct(view_of(*people))
    for one, other in zip(several, once, strict=True):
        assert_same(body_of(one), body_of(other))


def test_joints_turn_as_the_pose_with_its_hands_says(backend):
    body = body_of(backend.reconstruct(view_of(person(0)))[0])
    turned = body.camera_from_joint
    np.testing.assert_allclose(np.linalg.det(turned), 1.0, atol=1e-5)
    parameters = torch.from_numpy(body.parameters.rig)[None]
    shape, expression = body.parameters.shape, body.parameters.expression
    rig = backend._passes.rig
    vertices, joints = rig(
        torch.from_numpy(shape)[None], parameters, torch.from_numpy(expression)[None]
    )
    flip = np.diag([1.0, -1.0, -1.0])
    from_root = body.vertices_camera - body.joints_camera[1]
    expected = (vertices[0] - joints[0, 1, :3]).numpy() / 100 @ flip
    np.testing.assert_allclose(from_root, expected, atol=1e-4)
    rotations = flip @ matrix_from_quat_xyzw(joints[0, :, 3:7]).numpy()
    np.testing.assert_allclose(turned, rotations, atol=1e-4)


def test_a_mask_alone_is_its_box_and_changes_what_is_seen(backend):
    box = person(0).box_px
    mask = mask_of(box)
    by_mask, by_both, by_box = (
        body_of(backend.reconstruct(view_of(each))[0])
        for each in (
            person(0, box_px=None, mask=mask),
            person(0, mask=mask),
            person(0),
        )
    )
    np.testing.assert_allclose(by_mask.box_px, box)
    assert_same(by_mask, by_both)
    assert np.abs(by_mask.vertices_camera - by_box.vertices_camera).max() > 1e-6


def test_a_mask_of_0_and_255_is_the_same_mask(backend):
    mask = mask_of(person(0).box_px)
    prompts = [person(0, mask=each) for each in (mask, 255 * mask.astype(np.uint8))]
    squares = [cut_bodies(RGB, [asked_person(each, CAMERA)], 64)[1] for each in prompts]
    np.testing.assert_array_equal(*squares)
    assert squares[0].max() == 1
    assert_same(*(body_of(backend.reconstruct(view_of(each))[0]) for each in prompts), atol=0)


def test_who_is_not_marked_fills_the_image(backend):
    body = body_of(backend.reconstruct(view_of(PersonPrompt(instance_id=1)))[0])
    np.testing.assert_allclose(body.box_px, [0, 0, WIDTH, HEIGHT])


def test_the_vith_release_goes_the_same_way():
    outcome = reconstructor(BackboneKind.VITH).reconstruct(view_of(person(0), person(1)))
    assert all(np.isfinite(body_of(each).vertices_camera).all() for each in outcome)


def test_somebody_cut_by_the_border_is_reconstructed(backend):
    people = (
        person(0, box_px=np.array([-150.0, -100.0, 120.0, 500.0])),
        person(1, box_px=np.array([850.0, 300.0, 1100.0, 900.0])),
    )
    for outcome in backend.reconstruct(view_of(*people)):
        assert np.isfinite(body_of(outcome).vertices_camera).all()


def test_what_cannot_be_asked_is_said_and_stops_nobody_else(backend):
    two_pixels = np.zeros((HEIGHT, WIDTH), dtype=bool)
    two_pixels[100, 100:102] = True
    far = np.array([[900.0, 700.0, 5.0]])
    unknown = np.array([[100.0, 100.0, 70.0]])
    outcomes = backend.reconstruct(
        view_of(
            person(0),
            person(1, box_px=np.array([2000.0, 10.0, 2100.0, 300.0])),
            person(2, box_px=None, mask=two_pixels),
            person(3, keypoints_px=far),
            person(4, keypoints_px=unknown),
            person(5, box_px=np.array([50.0, 10.0, 50.0, 300.0])),
            person(6, box_px=np.array([50.0, np.nan, 90.0, 300.0])),
            person(7),
        )
    )
    alone = backend.reconstruct(view_of(person(0)))[0]
    assert_same(body_of(outcomes[0]), body_of(alone))
    body_of(outcomes[7])
    kinds_and_texts = [
        (SelectionError, "lies outside the image"),
        (MaskEmptyError, "must have at least 16 pixels, has 2"),
        (SelectionError, "keypoint 5 at .900, 700. is not in the crop of its person"),
        (SelectionError, "numbered from 0 to 69"),
        (SelectionError, "x1 < x2"),
        (SelectionError, "x1 < x2"),
    ]
    for outcome, (kind, text) in zip(outcomes[1:7], kinds_and_texts, strict=True):
        with pytest.raises(kind, match=text):
            raise outcome


def test_a_camera_that_is_not_calibrated_is_said_for_everybody(backend):
    camera = replace(CAMERA, matrix_px=np.zeros((3, 3)))
    outcomes = backend.reconstruct(view_of(person(0), person(1), camera=camera))
    assert [type(each) for each in outcomes] == [IntrinsicsError, IntrinsicsError]


def test_a_body_behind_the_camera_is_no_result_and_stops_nobody_else(backend, monkeypatch):
    run = backend._passes.run

    def behind(*arguments):
        bodies = run(*arguments)
        bodies.last.placement.translation_m[1, 2] = -3.0
        bodies.posed.vertices_m[2] = torch.nan
        return bodies

    monkeypatch.setattr(backend._passes, "run", behind)
    first, second, third = backend.reconstruct(view_of(person(0), person(1), person(2)))
    body_of(first)
    with pytest.raises(DecodingError, match="behind the camera"):
        raise second
    with pytest.raises(DecodingError, match="not finite"):
        raise third
    assert second.code == ReportCode.RECONSTRUCTION


def test_what_memory_does_not_suffice_for_is_tried_one_by_one(monkeypatch):
    backend, sizes = reconstructor(inference="body"), []
    features = backend._passes.model.features

    def small(images):
        sizes.append(len(images))
        if len(images) > 1 or len(sizes) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return features(images)

    monkeypatch.setattr(backend._passes.model, "features", small)
    outcomes = backend.reconstruct(view_of(*(person(place) for place in range(3))))
    assert sizes == [3, 1, 1, 1]
    body_of(outcomes[0])
    body_of(outcomes[2])
    assert isinstance(outcomes[1], OutOfMemoryError)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_work_can_be_called_off_before_every_stage(backend, stage):
    asked = iter(range(1, 10))
    with pytest.raises(CancelledError, match="1 people"):
        backend.reconstruct(view_of(person(0)), lambda: next(asked) == stage)


def test_weights_that_wait_on_the_cpu_are_lent_and_give_the_same(backend, monkeypatch):
    lent = []
    original = passes_module.lent_to

    def noted(module, device):
        lent.append(type(module).__name__)
        return original(module, device)

    monkeypatch.setattr(passes_module, "lent_to", noted)
    people = view_of(person(0), person(1))
    expected = [body_of(each) for each in backend.reconstruct(people)]
    assert not lent
    monkeypatch.setattr(backend._passes, "_low_memory", True)
    for one, other in zip(expected, backend.reconstruct(people), strict=True):
        assert_same(one, body_of(other), atol=0)
    assert lent.count("Dinov3Backbone") == 2


def test_a_folder_of_weights_is_loaded_and_a_missing_one_says_what_to_do(tmp_path: Path):
    write_random_body(tmp_path / "body")
    config = SceneConfig(device="cpu", weights=WeightsConfig(body=str(tmp_path / "body")))
    body_of(BodyReconstructor.load(config).reconstruct(view_of(person(0)))[0])
    with pytest.raises(WeightsMissingError, match=r"weights\.body"):
        BodyReconstructor.load(SceneConfig(device="cpu"))
    (tmp_path / "body/assets/mhr_model.pt").unlink()
    with pytest.raises(WeightsMissingError, match=r"has no assets/mhr_model\.pt"):
        BodyReconstructor.load(config)
