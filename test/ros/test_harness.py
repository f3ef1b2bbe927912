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


"""The harnesses in small: what ``make fuzz`` and ``make soak`` run for long, for some seconds."""

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("sam3d_ros.msg", reason="needs the built messages")

from sam3d_ros.apps.main import main

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def test_hostile_messages_neither_end_nor_fool_the_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["fuzz", "--messages", "300", "--seconds", "60", "-o", str(tmp_path)])

    shown = capsys.readouterr()
    assert code == 0, shown.err
    found = json.loads((tmp_path / "fuzz.json").read_text())
    assert found["num_hostile"] > 30
    assert found["num_good"] > 0
    assert found["num_transforms"] > 0


def test_objects_come_and_go_and_every_mask_has_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As short as that nothing is warm: memory and latency mean little.
    short = ["--frames", "240", "--hz", "12", "--warm", "160", "--growth", "1", "--slowdown", "20"]

    code = main(["soak", *short, "-o", str(tmp_path)])

    shown = capsys.readouterr()
    assert code == 0, shown.out + shown.err
    assert json.loads((tmp_path / "soak.json").read_text())["followed"] > 0


def test_whoever_is_killed_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["kills", "--times", "3", "--seed", "4", "-o", str(tmp_path)])

    shown = capsys.readouterr()
    assert code == 0, shown.out + shown.err
    assert "3 deaths: 1 x node" in shown.out
