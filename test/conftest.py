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

"""What all tests share: where the public captures lie, when they are there."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

# Where ROS is installed, plugins of launch make loggers that keep their records to themselves.
logging.setLoggerClass(logging.Logger)

from sam3d_ros.structures import Camera, Mesh  # noqa: E402  # after the line above

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SAM3D_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of captures beside the repository, or skip."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"public captures not found in {folder}; set SAM3D_SHARED to their parent")
    return folder


@pytest.fixture(scope="session")
def vga() -> Camera:
    """Return an ideal 640x480 camera."""
    matrix = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
    return Camera(width=640, height=480, matrix_px=matrix)


@pytest.fixture(scope="session")
def make_box() -> Callable[..., Mesh]:
    """Return a maker of grey boxes with given extents in metres, centred at the origin."""

    def make(*extents: float) -> Mesh:
        box = trimesh.creation.box(extents=extents)
        num = len(box.vertices)
        return Mesh(
            vertices=box.vertices.astype(np.float32),
            triangles=box.faces.astype(np.int32),
            colors=np.full((num, 3), 128, dtype=np.uint8),
            observed=np.ones(num, dtype=np.float32),
        )

    return make
