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

"""Embeddings of times and positions, and evenly spread points, are the reference's."""

import pytest
from fixtures import Golden, load_golden

from sam3d_ros.nn.embeddings import TimestepEmbedder, position_embedding, sinusoid
from sam3d_ros.objects.hammersley import hammersley, hammersley_directions


@pytest.fixture(scope="module")
def recorded() -> Golden:
    return load_golden("embeddings")


def test_times_become_the_reference_s_waves(recorded: Golden) -> None:
    recorded.close(sinusoid(recorded.inputs["t"]), "sinusoid")


def test_the_time_embedding_is_the_reference_s(recorded: Golden) -> None:
    embedder = TimestepEmbedder(recorded.config["dim"])
    embedder.load_state_dict(recorded.weights)

    recorded.close(embedder(recorded.inputs["t"]), "t_emb")


def test_positions_become_the_reference_s_waves(recorded: Golden) -> None:
    recorded.close(position_embedding(recorded.inputs["coords"], recorded.config["ape"]), "ape")


def test_hammersley_points_are_the_reference_s(recorded: Golden) -> None:
    recorded.close(hammersley(len(recorded.outputs["hammersley32"])), "hammersley32")


def test_hammersley_directions_are_the_reference_s(recorded: Golden) -> None:
    expected = recorded.outputs["sphere_hammersley"]

    recorded.close(hammersley_directions(len(expected)), "sphere_hammersley")
