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

"""In a box, depth tells the object from what it stands on and before."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import box, camera_from_world, can, mug, placed, scene

from sam3d_ros.config import SceneConfig
from sam3d_ros.scene.boxes import with_objects_in_boxes
from sam3d_ros.structures import Bools, Frame, InstanceMask, Mesh

VIEW = camera_from_world(np.radians(35), 0.8, azimuth_rad=0.3)
LOOSE_PX = 6  # detectors draw their boxes that much too large
THINGS = {
    "box": box(0.10, 0.10, 0.10),
    "can": can(0.035, 0.12),
    "mug": mug(),
    "plate": box(0.16, 0.12, 0.02),
}


def boxed(frame: Frame) -> Frame:
    """Return a frame of which all masks are boxes, as detectors draw them."""
    masks = [replace(each, mask=around(each.mask)) for each in frame.masks]
    return replace(frame, masks=tuple(masks))


def around(mask: Bools) -> Bools:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    result = np.zeros_like(mask)
    top, left = max(rows[0] - LOOSE_PX, 0), max(columns[0] - LOOSE_PX, 0)
    result[top : rows[-1] + LOOSE_PX, left : columns[-1] + LOOSE_PX] = True
    return result


def ious(frame: Frame) -> list[float]:
    """Return how well what is found in boxes agrees with the masks."""
    found = with_objects_in_boxes(boxed(frame), SceneConfig()).masks
    return [
        float((mask.mask & each.mask).sum() / (mask.mask | each.mask).sum())
        for mask, each in zip(frame.masks, found, strict=True)
    ]


@pytest.mark.parametrize("name", THINGS)
def test_a_thing_on_a_table_is_found_in_its_box(name: str) -> None:
    assert ious(scene([THINGS[name]], VIEW, noise=0.5).frame)[0] > 0.85


def test_things_beside_and_behind_each_other_are_told_apart() -> None:
    things: list[Mesh] = [
        placed(THINGS["can"], 0.0, (0.08, 0.0, 0.0)),
        placed(THINGS["box"], 0.3, (-0.08, 0.02, 0.0)),
        placed(THINGS["mug"], 0.0, (0.02, 0.16, 0.0)),
    ]
    assert min(ious(scene(things, VIEW, noise=0.5).frame)) > 0.8


@pytest.mark.parametrize("behind_m", [0.11, 0.5])
def test_a_thing_before_a_wall_needs_no_table(behind_m: float) -> None:
    wall = placed(box(0.02, 2.0, 2.0), 0.3, (-behind_m, 0.0, -1.0))
    frame = scene([THINGS["can"]], VIEW, table=False, background=[wall], noise=0.5).frame
    assert ious(frame)[0] > 0.9


def test_a_hole_in_the_depth_of_a_thing_is_part_of_it() -> None:
    frame = scene([THINGS["box"]], VIEW, noise=0.5).frame
    assert frame.depth is not None
    depth_m = frame.depth.depth_m.copy()
    rows, columns = np.nonzero(frame.masks[0].mask)
    row, column = int(rows.mean()), int(columns.mean())
    depth_m[row - 3 : row + 4, column - 3 : column + 4] = np.nan
    found = with_objects_in_boxes(
        boxed(replace(frame, depth=replace(frame.depth, depth_m=depth_m))), SceneConfig()
    )
    assert found.masks[0].mask[row, column]


def test_a_box_in_which_nothing_stands_becomes_empty_and_keeps_its_name() -> None:
    frame = scene([THINGS["box"]], VIEW).frame
    corner = np.zeros_like(frame.masks[0].mask)
    height, width = corner.shape
    corner[height - 60 :, : width // 6] = True
    nothing = InstanceMask(instance_id=9, mask=corner, class_id="ghost", score=0.3)
    masks = (*boxed(frame).masks, nothing)
    found = with_objects_in_boxes(replace(frame, masks=masks), SceneConfig()).masks
    assert found[0].mask.any()
    assert (found[1].instance_id, found[1].class_id, found[1].score) == (9, "ghost", 0.3)
    assert not found[1].mask.any()


def test_what_depth_outlines_is_no_box_any_more_and_a_box_without_readings_stays_one() -> None:
    frame = scene([THINGS["box"]], VIEW).frame
    assert frame.depth is not None
    (thing,) = boxed(frame).masks
    rows, columns = np.nonzero(thing.mask)
    box_px = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    thing = replace(thing, box_px=box_px, is_box=True)
    measured = replace(frame, masks=(thing,))
    blind = replace(frame.depth, depth_m=np.where(thing.mask, np.nan, frame.depth.depth_m))

    (outlined,) = with_objects_in_boxes(measured, SceneConfig()).masks
    (still,) = with_objects_in_boxes(replace(measured, depth=blind), SceneConfig()).masks

    assert not outlined.is_box
    np.testing.assert_array_equal(outlined.box_px, box_px)
    assert still is thing


def test_without_depth_boxes_stay_boxes() -> None:
    frame = boxed(replace(scene([THINGS["box"]], VIEW).frame, depth=None))
    assert with_objects_in_boxes(frame, SceneConfig()) is frame
