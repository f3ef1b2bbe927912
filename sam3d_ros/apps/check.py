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

"""``sam3d check``: what is installed, the GPU, the topics, and which outputs are off, and why."""

import argparse
import os
import platform
from importlib import metadata, util
from pathlib import Path

from sam3d_ros.apps.processes import PROFILE_VARIABLES
from sam3d_ros.body.files import is_body_folder
from sam3d_ros.errors import WeightsMissingError
from sam3d_ros.objects.files import NANO_FILE, nano_folder
from sam3d_ros.objects.provenance import why_not_trusted

REQUIRED = ("numpy", "scipy", "open3d", "trimesh", "cv2", "skimage", "rosbags", "tqdm")
ROS_REQUIRED = ("rclpy", "sensor_msgs", "visualization_msgs", "tf2_msgs", "sam3d_ros.msg")
OPTIONAL = {
    "vision_msgs": "~/detections is not published, masks have no names",
    "moveit_msgs": "planners get no collision objects",
    "hri_msgs": "people are not published as in REP-155",
    "tf2_ros": "transforms are handled by this package's own buffer",
    "message_filters": "inputs are subscribed directly",
    "diagnostic_updater": "/diagnostics is published directly",
    "cv_bridge": "only the usual colour encodings are read",
}
MODELS = {
    "torch": "not installed: only the lift backend runs",
    "safetensors": "not installed: .safetensors files are not read, .ckpt and .pt are",
}
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "skimage": "scikit-image"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Say what is installed. Exit code 1: sam3d offline would not run."
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="check the released weights of SAM 3D Objects or of SAM 3D Body in this folder "
        "instead. Exit code 1: something that the first stage needs is missing or does not fit",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the installation, or a weights folder; 0 when all that is needed is there."""
    return _check_modules() if arguments.weights is None else _check_weights(arguments.weights)


def _check_weights(folder: Path) -> int:
    if not is_installed("torch"):
        print(f"torch {MODELS['torch']}; weights are read by it")
        return 1
    from sam3d_ros.apps import check_body_weights, check_weights  # noqa: PLC0415  # import torch

    if is_body_folder(folder):
        return check_body_weights.report_body_weights(folder)
    code = check_weights.report_weights(folder)
    if not folder.is_dir() or not any(folder.iterdir()):  # and so may be meant for either
        check_body_weights.report_body_downloads(folder)
    return code


def _check_modules() -> int:
    """Print one line per module; 0 when everything that the core needs is there."""
    print(f"Python {platform.python_version()} on {platform.platform()}")
    print("\ncore (sam3d offline, sam3d evaluate)")
    core = all([_report(name, "missing") for name in REQUIRED])
    print("\nmodels (sam3d check --weights DIR)")
    for name, consequence in MODELS.items():
        _report(name, consequence)
    print(f"  {'nano':20} {nano_state()}")
    for text in gpu_states():
        print(f"  {'GPU':20} {text}")
    print("\nROS (sam3d_node, sam3d replay, sam3d demo)")
    ros = all([_report(name, "missing: the node does not run") for name in ROS_REQUIRED])
    for name, consequence in OPTIONAL.items():
        _report(name, f"not installed: {consequence}")
    profile = next(filter(None, map(os.environ.get, PROFILE_VARIABLES)), "")
    print(f"  {'Fast DDS profile':20} {profile or 'none: large best-effort images get lost'}")
    if ros:
        _report_topics()
    print(f"\ncore {'ready' if core else 'NOT ready'}, ROS {'ready' if ros else 'not ready'}")
    return 0 if core else 1


def _report(name: str, otherwise: str) -> bool:
    """Print whether a module can be found; return it."""
    found = is_installed(name)
    print(f"  {name:20} {_version(name) if found else otherwise}")
    return found


def gpu_states() -> list[str]:
    """Say what models can run on."""
    if not is_installed("torch"):
        return ["unknown without torch"]
    from sam3d_ros.nn.devices import described_devices  # noqa: PLC0415  # imports torch

    return described_devices()


def _report_topics() -> None:
    """Print the QoS of each topic; parameters can change that of inputs (``qos_overrides``)."""
    from sam3d_ros.ros import topics  # noqa: PLC0415  # imports rclpy, which need not be there

    listings = {"asked for": topics.inputs(), "offered where it is on": topics.outputs()}
    for what, listed in listings.items():
        print(f"\ntopics, and the QoS that is {what}")
        for topic in listed:
            print(f"  {topic.name:26} {topic.how}")


def nano_state() -> str:
    """Say whether weights of nano come with this installation, and whether auto takes them."""
    try:
        folder = nano_folder("")
    except WeightsMissingError:
        return "no weights come with this installation; sam3d train makes some"
    size_mb = (folder / NANO_FILE).stat().st_size / 1e6
    reason = why_not_trusted(folder)
    taken = f"auto does not take it: {reason}" if reason else "auto takes it beside lift"
    return f"weights of {size_mb:.1f} MB, {taken}"


def is_installed(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a parent package
        return False


def _version(name: str) -> str:
    try:
        return metadata.version(DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return "installed"
