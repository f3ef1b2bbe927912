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

"""Evaluated objects as pages: input, truth, and what each backend made of it from three sides."""

from collections.abc import Iterable

import numpy as np

from sam3d_ros.apps.pictures import Pictured, in_camera
from sam3d_ros.apps.sheets import Compared, comparison_sheet
from sam3d_ros.evaluation.datasets import Scene
from sam3d_ros.evaluation.evaluate import EvaluatedObject
from sam3d_ros.evaluation.report import Row
from sam3d_ros.structures import Bytes, Floats

SHOWN = (
    ("viou", "vIoU {:.2f}"),
    ("f1_10mm", "F1@10 {:.2f}"),
    ("f1_005", "F1@.05 {:.2f}"),
    ("silhouette_iou", "outline {:.2f}"),
)


def scene_sheet(scene: Scene, evaluated: Iterable[EvaluatedObject]) -> Bytes:
    """Draw one page: each object's truth and what each backend made of it."""
    evaluated = list(evaluated)
    ups = [item.support.normal_camera for item in evaluated if item.support is not None]
    up = ups[0] if ups else None
    rows = [compared(item, scene.frame.rgb, up) for item in evaluated]
    return comparison_sheet(rows, scene.name)


def compared(evaluated: EvaluatedObject, rgb: Bytes, up_camera: Floats | None) -> Compared:
    """Prepare one object for a page."""
    truth = evaluated.truth
    truth_camera = truth.mesh_camera if truth is not None else None
    return Compared(
        pictured=Pictured(
            number=evaluated.instance.instance_id,
            name=evaluated.instance.class_id,
            mask=evaluated.instance.mask,
            mesh_camera=truth_camera,
            size_m=np.ptp(truth.mesh.vertices, axis=0) if truth and truth.mesh else None,
        ),
        rgb=rgb,
        truth_camera=truth_camera,
        meshes_camera={
            name: in_camera(reconstruction)
            for name, reconstruction in evaluated.reconstructions.items()
        },
        captions={row.backend: caption(row) for row in evaluated.rows},
        up_camera=up_camera,
    )


def caption(row: Row) -> str:
    """Say in one line how good a reconstruction is."""
    if row.failure:
        return row.failure
    return "  ".join(text.format(row.metrics[name]) for name, text in SHOWN if name in row.metrics)
