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

"""Objects of generator families that no model learned from, as depth cameras see them.

Training draws from other families, so what is good here was not learned by heart. Of each family
come equally many objects, every one another one and seen once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch

from sam3d_ros.config import MasksConfig
from sam3d_ros.evaluation.datasets import TruthObject
from sam3d_ros.geometry.depth import unproject
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.scene.masks import object_pixels, without_support
from sam3d_ros.structures import (
    Camera,
    InstanceMask,
    Mesh,
    Observation,
    ScaleSource,
    Similarity,
    SupportPlane,
)
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.scenes.pool import PoolSize
from sam3d_ros.training.scenes.recipes import RECIPES
from sam3d_ros.training.scenes.source import ProceduralSource, SampleSize
from sam3d_ros.training.shapes import HELD_OUT_FAMILIES, Shape, gridded, shape_of
from sam3d_ros.training.shapes.grids import SIDE

RECIPE = "full_sensor"  # the hardest: noise, errors of masks and planes, neighbours, occluders
BATCH = 8
SIZE = SampleSize(pool=PoolSize(group=BATCH, window=3, views=1))  # hardly any object comes twice
TRUTH_CELLS = 128  # along each axis of the true mesh's grid
GREY = 150


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FamilyObject:
    """One object of a family as one camera saw it, and what it truly is."""

    family: str
    observation: Observation
    truth: TruthObject


def family_objects(
    num: int,
    seed: int,
    recipe: str = RECIPE,
    families: Mapping[str, float] = HELD_OUT_FAMILIES,
    size: SampleSize = SIZE,
) -> Iterator[FamilyObject]:
    """Yield ``num`` objects, of each family equally many; a function of its arguments.

    Args:
        num: Of objects.
        seed: Of objects, scenes, cameras and their errors.
        recipe: Name of the recipe of the scenes.
        families: Of objects, of their neighbours and occluders.
        size: Of the samples; more shapes at hand take longer to begin.
    """
    left = {
        family: num // len(families) + (index < num % len(families))
        for index, family in enumerate(families)
    }
    source = ProceduralSource(RECIPES[recipe], seed, "cpu", dict.fromkeys(families, 1.0), size)
    known: set[tuple[str, int]] = set()
    for step in count():
        if not any(left.values()):
            return
        batch = source.batch(step, BATCH)
        for index, name in enumerate(zip(batch.families, batch.seeds, strict=True)):
            if name not in known and left[name[0]]:
                known.add(name)
                left[name[0]] -= 1
                yield _family_object(*name, batch, index)


def _family_object(family: str, shape_seed: int, batch: TrainingBatch, index: int) -> FamilyObject:
    observation = observation_of(batch, index)
    truth = TruthObject(
        instance_id=observation.instance.instance_id,
        name=observation.instance.class_id,
        mask_path=Path(),
        mask=observation.silhouette,
        mesh=true_mesh(shape_of(family, shape_seed)),
        camera_from_object=camera_from_object(batch, index),
    )
    return FamilyObject(family=family, observation=observation, truth=truth)


def true_mesh(shape: Shape) -> Mesh:
    """Return the surface of a procedural object in its own frame, in metres."""
    grids = gridded([shape], TRUTH_CELLS, torch.device("cpu"))
    field = grids.distance[0].numpy().astype(np.float64)
    step = SIDE / TRUTH_CELLS
    vertices, triangles = isosurface(field, step)
    vertices = (vertices + step / 2 - SIDE / 2) * float(grids.largest_m[0])
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=np.full((len(vertices), 3), GREY, dtype=np.uint8),
        observed=np.ones(len(vertices), dtype=np.float32),
    )


def camera_from_object(batch: TrainingBatch, index: int) -> Similarity:
    """Return where the object of a sample stands; its frame is that of its family, in metres."""
    box = batch.box
    box_rotation = box.rotation[index].double().numpy()
    side_m = float(box.side_m[index])
    rotation = box_rotation @ batch.box_rotation_object[index].double().numpy()
    centre = batch.box_centre_object[index].double().numpy()
    return Similarity(
        rotation, box_rotation @ centre * side_m + box.centre_m[index].double().numpy()
    )


def observation_of(batch: TrainingBatch, index: int) -> Observation:
    """Return a sample of a batch as ``scene.observe`` returns what a camera saw."""
    view, family, seed = batch.view, batch.families[index], batch.seeds[index]
    depth_m = view.depth_m[index].numpy()
    silhouette = view.mask[index].numpy()
    matrix = view.matrix_px[index].double().numpy()
    camera = Camera(width=depth_m.shape[1], height=depth_m.shape[0], matrix_px=matrix)
    points = unproject(depth_m, camera)
    plane = view.plane[index].double().numpy()
    support = None
    if plane[:3].any():
        support = SupportPlane(normal_camera=plane[:3], offset_m=float(plane[3]), confidence=1.0)
    mask = object_pixels(points, silhouette, MasksConfig().erode_px)
    instance = InstanceMask(instance_id=1, mask=silhouette, class_id=f"{family} {seed}")
    return Observation(
        instance=instance,
        rgb=batch.rgb[index].permute(1, 2, 0).numpy(),
        mask=without_support(mask, silhouette, points, support),
        silhouette=silhouette,
        points_camera=points,
        camera=camera,
        others=np.zeros_like(silhouette),
        support=support,
        up_camera=view.up[index].double().numpy(),
        scale_source=ScaleSource.DEPTH,
    )
