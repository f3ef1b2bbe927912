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

"""A frame of three boxes, and settings with which untrained weights reconstruct them quickly."""

from pathlib import Path

import numpy as np
from scenes import box, camera_from_world, placed, scene

from sam3d_ros.config import ObjectsConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import ObjectReconstruction, Observation

VIEW = camera_from_world(np.radians(35), 0.8, azimuth_rad=0.3)
NUM_STEPS = 2


def three_boxes() -> tuple[Observation, ...]:
    """Return what is seen of boxes on a table, of different sizes and places."""
    solids = [
        placed(box(0.10, 0.10, 0.10), 0.3, (0.0, 0.0, 0.0)),
        placed(box(0.06, 0.08, 0.12), 0.0, (0.2, 0.0, 0.0)),
        placed(box(0.08, 0.08, 0.05), 0.0, (-0.2, 0.05, 0.0)),
    ]
    return observe(scene(solids, VIEW, noise=0.5).frame, SceneConfig()).observations


def config_of(folder: Path, **objects: int | str | bool) -> SceneConfig:
    """Return settings for a CPU, few steps, and weights in a folder."""
    steps = {"stage1_steps": NUM_STEPS, "stage2_steps": NUM_STEPS}
    return SceneConfig(
        device="cpu",
        objects=ObjectsConfig(**{**steps, **objects}),  # type: ignore[arg-type]  # checked there
        weights=WeightsConfig(objects=str(folder)),
    )


def made(outcome: object) -> ObjectReconstruction:
    """Return an outcome that must be an object."""
    assert isinstance(outcome, ObjectReconstruction), outcome
    return outcome


def failed(outcome: object) -> Sam3dError:
    """Return an outcome that must be an error."""
    assert isinstance(outcome, Sam3dError)
    return outcome
