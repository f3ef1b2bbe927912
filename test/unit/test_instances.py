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

"""What mask providers send becomes masks with ids, classes and scores."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from provided import array, label_info, vision_detection, yolo_detection

from sam3d_ros.errors import EncodingError, MaskSizeError
from sam3d_ros.ros.instances import Provided, instances_from
from sam3d_ros.structures import InstanceMask

SIZE = (40, 30)
LEFT, RIGHT = (10.0, 15.0, 10.0, 20.0), (30.0, 15.0, 10.0, 20.0)  # boxes around values 3 and 8


def labels() -> Any:
    """Return a label image of two things, 3 on the left and 8 on the right."""
    pixels = np.zeros((30, 40), dtype=np.uint8)
    pixels[5:25, 5:15], pixels[5:25, 25:35] = 3, 8
    return SimpleNamespace(
        height=30, width=40, encoding="mono8", is_bigendian=0, step=40, data=pixels.tobytes()
    )


def described(*detections: Any, names: Any = None, mode: str = "label_image") -> dict[int, str]:
    """Return the class of each mask of the label image."""
    provided = Provided(
        masks=labels(), detections=array(*detections) if detections else None, label_info=names
    )
    return {each.instance_id: each.class_id for each in instances_from(provided, SIZE, mode)}


def boxed(*detections: Any, names: Any = None) -> tuple[InstanceMask, ...]:
    return instances_from(Provided(masks=array(*detections), label_info=names), SIZE, "detections")


def drawn(*detections: Any, size: tuple[int, int] = SIZE) -> tuple[InstanceMask, ...]:
    return instances_from(Provided(masks=array(*detections)), size, "yolo")


# Beside a label image


def test_masks_alone_are_objects_and_keep_their_ids() -> None:
    assert described() == {3: "object", 8: "object"}


def test_detections_name_the_masks_in_their_boxes_in_any_order() -> None:
    mug, can = vision_detection(LEFT, "mug"), vision_detection(RIGHT, "can")
    assert described(mug, can) == described(can, mug) == {3: "mug", 8: "can"}


def test_detections_whose_ids_are_values_name_those_whatever_their_boxes() -> None:
    crossed = vision_detection(RIGHT, "mug", id="3"), vision_detection(LEFT, "can", id="8")
    assert described(*crossed) == {3: "mug", 8: "can"}


def test_ids_of_a_tracker_that_are_no_values_leave_it_to_the_boxes() -> None:
    mug, can = vision_detection(LEFT, "mug", id="8"), vision_detection(RIGHT, "can", id="17")
    assert described(mug, can) == {3: "mug", 8: "can"}


def test_detections_without_boxes_go_by_their_order() -> None:
    nowhere = (0.0, 0.0, 0.0, 0.0)
    mug, can = vision_detection(nowhere, "mug"), vision_detection(nowhere, "can")
    assert described(mug, can) == {3: "mug", 8: "can"}
    assert described(mug) == {3: "object", 8: "object"}


def test_boxes_that_fit_masks_equally_well_go_by_their_order() -> None:
    both = (20.0, 15.0, 30.0, 20.0)
    assert described(vision_detection(both, "mug"), vision_detection(both, "can")) == {
        3: "mug",
        8: "can",
    }


def test_a_mask_without_a_detection_stays_an_object() -> None:
    assert described(vision_detection(LEFT, "mug")) == {3: "mug", 8: "object"}


def test_the_likeliest_hypothesis_gives_class_and_score() -> None:
    detection = vision_detection(LEFT, "mug", 0.4)
    likelier = SimpleNamespace(class_id="cup", score=0.5)
    detection.results.append(SimpleNamespace(hypothesis=likelier))
    provided = Provided(masks=labels(), detections=array(detection))
    mask = instances_from(provided, SIZE, "label_image")[0]
    assert (mask.class_id, mask.score) == ("cup", 0.5)


def test_a_detection_without_hypotheses_says_nothing() -> None:
    assert described(vision_detection(LEFT, "")) == {3: "object", 8: "object"}


def test_names_are_those_of_values_where_no_detection_says_more() -> None:
    names = label_info(bowl=3, person=8)
    assert described(names=names) == {3: "bowl", 8: "person"}
    assert described(vision_detection(LEFT, "mug"), names=names) == {3: "mug", 8: "person"}


def test_numbers_of_classes_have_the_names_that_label_info_gives_them() -> None:
    detections = vision_detection(LEFT, "41"), vision_detection(RIGHT, "42")
    assert described(*detections, names=label_info(cup=41)) == {3: "cup", 8: "42"}


def test_names_of_any_length_become_names_of_frames() -> None:
    long = "mug" * 1000
    assert described(vision_detection(LEFT, f" {long} "))[3] == long[:64]
    assert described(vision_detection(LEFT, "  "))[3] == "object"


@pytest.mark.parametrize("strange", ["9" * 5000, "-1", "\u00b2", "1e3"])
def test_strange_numbers_are_names(strange: str) -> None:
    assert described(vision_detection(LEFT, strange, id=strange))[3] == strange[:64]


def test_a_binary_mask_has_the_class_of_the_detection_around_it() -> None:
    whole = vision_detection((20.0, 15.0, 30.0, 20.0), "shelf")
    assert described(whole, mode="binary") == {1: "shelf"}


# Boxes


def test_a_box_covers_its_pixels() -> None:
    (mask,) = boxed(vision_detection((10.0, 15.0, 6.0, 4.0)))
    expected = np.zeros((30, 40), dtype=bool)
    expected[13:17, 7:13] = True
    np.testing.assert_array_equal(mask.mask, expected)
    assert (mask.class_id, mask.score, mask.instance_id) == ("mug", 0.9, 1)


def test_a_box_stays_known_as_one_as_far_as_it_is_in_the_image() -> None:
    inside, cut = boxed(
        vision_detection((10.0, 15.0, 6.0, 4.5)), vision_detection((38.0, 28.0, 10.0, 10.0))
    )
    np.testing.assert_allclose(inside.box_px, [7, 12.75, 13, 17.25])
    np.testing.assert_allclose(cut.box_px, [33, 23, 40, 30])
    assert inside.is_box
    assert cut.is_box


def test_outlines_are_no_boxes() -> None:
    (outlined,) = drawn(yolo_detection([(5, 5), (15, 5), (15, 25), (5, 25)]))
    assert outlined.box_px is None
    assert not outlined.is_box


def test_a_turned_box_is_turned_as_its_message_says() -> None:
    (mask,) = boxed(vision_detection((20.0, 15.0, 20.0, 4.0), theta=np.pi / 2))
    rows, columns = np.nonzero(mask.mask)
    assert np.ptp(rows) == pytest.approx(20, abs=1)
    assert np.ptp(columns) == pytest.approx(4, abs=1)


def test_ids_of_a_tracker_are_those_of_the_masks() -> None:
    masks = boxed(vision_detection(LEFT, id="12"), vision_detection(RIGHT, id="7"))
    assert [mask.instance_id for mask in masks] == [12, 7]
    masks = boxed(vision_detection(LEFT, id="12"), vision_detection(RIGHT, id="12"))
    assert [mask.instance_id for mask in masks] == [1, 2]


@pytest.mark.parametrize(
    "box", [(10.0, 10.0, 0.0, 5.0), (np.nan, 10.0, 5.0, 5.0), (1e30, 1e30, 5.0, 5.0)]
)
def test_a_box_that_is_none_becomes_an_empty_mask(box: Any) -> None:
    (mask,) = boxed(vision_detection(box))
    assert not mask.mask.any()
    assert mask.box_px is None


def test_a_box_beyond_the_image_is_cut() -> None:
    assert boxed(vision_detection((20.0, 15.0, 1e9, 1e9)))[0].mask.all()


def test_more_detections_than_any_scene_has_are_refused() -> None:
    with pytest.raises(EncodingError, match="at most 255 detections, got 256"):
        boxed(*[vision_detection(LEFT)] * 256)


# Polygons


def test_a_polygon_is_filled_and_keeps_class_score_and_id() -> None:
    square = [(5.0, 5.0), (14.0, 5.0), (14.0, 24.0), (5.0, 24.0)]
    (mask,) = drawn(yolo_detection(square, class_name="bottle", score=0.7, id="21"))
    assert (mask.instance_id, mask.class_id, mask.score) == (21, "bottle", 0.7)
    expected = np.zeros((30, 40), dtype=bool)
    expected[5:25, 5:15] = True
    np.testing.assert_array_equal(mask.mask, expected)
    assert not mask.resized


def test_a_polygon_of_a_smaller_image_is_drawn_larger_and_flagged() -> None:
    square = [(2.0, 2.0), (7.0, 2.0), (7.0, 12.0), (2.0, 12.0)]
    (mask,) = drawn(yolo_detection(square, (20, 15)))
    assert mask.resized
    rows, columns = np.nonzero(mask.mask)
    middle = rows.mean(), columns.mean()
    np.testing.assert_allclose(middle, (14.5, 9.5), atol=0.6)


def test_a_polygon_of_another_aspect_ratio_is_refused() -> None:
    with pytest.raises(MaskSizeError, match="20x20 differs in aspect ratio from the image of 40x3"):
        drawn(yolo_detection([(0, 0), (5, 0), (5, 5)], (20, 20)))


def test_a_detection_without_a_polygon_is_empty_and_stops_no_other() -> None:
    square = [(5.0, 5.0), (14.0, 5.0), (14.0, 24.0)]
    empty, full = drawn(yolo_detection([]), yolo_detection(square))
    assert not empty.mask.any()
    assert full.mask.any()


def test_a_detector_that_sends_no_polygons_at_all_is_refused_with_what_to_do() -> None:
    with pytest.raises(EncodingError, match=r"none of 2 detections has a polygon.*-seg"):
        drawn(yolo_detection([]), yolo_detection([]))


def test_nothing_detected_is_no_mask() -> None:
    assert drawn() == boxed() == ()
