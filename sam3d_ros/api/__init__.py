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

"""SAM 3D Objects and SAM 3D Body in Python, for whoever has an image and masks and no robot.

::

    from sam3d_ros import Reconstructor, compose

    reconstructor = Reconstructor.from_pretrained("weights/sam-3d-objects")
    mug = reconstructor(image, mask, depth, intrinsics)
    mug.save("mug.glb")
    compose(reconstructor(image, masks, depth, intrinsics)).save("table.glb")

    from sam3d_ros import BodyReconstructor

    people = BodyReconstructor.from_pretrained("weights/sam-3d-body-dinov3")
    for body in people(image, boxes=[(120, 40, 360, 700)], intrinsics=intrinsics):
        print(body.origin_camera, body.keypoints_px)
"""

from sam3d_ros.api.bodies import BodyReconstructor
from sam3d_ros.api.posed import PosedObject, PosedScene, compose
from sam3d_ros.api.reconstructor import Outcome, Reconstructor

__all__ = ["BodyReconstructor", "Outcome", "PosedObject", "PosedScene", "Reconstructor", "compose"]
