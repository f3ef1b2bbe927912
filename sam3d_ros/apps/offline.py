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
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sam3d_ros.apps.bag_frames import moving_root
from sam3d_ros.apps.bag_options import add_topic_arguments, given_topics
from sam3d_ros.apps.bags import Bag, BagTopics, choose_topics, is_bag
from sam3d_ros.apps.drawing import write_image
from sam3d_ros.apps.pictures import Pictured, draw_overlay, pictured_objects
from sam3d_ros.apps.settings import node_config
from sam3d_ros.apps.sheets import contact_sheet
from sam3d_ros.apps.sources import Item, Source, bag_source, scene_source, unread_source
from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ReportCode, Sam3dError
from sam3d_ros.evaluation.datasets import scene_folders
from sam3d_ros.objects.texture import check_textures
from sam3d_ros.protocols import ObjectBackend, PointEstimator
from sam3d_ros.ros.assembler import Refusal, TimeJump
from sam3d_ros.scene.backends import wired_backend
from sam3d_ros.scene.estimators import make_point_estimator
from sam3d_ros.scene.export import scene_json, write_json, write_meshes, write_splat_files
from sam3d_ros.scene.local import local_pipeline
from sam3d_ros.scene.names import object_name
from sam3d_ros.scene.people.backends import wired_people
from sam3d_ros.scene.people.export import write_people
from sam3d_ros.scene.people.reconstruct import PeopleReconstructor
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.scene.scene_files import SceneFiles, write_scene
from sam3d_ros.scene.verdict import Verdict, verdict_of
from sam3d_ros.structures import Bytes, Frame, SceneObject, ScenePerson, SceneSnapshot

DESCRIPTION = """\
Reconstruct every masked object of a recording.

INPUT is a scene folder (rgb.png, depth.png, masks/, camera.json), a folder of such folders, or a
rosbag2 (folder, .mcap or .db3). Writes a .glb and a .ply per object as it was last seen, scene.glb
with all of them (in the fixed frame where there is one, else in the camera's, each where it was
last seen: scene.json says which), scene.json (ids, poses, sizes, quality, timings), overlay.png and
contact_sheet.png; of a bag also overlays/ with every frame. With --splats backend sam3d adds
NAME_splats.ply and scene_splats.ply for viewers of 3D Gaussian Splatting.
With --body-weights masks of class person (person.png, person_0.png) get bodies, each in the frame
body_ID.
No ROS installation is needed. Exit code 1: nothing could be reconstructed; of a folder of scenes:
nothing in one of them, or one cannot be read (the others are done).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", type=Path, help="scene folder, folder of scenes, or rosbag2")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--backend", help="what reconstructs objects (auto, sam3d, nano, lift)")
    parser.add_argument("--weights", metavar="DIR", help="weights of SAM 3D Objects")
    parser.add_argument(
        "--body-weights", metavar="DIR", help="weights of SAM 3D Body: masks of people get bodies"
    )
    parser.add_argument(
        "--splats", action="store_const", const=True, help="write splats, too (backend sam3d)"
    )
    parser.add_argument("--texture", help="colours of meshes (none, vertex_color, baked)")
    parser.add_argument("--params", type=Path, help="parameter file of the node, sam3d.yaml")
    parser.add_argument("--depth-file", help="depth image of a scene folder, instead of the usual")
    parser.add_argument("--lidar", action="store_true", help="use LiDAR points and no depth image")
    parser.add_argument(
        "--fixed-frame",
        help="frame of a bag's TF in which objects stand still (the root, where the camera moves "
        "in it while masks come; '' for none)",
    )
    group = parser.add_argument_group("topics of a bag (found by type and name unless given)")
    add_topic_arguments(group)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct an input; 0 when at least one object or person came out of each part of it.

    Raises:
        Sam3dError: When the input or the settings cannot be used.
    """
    config = _config(arguments)
    if config.objects.texture == "baked":
        check_textures()  # before anything is reconstructed
    wired = wired_backend(config)
    if wired.why:
        print(f"backend {wired.backend.name}: {wired.why}")
    people = wired_people(config)
    if config.body.enabled and not people.in_use.name:
        print(f"no people: {people.in_use.why}")
    models = _Models(wired.backend, make_point_estimator(config), people)
    if is_bag(arguments.input):
        with Bag(arguments.input) as bag:
            topics = _topics(bag, arguments, config.masks.mode)
            config = _in_fixed_frame(bag, topics, arguments, config)
            source = bag_source(arguments.input.stem, bag, topics, config)
            return _reconstruct(source, config, models, arguments.output)
    folders = scene_folders(arguments.input)
    if folders == [arguments.input]:
        source = scene_source(arguments.input, arguments.depth_file, arguments.lidar)
        return _reconstruct(source, config, models, arguments.output)
    return _reconstruct_all(folders, arguments, config, models)


@dataclass(frozen=True, slots=True)
class _Models:
    """What takes long to load, for all sources."""

    backend: ObjectBackend
    estimator: PointEstimator | None
    people: PeopleReconstructor


@dataclass(slots=True)
class _Outcome:
    """What the frames of one source gave."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    last: SceneSnapshot | None = None
    known: dict[int, SceneObject] = field(default_factory=dict)  # as last known, by track id
    people: dict[int, ScenePerson] = field(default_factory=dict)  # as last seen, by person id
    shown: tuple[Frame, SceneSnapshot] | None = None  # the last frame with most objects in view

    @property
    def scene(self) -> SceneSnapshot | None:
        """The last snapshot with all objects and people of the run, those gone meanwhile too."""
        if self.last is None:
            return None
        people = self.last.people
        if people is not None:
            people = replace(people, people=tuple(self.people[key] for key in sorted(self.people)))
        objects = tuple(self.known[key] for key in sorted(self.known))
        return replace(self.last, objects=objects, people=people)

    def add(self, frame: Frame, snapshot: SceneSnapshot) -> None:
        """Take in a processed frame."""
        names = {
            each.track_id: object_name(each.track_id, each.class_id) for each in snapshot.objects
        }
        self.add_row(frame.stamp_ns, verdict_of(snapshot, names), snapshot)
        self.last = snapshot
        self.known.update((each.track_id, each) for each in snapshot.objects)
        if snapshot.people is not None:
            self.people.update((each.person_id, each) for each in snapshot.people.people)
        if self.shown is None or _num_seen(snapshot) >= _num_seen(self.shown[1]):
            self.shown = frame, snapshot

    def add_row(
        self, stamp_ns: int, verdict: Verdict, snapshot: SceneSnapshot | None = None
    ) -> None:
        """Note what became of one mask."""
        self.rows.append(_row(len(self.rows), stamp_ns, verdict, snapshot))


def _num_seen(snapshot: SceneSnapshot) -> int:
    """Count objects and people in view."""
    return len(snapshot.updated) + (len(snapshot.people.people) if snapshot.people else 0)


def _config(arguments: argparse.Namespace) -> NodeConfig:
    given = {
        "objects.backend": arguments.backend,
        "objects.texture": arguments.texture,
        "gaussians.publish": arguments.splats,
        "weights.objects": arguments.weights,
        "weights.body": arguments.body_weights,
        "body.enabled": bool(arguments.body_weights),
    }
    stated = {name: value for name, value in given.items() if value}
    if arguments.fixed_frame is not None:
        stated["output_frame"] = arguments.fixed_frame  # '' says that there is none
    return node_config(arguments.params, stated)


def _topics(bag: Bag, arguments: argparse.Namespace, masks_mode: str) -> BagTopics:
    """Choose the topics and say which."""
    given = given_topics(arguments)
    topics = choose_topics(bag.topics, given, lidar=arguments.lidar, masks_mode=masks_mode)
    for role, topic in topics.named().items():
        print(f"{role.replace('_', '-'):12} {topic}  ({bag.count(topic)} messages)")
    return topics


def _in_fixed_frame(
    bag: Bag, topics: BagTopics, arguments: argparse.Namespace, config: NodeConfig
) -> NodeConfig:
    """Let objects stand still where the camera moves, unless it was said in which frame."""
    if arguments.fixed_frame is not None or config.output_frame:
        return config
    root = moving_root(bag, topics, config)
    if root is None:
        return config
    lost = f"{len(root.lost)} of {root.num_masks} masks cannot be placed in it"
    if not root.is_worth_it:
        print(
            f"fixed-frame  none  (the camera moves in {root.name}, but {lost}: "
            f"{root.lost[0].message}; --fixed-frame FRAME chooses one)"
        )
        return config
    but = f", though {lost}" if root.lost else ""
    print(f"fixed-frame  {root.name}  (the camera moves in it{but}; --fixed-frame '' for none)")
    return replace(config, output_frame=root.name)


def _reconstruct_all(
    folders: Sequence[Path], arguments: argparse.Namespace, config: NodeConfig, models: _Models
) -> int:
    """Reconstruct scene after scene; one that cannot be read is a failed frame, named at the end.

    Those before and after it are done all the same.
    """
    codes, unread = [], []
    for folder in folders:
        try:
            source = scene_source(folder, arguments.depth_file, arguments.lidar)
        except Sam3dError as error:
            unread.append(str(error))
            source = unread_source(folder, error)
        codes.append(_reconstruct(source, config, models, arguments.output / source.name))
    if unread:
        print(f"{len(unread)} of {len(folders)} scene folders cannot be read:", file=sys.stderr)
    for why in unread:
        print(f"  {why}", file=sys.stderr)
    return max(codes)


def _reconstruct(source: Source, config: NodeConfig, models: _Models, output: Path) -> int:
    """Put one source through a pipeline of its own and write what came out."""
    if source.note:
        print(f"{source.name}: {source.note}")
    started = time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    pipeline = local_pipeline(config, models.backend, models.estimator, models.people)
    progress = tqdm(
        source.items, total=source.num_frames, desc=source.name, unit="frame", disable=None
    )
    outcome = _process_all(progress, pipeline, output if source.num_frames > 1 else None)
    seconds = time.perf_counter() - started
    _write(outcome, source, output, config, seconds)
    num_objects, num_people = len(outcome.known), len(outcome.people)
    num_failed = sum(len(row["failures"]) or row["code"] != "OK" for row in outcome.rows)
    found = f"{num_objects} objects" + (f", {num_people} people" if config.body.enabled else "")
    print(f"{source.name}: {found}, {num_failed} failures, {seconds:.1f} s -> {output}")
    for row in outcome.rows:
        _print_failures(row)
    return 0 if num_objects or num_people else 1


def _process_all(items: Iterable[Item], pipeline: ScenePipeline, overlays: Path | None) -> _Outcome:
    """Process every frame; a frame that cannot be used becomes a row that says why."""
    result = _Outcome()
    for frame in items:
        if isinstance(frame, TimeJump):
            if not pipeline.config.registry.keep_on_time_jump:
                # Ids go on, unlike the node's: files of what was there before the jump stay.
                pipeline.reset()
            continue
        if isinstance(frame, Refusal):
            result.add_row(frame.stamp_ns, Verdict(code=frame.code, message=frame.message))
            continue
        try:
            snapshot = pipeline.process(frame)
        except Sam3dError as error:
            result.add_row(frame.stamp_ns, Verdict(code=error.code, message=str(error)))
            continue
        result.add(frame, snapshot)
        if overlays is not None:
            path = overlays / "overlays" / f"{len(result.rows) - 1:06d}.png"
            write_image(_overlay(frame, pictured_objects(snapshot, frame)), path)
    return result


def _row(
    index: int, stamp_ns: int, verdict: Verdict, snapshot: SceneSnapshot | None
) -> dict[str, Any]:
    """Describe one frame for ``scene.json``."""
    described = scene_json(snapshot) if snapshot is not None else {}
    seen = set(described.get("updated", ()))
    return {
        "index": index,
        "stamp_ns": stamp_ns,
        "code": verdict.code.name,
        "message": verdict.message,
        "objects": [each for each in described.get("objects", ()) if each["id"] in seen],
        **({"people": described["people"]} if "people" in described else {}),
        "failures": described.get("failures", []),
        "seconds": described.get("seconds", {}),
    }


def _write(
    outcome: _Outcome, source: Source, output: Path, config: NodeConfig, seconds: float
) -> None:
    scene = outcome.scene
    files, splats, whole = [], [], None
    if scene is not None:
        texture, up_axis = config.objects.texture, config.mesh.glb_up_axis
        files = write_meshes(scene, output, config.mesh, texture)
        whole = write_scene(scene, output, up_axis, colors=texture != "none")
        splats = write_splat_files(scene, output)
        if scene.people is not None:
            files += write_people(scene.people.people, output, up_axis)
    values = {
        "input": source.name,
        "total_seconds": seconds,
        "meshes": [path.name for path in files],
        "splats": [path.name for path in splats],
        **({"scene": _whole_json(whole)} if whole is not None else {}),
        **(scene_json(scene) if scene is not None else {"objects": []}),
        "frames": outcome.rows,
    }
    write_json(values, output / "scene.json")
    if outcome.shown is not None:
        frame, snapshot = outcome.shown
        pictured = pictured_objects(snapshot, frame)
        title = f"{source.name}: {_found(snapshot)} in {seconds:.1f} s"
        up = snapshot.support.normal_camera if snapshot.support is not None else frame.up_camera
        write_image(_overlay(frame, pictured), output / "overlay.png")
        sheet = contact_sheet(frame.rgb, pictured, frame.camera, title, up)
        write_image(sheet, output / "contact_sheet.png")


def _whole_json(files: SceneFiles) -> dict[str, str | None]:
    """Name the files of all objects, and the frame they are in as the poses of objects begin."""
    splats = files.splats.name if files.splats is not None else None
    return {"meshes": files.meshes.name, "splats": splats, "frame": files.frame}


def _found(snapshot: SceneSnapshot) -> str:
    """Say what is in view."""
    people = f" and {len(snapshot.people.people)} people" if snapshot.people is not None else ""
    return f"{len(snapshot.updated)} objects{people}"


def _overlay(frame: Frame, pictured: list[Pictured]) -> Bytes:
    return draw_overlay(frame.rgb, pictured, frame.camera)


def _print_failures(row: dict[str, Any]) -> None:
    """Say in one line each what was refused in a frame."""
    if row["code"] != ReportCode.OK.name and not row["failures"]:
        print(f"  frame {row['index']}: {row['code']}: {row['message']}")
    for failure in row["failures"]:
        where = f"frame {row['index']}, mask {failure['instance_id']}"
        print(f"  {where}: {failure['code']}: {failure['why']}")
