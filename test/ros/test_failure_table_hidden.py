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

"""The row of the failure table about what stands before an object: it is kept where it was."""

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rig import Rig
from sam3d_ros.msg import Object
from test_tracked_topics import BOX, MUG, Scene

from sam3d_ros.errors import ReportCode

pytestmark = pytest.mark.ros
RIM_PX = 5  # of the mug, that stands out on either side of a post
POST_MM = 300


def with_post(messages: dict[str, Any]) -> dict[str, Any]:
    """Put a post before the mug, of which both sides can still be seen."""
    labels, depth_mm = pixels(messages["masks"], np.uint8), pixels(messages["depth"], np.uint16)
    columns = np.nonzero((labels == MUG + 1).any(axis=0))[0]
    post = slice(columns[0] + RIM_PX, columns[-1] - RIM_PX + 1)
    labels[:, post] = np.where(labels[:, post] == MUG + 1, 0, labels[:, post])
    depth_mm[:, post] = POST_MM
    messages["masks"].data = array("B", labels.tobytes())
    messages["depth"].data = array("B", depth_mm.tobytes())
    return messages


def pixels(message: Any, dtype: Any) -> Any:
    read = np.frombuffer(bytes(message.data), dtype=dtype)
    return read.reshape(message.height, message.width).copy()


def test_an_object_behind_something_nearer_is_occluded_and_stays_where_it_was(
    make_rig: Callable[..., Rig],
) -> None:
    scene = Scene(make_rig)
    scene.start()
    scene.rig.until(lambda: scene.rig.heard["/objects"], "objects")
    before = scene.object(MUG)
    assert before.refinement != Object.OCCLUDED
    scene.rig.send(**with_post(scene.table.look(1)))
    report = scene.rig.reports(2)[1]
    assert report.code == ReportCode.OK, report.message
    scene.rig.until(lambda: scene.object(MUG).refinement == Object.OCCLUDED, "the mug hidden")
    hidden = scene.object(MUG)
    assert hidden.pose.pose == before.pose.pose
    assert hidden.state == Object.TRACKED
    assert hidden.pose.covariance[0] > before.pose.covariance[0]
    assert scene.object(BOX).refinement == Object.ACCEPTED
    assert scene.backend.num_started == 2  # nothing was made anew
    scene.send(2)
    scene.rig.until(lambda: scene.object(MUG).refinement == Object.ACCEPTED, "the mug in view")
