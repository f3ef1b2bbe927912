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
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from sam3d_ros.evaluation.datasets import TruthObject
from sam3d_ros.structures import Observation
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.scenes.observing import camera_from_object, observation_of, surface_of
from sam3d_ros.training.scenes.pool import PoolSize
from sam3d_ros.training.scenes.recipes import RECIPES
from sam3d_ros.training.scenes.source import ProceduralSource, SampleSize
from sam3d_ros.training.shapes import HELD_OUT_FAMILIES, shape_of

BATCH = 8
SIZE = SampleSize(pool=PoolSize(group=BATCH, window=3, views=1))  # hardly any object comes twice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FamilyObject:
    """One object of a family as one camera saw it, and what it truly is."""

    family: str
    observation: Observation
    truth: TruthObject


def family_objects(
    num: int,
    seed: int,
    recipe: str,
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


def _family_object(family: str, seed: int, batch: TrainingBatch, index: int) -> FamilyObject:
    observation = observation_of(batch, index)
    name = f"{family} {seed}"
    truth = TruthObject(
        instance_id=observation.instance.instance_id,
        name=name,
        mask_path=Path(),  # of no file
        mask=observation.instance.mask,
        mesh=surface_of(shape_of(family, seed)),
        camera_from_object=camera_from_object(batch, index),
    )
    instance = replace(observation.instance, class_id=name)
    observation = replace(observation, instance=instance)
    return FamilyObject(family=family, observation=observation, truth=truth)
