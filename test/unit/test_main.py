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

"""The ``sam3d`` command: help, usage, and what is installed."""

import pytest

from sam3d_ros.apps import check
from sam3d_ros.apps.main import COMMANDS, main
from sam3d_ros.apps.processes import PROFILE_VARIABLES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert f"usage: sam3d {command}" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["replay"]], ids=str)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: sam3d" in capsys.readouterr().err


def test_check_says_that_the_core_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert "core ready" in capsys.readouterr().out


def test_check_fails_when_a_module_of_the_core_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "REQUIRED", ("no_such_module",))

    assert main(["check"]) == 1
    assert "no_such_module       missing" in capsys.readouterr().out


@pytest.mark.parametrize("variable", PROFILE_VARIABLES)
def test_check_shows_the_fast_dds_profile_by_whichever_variable_it_is_set(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/etc/profile.xml")

    main(["check"])

    assert "/etc/profile.xml" in capsys.readouterr().out
