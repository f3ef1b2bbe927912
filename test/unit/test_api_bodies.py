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

"""The Python interface to people, without ROS: image and boxes or masks in, posed bodies out."""

from pathlib import Path

import numpy as np
import pytest
from bodies import VGA, StandInBodies, frame_of, person

from sam3d_ros import BodyReconstructor
from sam3d_ros import api as interface
from sam3d_ros.body.random_weights import write_random_body
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ConfigError, SelectionError, ShapeError, WeightsMissingError
from sam3d_ros.structures import BodyReconstruction, ScaleSource

IMAGE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
INTRINSICS = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
BOXES = [(100, 20, 260, 460), (300, 40, 460, 470)]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> interface.BodyReconstructor:
    folder = tmp_path_factory.mktemp("body")
    write_random_body(folder)
    return BodyReconstructor.from_pretrained(folder, SceneConfig(device="cpu"))


def masks() -> list[np.ndarray]:
    made = [np.zeros(IMAGE.shape[:2], dtype=np.uint8) for _ in BOXES]
    for mask, (x1, y1, x2, y2) in zip(made, BOXES, strict=True):
        mask[y1:y2, x1:x2] = 255
    return made


def test_boxes_and_the_boxes_of_masks_are_looked_at(people: interface.BodyReconstructor) -> None:
    by_boxes = people(IMAGE, boxes=BOXES, intrinsics=INTRINSICS)
    by_masks = people(IMAGE, masks=masks(), intrinsics=INTRINSICS)
    for one, other, box in zip(by_boxes, by_masks, BOXES, strict=True):
        assert isinstance(one, BodyReconstruction)
        assert isinstance(other, BodyReconstruction)
        assert tuple(one.box_px) == tuple(other.box_px) == box
        assert one.origin_camera[2] > 0
    assert [each.instance_id for each in by_boxes] == [1, 2]


def test_without_intrinsics_the_distance_is_said_to_be_a_guess(
    people: interface.BodyReconstructor,
) -> None:
    (guessed,) = people(IMAGE)
    (known,) = people(IMAGE, intrinsics=INTRINSICS)
    assert "guess" in guessed.notes[-1]
    assert not any("guess" in note for note in known.notes)
    ratio = guessed.origin_camera[2] / known.origin_camera[2]
    assert ratio == pytest.approx(np.hypot(640, 480) / 500, rel=0.05)


@pytest.mark.parametrize("by", ["boxes", "masks"])
def test_depth_says_where_bodies_stand_and_fit_by_how_much_they_were_moved(by: str) -> None:
    truths = (person((-0.6, 0.1, 3.0)), person((0.7, 0.1, 4.0)))
    frame, model = frame_of(truths), StandInBodies(factor=1.2)
    marks = {
        "boxes": {"boxes": [truth.box_px for truth in truths]},
        "masks": {"masks": [255 * mask.mask.astype(np.uint8) for mask in frame.masks]},
    }[by]
    assert frame.depth is not None
    depth_mm = np.rint(1000 * frame.depth.depth_m).astype(np.uint16)
    people = BodyReconstructor(model, SceneConfig())  # type: ignore[arg-type]

    bodies = people(frame.rgb, **marks, intrinsics=VGA.matrix_px, depth=depth_mm)
    guessed = people(frame.rgb, **marks, intrinsics=VGA.matrix_px)

    for body, guess, truth in zip(bodies, guessed, truths, strict=True):
        assert isinstance(body, BodyReconstruction)
        assert body.scale_source is ScaleSource.DEPTH
        assert body.origin_camera[2] == pytest.approx(truth.origin_camera[2], abs=0.05)
        moved_m = body.origin_camera[2] - guess.origin_camera[2]
        assert body.fit.correction_m == pytest.approx(moved_m, abs=1e-4)
        assert abs(moved_m) > 0.3
        assert body.fit.residual_m < 0.05
        assert not guess.fit.is_measured
        assert guess.scale_source is ScaleSource.MONOCULAR
    prompts = [each for view in model.asked for each in view.people]
    assert all((each.mask is None) == (by == "boxes") for each in prompts)


def test_depth_that_says_nothing_leaves_bodies_where_they_were(
    people: interface.BodyReconstructor,
) -> None:
    depth = np.zeros(IMAGE.shape[:2], dtype=np.float32)
    outside = (900, 0, 950, 100)
    body, refused = people(IMAGE, [BOXES[0], outside], intrinsics=INTRINSICS, depth=depth)
    assert isinstance(refused, SelectionError)
    assert body.scale_source is ScaleSource.MONOCULAR
    assert not body.fit.is_measured
    assert "too little depth" in body.notes[-1]


def test_depth_without_intrinsics_or_of_another_size_is_refused(
    people: interface.BodyReconstructor,
) -> None:
    with pytest.raises(ConfigError, match="depth needs intrinsics"):
        people(IMAGE, depth=np.ones(IMAGE.shape[:2]))
    with pytest.raises(ShapeError, match="depth_m"):
        people(IMAGE, intrinsics=INTRINSICS, depth=np.ones((10, 10)))


def test_keypoints_are_given_in_pixels_of_the_image(people: interface.BodyReconstructor) -> None:
    wrist = [(120.0, 200.0, 41)]
    (with_wrist, _) = people(IMAGE, BOXES, keypoints=[wrist, None], intrinsics=INTRINSICS)
    (without, _) = people(IMAGE, BOXES, intrinsics=INTRINSICS)
    assert (with_wrist.keypoints_px != without.keypoints_px).any()
    (refused, _) = people(IMAGE, BOXES, keypoints=[[(600, 470, 41)], None], intrinsics=INTRINSICS)
    assert isinstance(refused, SelectionError)


def test_official_results_have_the_official_names(people: interface.BodyReconstructor) -> None:
    (body, _) = people.official(IMAGE, BOXES, intrinsics=INTRINSICS)
    assert body.pred_keypoints_3d.shape == (70, 3)
    assert not body.pred_pose_raw.any()


def test_nobody_is_nobody(people: interface.BodyReconstructor) -> None:
    assert people(IMAGE, boxes=np.zeros((0, 4)), intrinsics=INTRINSICS) == []
    assert people.official(IMAGE, boxes=[], intrinsics=INTRINSICS) == []


def test_what_does_not_belong_together_is_refused(people: interface.BodyReconstructor) -> None:
    with pytest.raises(ConfigError, match="got 2, 1 of them"):
        people(IMAGE, boxes=BOXES, masks=masks()[:1])
    with pytest.raises(ShapeError, match="mask"):
        people(IMAGE, masks=[np.zeros((10, 10))])


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="no folder here"):
        BodyReconstructor.from_pretrained(tmp_path / "nothing")
