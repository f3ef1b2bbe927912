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

"""Made-up releases of SAM 3D Body: small, readable by the loader, and people stand in them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam3d_ros.body.architecture import BackboneKind
from sam3d_ros.body.files import MODEL_FILE
from sam3d_ros.body.pipeline import BodyReconstructor
from sam3d_ros.body.random_weights import (
    TINY_RIG,
    random_body,
    tiny_body_architecture,
    write_random_body,
)
from sam3d_ros.body.weights import load_body
from sam3d_ros.config import SceneConfig, WeightsConfig
from sam3d_ros.structures import BodyReconstruction, Camera, PeopleView, PersonPrompt

BOX = np.array([150.0, 40.0, 310.0, 440.0])


@pytest.fixture(params=list(BackboneKind))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_random_body(tmp_path, tiny_body_architecture(request.param))
    return tmp_path


def reconstructed(folder: Path, camera: Camera) -> BodyReconstruction:
    config = replace(SceneConfig(), weights=WeightsConfig(body=str(folder)), device="cpu")
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    prompt = PersonPrompt(instance_id=1, box_px=BOX)
    view = PeopleView(rgb=noise, camera=camera, people=(prompt,))
    (body,) = BodyReconstructor.load(config).reconstruct(view)
    assert isinstance(body, BodyReconstruction)
    return body


def test_a_person_stands_upright_in_the_box(folder: Path, vga: Camera) -> None:
    body = reconstructed(folder, vga)

    pixels = body.vertices_camera @ vga.matrix_px.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    np.testing.assert_allclose(pixels[:, 1].min(), BOX[1], atol=25)
    np.testing.assert_allclose(pixels[:, 1].max(), BOX[3], atol=25)
    np.testing.assert_allclose(pixels[:, 0].mean(), BOX[[0, 2]].mean(), atol=25)
    nose, ankles = body.keypoints_camera[0], body.keypoints_camera[13:15].mean(axis=0)
    assert 1.3 < ankles[1] - nose[1] < 1.9


def test_hands_are_looked_at_where_they_are(folder: Path, vga: Camera) -> None:
    body = reconstructed(folder, vga)

    assert "right hand" not in " ".join(body.notes)


def test_a_folder_is_small(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5e6


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random_body(tmp_path / name, seed=seed)
        states.append(torch.load(tmp_path / name / MODEL_FILE)["state_dict"])
    first, same, other = states

    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["prompt_to_token.weight"], other["prompt_to_token.weight"])


def test_what_is_written_is_what_is_made_without_files(tmp_path: Path) -> None:
    architecture = write_random_body(tmp_path, seed=3)

    loaded = load_body(tmp_path, device="cpu", dtype=torch.float32)
    made = random_body(
        architecture, TINY_RIG, torch.Generator().manual_seed(3), dtype=torch.float32
    )

    assert loaded.architecture == made.architecture
    expected = made.model.state_dict()
    for name, tensor in loaded.model.state_dict().items():
        if not name.endswith(("mask_token", "hand_pose_comps_ori")):
            assert torch.equal(tensor, expected[name]), name
