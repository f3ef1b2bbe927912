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


"""Which masks a selection means, and what it says where there are none."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from sam3d_ros.errors import MaskEmptyError, SelectionError, UnknownObjectError
from sam3d_ros.scene.selecting import EVERYTHING, Selection, find_object, selected
from sam3d_ros.structures import (
    Camera,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    ObjectState,
    Provenance,
    Quality,
    SceneObject,
    Similarity,
)

LEFT, RIGHT = 4, 9  # values of the masks: columns 100 to 179 and 400 to 479, rows 200 to 279


@pytest.fixture
def frame(vga: Camera) -> Frame:
    masks = []
    for value, column in ((LEFT, 100), (RIGHT, 400)):
        mask = np.zeros((480, 640), dtype=bool)
        mask[200:280, column : column + 80] = True
        masks.append(InstanceMask(instance_id=value, mask=mask))
    rgb = np.zeros((480, 640, 3), dtype=np.uint8)
    return Frame(rgb=rgb, camera=vga, masks=tuple(masks))


def known_at(mesh: Mesh, x_m: float, track_id: int = 1, class_id: str = "mug") -> SceneObject:
    pose = Similarity(np.eye(3), np.array([x_m, 0.0, 1.0]))
    return SceneObject(
        track_id=track_id,
        class_id=class_id,
        score=1.0,
        state=ObjectState.TRACKED,
        reconstruction=ObjectReconstruction(
            mesh_object=mesh,
            camera_from_object=pose,
            quality=Quality(),
            provenance=Provenance(backend="test"),
        ),
        size_m=np.full(3, 0.1),
        middle_m=np.zeros(3),
        revision=1,
        first_seen_ns=0,
        last_seen_ns=0,
        fixed_from_object=pose,
    )


def test_nothing_selected_is_everything(frame: Frame) -> None:
    assert selected(frame, EVERYTHING, []).chosen == ()
    assert all(selected(frame, EVERYTHING, []).wants(mask.instance_id) for mask in frame.masks)


@pytest.mark.parametrize(
    ("box_px", "chosen"),
    [
        ((90.0, 190.0, 190.0, 290.0), (LEFT,)),
        ((140.0, 200.0, 479.0, 279.0), (LEFT, RIGHT)),  # half of the left one
        ((141.0, 200.0, 479.0, 279.0), (RIGHT,)),  # one column less than half
        ((-1e9, -1e9, 1e9, 1e9), (LEFT, RIGHT)),
    ],
)
def test_a_box_means_the_masks_that_lie_in_it_with_half_of_their_pixels(
    frame: Frame, box_px: tuple[float, ...], chosen: tuple[int, ...]
) -> None:
    assert selected(frame, Selection(box_px=box_px), []).chosen == chosen


def test_the_masks_that_are_not_chosen_stay_in_the_frame(frame: Frame) -> None:
    assert len(selected(frame, Selection(instances=(RIGHT,)), []).masks) == 2


@pytest.mark.parametrize(("pixel_px", "chosen"), [((100.0, 279.4), LEFT), ((479.4, 200.0), RIGHT)])
def test_a_pixel_means_the_mask_on_it(
    frame: Frame, pixel_px: tuple[float, ...], chosen: int
) -> None:
    assert selected(frame, Selection(pixel_px=pixel_px), []).chosen == (chosen,)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(box_px=(640.0, 0.0, 700.0, 100.0)),
        Selection(box_px=(-50.0, 0.0, 0.0, 100.0)),
        Selection(box_px=(0.0, 0.0, math.inf, 100.0)),
        Selection(box_px=(math.nan,) * 4),
        Selection(pixel_px=(-0.5, 0.0)),
        Selection(pixel_px=(0.0, 479.5)),
        Selection(pixel_px=(math.nan, math.nan)),
        Selection(instances=()),
    ],
    ids=str,
)
def test_what_is_no_place_in_the_image_is_refused(frame: Frame, selection: Selection) -> None:
    with pytest.raises(SelectionError, match=r"got|none is given"):
        selected(frame, selection, [])


@pytest.mark.parametrize(
    "selection",
    [
        Selection(box_px=(0.0, 0.0, 50.0, 50.0)),
        Selection(pixel_px=(300.0, 240.0)),
        Selection(instances=(LEFT, 5)),
    ],
    ids=str,
)
def test_a_place_without_a_mask_is_refused(frame: Frame, selection: Selection) -> None:
    with pytest.raises(MaskEmptyError, match=r"no mask|no pixel of value 5; it has 4, 9"):
        selected(frame, selection, [])


def test_a_known_object_means_the_mask_onto_which_it_falls(
    frame: Frame, make_box: Callable[..., Mesh]
) -> None:
    mesh = make_box(0.1, 0.1, 0.1)
    # Column 140 is 180 px left of the middle, at a focal length of 600 px and 1 m.
    known = [known_at(mesh, -0.3), known_at(mesh, 0.2, track_id=2)]
    assert selected(frame, Selection(track_ids=(1,)), known).chosen == (LEFT,)
    assert selected(frame, Selection(track_ids=(2,)), known).chosen == (RIGHT,)


def test_a_known_object_is_looked_for_where_the_camera_is_now(
    frame: Frame, make_box: Callable[..., Mesh]
) -> None:
    known = known_at(make_box(0.1, 0.1, 0.1), 0.2)
    moved = Similarity(np.eye(3), np.array([0.5, 0.0, 0.0]))
    there = Frame(rgb=frame.rgb, camera=frame.camera, masks=frame.masks, fixed_from_camera=moved)
    assert selected(there, Selection(track_ids=(1,)), [known]).chosen == (LEFT,)


@pytest.mark.parametrize("x_m", [0.0, 30.0])
def test_a_known_object_that_no_mask_shows_is_refused(
    frame: Frame, make_box: Callable[..., Mesh], x_m: float
) -> None:
    with pytest.raises(MaskEmptyError, match="sam3d_mug_1 where it is expected"):
        selected(frame, Selection(track_ids=(1,)), [known_at(make_box(0.1, 0.1, 0.1), x_m)])


def test_an_object_is_found_by_its_name_and_by_its_number(make_box: Callable[..., Mesh]) -> None:
    objects = [known_at(make_box(0.1, 0.1, 0.1), 0.0, number) for number in (3, 31)]
    assert find_object("sam3d_mug_31", objects) is objects[1]
    assert find_object("3", objects) is objects[0]
    assert find_object("robot_mug_3", objects, prefix="robot") is objects[0]
    with pytest.raises(UnknownObjectError, match=r"'sam3d_mug_1'.*sam3d_mug_3, sam3d_mug_31"):
        find_object("sam3d_mug_1", objects)
