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

"""Names of what a body of the MHR rig has: keypoints and joints, in the order of their rows."""

from sam3d_ros.structures.people import NUM_JOINTS, NUM_KEYPOINTS

FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def _hand_keypoints(side: str) -> list[str]:
    parts = ("tip", "joint1", "joint2", "joint3")
    fingers = [f"{side}_{finger}_{part}" for finger in FINGERS for part in parts]
    return [*fingers, f"{side}_wrist"]


def _pairs(*names: str) -> list[str]:
    return [f"{side}_{name}" for name in names for side in ("left", "right")]


def _foot(side: str) -> list[str]:
    return [f"{side}_{name}" for name in ("big_toe", "small_toe", "heel")]


# MHR70: left before right, but for the hands.
KEYPOINT_NAMES: tuple[str, ...] = (
    "nose",
    *_pairs("eye", "ear", "shoulder", "elbow", "hip", "knee", "ankle"),
    *_foot("left"),
    *_foot("right"),
    *_hand_keypoints("right"),
    *_hand_keypoints("left"),
    *_pairs("olecranon", "cubital_fossa", "acromion"),
    "neck",
)


def _chain(name: str, first: int, last: int, end: str = "") -> list[str]:
    return [*(f"{name}{number}" for number in range(first, last + 1)), *([end] if end else [])]


def _leg(side: str) -> list[str]:
    main = ("upleg", "lowleg", "foot", "talocrural", "subtalar", "transversetarsal", "ball")
    return [
        *(f"{side}_{name}" for name in main),
        *_chain(f"{side}_lowleg_twist", 1, 4),
        *_chain(f"{side}_upleg_twist", 0, 4),
    ]


def _arm(side: str) -> list[str]:
    names = [f"{side}_{name}" for name in ("clavicle", "uparm", "lowarm", "wrist_twist", "wrist")]
    for finger, first in (("pinky", 0), ("ring", 1), ("middle", 1), ("index", 1), ("thumb", 0)):
        names += _chain(f"{side}_{finger}", first, 3, f"{side}_{finger}_null")
    return [*names, *_chain(f"{side}_lowarm_twist", 1, 4), *_chain(f"{side}_uparm_twist", 0, 4)]


# Joints of the rig, named by its tree; helpers of the skin have numbers.
JOINT_NAMES: tuple[str, ...] = (
    "body_world",
    "root",
    *_leg("l"),
    *_leg("r"),
    *_chain("spine", 0, 3),
    *_arm("r"),
    *_arm("l"),
    "neck",
    "neck_twist1",
    "neck_twist0",
    "head",
    "jaw",
    "teeth",
    "jaw_null",
    *_chain("tongue", 0, 4),
    "r_eye",
    "r_eye_null",
    "l_eye",
    "l_eye_null",
    "head_null",
)
assert len(KEYPOINT_NAMES) == NUM_KEYPOINTS
assert len(JOINT_NAMES) == NUM_JOINTS

# Of the bones that are drawn, the keypoints at both ends.
BONES: tuple[tuple[int, int], ...] = tuple(
    (KEYPOINT_NAMES.index(first), KEYPOINT_NAMES.index(second))
    for first, second in (
        ("nose", "neck"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        *(
            (f"{side}_{first}", f"{side}_{second}")
            for side in ("left", "right")
            for first, second in (
                ("ear", "eye"),
                ("shoulder", "hip"),
                ("shoulder", "elbow"),
                ("elbow", "wrist"),
                ("hip", "knee"),
                ("knee", "ankle"),
                ("ankle", "heel"),
                ("ankle", "big_toe"),
            )
        ),
        *(
            pair
            for side in ("left", "right")
            for finger in FINGERS
            for pair in (
                (f"{side}_wrist", f"{side}_{finger}_joint3"),
                (f"{side}_{finger}_joint3", f"{side}_{finger}_joint2"),
                (f"{side}_{finger}_joint2", f"{side}_{finger}_joint1"),
                (f"{side}_{finger}_joint1", f"{side}_{finger}_tip"),
            )
        ),
    )
)
