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

"""A small scene folder with truth, as a user has it, for the tests of training on captures."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scenes

from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.structures import Mesh, Similarity

VIEW = scenes.camera_from_world(0.6, 0.6)


def write_capture(folder: Path, mesh: Mesh | None = None, name: str = "box") -> Path:
    """Write one object on a table: image, depth, mask, mesh and pose; return the folder."""
    mesh = mesh or scenes.box(0.10, 0.06, 0.12)
    scene = scenes.scene([mesh], VIEW)
    frame = scene.frame
    (folder / "masks").mkdir(parents=True)
    depth_m = np.nan_to_num(frame.depth.depth_m, posinf=0.0)
    cv2.imwrite(str(folder / "rgb.png"), frame.rgb)
    cv2.imwrite(str(folder / "depth.png"), np.rint(1000 * depth_m).astype(np.uint16))
    cv2.imwrite(str(folder / f"masks/{name}.png"), 255 * frame.masks[0].mask.astype(np.uint8))
    write_mesh(mesh, folder / f"{name}.ply")
    matrix = frame.camera.matrix_px
    camera = {"width": 640, "height": 480}
    camera |= {"fx": matrix[0, 0], "fy": matrix[1, 1], "cx": matrix[0, 2], "cy": matrix[1, 2]}
    (folder / "camera.json").write_text(json.dumps(camera))
    truth = {"name": name, "mesh": f"{name}.ply", "T_cam_obj": VIEW.matrix.tolist()}
    (folder / "gt.json").write_text(json.dumps({"length_unit": "m", "objects": [truth]}))
    return folder


def change_truth(folder: Path, **values: Any) -> None:
    """Overwrite values of the only object in ``gt.json``."""
    description = json.loads((folder / "gt.json").read_text())
    description["objects"][0] |= values
    (folder / "gt.json").write_text(json.dumps(description))


def turned(pose: Similarity, scale: float = 1.0) -> list[list[float]]:
    """Return a pose as ``gt.json`` has it."""
    return Similarity(pose.rotation, pose.translation_m, scale).matrix.tolist()
