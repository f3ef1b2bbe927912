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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sam3d_ros.apps.comparing import scene_sheet
from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.evaluate_families import evaluate_families, family_tables
from sam3d_ros.config import ObjectsConfig, RefineConfig, SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError, Sam3dError
from sam3d_ros.evaluation.backends import HELP, Named, make_backend
from sam3d_ros.evaluation.datasets import Scene, load_scene, scene_folders
from sam3d_ros.evaluation.evaluate import evaluate_scene, scene_names
from sam3d_ros.evaluation.report import Row, report_json
from sam3d_ros.evaluation.table import failures_text, groups_table, medians_table, objects_table
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.export import write_json
from sam3d_ros.training.scenes.recipes import FULL_SENSOR, RECIPES

SCENE_ROW = "(whole scene)"
FAMILIES = "unseen families"

Loader = Callable[[Path], Scene]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "inputs", nargs="*", type=Path, metavar="DIR", help="scene folder or folder of scenes"
    )
    parser.add_argument(
        "--families",
        type=int,
        default=0,
        metavar="N",
        help="N objects of generator families that nano never learned from (200 is usual)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of those objects and their views")
    parser.add_argument(
        "--recipe",
        default=FULL_SENSOR.name,
        choices=RECIPES,
        help="of those views (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the report")
    parser.add_argument(
        "--backend",
        default="lift",
        metavar="NAMES",
        help=f"comma-separated, of: {HELP} (default: %(default)s)",
    )
    parser.add_argument("--weights", metavar="DIR", default="", help="weights of SAM 3D Objects")
    parser.add_argument(
        "--nano", metavar="DIR", default="", help="weights of nano (default: those shipped)"
    )
    parser.add_argument(
        "--steps", type=int, default=ObjectsConfig().nano_steps, help="of nano (%(default)s)"
    )
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
        help="fit poses and sizes of models to depth and mask, as the node does",
    )
    parser.add_argument("--no-pictures", action="store_true", help="write report.json alone")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the tables, write the report; 1 when an object failed or there was none."""
    if not arguments.inputs and not arguments.families:
        raise ConfigError("nothing to evaluate: name scene folders, or --families N, or both")
    config = SceneConfig(
        objects=ObjectsConfig(nano_steps=arguments.steps),
        weights=WeightsConfig(objects=arguments.weights, nano=arguments.nano),
        refine=RefineConfig(enabled=arguments.refine),
    )
    names = [name.strip() for name in arguments.backend.split(",")]
    backends = [make_backend(name, config) for name in dict.fromkeys(names)]
    _say_what_auto_takes(backends)
    found = {path: scene_folders(path) for path in arguments.inputs}
    folders = list(dict.fromkeys(folder for each in found.values() for folder in each))
    captures = _captures(folders, arguments, backends, config)
    objects = evaluate_families(
        arguments.families,
        arguments.seed,
        arguments.recipe,
        backends,
        None if arguments.no_pictures else arguments.output / "families",
    )
    rows = [*captures, *objects]
    write_json(report_json(rows), arguments.output / "report.json")
    if captures:
        print(f"{objects_table(captures)}\n\n{medians_table(captures)}\n")
    if objects:
        print(f"{family_tables(objects)}\n")
    sets = _by_input(captures, found, dict(zip(folders, scene_names(folders), strict=True)))
    sets |= {FAMILIES: objects} if objects else {}
    if len(sets) > 1:
        print(f"{groups_table(sets)}\n")
    print(f"report and pictures: {arguments.output}")
    if not rows:
        print("\nno masks in these scenes: nothing was evaluated")
    if failed := failures_text(rows):
        print(f"\n{failed}")
    return 1 if failed or not rows else 0


def _by_input(
    rows: Sequence[Row], found: Mapping[Path, Sequence[Path]], names: Mapping[Path, str]
) -> dict[str, list[Row]]:
    """Return the rows of each folder that was named, by its name, in their order."""
    sets: dict[str, list[Row]] = {}
    for path, folders in found.items():
        scenes = {names[folder] for folder in folders}
        sets.setdefault(path.name, []).extend(row for row in rows if row.scene in scenes)
    return {name: of_input for name, of_input in sets.items() if of_input}


def _captures(
    folders: Sequence[Path],
    arguments: argparse.Namespace,
    backends: Sequence[ObjectBackend],
    config: SceneConfig,
) -> list[Row]:
    pictures = None if arguments.no_pictures else arguments.output

    def load(folder: Path) -> Scene:
        return load_scene(folder, arguments.depth_file, arguments.lidar)

    return list(evaluate_folders(folders, load, backends, config, pictures))


def _say_what_auto_takes(backends: Sequence[Named]) -> None:
    for backend in backends:
        if backend.name == "auto":
            print(f"auto takes {backend.is_really}: {backend.why or 'there is none better'}\n")


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
