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

from sam3d_ros import BodyReconstructor
from sam3d_ros import api as interface
from sam3d_ros.body.random_weights import write_random_body
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ConfigError, SelectionError, ShapeError, WeightsMissingError
from sam3d_ros.structures import BodyReconstruction

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
