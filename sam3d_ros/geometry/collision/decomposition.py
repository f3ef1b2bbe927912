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

"""Splitting a mesh into pieces that are nearly convex, by CoACD (MIT; extra ``planning``).

Wei et al., Approximate Convex Decomposition for 3D Meshes with Collision-Aware Concavity and Tree
Search, SIGGRAPH 2022. It looks for cutting planes, so it takes seconds for a mug; it releases the
interpreter lock meanwhile.
"""

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from sam3d_ros.errors import DependencyError, ReconstructionError
from sam3d_ros.geometry.measures import is_watertight
from sam3d_ros.geometry.meshes import decimate
from sam3d_ros.structures import Floats, Mesh

# Costs grow with both; what is lost of the mesh is given back when the pieces are made to cover it.
MAX_TRIANGLES = 1000
SEARCH: dict[str, Any] = {
    "threshold": 0.08,  # concavity that a piece may have, of the size of the mesh
    "resolution": 500,  # samples by which it is measured
    "mcts_nodes": 10,
    "mcts_iterations": 40,
    "mcts_max_depth": 2,
    "seed": 0,
}


def coacd() -> ModuleType:
    """Return the library.

    Raises:
        DependencyError: It is not installed, or does not fit this system.
    """
    try:
        return importlib.import_module("coacd")
    except (ModuleNotFoundError, OSError) as error:
        raise DependencyError(
            f"coacd cannot be had ({error}); pip install coacd, or sam3d_ros[planning]"
        ) from error


def convex_pieces(mesh: Mesh, max_pieces: int) -> list[Floats]:
    """Split a closed mesh; return the corners ``(N, 3)`` of the hull of each piece.

    Raises:
        DependencyError: CoACD is not installed.
        ReconstructionError: The mesh is not closed, or there would be too many pieces.
    """
    library = coacd()
    if not is_watertight(mesh):
        raise ReconstructionError(
            "only a closed mesh can be split into convex pieces, this one has open or doubled edges"
        )
    light = decimate(mesh, MAX_TRIANGLES)
    # Its own remeshing is for meshes that are not closed, and takes longer than all the rest.
    mode = "off" if is_watertight(light) else "on"
    library.set_log_level("error")
    found = library.run_coacd(
        library.Mesh(light.vertices.astype(np.float64), light.triangles),
        max_convex_hull=max_pieces,
        preprocess_mode=mode,
        **SEARCH,
    )
    if not 0 < len(found) <= max_pieces:
        raise ReconstructionError(f"{len(found)} convex pieces, at most {max_pieces} are wanted")
    return [np.asarray(vertices, dtype=np.float64) for vertices, _ in found]
