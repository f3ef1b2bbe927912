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

"""Reconstruct every object of a scene with every backend and compare with the truth."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.evaluation.datasets import Scene, TruthObject
from sam3d_ros.evaluation.metrics import compare_shapes, compare_to_view, solidity
from sam3d_ros.evaluation.report import Row
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import (
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    Observation,
    SupportPlane,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluatedObject:
    """One object as every backend reconstructed it."""

    instance: InstanceMask
    truth: TruthObject | None
    reconstructions: dict[str, ObjectReconstruction]  # baked, by backend; without the failed ones
    rows: tuple[Row, ...]
    support: SupportPlane | None = None


def scene_names(folders: Sequence[Path]) -> list[str]:
    """Name each folder by as few of its last path parts as tell all of them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for num in range(1, max((len(path) for path in parts), default=0)):
        names = ["/".join(path[-num:]) for path in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [str(folder) for folder in folders]


def evaluate_scene(
    scene: Scene, backends: Sequence[ObjectBackend], config: SceneConfig
) -> list[EvaluatedObject]:
    """Evaluate every mask of a scene, in the order of the frame; failures become rows, too.

    Raises:
        Sam3dError: When nothing of the frame can be used.
    """
    observed = observe(scene.frame, config)
    observations = {item.instance.instance_id: item for item in observed.observations}
    refusals = {failure.instance_id: failure.message for failure in observed.failures}
    truth = {item.instance_id: item for item in scene.truth}
    evaluated = []
    for instance in scene.frame.masks:
        known = truth.get(instance.instance_id)
        observation = observations.get(instance.instance_id)
        if observation is None:
            why = refusals.get(instance.instance_id, "not observed")
            evaluated.append(_refused(scene.name, instance, known, backends, why))
        else:
            evaluated.append(evaluate_object(scene.name, observation, known, backends))
    return evaluated


def _refused(
    scene_name: str,
    instance: InstanceMask,
    truth: TruthObject | None,
    backends: Sequence[ObjectBackend],
    why: str,
) -> EvaluatedObject:
    rows = tuple(
        Row(scene=scene_name, object_name=instance.class_id, backend=backend.name, failure=why)
        for backend in backends
    )
    return EvaluatedObject(instance=instance, truth=truth, reconstructions={}, rows=rows)


def evaluate_object(
    scene_name: str,
    observation: Observation,
    truth: TruthObject | None,
    backends: Sequence[ObjectBackend],
) -> EvaluatedObject:
    """Let every backend reconstruct one object; failures become rows, too."""
    rows, reconstructions = [], {}
    truth_camera = truth.mesh_camera if truth is not None else None
    for backend in backends:
        row = Row(scene=scene_name, object_name=observation.instance.class_id, backend=backend.name)
        started = time.perf_counter()
        (reconstruction,) = backend.reconstruct([observation])  # alone: seconds are of one object
        seconds = time.perf_counter() - started
        if isinstance(reconstruction, Sam3dError):
            rows.append(replace(row, failure=str(reconstruction)))
            continue
        reconstructions[backend.name] = reconstruction.baked()
        mesh_camera = reconstruction.mesh_object.transformed(reconstruction.camera_from_object)
        metrics = measure(mesh_camera, observation, truth_camera)
        rows.append(replace(row, metrics={**metrics, "seconds": seconds}))
    return EvaluatedObject(
        instance=observation.instance,
        truth=truth,
        reconstructions=reconstructions,
        rows=tuple(rows),
        support=observation.support,
    )


def measure(
    mesh_camera: Mesh, observation: Observation, truth_camera: Mesh | None
) -> dict[str, float]:
    """Return all metrics that can be measured; without a true mesh those of the view alone."""
    metrics: dict[str, float] = asdict(compare_to_view(mesh_camera, observation))
    if truth_camera is not None:
        metrics |= shape_metrics(mesh_camera, truth_camera)
    return metrics


def shape_metrics(mesh_camera: Mesh, truth_camera: Mesh) -> dict[str, float]:
    """Return the metrics of a shape that need no view."""
    metrics: dict[str, float] = asdict(compare_shapes(mesh_camera, truth_camera))
    return {**metrics, "solidity": solidity(truth_camera)}
