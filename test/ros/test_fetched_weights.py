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

"""Weights that the node's process fetches, over DDS, from a stand-in for the hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import Rig, check
from test_failure_table import RealRig, values_of

from sam3d_ros.errors import ReportCode
from sam3d_ros.structures import Mesh

pytestmark = pytest.mark.ros

# Holds every download up until a file is there, then refuses as the hub does without a licence.
GATED_HUB = """
import time
from pathlib import Path
from types import SimpleNamespace

class Gated(Exception):
    pass

class Other(Exception):
    pass

errors = SimpleNamespace(
    GatedRepoError=Gated, RepositoryNotFoundError=Other, HFValidationError=Other,
    LocalEntryNotFoundError=Other, HTTPError=Other,
)

def snapshot_download(repository, *, local_files_only, **_):
    folder = Path(__file__).parent
    (folder / "asked").write_text(f"{repository} {local_files_only}")
    while not (folder / "gate").exists():
        time.sleep(0.01)
    raise Gated(repository)
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a huggingface_hub that the node's processes import, too."""
    (tmp_path / "huggingface_hub.py").write_text(GATED_HUB)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def rig(make_box) -> Iterator[Rig]:  # type: ignore[no-untyped-def]
    parameters = {"objects.backend": "sam3d", "weights.allow_download": True, "device": "cpu"}
    mesh: Mesh = make_box(0.1, 0.1, 0.1)
    rig = RealRig(mesh, parameters)
    yield rig
    rig.close()


def test_weights_are_fetched_while_diagnostics_say_loading_and_a_refusal_says_what_to_do(
    hub: Path, rig: Rig
) -> None:
    rig.start()
    asked = hub / "asked"
    rig.until(lambda: asked.exists() and asked.read_text(), "a download")
    assert asked.read_text() == "facebook/sam-3d-objects False"
    state = rig.diagnostics("processing", lambda _: True)
    assert values_of(state)["state"] == "loading"
    rig.send_frame()
    rig.settle(0.2)
    assert not rig.heard["/report"]
    (hub / "gate").touch()
    check(
        rig.report(),
        ReportCode.NO_WEIGHTS,
        "accept the licence and ask for access on https://huggingface.co/facebook/sam-3d-objects",
        "hf auth login",
    )
    state = rig.diagnostics("processing", lambda each: "NO_WEIGHTS" in each.message)
    assert values_of(state)["state"] == "ready"
