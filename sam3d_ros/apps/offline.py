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

"""``sam3d offline``: a scene folder or a bag in, meshes, poses and pictures out; drops nothing."""

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sam3d_ros.apps.bags import Bag, BagTopics, choose_topics, is_bag
from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.pictures import Pictured, draw_overlay, pictured_objects
from sam3d_ros.apps.settings import node_config
from sam3d_ros.apps.sheets import contact_sheet
from sam3d_ros.apps.sources import Item, Source, bag_source, scene_source
from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ReportCode, Sam3dError
from sam3d_ros.evaluation.datasets import scene_folders
from sam3d_ros.ros.assembler import Refusal, TimeJump
from sam3d_ros.scene.export import scene_json, write_json, write_meshes
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import Bytes, Frame, SceneSnapshot

DESCRIPTION = """\
Reconstruct every masked object of a recording.

INPUT is a scene folder (rgb.png, depth.png, masks/, camera.json), a folder of such folders, or a
rosbag2 (folder, .mcap or .db3). Writes a .glb and a .ply per object, scene.json (ids, poses, sizes,
quality, timings), overlay.png and contact_sheet.png; of a bag also overlays/ with every frame.
No ROS installation is needed. Exit code 1: nothing could be reconstructed.
"""
TOPIC_HELP = {
    "image": "colour image",
    "camera_info": "its intrinsics",
    "masks": "label image",
    "depth": "depth image",
    "depth_info": "its intrinsics",
    "points": "point cloud",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", type=Path, help="scene folder, folder of scenes, or rosbag2")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--backend", help="what reconstructs objects (auto, lift)")
    parser.add_argument("--params", type=Path, help="parameter file of the node, sam3d.yaml")
    parser.add_argument("--depth-file", help="depth image of a scene folder, instead of the usual")
    parser.add_argument("--lidar", action="store_true", help="use LiDAR points and no depth image")
    parser.add_argument("--fixed-frame", help="frame of a bag's TF in which objects stand still")
    group = parser.add_argument_group("topics of a bag (found by type and name unless given)")
    for name, text in TOPIC_HELP.items():
        group.add_argument(f"--{name.replace('_', '-')}", default="", metavar="TOPIC", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct an input; 0 when at least one object came out of each part of it.

    Raises:
        Sam3dError: When the input or the settings cannot be used.
    """
    config = _config(arguments)
    if is_bag(arguments.input):
        with Bag(arguments.input) as bag:
            topics = _topics(bag, arguments)
            source = bag_source(arguments.input.stem, bag, topics, config)
            return _reconstruct(source, config, arguments.output)
    folders = scene_folders(arguments.input)
    alone = folders == [arguments.input]
    codes = []
    for folder in folders:
        source = scene_source(folder, arguments.depth_file, arguments.lidar)
        output = arguments.output if alone else arguments.output / source.name
        codes.append(_reconstruct(source, config, output))
    return max(codes)


@dataclass(slots=True)
class _Outcome:
    """What the frames of one source gave."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    snapshot: SceneSnapshot | None = None  # the last one
    shown: tuple[Frame, SceneSnapshot] | None = None  # the last frame with most objects in view


def _config(arguments: argparse.Namespace) -> NodeConfig:
    given = {"objects.backend": arguments.backend, "output_frame": arguments.fixed_frame}
    return node_config(arguments.params, {name: value for name, value in given.items() if value})


def _topics(bag: Bag, arguments: argparse.Namespace) -> BagTopics:
    """Choose the topics and say which."""
    given = BagTopics(**{name: getattr(arguments, name) for name in TOPIC_HELP})
    topics = choose_topics(bag.topics, given, lidar=arguments.lidar)
    for role, topic in topics.named().items():
        print(f"{role.replace('_', '-'):12} {topic}  ({bag.count(topic)} messages)")
    if "/tf" in bag.topics and not arguments.fixed_frame:
        print(
            "hint: /tf is there; with --fixed-frame objects keep their ids while the camera moves"
        )
    return topics


def _reconstruct(source: Source, config: NodeConfig, output: Path) -> int:
    """Put one source through a pipeline of its own and write what came out."""
    started = time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    pipeline = local_pipeline(config)
    progress = tqdm(
        source.items, total=source.num_frames, desc=source.name, unit="frame", disable=None
    )
    outcome = _process_all(progress, pipeline, output if source.num_frames > 1 else None)
    seconds = time.perf_counter() - started
    _write(outcome, source, output, config, seconds)
    num_objects = len(outcome.snapshot.objects) if outcome.snapshot else 0
    num_failed = sum(len(row["failures"]) + (row["code"] != "OK") for row in outcome.rows)
    print(
        f"{source.name}: {num_objects} objects, {num_failed} failures, {seconds:.1f} s -> {output}"
    )
    for row in outcome.rows:
        _print_failures(row)
    return 0 if num_objects else 1


def _process_all(items: Iterable[Item], pipeline: ScenePipeline, overlays: Path | None) -> _Outcome:
    """Process every frame; a frame that cannot be used becomes a row that says why."""
    result = _Outcome()
    for frame in items:
        index = len(result.rows)
        if isinstance(frame, TimeJump):
            if not pipeline.config.registry.keep_on_time_jump:
                pipeline.reset()
            continue
        if isinstance(frame, Refusal):
            result.rows.append(_row(index, frame.stamp_ns, frame.code, frame.message))
            continue
        try:
            snapshot = pipeline.process(frame)
        except Sam3dError as error:
            result.rows.append(_row(index, frame.stamp_ns, error.code, str(error)))
            continue
        result.rows.append(_row(index, frame.stamp_ns, ReportCode.OK, "", snapshot))
        result.snapshot = snapshot
        if result.shown is None or len(snapshot.updated) >= len(result.shown[1].updated):
            result.shown = frame, snapshot
        if overlays is not None:
            path = overlays / "overlays" / f"{index:06d}.png"
            write_image(_overlay(frame, pictured_objects(snapshot, frame)), path)
    return result


def _row(
    index: int,
    stamp_ns: int,
    code: ReportCode,
    message: str,
    snapshot: SceneSnapshot | None = None,
) -> dict[str, Any]:
    """Describe one frame for ``scene.json``."""
    described = scene_json(snapshot) if snapshot is not None else {}
    seen = set(described.get("updated", ()))
    return {
        "index": index,
        "stamp_ns": stamp_ns,
        "code": code.name,
        "message": message,
        "objects": [each for each in described.get("objects", ()) if each["id"] in seen],
        "failures": described.get("failures", []),
        "seconds": described.get("seconds", {}),
    }


def _write(
    outcome: _Outcome, source: Source, output: Path, config: NodeConfig, seconds: float
) -> None:
    scene = scene_json(outcome.snapshot) if outcome.snapshot is not None else {"objects": []}
    files = (
        write_meshes(outcome.snapshot, output, config.mesh) if outcome.snapshot is not None else []
    )
    values = {
        "input": source.name,
        "total_seconds": seconds,
        "meshes": [path.name for path in files],
        **scene,
        "frames": outcome.rows,
    }
    write_json(values, output / "scene.json")
    if outcome.shown is not None:
        frame, snapshot = outcome.shown
        pictured = pictured_objects(snapshot, frame)
        title = f"{source.name}: {len(snapshot.updated)} objects in {seconds:.1f} s"
        up = snapshot.support.normal_camera if snapshot.support is not None else frame.up_camera
        write_image(_overlay(frame, pictured), output / "overlay.png")
        sheet = contact_sheet(frame.rgb, pictured, frame.camera, title, up)
        write_image(sheet, output / "contact_sheet.png")


def _overlay(frame: Frame, pictured: list[Pictured]) -> Bytes:
    return draw_overlay(frame.rgb, pictured, frame.camera)


def _print_failures(row: dict[str, Any]) -> None:
    """Say in one line each what was refused in a frame."""
    if row["code"] != ReportCode.OK.name:
        print(f"  frame {row['index']}: {row['code']}: {row['message']}")
    for failure in row["failures"]:
        where = f"frame {row['index']}, mask {failure['instance_id']}"
        print(f"  {where}: {failure['code']}: {failure['why']}")
