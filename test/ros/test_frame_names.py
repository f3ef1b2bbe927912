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

"""Names of frames as tf2 wants them, whatever the settings say."""

from collections.abc import Callable

import pytest
from rig import CAMERA, Rig, tf
from running import SETTINGS

from sam3d_ros.errors import ReportCode
from sam3d_ros.structures import Mesh

pytestmark = pytest.mark.ros


def test_a_leading_slash_of_the_output_frame_goes_no_further(
    make_box: Callable[..., Mesh],
) -> None:
    rig = Rig(make_box(0.1, 0.1, 0.1), {**SETTINGS, "output_frame": "/odom"})
    try:
        rig.start()
        rig.send(tf_static=tf("odom", CAMERA))
        rig.settle(0.4)
        rig.send_frame(0)
        assert rig.report().code == ReportCode.OK
        rig.until(lambda: rig.heard["/objects"] and rig.heard["/tf"], "objects")
        assert rig.heard["/objects"][0].header.frame_id == "odom"
        assert {each.header.frame_id for each in rig.heard["/tf"][0].transforms} == {"odom"}
    finally:
        rig.close()
