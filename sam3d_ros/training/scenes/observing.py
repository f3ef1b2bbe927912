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


"""Single samples as every other backend and the evaluation know them: observation and true mesh."""

import numpy as np
import torch

from sam3d_ros.geometry.depth import unproject
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.scene.margins import without_margin
from sam3d_ros.scene.masks import object_pixels, without_support
from sam3d_ros.structures import (
    Camera,
    Floats,
    InstanceMask,
    Mesh,
    Observation,
    ScaleSource,
    Similarity,
    SupportPlane,
)
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.scenes.atlas import HALF, Atlas
from sam3d_ros.training.scenes.knowledge import UNKNOWN_UP
from sam3d_ros.training.shapes import Shape, gridded, shape_of

ERODE_PX = 1  # of masks, as configured for captures
TRUTH_RESOLUTION = 128


def observation_of(batch: TrainingBatch, index: int) -> Observation:
    """Return what one sample shows, prepared as ``scene.observe`` prepares captures."""
    view = batch.view
    depth_m = view.depth_m[index].cpu().numpy()
    given = view.mask[index].cpu().numpy()
    camera = Camera(
        width=depth_m.shape[1],
        height=depth_m.shape[0],
        matrix_px=view.matrix_px[index].double().cpu().numpy(),
    )
    points_camera = unproject(depth_m, camera)
    support = _support(view.plane[index].double().cpu().numpy())
    mask = object_pixels(points_camera, given, ERODE_PX)
    mask = without_support(mask, given, points_camera, support)
    return Observation(
        instance=InstanceMask(instance_id=index + 1, mask=given, class_id=batch.families[index]),
        rgb=batch.rgb[index].permute(1, 2, 0).cpu().numpy(),
        mask=mask,
        silhouette=without_margin(given, mask, points_camera, support),
        points_camera=points_camera,
        camera=camera,
        others=np.zeros_like(given),
        support=support,
        up_camera=_known_up(view.up[index].double().cpu().numpy()),
        scale_source=ScaleSource.DEPTH,
    )


def truth_mesh(batch: TrainingBatch, index: int) -> Mesh:
    """Return the whole true surface of a procedural sample, where it stands in the camera frame."""
    shape = shape_of(batch.families[index], batch.seeds[index])
    return surface_of(shape).transformed(camera_from_object(batch, index))


def camera_from_object(batch: TrainingBatch, index: int) -> Similarity:
    """Return where the object of a sample stands; in its own frame it is in metres, around 0."""
    rotation = _array(batch.box.rotation, index)
    centre_m = _array(batch.box_centre_object, index) * float(batch.box.side_m[index])
    return Similarity(
        rotation @ _array(batch.box_rotation_object, index),
        rotation @ centre_m + _array(batch.box.centre_m, index),
    )


def surface_of(shape: Shape) -> Mesh:
    """Return the surface of a procedural object in metres, the middle of its bounds at 0."""
    grids = gridded([shape], TRUTH_RESOLUTION, torch.device("cpu"))
    step = 2 * HALF / TRUTH_RESOLUTION
    vertices, triangles = isosurface(grids.distance[0].numpy().astype(np.float64), step)
    vertices = vertices + step / 2 - HALF
    points = torch.from_numpy(vertices).float()
    colors = Atlas(grids.colors[0]).at(torch.zeros(len(points), dtype=torch.long), points)
    return Mesh(
        vertices=(vertices * float(grids.largest_m[0])).astype(np.float32),
        triangles=np.asarray(triangles).astype(np.int32),
        colors=(255.0 * colors.T).round().byte().numpy(),
        observed=np.zeros(len(vertices), dtype=np.float32),
    )


def _support(plane: Floats) -> SupportPlane | None:
    if not plane.any():
        return None
    return SupportPlane(normal_camera=plane[:3], offset_m=float(plane[3]), confidence=1.0)


def _known_up(up: Floats) -> Floats | None:
    return None if np.allclose(up, UNKNOWN_UP, atol=1e-6) else up


def _array(values: torch.Tensor, index: int) -> Floats:
    array: Floats = values[index].double().cpu().numpy()
    return array
