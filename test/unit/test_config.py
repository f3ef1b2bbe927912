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

"""Settings know their range, and refuse what lies outside."""

import dataclasses

import pytest

from sam3d_ros.config import (
    DepthConfig,
    MasksConfig,
    MeshConfig,
    NodeConfig,
    PlanningConfig,
    SyncConfig,
    leaves,
    retuned,
)
from sam3d_ros.errors import ConfigError


def test_every_setting_has_a_description_and_a_default_inside_its_limits() -> None:
    for name, value, limits in leaves(NodeConfig()):
        assert limits.description, name
        limits.check(name, value)


def test_a_value_out_of_range_is_refused_with_the_range() -> None:
    with pytest.raises(ConfigError, match=r"slop must be within \[0, 1\], got 7\.0"):
        SyncConfig(slop=7.0)


def test_an_unknown_choice_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"mode must be one of label_image.*, got 'polygon'"):
        MasksConfig(mode="polygon")


def test_replacing_a_setting_checks_it_again() -> None:
    with pytest.raises(ConfigError, match="min_pixels"):
        dataclasses.replace(MasksConfig(), min_pixels=0)


def test_names_of_settings_are_unique() -> None:
    names = [name for name, _, _ in leaves(NodeConfig())]
    assert len(names) == len(set(names))


def test_retuning_changes_the_leaves_that_are_named_and_no_others() -> None:
    changes = {"output_frame": "map", "sync.slop": 0.1, "sync.timeout": 2.0}
    before = {name: value for name, value, _ in leaves(NodeConfig())}
    after = {name: value for name, value, _ in leaves(retuned(NodeConfig(), changes))}
    assert after == {**before, **changes}


def test_retuning_checks_what_it_changes() -> None:
    with pytest.raises(ConfigError, match=r"slop must be within \[0, 1\], got 7\.0"):
        retuned(NodeConfig(), {"sync.slop": 7.0})


@pytest.mark.parametrize(("nearest_m", "farthest_m"), [(20.0, 10.0), (0.5, 0.5)])
def test_a_range_of_depth_without_any_is_refused(nearest_m: float, farthest_m: float) -> None:
    with pytest.raises(ConfigError, match=rf"depth\.min \({nearest_m:g} m\) must be below"):
        DepthConfig(min=nearest_m, max=farthest_m)


def test_a_range_of_depth_may_move_as_a_whole() -> None:
    config = retuned(NodeConfig(), {"depth.min": 20.0, "depth.max": 30.0})
    assert (config.depth.min, config.depth.max) == (20.0, 30.0)


@pytest.mark.parametrize("formats", [(), ("glb", "fbx"), "glb", ["GLB"], 3])
def test_a_list_of_choices_is_refused_unless_it_holds_some_and_no_others(formats: object) -> None:
    with pytest.raises(ConfigError, match=r"formats must be a list of one or more of glb, ply"):
        MeshConfig(formats=formats)  # type: ignore[arg-type]  # what a file may say


def test_a_list_of_choices_keeps_its_order() -> None:
    assert MeshConfig(formats=("stl", "glb")).formats == ("stl", "glb")


def test_frames_have_no_leading_slash_however_they_are_given() -> None:
    config = NodeConfig(
        output_frame="/odom",
        gravity_frame="robot1/base_link",
        planning=PlanningConfig(frame="/robot1/base_link"),
    )
    assert config.output_frame == "odom"
    assert config.gravity_frame == config.planning.frame == "robot1/base_link"
    assert retuned(config, {"gravity_frame": "/map"}).gravity_frame == "map"
    frames = {name for name, _, limits in leaves(NodeConfig()) if limits.is_frame}
    assert frames == {"output_frame", "gravity_frame", "planning.frame"}
