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

"""Contact sheets of candidates, for a person who chooses the best and the worst."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.apps.drawing import (
    beside,
    blank,
    fitted,
    outlined,
    stacked,
    with_text,
    write_image,
)
from sam3d_ros.apps.shading import VIEWS, shaded, viewpoints
from sam3d_ros.geometry.meshes import isosurface
from sam3d_ros.objects.volume.box import points_in_camera
from sam3d_ros.objects.volume.model import NanoModel
from sam3d_ros.objects.volume.view import VolumeBox
from sam3d_ros.structures import Bools, Bytes, Floats, Mesh
from sam3d_ros.training.engine.choices import ChosenPair
from sam3d_ros.training.engine.store import JudgedPart
from sam3d_ros.training.objectives import decoded

CELL_PX = 200
GAP_PX = 8
LINE_PX = 26
TEXT_PX = 12.0
GREY = 170
MASK_COLOR = (220, 60, 40)
PAD = 2  # empty voxels around a box, so that every body closes


@torch.no_grad()
def write_sheets(
    part: JudgedPart, model: NanoModel, judged: Mapping[str, ChosenPair], folder: Path
) -> None:
    """Write one picture per case: what the camera saw, and each candidate from three sides."""
    num = part.scores.shape[1]
    for index, case in enumerate(part.ids):
        samples = slice(index * num, (index + 1) * num)
        distance = decoded(model, part.latents[samples].shape)
        meshes = [body_mesh(each, part.box[index : index + 1]) for each in distance]
        columns = [_seen(part, index), *_columns(part, index, meshes, judged.get(case))]
        pictures = beside(columns, GAP_PX)
        title = _line(f"{case}  {part.names[index]}", pictures.shape[1])
        write_image(stacked([title, pictures]), folder / f"{case}.png")


def body_mesh(distance: Tensor, box: VolumeBox) -> Mesh | None:
    """Return the surface of a body ``(R, R, R)`` in the camera; None where there is no body."""
    resolution = len(distance)
    field = np.pad(distance.cpu().numpy().astype(np.float32), PAD, constant_values=1.0)
    if not (field < 0).any():
        return None
    vertices, triangles = isosurface(field, 1.0)
    unit = torch.from_numpy((vertices - PAD + 0.5) / resolution - 0.5).float()
    camera: Floats = points_in_camera(box, unit.to(box.side_m.device))[0].cpu().numpy()
    return Mesh(
        vertices=camera.astype(np.float32),
        triangles=triangles.astype(np.int32),
        colors=np.full((len(camera), 3), GREY, dtype=np.uint8),
        observed=np.ones(len(camera), dtype=np.float32),
    )


def _columns(
    part: JudgedPart, index: int, meshes: Sequence[Mesh | None], pair: ChosenPair | None
) -> list[Bytes]:
    """Return one column of pictures per candidate, all from the same sides."""
    known = [mesh for mesh in meshes if mesh is not None]
    points = viewpoints(known, part.view.up[index].numpy()) if known else {}
    columns = []
    for number, mesh in enumerate(meshes):
        cells = [blank(CELL_PX, CELL_PX) for _ in VIEWS]
        if mesh is not None:
            cells = [shaded(mesh, points[view], CELL_PX, plain=True) for view in VIEWS]
        mark = "" if pair is None else {pair.best: "best", pair.worst: "worst"}.get(number, "")
        heading = f"{number}   {float(part.scores[index, number]):.2f}   {mark}"
        columns.append(stacked([_line(heading, CELL_PX), *cells]))
    return columns


def _seen(part: JudgedPart, index: int) -> Bytes:
    """Return the column of what the camera saw: image and depth with the mask, nearer is paler."""
    rgb = np.ascontiguousarray(part.rgb[index].permute(1, 2, 0).numpy())
    mask, depth_m = part.view.mask[index].numpy(), part.view.depth_m[index].numpy()
    known_m = depth_m[mask & np.isfinite(depth_m)]
    near_m, far_m = known_m.min(), known_m.max()
    share = (far_m - depth_m) / max(float(far_m - near_m), 1e-6)
    grey = (55 + 200 * np.nan_to_num(share, nan=0.0).clip(0.0, 1.0)).astype(np.uint8)
    depth = np.repeat(grey[..., None], 3, axis=-1)
    cells = [_with_outline(image, mask) for image in (rgb, depth)]
    return stacked([_line("image, depth", CELL_PX), *cells, blank(CELL_PX, CELL_PX)])


def _with_outline(image: Bytes, mask: Bools) -> Bytes:
    """Enlarge a crop and draw its mask's outline."""
    factor = max(1, CELL_PX // len(mask))
    large = fitted(image, factor * len(mask), factor * len(mask))
    region = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    return fitted(outlined(large, region, MASK_COLOR, 1), CELL_PX, CELL_PX)


def _line(text: str, width: int) -> Bytes:
    return with_text(blank(width, LINE_PX), text, (2, LINE_PX - 8), TEXT_PX)
