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

"""What the demo heard from the node, against what was rendered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.pictures import Pictured
from sam3d_ros.apps.sheets import contact_sheet
from sam3d_ros.errors import DatasetError
from sam3d_ros.evaluation.datasets import Scene, TruthObject
from sam3d_ros.evaluation.files import read_mesh
from sam3d_ros.evaluation.metrics import ShapeMetrics, compare_shapes
from sam3d_ros.geometry.measures import bounds
from sam3d_ros.scene.export import write_json
from sam3d_ros.structures import Floats, Mesh, Similarity

MATCH_DISTANCE_M = 0.1  # farther from every true object is none of them
CM_PER_M = 100.0
FIXED_FRAME = "world"
HEADINGS = (
    "id",
    "object",
    "size, cm",
    "true size, cm",
    "centre, mm",
    "scale",
    "vIoU",
    "F1 10mm",
    "limits",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a result of the demo must keep; looser than what is usual, to catch what is broken.

    vIoU is shown but has no limit: walls of bowls and mugs are hardly thicker than depth noise.
    """

    centre_error_mm: float = 25.0
    scale_error: float = 0.15
    f1_10mm: float = 0.7

    @property
    def text(self) -> str:
        """The limits in one line."""
        return (
            f"limits: centre error <= {self.centre_error_mm:g} mm, |scale - 1| <= "
            f"{self.scale_error:g}, F1 at 10 mm >= {self.f1_10mm:g}"
        )

    def broken_by(self, metrics: ShapeMetrics) -> str:
        """Say which limits a result breaks; empty for none."""
        checks = {
            f"centre error {metrics.centre_error_mm:.1f} mm": (
                metrics.centre_error_mm <= self.centre_error_mm
            ),
            f"scale {metrics.scale_ratio:.2f}": abs(metrics.scale_ratio - 1) <= self.scale_error,
            f"F1 {metrics.f1_10mm:.2f}": metrics.f1_10mm >= self.f1_10mm,
        }
        return ", ".join(text for text, kept in checks.items() if not kept)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """``heard.json`` of the listener with its meshes."""

    values: Mapping[str, Any]
    meshes_world: Mapping[str, Mesh]  # by object id, where they stand

    @classmethod
    def read(cls, folder: Path) -> "Heard":
        """Read what a listener wrote.

        Raises:
            DatasetError: When an object does not stand in the world frame.
        """
        values = json.loads((folder / "heard.json").read_text(encoding="utf-8"))
        meshes = {}
        for known in values["objects"]:
            if known["frame_id"] != FIXED_FRAME:
                raise DatasetError(
                    f"{known['id']} came in frame {known['frame_id']!r}, expected {FIXED_FRAME!r}"
                )
            pose = Similarity.from_matrix(np.array(known["frame_from_object"]))
            meshes[known["id"]] = read_mesh(folder / f"{known['id']}.glb").transformed(pose)
        return cls(values=values, meshes_world=meshes)

    @property
    def objects(self) -> dict[str, Mapping[str, Any]]:
        """Objects of the last list, by id."""
        return {known["id"]: known for known in self.values["objects"]}

    @property
    def text(self) -> str:
        """What came over DDS, in one line."""
        counts = ", ".join(
            f"{topic.rpartition('/')[2]} {count}"
            for topic, count in sorted(self.values["counts"].items())
        )
        latencies = [report["latency_s"] for report in self.values["reports"] if not report["code"]]
        return f"messages heard: {counts}; latency {np.median(latencies):.1f} s (median)"

    def problems(self) -> list[str]:
        """Say what is missing beside the objects themselves."""
        anchored = {marker["frame_id"] for marker in self.values["markers"]}
        problems = [
            f"no marker is anchored in {name}" for name in self.objects if name not in anchored
        ]
        for name in self.objects:
            parent = self.values["tf"].get(name, {}).get("parent")
            if parent != FIXED_FRAME:
                problems.append(f"TF of {name} has parent {parent!r}, expected {FIXED_FRAME!r}")
        open_meshes = [n for n, mesh in self.values["meshes"].items() if not mesh["watertight"]]
        return problems + [f"the mesh of {name} is not closed" for name in open_meshes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One true object and what came back for it."""

    name: str
    object_id: str  # empty when it is missing
    size_m: tuple[float, ...]
    true_size_m: tuple[float, ...]
    metrics: ShapeMetrics | None
    problem: str  # empty when all limits are kept


def compare(heard: Heard, scene: Scene, limits: Limits) -> list[Row]:
    """Find each true object among those heard and measure it in the camera frame of ``scene``."""
    camera_from_world = camera_from_world_of(scene)
    heard_camera = {n: m.transformed(camera_from_world) for n, m in heard.meshes_world.items()}
    matches = matched(heard_camera, scene.truth)
    return [
        _row(truth, matches.get(truth.instance_id, ""), heard, heard_camera, limits)
        for truth in scene.truth
    ]


def table(rows: Sequence[Row]) -> str:
    """Lay out the rows as text."""
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def write_result(output: Path, heard: Heard, scene: Scene, rows: Sequence[Row]) -> Path:
    """Write ``report.json`` and the picture of input, masks and result; return the picture."""
    write_json({"objects": [_row_json(row) for row in rows]}, output / "report.json")
    camera_from_world = camera_from_world_of(scene)
    pictured = [
        _pictured(row, truth, heard, camera_from_world)
        for row, truth in zip(rows, scene.truth, strict=True)
    ]
    up = camera_from_world.rotation @ np.array([0.0, 0.0, 1.0])
    title = "sam3d demo: rendered input, masks, and what came back over ROS 2"
    sheet = contact_sheet(scene.frame.rgb, pictured, scene.frame.camera, title, up)
    write_image(sheet, output / "result.png")
    return output / "result.png"


def _row(
    truth: TruthObject,
    object_id: str,
    heard: Heard,
    heard_camera: Mapping[str, Mesh],
    limits: Limits,
) -> Row:
    assert truth.mesh is not None
    true_camera = true_mesh(truth)
    found = object_id in heard_camera
    metrics = compare_shapes(heard_camera[object_id], true_camera) if found else None
    size = tuple(heard.objects[object_id]["size_m"]) if found else ()
    return Row(
        name=truth.name,
        object_id=object_id,
        size_m=size,
        true_size_m=_comparable(tuple(np.ptp(truth.mesh.vertices, axis=0).tolist()), size),
        metrics=metrics,
        problem="missing" if metrics is None else limits.broken_by(metrics),
    )


def _comparable(true_size_m: tuple[float, ...], size_m: tuple[float, ...]) -> tuple[float, ...]:
    """Turn the true size by a quarter about z where that fits: object frames are free to."""
    x, y, z = true_size_m
    turned = (y, x, z)
    if (
        size_m
        and np.abs(np.subtract(turned, size_m)).sum()
        < np.abs(np.subtract(true_size_m, size_m)).sum()
    ):
        return turned
    return true_size_m


def matched(heard_camera: Mapping[str, Mesh], truth: Sequence[TruthObject]) -> dict[int, str]:
    """Pair true objects with heard ones so that the sum of distances is least."""
    names = list(heard_camera)
    if not names:
        return {}
    heard_centres = np.stack([bounds(heard_camera[name]).mean(axis=0) for name in names])
    true_centres = np.stack([bounds(true_mesh(each)).mean(axis=0) for each in truth])
    distance_m = np.linalg.norm(true_centres[:, None] - heard_centres[None], axis=-1)
    pairs = zip(*linear_sum_assignment(distance_m), strict=True)
    return {
        truth[row].instance_id: names[column]
        for row, column in pairs
        if distance_m[row, column] <= MATCH_DISTANCE_M
    }


def true_mesh(truth: TruthObject) -> Mesh:
    """Return the true mesh in the camera frame, which rendered scenes always know."""
    mesh = truth.mesh_camera
    assert mesh is not None
    return mesh


def camera_from_world_of(scene: Scene) -> Similarity:
    """Return where the world is in the camera's frame, which rendered scenes always know."""
    assert scene.frame.fixed_from_camera is not None
    return scene.frame.fixed_from_camera.inverse()


def _pictured(
    row: Row, truth: TruthObject, heard: Heard, camera_from_world: Similarity
) -> Pictured:
    """Show a row beside its mask."""
    if row.metrics is None:
        return Pictured(number=truth.instance_id, name=row.name, mask=truth.mask, failure="missing")
    size: Floats = np.array(row.size_m)
    return Pictured(
        number=heard.objects[row.object_id]["track_id"],
        name=row.name,
        mask=truth.mask,
        mesh_camera=heard.meshes_world[row.object_id].transformed(camera_from_world),
        size_m=size,
        quality=f"true {_size_text(row.true_size_m)} cm   centre off by "
        f"{row.metrics.centre_error_mm:.1f} mm   vIoU {row.metrics.viou:.2f}",
    )


def _cells(row: Row) -> tuple[str, ...]:
    size = _size_text(row.size_m)
    true_size = _size_text(row.true_size_m)
    if row.metrics is None:
        return ("-", row.name, "-", true_size, "-", "-", "-", "-", "missing")
    return (
        row.object_id,
        row.name,
        size,
        true_size,
        f"{row.metrics.centre_error_mm:.1f}",
        f"{row.metrics.scale_ratio:.3f}",
        f"{row.metrics.viou:.2f}",
        f"{row.metrics.f1_10mm:.2f}",
        row.problem or "kept",
    )


def _size_text(size_m: Sequence[float]) -> str:
    return " x ".join(f"{CM_PER_M * value:.1f}" for value in size_m)


def _row_json(row: Row) -> dict[str, Any]:
    values = asdict(row)
    return {**values, "metrics": None if row.metrics is None else asdict(row.metrics)}
