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

"""A checkpoint of SAM 3D Objects is fine-tuned on captures: targets, loss, files; tiny weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scenes
import torch
from capture_folders import VIEW, write_capture

from sam3d_ros.apps.main import main
from sam3d_ros.errors import ConfigError, TrainingError
from sam3d_ros.nn.flow import FlowConfig
from sam3d_ros.nn.weights import read_weights
from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.files import GEOMETRY_FILE, OCCUPANCY_FILE
from sam3d_ros.objects.geometry_model import GeometryModel
from sam3d_ros.objects.inputs import SceneNormaliser
from sam3d_ros.objects.latents import GeometryLatents
from sam3d_ros.objects.pose import cameras_from_objects, decode_pose
from sam3d_ros.objects.random_weights import tiny_architecture, write_random_weights
from sam3d_ros.objects.weights import load_geometry_stage
from sam3d_ros.structures import Similarity
from sam3d_ros.training.captures.reading import captures_in
from sam3d_ros.training.curves import read_curves
from sam3d_ros.training.presets import preset
from sam3d_ros.training.recipe import OptimiserConfig, StageConfig, TrainingConfig, ValidationConfig
from sam3d_ros.training.released.examples import ExampleConfig, ExampleSource, prepare_examples
from sam3d_ros.training.released.layout_targets import layout_targets, object_from_cube
from sam3d_ros.training.released.parts import learn_only
from sam3d_ros.training.released.saving import write_finetuned
from sam3d_ros.training.released.shape_targets import (
    FitConfig,
    fitted_shapes,
    surface_occupancy,
)
from sam3d_ros.training.released.tuning import WEIGHTS, ReleasedTuning, is_released, tune

QUICK = ExampleConfig(
    image_size=28, fit=FitConfig(num_steps=20), start=FlowConfig(num_steps=2, strength=0.0)
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_weights(tmp_path_factory.mktemp("weights"), tiny_architecture())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_capture(folder / "scene")
    return folder


def test_decoding_the_layout_targets_of_a_pose_gives_the_pose() -> None:
    poses = [
        VIEW @ Similarity(np.eye(3), np.array([0.1, -0.2, 0.05]), 0.13),
        Similarity(VIEW.rotation.T, np.array([0.0, 0.3, 1.7]), 0.4),
    ]
    normaliser = SceneNormaliser(
        scale_m=torch.tensor([0.7, 2.0]), shift_m=torch.tensor([[0.1, 0.2, 0.9], [0.0, 0.0, 0.0]])
    )

    targets = layout_targets(poses, normaliser)
    latents = GeometryLatents(
        torch.zeros(2, 1, 1),
        targets.rotation,
        targets.translation,
        targets.scale,
        torch.zeros(2, 1, 1),
    )

    for pose, again in zip(
        poses, cameras_from_objects(decode_pose(latents, normaliser)), strict=True
    ):
        np.testing.assert_allclose(again.matrix, pose.matrix, atol=1e-5)


def test_a_mesh_fills_the_unit_cube_along_its_largest_side() -> None:
    mesh = scenes.box(0.10, 0.06, 0.12)

    cube = mesh.transformed(object_from_cube(mesh).inverse())

    np.testing.assert_allclose(cube.vertices.max(axis=0), [0.5 / 1.2, 0.25, 0.5], atol=1e-6)
    np.testing.assert_allclose(cube.vertices.min(axis=0), [-0.5 / 1.2, -0.25, -0.5], atol=1e-6)


def test_occupied_is_where_the_surface_passes_and_not_what_it_encloses() -> None:
    mesh = scenes.box(1.0, 1.0, 0.55)

    occupied = surface_occupancy(mesh.transformed(object_from_cube(mesh).inverse()), 16)

    assert occupied[0].sum() == 16 * 10  # a wall, over y and z
    assert occupied[8, 8].nonzero()[:, 0].tolist() == [3, 12]  # bottom and top alone
    assert not occupied[:, :, :3].any()


def test_the_fitted_latent_decodes_to_the_shape_and_the_decoder_stays_as_it_was(
    weights: Path,
) -> None:
    stage = load_geometry_stage(weights, tiny_architecture(), device="cpu", dtype=torch.float32)
    before = {name: value.clone() for name, value in stage.occupancy.state_dict().items()}
    known = torch.full((1, 8, 8, 8, 8), -4.0)  # the first channel decides, see random_weights
    known[:, 2:6, 2:5, 1:6] = 4.0
    occupied = stage.occupancy(known.reshape(1, 8**3, 8)) > 0

    start = torch.zeros(1, 8**3, 8)
    config = FitConfig(num_steps=60, learning_rate=0.3)
    fitted = fitted_shapes(stage.occupancy, occupied, start, config)

    assert 0.01 < float(occupied.float().mean()) < 0.3
    assert float(fitted.iou[0]) > 0.55  # of a random decoder, on which descent is slow
    assert all(torch.equal(before[k], v) for k, v in stage.occupancy.state_dict().items())


@pytest.mark.parametrize(("part", "learns"), [("layout", False), ("attention", True)])
def test_only_the_named_part_learns(part: str, learns: bool) -> None:
    model = GeometryModel(tiny_architecture().geometry)

    num = learn_only(model, part)

    learning = {name for name, each in model.named_parameters() if each.requires_grad}
    assert 0 < num < sum(each.numel() for each in model.parameters())
    assert ("blocks.0.cross_attn.shape.to_out.weight" in learning) is learns
    assert ("latent_mapping.scale.out_layer.weight" in learning) is not learns


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="part must be one of all, layout, attention, got 'head'"):
        learn_only(GeometryModel(tiny_architecture().geometry), "head")


def test_examples_are_made_once_and_only_in_one_way(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    stage = load_geometry_stage(weights, tiny_architecture(), device="cpu", dtype=torch.float32)

    (path,) = prepare_examples(captures_in(data), stage, tmp_path, QUICK)
    written = path.stat().st_mtime_ns
    prepare_examples(captures_in(data), stage, tmp_path, QUICK)

    assert path.stat().st_mtime_ns == written
    batch = ExampleSource([path], torch.device("cpu"), 0).batch(0, 3)
    assert batch.tokens.shape[0] == len(batch.latents.shape) == 3
    other = replace(QUICK, fit=FitConfig(num_steps=21))
    with pytest.raises(TrainingError, match=r"examples\.json says.*another way"):
        prepare_examples(captures_in(data), stage, tmp_path, other)


def test_fine_tuning_lowers_the_loss_and_writes_a_folder_that_loads(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    tuning = ReleasedTuning(
        init=weights, data=data, folder=tmp_path, device=torch.device("cpu"), examples=QUICK
    )
    before = load_geometry_stage(
        weights, tiny_architecture(), device="cpu", dtype=torch.float32
    ).geometry.state_dict()

    tune(tuning, _quick_config(60))

    losses = [line["loss"] for line in read_curves(tmp_path / "sft") if line["kind"] == "train"]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    folder = tmp_path / WEIGHTS
    after = load_geometry_stage(
        folder, read_architecture(folder), device="cpu", dtype=torch.float32
    )
    assert not torch.equal(
        after.geometry.state_dict()["blocks.0.mlp.shape.mlp.0.weight"],
        before["blocks.0.mlp.shape.mlp.0.weight"],
    )
    unchanged = load_geometry_stage(
        weights, tiny_architecture(), device="cpu", dtype=torch.float32
    ).geometry.state_dict()
    assert all(torch.equal(unchanged[name], value) for name, value in before.items())


def test_the_new_folder_has_the_official_names_and_all_other_files(
    weights: Path, tmp_path: Path
) -> None:
    stage = load_geometry_stage(weights, tiny_architecture(), device="cpu", dtype=torch.float32)

    folder = write_finetuned(weights, stage.geometry.state_dict(), tmp_path / "new")

    first, second = (read_weights(each / GEOMETRY_FILE).tensors for each in (weights, folder))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    names = {str(path.relative_to(weights)) for path in weights.rglob("*") if path.is_file()}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == names
    assert is_released(folder)
    assert not is_released(tmp_path)


def test_a_checkpoints_subfolder_serves_as_well(weights: Path, tmp_path: Path) -> None:
    nested = tmp_path / "download"
    nested.mkdir()
    (nested / "checkpoints").symlink_to(weights)
    stage = load_geometry_stage(weights, tiny_architecture(), device="cpu", dtype=torch.float32)

    folder = write_finetuned(nested, stage.geometry.state_dict(), tmp_path / "new")

    assert (folder / OCCUPANCY_FILE).is_file()


def test_examples_follow_the_weights_and_the_files_that_they_are_made_of(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    stage = load_geometry_stage(weights, tiny_architecture(), device="cpu", dtype=torch.float32)
    captures = list(captures_in(data))
    (path,) = prepare_examples(captures, stage, tmp_path, QUICK)
    moved = replace(captures[0].camera_from_object, scale=1.01)
    (other,) = prepare_examples(
        [replace(captures[0], camera_from_object=moved)], stage, tmp_path, QUICK
    )
    assert other != path

    with torch.no_grad():
        next(stage.geometry.parameters()).add_(1.0)
    with pytest.raises(TrainingError, match=r"examples\.json says.*other weights"):
        prepare_examples(captures, stage, tmp_path, QUICK)


@pytest.mark.parametrize(
    ("given", "ranks", "message"),
    [(["--ship"], "1", "--ship is for nano"), ([], "2", "say sam3d train without torchrun")],
)
def test_what_only_nano_can_do_is_refused(
    given: list[str],
    ranks: str,
    message: str,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", ranks)
    asked = ["train", "sft", "--init", str(weights), "--data", str(weights), *given]
    assert main(asked) == 1
    assert message in capsys.readouterr().err


def test_the_weights_to_begin_with_are_never_written_over(weights: Path) -> None:
    with pytest.raises(TrainingError, match="write to another folder"):
        write_finetuned(weights, {}, weights)


def _quick_config(steps: int) -> TrainingConfig:
    return replace(
        preset("smoke"),
        sft=StageConfig(
            steps=steps,
            batch_size=4,
            optimiser=OptimiserConfig(learning_rate=1e-2, warmup_steps=2, average_decay=0.9),
        ),
        validation=ValidationConfig(every=0),
        precision="bf16",
        log_every=4,
        prefetch=0,
    )
