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

"""``sam3d evaluate``: compare reconstructions with the truth; table, pictures, ``report.json``."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.pictures import Pictured, in_camera
from sam3d_ros.apps.sheets import Compared, comparison_sheet
from sam3d_ros.config import RefineConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import Sam3dError
from sam3d_ros.evaluation.datasets import Scene, load_scene, scene_folders
from sam3d_ros.evaluation.evaluate import (
    ALL_BACKENDS,
    EvaluatedObject,
    evaluate_scene,
    make_backend,
    scene_names,
)
from sam3d_ros.evaluation.report import Row, report_json
from sam3d_ros.evaluation.table import failures_text, medians_table, objects_table
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.export import write_json
from sam3d_ros.structures import Bytes

SCENE_ROW = "(whole scene)"

Loader = Callable[[Path], Scene]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="DIR", help="scene folder or folder of scenes"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the report")
    parser.add_argument(
        "--backend",
        default="lift",
        metavar="NAMES",
        help=f"comma-separated, of: {', '.join(ALL_BACKENDS)} (default: %(default)s)",
    )
    parser.add_argument("--weights", metavar="DIR", default="", help="weights of SAM 3D Objects")
    parser.add_argument(
        "--depth-file",
        metavar="NAME",
        help="depth image in each scene folder (default: depth_noisy.png, else depth.png)",
    )
    parser.add_argument("--lidar", action="store_true", help="use LiDAR points instead of depth")
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=RefineConfig().enabled,
        help="fit poses and sizes of lift and sam3d to depth and mask, as the node does",
    )
    parser.add_argument("--no-pictures", action="store_true", help="write report.json alone")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the table, write the report; 1 when an object failed or there was none."""
    config = SceneConfig(
        weights=WeightsConfig(objects=arguments.weights),
        refine=RefineConfig(enabled=arguments.refine),
    )
    names = [name.strip() for name in arguments.backend.split(",")]
    backends = [make_backend(name, config) for name in dict.fromkeys(names)]
    folders = [found for path in arguments.inputs for found in scene_folders(path)]
    pictures = None if arguments.no_pictures else arguments.output

    def load(folder: Path) -> Scene:
        return load_scene(folder, arguments.depth_file, arguments.lidar)

    rows = list(evaluate_folders(list(dict.fromkeys(folders)), load, backends, config, pictures))
    write_json(report_json(rows), arguments.output / "report.json")
    print(f"{objects_table(rows)}\n\n{medians_table(rows)}")
    print(f"\nreport and pictures: {arguments.output}")
    if not rows:
        print("\nno masks in these scenes: nothing was evaluated")
    if failed := failures_text(rows):
        print(f"\n{failed}")
    return 1 if failed or not rows else 0


def evaluate_folders(
    folders: Sequence[Path],
    load: Loader,
    backends: Sequence[ObjectBackend],
    config: SceneConfig,
    pictures: Path | None,
) -> Iterator[Row]:
    """Evaluate scene after scene with a progress bar, and draw each; yields the rows.

    A scene of which nothing can be used becomes one failed row per backend; a folder that cannot
    be read ends the evaluation with ``DatasetError``, since its objects cannot be counted.
    """
    named = zip(scene_names(folders), folders, strict=True)
    for name, folder in tqdm(list(named), unit="scene", disable=None):
        scene = replace(load(folder), name=name)
        try:
            evaluated = evaluate_scene(scene, backends, config)
        except Sam3dError as error:
            for backend in backends:
                yield Row(
                    scene=name,
                    object_name=SCENE_ROW,
                    backend=backend.name,
                    failure=str(error),
                )
            continue
        for item in evaluated:
            yield from item.rows
        if pictures is not None:
            write_image(scene_sheet(scene, evaluated), pictures / f"{name.replace('/', '_')}.png")


def scene_sheet(scene: Scene, evaluated: Sequence[EvaluatedObject]) -> Bytes:
    """Draw one page: each object's truth and what each backend made of it."""
    ups = [item.support.normal_camera for item in evaluated if item.support is not None]
    return comparison_sheet(
        scene.frame.rgb, [compared(item) for item in evaluated], scene.name, ups[0] if ups else None
    )


def compared(evaluated: EvaluatedObject) -> Compared:
    """Prepare one object for the page."""
    truth = evaluated.truth
    truth_camera = truth.mesh_camera if truth is not None else None
    return Compared(
        pictured=Pictured(
            number=evaluated.instance.instance_id,
            name=evaluated.instance.class_id,
            mask=evaluated.instance.mask,
            mesh_camera=truth_camera,
            size_m=np.ptp(truth.mesh.vertices, axis=0) if truth and truth.mesh else None,
        ),
        truth_camera=truth_camera,
        meshes_camera={
            name: in_camera(reconstruction)
            for name, reconstruction in evaluated.reconstructions.items()
        },
        captions={row.backend: caption(row) for row in evaluated.rows},
    )


def caption(row: Row) -> str:
    """Say in one line how good a reconstruction is."""
    if row.failure:
        return row.failure
    shown = (
        ("viou", "vIoU {:.2f}"),
        ("f1_10mm", "F1@10 {:.2f}"),
        ("silhouette_iou", "outline {:.2f}"),
    )
    return "  ".join(text.format(row.metrics[name]) for name, text in shown if name in row.metrics)
