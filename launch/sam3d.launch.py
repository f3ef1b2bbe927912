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

"""Start sam3d_node; ``ros2 launch sam3d_ros sam3d.launch.py --show-args`` lists the arguments."""

from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import LifecycleNode, Node

from sam3d_ros.ros.camera_presets import load_preset, preset_names

PACKAGE = "sam3d_ros"
CONFIG = Path(get_package_share_directory(PACKAGE), "config")
CAMERAS = CONFIG / "cameras"
BOOLEANS = ("true", "false")
PATIENCE_S = "60"  # for the node to listen before a recording starts

# What ``sam3d replay`` calls the node's inputs; it finds the compressed ones by itself.
PLAYED = {
    "image": "--image",
    "camera_info": "--camera-info",
    "masks": "--masks",
    "detections": "--detections",
    "label_info": "--label-info",
    "depth": "--depth",
    "depth/camera_info": "--depth-info",
    "points": "--points",
}

# Up to Jazzy, Fast DDS reads its profiles from the second variable.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
DISTROS_WITH_FASTRTPS = ("humble", "iron", "jazzy")


def argument(name: str, default: str, description: str, **limits: tuple) -> DeclareLaunchArgument:
    """Declare one argument; an empty one changes nothing."""
    return DeclareLaunchArgument(name, default_value=default, description=description, **limits)


ARGUMENTS = (
    argument("namespace", "sam3d", "Namespace of the node and of the topics without a leading /"),
    argument("params_file", str(CONFIG / "sam3d.yaml"), "Parameters of the node"),
    argument(
        "camera",
        "",
        "Driver whose image and depth topics to take where none are given, see config/cameras",
        choices=("", *preset_names(CAMERAS)),
    ),
    argument("image_topic", "", "Colour image; empty: image in the namespace"),
    argument(
        "camera_info_topic", "", "Intrinsics of the image; empty: camera_info beside image_topic"
    ),
    argument("masks_topic", "", "Label image, 0 is background; empty: masks in the namespace"),
    argument(
        "masks_mode",
        "",
        "What the masks are; of detections and yolo the topic is detections_topic; empty: what "
        "params_file says",
        choices=("", "label_image", "binary", "detections", "yolo"),
    ),
    argument(
        "detections_topic",
        "",
        "Classes and scores of the masks (vision_msgs/Detection2DArray), or the masks themselves, "
        "see masks_mode; empty: detections in the namespace",
    ),
    argument(
        "label_info_topic",
        "",
        "Names of classes (vision_msgs/LabelInfo); empty: label_info beside detections_topic",
    ),
    argument("depth_topic", "", "Depth image; empty: depth in the namespace"),
    argument(
        "depth_info_topic", "", "Intrinsics of the depth; empty: camera_info beside depth_topic"
    ),
    argument("points_topic", "", "LiDAR or other point cloud; empty: points in the namespace"),
    argument(
        "image_transport",
        "",
        "How the image comes (raw, compressed); empty: what params_file says",
        choices=("", "raw", "compressed"),
    ),
    argument(
        "depth_transport",
        "",
        "How the depth comes (raw, compressedDepth); empty: what params_file says",
        choices=("", "raw", "compressedDepth"),
    ),
    argument("output_frame", "", "Parent of the object frames; empty: what params_file says"),
    argument(
        "planning_frame",
        "",
        "Publish collision objects in this frame, which the planner knows; empty: what params_file "
        "says",
    ),
    argument(
        "backend",
        "",
        "What reconstructs objects (auto, sam3d, nano, lift); empty: what params_file says",
    ),
    argument(
        "weights",
        "",
        "Weights of sam3d, a folder or a repository on the Hugging Face hub; empty: what "
        "params_file says",
    ),
    argument(
        "body_weights",
        "",
        "The same of SAM 3D Body, for people, too; empty: what params_file says",
    ),
    argument(
        "allow_download",
        "",
        "Fetch repositories that are not on this machine; empty: what params_file says",
        choices=("", *BOOLEANS),
    ),
    argument("device", "", "Where models run (auto, cpu, cuda:0); empty: what params_file says"),
    argument(
        "precision",
        "",
        "In which models compute; empty: what params_file says",
        choices=("", "auto", "fp32", "bf16", "fp16"),
    ),
    argument(
        "use_sim_time",
        "",
        "Take the time from /clock; empty: with bag, else what params_file says",
        choices=("", *BOOLEANS),
    ),
    argument(
        "bag",
        "",
        "Bag or scene folder to play with its clock; topics of a bag that are not given are found "
        "by type and name, and its masks may be missing, for a segmenter that runs beside it. "
        "Of images that are there only compressed, say so with image_transport, depth_transport",
    ),
    argument(
        "overlay",
        "",
        "Draw meshes and masks into images, ~/debug/overlay; empty: what params_file says",
        choices=("", *BOOLEANS),
    ),
    argument("rate", "1.0", "Times as fast as recorded to play the bag"),
    argument("loop", "false", "Play the bag again at its end", choices=BOOLEANS),
    argument("rviz", "false", "Start RViz with config/sam3d.rviz", choices=BOOLEANS),
    argument(
        "foxglove",
        "false",
        "Start foxglove_bridge, for Foxglove with the layout config/sam3d.foxglove.json",
        choices=BOOLEANS,
    ),
    argument("log_level", "info", "Least severe log messages to show"),
    argument(
        "fastdds_profile",
        "true",
        "Load config/fastdds_shm.xml, without which images are lost, unless a profile is set",
        choices=BOOLEANS,
    ),
)


def sibling(topic: str, name: str = "camera_info") -> str:
    """Return the topic ``name`` beside ``topic``, as image_transport does."""
    return "/".join([*topic.split("/")[:-1], name])


def absolute(topic: str, namespace: str) -> str:
    """Return the full name of a topic of the node."""
    full = topic if topic.startswith("/") else f"/{namespace.strip('/')}/{topic}"
    return full.replace("//", "/")


def remappings(given: dict[str, str]) -> list[tuple[str, str]]:
    """Connect the node's inputs to the topics that were given."""
    image, depth = given["image_topic"], given["depth_topic"]
    detections, label_info = given["detections_topic"], given["label_info_topic"]
    wanted = {
        "image": image,
        "image/compressed": image and f"{image}/compressed",
        "camera_info": given["camera_info_topic"] or (image and sibling(image)),
        "masks": given["masks_topic"],
        "detections": detections,
        "label_info": label_info or (detections and sibling(detections, "label_info")),
        "depth": depth,
        "depth/compressedDepth": depth and f"{depth}/compressedDepth",
        "depth/camera_info": given["depth_info_topic"] or (depth and sibling(depth)),
        "points": given["points_topic"],
    }
    return [(name, topic) for name, topic in wanted.items() if topic]


def overrides(given: dict[str, str]) -> dict[str, str | bool]:
    """Return the parameters that arguments change."""
    use_sim_time = given["use_sim_time"] or ("true" if given["bag"] else "")
    wanted = {
        "image_transport": given["image_transport"],
        "depth_transport": given["depth_transport"],
        "output_frame": given["output_frame"],
        "planning.enabled": given["planning_frame"] and True,
        "planning.frame": given["planning_frame"],
        "objects.backend": given["backend"],
        "weights.objects": given["weights"],
        "body.enabled": given["body_weights"] and True,
        "weights.body": given["body_weights"],
        "weights.allow_download": given["allow_download"] and given["allow_download"] == "true",
        "device": given["device"],
        "debug.overlay": given["overlay"] and given["overlay"] == "true",
        "precision": given["precision"],
        "masks.mode": given["masks_mode"],
        "use_sim_time": use_sim_time and use_sim_time == "true",
    }
    return {name: value for name, value in wanted.items() if value != ""}


def transport(context: LaunchContext, given: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """Load the profile with the large shared memory."""
    if given["fastdds_profile"] == "false" or any(
        name in context.environment for name in PROFILE_VARIABLES
    ):
        return []
    old = context.environment.get("ROS_DISTRO") in DISTROS_WITH_FASTRTPS
    return [SetEnvironmentVariable(PROFILE_VARIABLES[old], str(CONFIG / "fastdds_shm.xml"))]


def node(given: dict[str, str]) -> LifecycleNode:
    """Start the node, which configures and activates itself unless the parameters forbid it."""
    return LifecycleNode(
        package=PACKAGE,
        executable="sam3d_node",
        name="sam3d_node",
        namespace=given["namespace"],
        parameters=[given["params_file"], overrides(given)],
        remappings=remappings(given),
        ros_arguments=["--log-level", given["log_level"]],
        output="screen",
    )


def viewer(given: dict[str, str]) -> Node:
    """Start RViz, whose configs name the topics of the default namespace.

    One looks at a scene from a camera (z forward), the other at one in a fixed frame (z up).
    """
    names = "markers", "labels", "object_points", "detections", "body_markers", "debug/overlay"
    outputs = [f"sam3d_node/{name}" for name in names]
    arguments = ["-d", str(CONFIG / "sam3d.rviz")]
    if frame := given["output_frame"]:
        arguments = ["-d", str(CONFIG / "sam3d_fixed.rviz"), "-f", frame]
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        arguments=arguments,
        parameters=[{"use_sim_time": overrides(given).get("use_sim_time", False)}],
        remappings=[
            ("/sam3d/image", given["image_topic"] or "image"),
            *((f"/sam3d/{name}", name) for name in outputs),
        ],
    )


def bridge(given: dict[str, str]) -> Node:
    """Start the server to which Foxglove connects."""
    return Node(
        package="foxglove_bridge",
        executable="foxglove_bridge",
        parameters=[{"use_sim_time": overrides(given).get("use_sim_time", False)}],
    )


def player(given: dict[str, str]) -> ExecuteProcess:
    """Publish the recording, and the clock with it."""
    sam3d = Path(get_package_prefix(PACKAGE), "lib", PACKAGE, "sam3d")
    options = ["--clock", "--namespace", given["namespace"], "--wait", PATIENCE_S]
    options += ["--rate", given["rate"]]
    if given["loop"] == "true":
        options.append("--loop")
    options += ["--node-topics", "--keep-given"]  # the node listens to what is given
    for name, topic in remappings(given):
        if option := PLAYED.get(name):
            options += [option, absolute(topic, given["namespace"])]
    if given["masks_mode"]:
        options += ["--masks-mode", given["masks_mode"]]
    else:
        options += ["--params", given["params_file"]]
    return ExecuteProcess(cmd=[str(sam3d), "replay", given["bag"], *options], output="screen")


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make what the arguments ask for."""
    given = {each.name: context.launch_configurations[each.name] for each in ARGUMENTS}
    actions = [*transport(context, given)]
    if given["camera"]:
        preset = load_preset(CAMERAS / f"{given['camera']}.yaml")
        given = preset.fill(given)
        actions.append(LogInfo(msg=str(preset)))
    actions.append(node(given))
    if given["rviz"] == "true":
        actions.append(viewer(given))
    if given["foxglove"] == "true":
        actions.append(bridge(given))
    if given["bag"]:
        actions.append(player(given))
    return actions


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and what they start."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
