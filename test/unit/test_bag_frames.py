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

"""A bag's objects stand still in the root of the tree in which its camera moves, or in none."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from sam3d_ros.apps.bag_frames import MovingRoot, moving_root
from sam3d_ros.apps.bags import Bag, BagTopics
from sam3d_ros.apps.main import main
from sam3d_ros.config import NodeConfig

STORE = get_typestore(Stores.ROS2_HUMBLE)
TOPICS = BagTopics(image="/image", camera_info="/camera_info", depth="/depth", masks="/masks")
START_S = 1000.0  # no stamp of a camera is 0
SIZE = 32, 24  # px
Record: TypeAlias = tuple[float, str, Any]  # when, in s from the start; topic, message


def message(name: str, **values: Any) -> Any:
    return STORE.types[name](**values)


def header(seconds: float, frame_id: str) -> Any:
    ns = round((START_S + seconds) * 1e9)
    stamp = message("builtin_interfaces/msg/Time", sec=ns // 10**9, nanosec=ns % 10**9)
    return message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def transform(
    seconds: float, child: str, parent: str, x_m: float = 0.0, yaw_rad: float = 0.0, norm: float = 1
) -> Any:
    """Return a TFMessage of one transform; ``norm`` is that of its quaternion."""
    w, z = norm * math.cos(yaw_rad / 2), norm * math.sin(yaw_rad / 2)
    stamped = message(
        "geometry_msgs/msg/TransformStamped",
        header=header(seconds, parent),
        child_frame_id=child,
        transform=message(
            "geometry_msgs/msg/Transform",
            translation=message("geometry_msgs/msg/Vector3", x=x_m, y=0.0, z=0.0),
            rotation=message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=z, w=w),
        ),
    )
    return message("tf2_msgs/msg/TFMessage", transforms=[stamped])


def moving(
    times: Iterable[float], child: str = "hand", parent: str = "world", late_s: float = 0.005
) -> list[Record]:
    """Send where something is that moves by 10 mm/s, recorded late."""
    return [(t + late_s, "/tf", transform(t, child, parent, x_m=t * 0.01)) for t in times]


def mounted(child: str, parent: str, recorded_s: float = -2.0) -> list[Record]:
    return [(recorded_s, "/tf_static", transform(0.0, child, parent))]


def image(stamp_s: float, frame_id: str, encoding: str, pixels: np.ndarray) -> Any:
    return message(
        "sensor_msgs/msg/Image",
        header=header(stamp_s, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def camera_info(stamp_s: float, frame_id: str) -> Any:
    width, height = SIZE
    roi = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_s, frame_id),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([30.0, 0, 16, 0, 30, 12, 0, 0, 1]),
        r=np.eye(3).ravel(),
        p=np.array([30.0, 0, 16, 0, 0, 30, 12, 0, 0, 0, 1, 0]),
        binning_x=0,
        binning_y=0,
        roi=message("sensor_msgs/msg/RegionOfInterest", **roi),
    )


def exposures(
    times: Iterable[float],
    *,
    frame_id: str = "camera",
    info_frame: str = "camera",
    masks_have_stamps: bool = True,
) -> list[Record]:
    """Send images 10 ms after they were taken, and a mask of each 10 ms later."""
    width, height = SIZE
    masks = np.zeros((height, width), np.uint8)
    masks[6:18, 8:24] = 1
    sent: list[Record] = []
    for t in times:
        mask_s = t if masks_have_stamps else -START_S
        rgb, depth_m = np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32)
        sent += [
            (t + 0.01, "/image", image(t, frame_id, "rgb8", rgb)),
            (t + 0.01, "/camera_info", camera_info(t, info_frame)),
            (t + 0.01, "/depth", image(t, frame_id, "32FC1", depth_m)),
            (t + 0.02, "/masks", image(mask_s, frame_id, "mono8", masks)),
        ]
    return sent


def write(folder: Path, records: list[Record]) -> Path:
    path = folder / "bag"
    with Writer(path, version=9) as writer:
        connections: dict[str, Any] = {}
        for seconds, topic, value in sorted(records, key=lambda each: each[0]):
            kind = value.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            data = bytes(STORE.serialize_cdr(value, kind))
            writer.write(connections[topic], round((START_S + seconds) * 1e9), data)
    return path


def root_of(
    folder: Path, records: list[Record], config: NodeConfig | None = None
) -> MovingRoot | None:
    with Bag(write(folder, records)) as bag:
        return moving_root(bag, TOPICS, config or NodeConfig())


def ticks(first: float, last: float, step: float = 0.05) -> list[float]:
    return [float(t) for t in np.arange(first, last, step)]


ARM = mounted("camera", "hand")
MASKS = exposures(np.linspace(1, 9, 20))
MOVES = moving(ticks(0, 11))


def test_a_camera_on_an_arm_moves_in_the_world(tmp_path: Path) -> None:
    records = ARM + moving(ticks(0, 11), parent="base") + mounted("base", "world") + MASKS
    assert root_of(tmp_path, records) == MovingRoot(name="world", num_masks=20, lost=())


def test_old_names_with_a_slash_are_the_same_frames(tmp_path: Path) -> None:
    masks = exposures(np.linspace(1, 9, 20), frame_id="/camera")
    records = mounted("/camera", "/hand") + moving(ticks(0, 11), parent="/world") + masks
    assert root_of(tmp_path, records) == MovingRoot(name="world", num_masks=20, lost=())


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="no transforms"),
        pytest.param(mounted("camera", "world"), id="on a tripod"),
        pytest.param(mounted("camera", "base") + moving(ticks(0, 11), "wheel", "base"), id="wheel"),
        pytest.param(mounted("tag", "camera") + moving(ticks(0, 11), "map", "tag"), id="root"),
        pytest.param(moving(ticks(0, 11), "base", "world"), id="nothing is known of it"),
    ],
)
def test_a_camera_that_stands_needs_no_other_frame(tmp_path: Path, others: list[Record]) -> None:
    assert root_of(tmp_path, others + MASKS) is None


@pytest.mark.parametrize(
    ("x_m", "yaw_deg", "moves"),
    [(0.0, 0.0, False), (0.0009, 0.09, False), (0.0011, 0.0, True), (0.0, 0.11, True)],
)
def test_noise_is_no_motion(tmp_path: Path, x_m: float, yaw_deg: float, moves: bool) -> None:
    jitter = [
        (t, "/tf", transform(t, "hand", "world", x_m * (i % 2), math.radians(yaw_deg) * (i % 2)))
        for i, t in enumerate(ticks(0, 11))
    ]
    assert (root_of(tmp_path, ARM + jitter + MASKS) is not None) == moves


def test_a_transform_that_is_none_is_no_motion(tmp_path: Path) -> None:
    still = [(t, "/tf", transform(t, "hand", "world")) for t in ticks(0, 11)]
    broken = [(5.01, "/tf", transform(5.01, "hand", "world", x_m=1.0, norm=0))]
    assert root_of(tmp_path, ARM + still + broken + MASKS) is None


LOCALISED = ARM + moving(ticks(-1, 11), parent="odom")
COSTLY = {
    "recorded too late": (ARM + moving(ticks(0, 11), late_s=1.5), 20),
    "at 0.5 Hz": (ARM + moving(ticks(0, 13, 2)), 15),
    "map at 1 Hz": (LOCALISED + moving(ticks(-1, 12, 1), "odom", "map"), 13),
    "map sent once": (LOCALISED + moving([0.0], "odom", "map"), 20),
    "a gap": (ARM + moving(ticks(0, 3) + ticks(7, 11)), 9),
    "mount recorded late": (mounted("camera", "hand", recorded_s=5) + MOVES, 9),
    "a stray stamp of 0": (
        ARM + moving([-START_S], late_s=START_S - 0.5) + moving(ticks(2, 11)),
        3,
    ),
}


@pytest.mark.parametrize(("transforms", "num_lost"), COSTLY.values(), ids=COSTLY)
def test_a_frame_that_costs_masks_is_not_worth_it(
    tmp_path: Path, transforms: list[Record], num_lost: int
) -> None:
    root = root_of(tmp_path, transforms + MASKS)

    assert root is not None
    assert (len(root.lost), root.num_masks, root.is_worth_it) == (num_lost, 20, False)


CHEAP = {
    "begins after the first mask": (ticks(0.02, 11), np.linspace(0, 9, 100), 1),
    "ends before the last mask": (ticks(0, 9), np.linspace(0.1, 9.02, 100), 1),
    "one of ten lost": (ticks(0, 3) + ticks(4, 11), np.linspace(1, 9, 20), 2),
}


@pytest.mark.parametrize(("transforms", "masks", "num_lost"), CHEAP.values(), ids=CHEAP)
def test_a_frame_that_costs_a_tenth_of_the_masks_is_worth_it(
    tmp_path: Path, transforms: list[float], masks: list[float], num_lost: int
) -> None:
    root = root_of(tmp_path, ARM + moving(transforms) + exposures(masks))

    assert root is not None
    assert (len(root.lost), root.num_masks, root.is_worth_it) == (num_lost, len(masks), True)


def test_transforms_are_waited_for_as_long_as_the_settings_say(tmp_path: Path) -> None:
    config = NodeConfig()
    patient = replace(config, tf=replace(config.tf, timeout=2.0))
    records = ARM + moving(ticks(0, 11), late_s=1.5) + MASKS

    assert root_of(tmp_path, records, patient) == MovingRoot(name="world", num_masks=20, lost=())


def test_the_camera_is_where_its_images_say(tmp_path: Path) -> None:
    records = ARM + MOVES + exposures(np.linspace(1, 9, 20), info_frame="")
    assert root_of(tmp_path, records) == MovingRoot(name="world", num_masks=20, lost=())


def test_masks_without_stamps_are_placed_by_their_images(tmp_path: Path) -> None:
    config = NodeConfig()
    latest = replace(config, sync=replace(config.sync, mode="latest"))
    records = ARM + MOVES + exposures(np.linspace(1, 9, 20), masks_have_stamps=False)

    assert root_of(tmp_path, records, latest) == MovingRoot(name="world", num_masks=20, lost=())


def test_masks_that_cannot_be_used_anyway_are_not_held_against_a_frame(tmp_path: Path) -> None:
    alone = [each for each in exposures(ticks(3, 3.6, 0.2)) if each[1] == "/masks"]
    # Their images are not recorded, nor is there TF at their time.
    gap = moving(ticks(0, 2.9) + ticks(3.7, 11))
    times = [*np.linspace(1, 2.8, 8), *np.linspace(4, 9, 8)]

    root = root_of(tmp_path, ARM + gap + alone + exposures(times))

    assert root == MovingRoot(name="world", num_masks=16, lost=())


@pytest.mark.parametrize(
    "others",
    [
        pytest.param(moving([10.9], parent="dock"), id="docked in the end"),
        pytest.param(moving([0.0], parent="dock"), id="docked at first"),
        pytest.param(moving(ticks(0, 11), parent="dock", late_s=0.001), id="overruled each time"),
    ],
)
def test_of_several_parents_the_one_that_holds_most_counts(
    tmp_path: Path, others: list[Record]
) -> None:
    root = root_of(tmp_path, ARM + MOVES + others + MASKS)
    assert root == MovingRoot(name="world", num_masks=20, lost=())


def test_no_mask_has_a_place_in_a_loop(tmp_path: Path) -> None:
    root = root_of(tmp_path, ARM + MOVES + mounted("world", "camera") + MASKS)

    assert root is not None
    assert "each other's parents" in root.lost[0].message
    assert not root.is_worth_it


def said_of(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """Return the lines on fixed frames and transforms that ``offline`` prints for a bag."""
    main(["offline", str(folder / "bag"), "-o", str(folder / "out"), "--backend", "lift", *options])
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if "fixed-frame" in line or "NO_TRANSFORM" in line]


FEW = exposures([1.0, 2.0])


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        pytest.param(
            MOVES,
            "fixed-frame  world  (the camera moves in it; --fixed-frame '' for none)",
            id="chosen",
        ),
        pytest.param(
            moving(ticks(0, 1.5)),
            "fixed-frame  none  (the camera moves in world, but 1 of 2 masks cannot be placed in "
            "it: transform world from hand is not known at 1002.000000000 s: the newest one is "
            "0.550 s older; check its publisher, or raise tf.timeout; --fixed-frame FRAME chooses "
            "one)",
            id="not chosen",
        ),
    ],
)
def test_offline_says_in_which_frame_objects_stand_still(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], transforms: list[Record], said: str
) -> None:
    write(tmp_path, ARM + transforms + FEW)
    assert said_of(tmp_path, capsys) == [said]


def test_offline_says_what_a_frame_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ARM + moving(ticks(0, 8.8)) + MASKS)

    first, *lost = said_of(tmp_path, capsys)

    assert "world" in first
    assert "though 1 of 20 masks cannot be placed in it" in first
    assert len(lost) == 1


def test_offline_says_nothing_where_the_camera_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, mounted("camera", "world") + FEW)
    assert said_of(tmp_path, capsys) == []


def test_no_fixed_frame_on_the_command_line_wins_over_one_in_the_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tmp_path / "sam3d.yaml"
    params.write_text("/**: {ros__parameters: {output_frame: nowhere}}")
    write(tmp_path, ARM + MOVES + FEW)

    assert len(said_of(tmp_path, capsys, "--params", str(params))) == 2
    assert said_of(tmp_path, capsys, "--params", str(params), "--fixed-frame", "") == []
