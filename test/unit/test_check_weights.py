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


"""``sam3d check --weights``: what is there, whether it fits, and how to get the rest."""

from pathlib import Path

import pytest
import torch
from releases import TINY, line_of, released_shapes, write_release

from sam3d_ros.apps import check
from sam3d_ros.apps.check_weights import report_weights
from sam3d_ros.apps.main import main
from sam3d_ros.objects.architecture import ObjectsArchitecture
from sam3d_ros.objects.architecture_file import write_architecture

Captured = pytest.CaptureFixture[str]
GENERATOR, DECODER, DEPTH = (
    "checkpoints/ss_generator.ckpt",
    "checkpoints/ss_decoder.ckpt",
    "moge-vitl/model.pt",
)

SECOND_STAGE = (
    "checkpoints/slat_generator.ckpt",
    "checkpoints/slat_decoder_mesh.ckpt",
    "checkpoints/slat_decoder_gs.ckpt",
    "checkpoints/slat_decoder_gs_4.ckpt",
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release")


def test_a_complete_release_is_ready_and_says_what_it_holds(
    release: Path, capsys: Captured
) -> None:
    assert report_weights(release, TINY) == 0

    text = capsys.readouterr().out
    assert "tensors of float32, fits: condition embedder" in line_of(text, "ss_generator.ckpt")
    assert "tensors of float16, fits: occupancy decoder" in line_of(text, "ss_decoder.ckpt")
    assert "ready: coarse shape and pose" in line_of(text, "sam3d, first stage")
    for result in ("... full mesh", "... splats", "... fewer splats", "without depth"):
        assert " ready: " in line_of(text, result)
    assert "hf download" not in text


def test_files_are_compared_with_the_sizes_that_their_folder_states(
    release: Path, capsys: Captured
) -> None:
    assert main(["check", "--weights", str(release)]) == 1
    assert "fit" in line_of(capsys.readouterr().out, "ss_decoder.ckpt")

    write_architecture(TINY, release)

    assert main(["check", "--weights", str(release)]) == 0


def test_a_folder_that_states_no_sizes_is_refused_in_one_sentence(
    release: Path, capsys: Captured
) -> None:
    (release / "architecture.json").write_text('{"geometry": {"dime": 3}}')

    assert main(["check", "--weights", str(release)]) == 1

    assert "architecture.geometry has no dime, expected some of" in capsys.readouterr().err


def test_an_empty_folder_names_every_file_and_the_commands_that_fetch_it(
    tmp_path: Path, capsys: Captured
) -> None:
    assert main(["check", "--weights", str(tmp_path)]) == 1

    text = capsys.readouterr().out
    assert text.count("missing:") == 7
    assert "(optional)" in line_of(text, "moge-vitl/model.pt")
    assert "needs ss_generator.ckpt, ss_decoder.ckpt" in line_of(text, "sam3d, first stage")
    assert line_of(text, "... full mesh").endswith("slat_generator.ckpt, slat_decoder_mesh.ckpt")
    assert line_of(text, "... splats").endswith("slat_generator.ckpt, slat_decoder_gs.ckpt")
    assert "gated: ask for access on https://huggingface.co/facebook/sam-3d-objects" in text
    assert "hf auth login" in text
    assert line_of(text, "hf download facebook/sam-3d-objects").split() == [
        *("hf", "download", "facebook/sam-3d-objects", GENERATOR, DECODER, *SECOND_STAGE),
        *("--local-dir", str(tmp_path)),
    ]
    assert line_of(text, "hf download Ruicheng").split() == [
        *("hf", "download", "Ruicheng/moge-vitl", "model.pt"),
        *("--local-dir", f"{tmp_path}/moge-vitl"),
    ]


def test_a_folder_that_is_not_there_says_so(tmp_path: Path, capsys: Captured) -> None:
    assert report_weights(tmp_path / "my weights") == 1

    text = capsys.readouterr().out
    assert "which is no folder" in text
    assert f"--local-dir '{tmp_path}/my weights'" in text


def test_the_depth_model_is_not_needed(release: Path, capsys: Captured) -> None:
    (release / DEPTH).unlink()

    assert report_weights(release, TINY) == 0

    text = capsys.readouterr().out
    assert "NOT ready, needs moge-vitl/model.pt" in line_of(text, "without depth")
    assert "facebook" not in text


def test_full_meshes_and_splats_are_not_needed(release: Path, capsys: Captured) -> None:
    for name in SECOND_STAGE:
        (release / name).unlink()

    assert report_weights(release, TINY) == 0

    text = capsys.readouterr().out
    assert "NOT ready, needs slat_generator.ckpt, slat_d" in line_of(text, "... full mesh")
    assert "ready: both backends" in line_of(text, "without depth")


def test_a_truncated_file_is_not_usable_and_fetched_again(release: Path, capsys: Captured) -> None:
    content = (release / DECODER).read_bytes()
    (release / DECODER).write_bytes(content[:-100])

    assert report_weights(release, TINY) == 1

    text = capsys.readouterr().out
    line = line_of(text, "ss_decoder.ckpt")
    assert "NOT usable" in line
    assert "cut short or damaged" in line
    assert line_of(text, "hf download facebook").endswith("--force-download")


def test_a_download_replaces_a_damaged_file_that_lies_in_the_folder_itself(release: Path) -> None:
    downloaded, damaged = release / DECODER, release / "ss_decoder.ckpt"
    downloaded.rename(damaged)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-100])
    assert report_weights(release, TINY) == 1

    downloaded.write_bytes(content)

    assert report_weights(release, TINY) == 0


def test_a_file_of_another_size_names_what_does_not_fit(release: Path, capsys: Captured) -> None:
    content = torch.load(release / DEPTH)
    content["model"]["backbone.cls_token"] = torch.zeros(1, 1, 5)
    torch.save(content, release / DEPTH)

    assert report_weights(release, TINY) == 0

    line = line_of(capsys.readouterr().out, "moge-vitl/model.pt")
    assert "backbone.cls_token must be (1, 1, 32), got (1, 1, 5)" in line


def test_files_of_the_released_sizes_fit(tmp_path: Path, capsys: Captured) -> None:
    write_release(tmp_path / "release", ObjectsArchitecture(), released_shapes)

    assert main(["check", "--weights", str(tmp_path / "release")]) == 0

    text = capsys.readouterr().out
    assert "1667 tensors" in line_of(text, "ss_generator.ckpt")
    assert "74 tensors" in line_of(text, "ss_decoder.ckpt")
    assert "1225 tensors" in line_of(text, "slat_generator.ckpt")
    assert "120 tensors" in line_of(text, "slat_decoder_mesh.ckpt")
    assert "101 tensors" in line_of(text, "slat_decoder_gs.ckpt")
    assert "101 tensors" in line_of(text, "slat_decoder_gs_4.ckpt")
    assert "421 tensors" in line_of(text, "moge-vitl/model.pt")


def test_values_are_not_looked_at(release: Path) -> None:
    content = torch.load(release / DECODER)
    content["input_layer.bias"].fill_(torch.nan)
    torch.save(content, release / DECODER)

    assert report_weights(release, TINY) == 0


def test_without_torch_weights_cannot_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(check, "is_installed", lambda name: name != "torch")

    assert main(["check", "--weights", str(tmp_path)]) == 1

    assert "torch not installed" in capsys.readouterr().out
