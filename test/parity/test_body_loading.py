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

"""A folder as it is downloaded, made of recorded weights: what is loaded is what was recorded."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from fixtures import Golden
from torch import Tensor, nn

from sam3d_ros.body.architecture import BackboneKind
from sam3d_ros.body.files import CONFIG_FILE, MODEL_FILE, RIG_FILE
from sam3d_ros.body.rig_tensors import RigTensors
from sam3d_ros.body.weights import load_body, open_body
from sam3d_ros.errors import WeightsError, WeightsMissingError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

FIXTURES = {"body/full_model": BackboneKind.DINOV3, "body/full_model_vith": BackboneKind.VITH}
NOT_RELEASED = ("mask_token", "hand_pose_comps_ori")
BASE_SHAPE = "character_torch.blend_shape.base_shape"


class Scripted(nn.Module):
    """A module with tensors under dotted names; its code is of no use."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        groups = {name.split(".")[0] for name in tensors if "." in name}
        for group in sorted(groups):
            prefix = f"{group}."
            within = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            self.add_module(group, Scripted(within))
        for name, tensor in tensors.items():
            if "." not in name:
                self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """The files of a release, as they may be changed before they are written."""

    folder: Path
    state: dict[str, Tensor]
    settings: dict[str, dict[str, dict[str, object]]]
    rig: dict[str, Tensor]

    def write(self, *, scripted: bool = False) -> Path:
        (self.folder / RIG_FILE).parent.mkdir(parents=True)
        torch.save({"state_dict": self.state}, self.folder / MODEL_FILE)
        (self.folder / CONFIG_FILE).write_text(yaml.safe_dump(self.settings))
        if scripted:  # as the release is; both are read the same way, this takes a second to make
            torch.jit.script(Scripted(self.rig)).save(str(self.folder / RIG_FILE))
        else:
            torch.save(self.rig, self.folder / RIG_FILE)
        return self.folder


@pytest.fixture
def release(golden: Callable[[str], Golden], tmp_path: Path) -> Release:
    return released(golden("body/full_model"), tmp_path)


def released(fixture: Golden, folder: Path) -> Release:
    state = {k: v for k, v in fixture.weights.items() if not k.endswith(NOT_RELEASED)}
    settings = json.loads(json.dumps(fixture.config["model_config"]))
    settings["MODEL"]["BACKBONE"]["HEADS"] = fixture.config["backbone_dims"]["heads"]
    return Release(folder / "release", state, settings, dict(fixture.rig))


@pytest.mark.parametrize("name", FIXTURES)
def test_what_is_loaded_is_what_was_recorded(
    golden: Callable[[str], Golden], tmp_path: Path, name: str
) -> None:
    fixture = golden(name)
    folder = released(fixture, tmp_path).write(scripted=True)

    loaded = load_body(folder, device="cpu", dtype=torch.float32)

    assert loaded.architecture.backbone.kind is FIXTURES[name]
    state = loaded.model.state_dict()
    recorded = {k for k in fixture.weights if not k.endswith(NOT_RELEASED)}
    assert {k for k in state if not k.endswith(NOT_RELEASED)} == recorded
    assert all(torch.equal(state[key], fixture.weights[key]) for key in recorded)
    direct = RigTensors.read(fixture.rig, "fixture")
    torch.testing.assert_close(loaded.rig.surface.skin_weights, direct.surface.skin_weights)
    assert torch.equal(loaded.rig.surface.corrective_offsets, direct.surface.corrective_offsets)


def test_heads_of_dinov3_need_not_be_said(release: Release) -> None:
    num_heads = release.settings["MODEL"]["BACKBONE"].pop("HEADS")

    assert open_body(release.write()).architecture.backbone.num_heads == num_heads


def test_heads_that_the_backbone_cannot_have_are_refused(
    golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    release = released(golden("body/full_model_vith"), tmp_path)
    release.settings["MODEL"]["BACKBONE"]["HEADS"] = (
        1 + release.state["backbone.pos_embed"].shape[2]
    )

    with pytest.raises(WeightsError, match=r"channels must be a multiple of \d+ heads"):
        open_body(release.write())


def test_settings_do_not_say_how_wide_a_backbone_is(release: Release) -> None:
    release.settings["MODEL"]["BACKBONE"]["HEADS"] = 3  # of which 1280 channels are no multiple

    open_body(release.write())


def test_only_the_backbone_is_of_half_precision(release: Release) -> None:
    model = load_body(release.write(), device="cpu", dtype=torch.bfloat16).model

    backbone = {p.dtype for p in model.backbone.parameters()}
    assert backbone == {torch.bfloat16}
    others = {p.dtype for n, p in model.named_parameters() if not n.startswith("backbone.")}
    assert others == {torch.float32}


def test_a_flat_checkpoint_and_one_with_copies_of_the_rig_are_read(
    release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    folder = release.write()
    copies = {f"head_pose.mhr.{name}": tensor for name, tensor in release.rig.items()}
    torch.save(release.state | copies | {"extra.weight": torch.ones(1)}, folder / MODEL_FILE)

    with caplog.at_level(logging.INFO):
        open_body(folder)

    (line,) = caplog.messages
    assert "ignored 1 tensors" in line
    assert "extra.weight" in line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prompt_to_token.bias", r"1 missing: prompt_to_token\.bias \(\d+,\)"),
        ("backbone.encoder.norm.weight", r"1 missing: backbone\.encoder\.norm\.weight"),
        ("head_pose_hand.scale_mean", r"1 missing: head_pose_hand\.scale_mean"),
    ],
)
def test_a_missing_tensor_is_named(release: Release, name: str, text: str) -> None:
    del release.state[name]

    with pytest.raises(WeightsError, match=text):
        open_body(release.write())


def test_a_rig_with_other_counts_than_the_heads_is_refused(release: Release) -> None:
    num_vertices = len(release.rig[BASE_SHAPE])
    for name in ("head_pose.keypoint_mapping", "head_pose_hand.keypoint_mapping"):
        release.state[name] = release.state[name][:, 1:]

    text = f"heads expect {num_vertices - 1} vertices.*beside it has {num_vertices}"
    with pytest.raises(WeightsError, match=text):
        open_body(release.write())


def test_triangles_beyond_the_vertices_are_refused(release: Release) -> None:
    num_vertices = len(release.rig[BASE_SHAPE])
    release.state["head_pose.faces"][3, 1] = num_vertices

    with pytest.raises(WeightsError, match=f"faces points beyond the {num_vertices} vertices"):
        open_body(release.write())


def test_a_rig_with_too_few_joints_is_refused(release: Release) -> None:
    name = "character_torch.skeleton.joint_parents"
    release.rig[name] = release.rig[name][:-1]

    with pytest.raises(WeightsError, match=r"mhr_model\.pt is not a rig.*joint_parents"):
        open_body(release.write())


def test_turns_of_another_model_are_refused(release: Release) -> None:
    release.state["backbone.encoder.rope_embed.periods"] *= 2

    with pytest.raises(WeightsError, match=r"rope_embed\.periods must be \[1\.0"):
        open_body(release.write())


def test_values_that_half_precision_does_not_hold_are_refused(release: Release) -> None:
    release.state["backbone.encoder.norm.weight"][0] = 1e6

    with pytest.raises(WeightsError, match=r"norm\.weight has values that are not finite"):
        load_body(release.write(), device="cpu", dtype=torch.float16)


@pytest.mark.parametrize("name", [MODEL_FILE, CONFIG_FILE, RIG_FILE])
def test_a_missing_file_is_named(release: Release, name: str) -> None:
    folder = release.write()
    (folder / name).unlink()

    with pytest.raises(WeightsMissingError, match=f"has no {name}; sam3d check --weights"):
        open_body(folder)


def test_settings_may_lie_one_folder_higher(release: Release) -> None:
    folder = release.write()
    (folder / CONFIG_FILE).rename(folder.parent / CONFIG_FILE)

    open_body(folder)
