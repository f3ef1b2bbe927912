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

"""The weights of nano that come with the package: small, measured, and of use."""

import json

import numpy as np
import pytest
from scenes import camera_from_world, can, drill, placed, scene

from sam3d_ros.config import ObjectsConfig, SceneConfig
from sam3d_ros.evaluation.metrics import volume_iou
from sam3d_ros.objects.files import NANO_FILE, NANO_FOLDER, PROVENANCE_FILE
from sam3d_ros.objects.provenance import why_not_trusted
from sam3d_ros.scene.backends import make_object_backend, wired_backend
from sam3d_ros.scene.choosing import agreeing
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Mesh, ObjectReconstruction, Observation

MAX_BYTES = 30e6
OBJECTS = {"can": can(0.034, 0.102), "drill": placed(drill(), 0.9, (0, 0, 0))}
VIEW = camera_from_world(0.6, 0.8)


def seen(mesh: Mesh) -> tuple[Observation, Mesh]:
    made = scene([mesh], VIEW, noise=0.5)
    return observe(made.frame, SceneConfig()).observations[0], made.truth_camera[0]


def reconstructed(observation: Observation, backend: str) -> ObjectReconstruction:
    config = SceneConfig(objects=ObjectsConfig(backend=backend))
    chooser = agreeing(make_object_backend(config), config.refine)
    (outcome,) = chooser.reconstruct([observation])
    assert isinstance(outcome, ObjectReconstruction), outcome
    return outcome


def test_they_are_small_and_say_where_they_come_from() -> None:
    assert sum(path.stat().st_size for path in NANO_FOLDER.iterdir()) < MAX_BYTES
    said = json.loads((NANO_FOLDER / PROVENANCE_FILE).read_text())
    assert said["samples"] > 0
    for stage in said["stages"]:
        assert all(len(each["commit"]) == 40 and each["hardware"] for each in stage["origins"])


def test_auto_takes_them() -> None:
    assert (NANO_FOLDER / NANO_FILE).is_file()
    assert not why_not_trusted(NANO_FOLDER)
    assert wired_backend(SceneConfig()).backend.name == "nano+lift"


@pytest.mark.parametrize(("name", "expected"), [("can", "lift"), ("drill", "nano")])
def test_each_object_is_made_by_who_knows_more_of_it(name: str, expected: str) -> None:
    observation, truth = seen(OBJECTS[name])
    best = reconstructed(observation, "auto")
    assert best.provenance.backend == expected
    in_camera = best.mesh_object.transformed(best.camera_from_object)
    assert volume_iou(in_camera, truth) > 0.7


def test_the_same_view_gives_the_same_mesh() -> None:
    observation, _ = seen(OBJECTS["drill"])
    first, second = (reconstructed(observation, "nano") for _ in range(2))
    np.testing.assert_array_equal(first.mesh_object.vertices, second.mesh_object.vertices)
