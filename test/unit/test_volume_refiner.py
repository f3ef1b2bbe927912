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

"""nano's second stage: what it may change, what it must leave, and how weights come with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from three_boxes import made, three_boxes
from torch import Tensor

from sam3d_ros.config import SceneConfig, WeightsConfig
from sam3d_ros.errors import WeightsError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.objects.files import ARCHITECTURE_FILE
from sam3d_ros.objects.pipeline import Reconstructor
from sam3d_ros.objects.samples import Sample, View
from sam3d_ros.objects.volume.architecture import RefinerConfig
from sam3d_ros.objects.volume.features import MIRRORED, NUM_CHANNELS, mirrored
from sam3d_ros.objects.volume.loading import load_nano
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.objects.volume.random_weights import (
    random_nano,
    tiny_volume_architecture,
    write_random_nano,
)
from sam3d_ros.objects.volume.stage import VolumeStage

CPU = torch.device("cpu")
SMALL = RefinerConfig(channels=(8, 16, 16), num_blocks=(0, 1, 1))
WITH_REFINER = replace(tiny_volume_architecture(), refiner=SMALL)


def opinionated(seed: int = 0) -> NanoModel:
    """Return a model whose second stage changes something."""
    model = random_nano(seed, WITH_REFINER)
    assert model.refiner is not None
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(model.refiner.out.weight, 0.0, 0.3, generator=generator)
    return model


def drawn(*size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0


@pytest.fixture
def distance() -> Tensor:
    return drawn(2, 32, 32, 32)


@pytest.fixture
def features() -> Tensor:
    return drawn(2, NUM_CHANNELS, 32, 32, 32)


def test_before_it_has_learned_it_changes_nothing(distance: Tensor, features: Tensor) -> None:
    assert torch.equal(random_nano(0, WITH_REFINER).refined(distance, features), distance)
    assert torch.equal(random_nano(0).refined(distance, features), distance)  # there is none


def test_its_answer_depends_on_the_first_one_and_on_every_channel(
    distance: Tensor, features: Tensor
) -> None:
    model = opinionated()
    answer = model.refined(distance, features)
    assert answer.shape == distance.shape
    assert not torch.allclose(answer, distance)
    correction = model.refined(-distance, features) + distance
    assert not torch.allclose(correction, answer - distance)
    for channel in range(NUM_CHANNELS):
        other = features.clone()
        other[:, channel] *= 0.5
        assert not torch.allclose(model.refined(distance, other), answer), channel


def test_samples_of_a_batch_do_not_see_each_other(distance: Tensor, features: Tensor) -> None:
    model = opinionated()
    together = model.refined(distance, features)
    for index in range(2):
        alone = model.refined(distance[index : index + 1], features[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone)


def test_in_half_precision_distances_keep_theirs(distance: Tensor, features: Tensor) -> None:
    model = opinionated()
    whole = model.refined(distance, features)
    half = model.with_inner_dtype(torch.bfloat16).refined(distance, features)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, atol=0.05, rtol=0.05)


@torch.no_grad()
def test_a_view_and_its_mirror_image_get_mirrored_answers() -> None:
    model = opinionated()
    stage = VolumeStage(model, FlowConfig(num_steps=1, strength=0.0), CPU)
    view = View(observation=three_boxes()[0])
    sample = Sample(view=view, seed=3)
    stage.prepare([view])
    stage.embed([view])
    stage.sample([sample], lambda: False)
    stage.decode([sample])
    seen = sample.distance

    view.features = mirrored(view.features)
    sample.latents, sample.mirrored = sample.mirrored, sample.latents
    stage.decode([sample])
    torch.testing.assert_close(sample.distance, seen.flip(MIRRORED), atol=1e-5, rtol=0)


def test_weights_say_themselves_whether_they_have_it(tmp_path: Path) -> None:
    for name, architecture in (("with", WITH_REFINER), ("without", tiny_volume_architecture())):
        folder = write_random_nano(tmp_path / name, architecture=architecture)
        loaded = load_nano(folder, device="cpu", dtype=torch.float32)
        assert loaded.architecture == architecture
        assert (loaded.refiner is not None) == (name == "with")


def test_weights_that_lack_what_they_state_are_refused(tmp_path: Path) -> None:
    folder = write_random_nano(tmp_path, architecture=tiny_volume_architecture())
    path = folder / ARCHITECTURE_FILE
    stated = json.loads(path.read_text())
    path.write_text(json.dumps(stated | {"refiner": {"channels": [8, 16, 16]}}))
    with pytest.raises(WeightsError, match=r"refiner\."):
        load_nano(folder, device="cpu", dtype=torch.float32)


def test_the_pipeline_hands_out_what_the_second_stage_answers(tmp_path: Path) -> None:
    """A second stage that adds one truncation everywhere leaves no object."""
    architecture = WITH_REFINER
    folder = write_random_nano(tmp_path, architecture=architecture)
    config = SceneConfig(device="cpu", precision="fp32", weights=WeightsConfig(nano=str(folder)))
    observation = three_boxes()[0]
    before = made(Reconstructor.load_nano(config).reconstruct([observation])[0])
    reconstructor = Reconstructor.load_nano(config)
    first = reconstructor._stages.first
    assert isinstance(first, VolumeStage)
    first.decoders[1].get_parameter("out.bias").fill_(0.3)
    after = made(reconstructor.reconstruct([observation])[0])
    assert after.camera_from_object.scale < before.camera_from_object.scale
