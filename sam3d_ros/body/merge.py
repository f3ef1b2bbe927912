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

"""How hands that were looked at closely replace those that the body's own pass saw.

Left comes before right in every axis of two sides. The hand decoder knows right hands only, so left
ones are seen in the mirrored image and mirrored back here. Where the released model does what looks
like a mistake a comment says so: its weights are used as they were made to be used.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam3d_ros.body.architecture import NUM_HAND_VALUES
from sam3d_ros.body.estimates import BodyValues, Estimate, PosedBody
from sam3d_ros.body.head_rig import HeadRig
from sam3d_ros.body.parameters import WRISTS, likelier_wrist
from sam3d_ros.body.pose_head import PoseHead
from sam3d_ros.body.prompts import NO_PROMPT
from sam3d_ros.body.rotations import matrix_from_quat_xyzw
from sam3d_ros.body.views import CropViews
from sam3d_ros.nn.indices import indices_on
from sam3d_ros.nn.rotations import angle_between, matrix_from_xzy, xzy_from_matrix

MAX_WRIST_ANGLE_RAD = 1.4
MIN_HAND_SIDE_PX = 64.0
MAX_EXTENT = 0.5  # of a hand's keypoints, in units of its crop: all of them are inside
MAX_WRIST_SHIFT = 0.25  # between both passes' wrists, in units of a hand's crop

LOWER_ARMS, WRIST_TWISTS = (76, 40), (77, 41)  # joints
SEEN_WRIST = 42  # joint: the hand decoder takes every hand for a right one
WRIST_KEYPOINTS, ELBOW_KEYPOINTS = (62, 41), (7, 8)
SEEN_WRIST_KEYPOINT = 41
HAND_SCALES = (9, 8)  # which component of the scale is that of each hand
SHARED_SCALES, SHARED_SHAPES = slice(18, None), slice(40, None)  # of both hands


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmConstants:
    """What the rig's heads know of arms and hands."""

    joint_rotation: Tensor  # (127, 3, 3) of each joint at rest, in the axes of its parent
    scale_mean: Tensor  # (68,)
    scale_comps: Tensor  # (28, 68)

    @classmethod
    def of(cls, head: PoseHead) -> "ArmConstants":
        """Return those of a pose head."""
        return cls(
            joint_rotation=head.joint_rotation,
            scale_mean=head.scale_mean,
            scale_comps=head.scale_comps,
        )

    @property
    def wrist_twists(self) -> Tensor:
        """Rotations ``(2, 3, 3)`` of the joints between lower arms and wrists."""
        return _chosen(self.joint_rotation, WRIST_TWISTS, dim=0)

    def left_scale(self, right: Tensor) -> Tensor:
        """Return the component that scales a left hand as another ``(N,)`` scales a right one."""
        left, other = HAND_SCALES
        scale = self.scale_mean[other] + self.scale_comps[other, other] * right
        return (scale - self.scale_mean[left]) / self.scale_comps[left, left]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HandReadings:
    """What was seen of both hands of N people by looking at them closely; nothing is mirrored."""

    wrist_rotations: Tensor  # (N, 2, 3, 3) of the wrist joints, in the axes of the rig
    wrists_px: Tensor  # (N, 2, 2) in the image
    poses: Tensor  # (N, 2, 54)
    own_scales: Tensor  # (N, 2) the component that is each hand's own
    shared_scales: Tensor  # (N, 2, 10) what each says of components that are both hands'
    shared_shapes: Tensor  # (N, 2, 5)
    extents: Tensor  # (N, 2) how far from the middle of its crop a hand reaches, in its units
    sides_px: Tensor  # (N, 2) of the crops, in the image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HandTrust:
    """What the first pass over N bodies says of their hands."""

    wrists: Tensor  # (N, 2, 3, 3) as that pass turned them
    believed: Tensor  # (N, 2) whether what was seen of a hand fits the body


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergedBody:
    """N bodies with the hands that fit them."""

    values: BodyValues
    posed: PosedBody
    accepted: Tensor  # (N, 2) which hands are those that were looked at closely


def hand_boxes_px(boxes: Tensor, views: CropViews) -> Tensor:
    """Return squares ``(N, 2, 4)`` x1 y1 x2 y2 around hands, in the image.

    Args:
        boxes: ``(N, 2, 4)`` centre and size in units of the bodies' crops, from 0 to 1.
        views: The bodies' crops.
    """
    scale, shift = views.crop_from_image[:, None, 0, :1], views.crop_from_image[:, None, :, 2]
    centers = (boxes[..., :2] * views.size - shift) / scale
    half = boxes[..., 2:].amax(dim=-1, keepdim=True) * views.size / scale / 2
    return torch.cat((centers - half, centers + half), dim=-1)


def looked_at_px(views: CropViews, width: int) -> Tensor:
    """Return what the hand decoder saw ``(N, 2, 4)`` x1 y1 x2 y2 in the image, for ``read_hands``.

    Args:
        views: Of ``2 N`` crops: all left hands, in the mirrored image, then all right hands.
        width: Of the image.
    """
    centers, half = _by_side(views.centers_px).clone(), _by_side(views.sides_px)[..., None] / 2
    centers[:, 0, 0] = width - centers[:, 0, 0] - 1
    return torch.cat((centers - half, centers + half), dim=-1)


def read_hands(
    seen: Estimate, views: CropViews, width: int, constants: ArmConstants
) -> HandReadings:
    """Take what is asked of hands out of the hand decoder's answer.

    Args:
        seen: Of ``2 N`` crops: all left hands, mirrored, then all right hands.
        views: These crops; those of left hands lie in the mirrored image.
        width: Of the image.
        constants: Of the rig.
    """
    rotations = _by_side(seen.posed.joint_rotations[:, SEEN_WRIST]).clone()
    rotations[:, 0, 1:] *= -1  # in the rig's axes, which are not those of the mirrored image
    wrists = _by_side(seen.placement.keypoints_px[:, SEEN_WRIST_KEYPOINT]).clone()
    wrists[:, 0, 0] = width - wrists[:, 0, 0] - 1
    scale = _by_side(seen.values.scale)
    own = scale[..., HAND_SCALES[1]]
    return HandReadings(
        wrist_rotations=rotations,
        wrists_px=wrists,
        poses=_by_side(seen.values.hand[:, NUM_HAND_VALUES:]),
        own_scales=torch.stack((constants.left_scale(own[:, 0]), own[:, 1]), dim=1),
        shared_scales=scale[..., SHARED_SCALES],
        shared_shapes=_by_side(seen.values.shape)[..., SHARED_SHAPES],
        # The keypoints of the rest of the body count, too: they all are where the hand's origin is.
        extents=_by_side(seen.placement.keypoints_crop).abs().amax(dim=(-1, -2)),
        sides_px=_by_side(views.sides_px),
    )


def wrist_matrices(values: BodyValues) -> Tensor:
    """Return how the wrists are turned, ``(N, 2, 3, 3)``."""
    return matrix_from_xzy(
        torch.stack([_chosen(values.body_pose, wrist) for wrist in WRISTS], dim=1)
    )


def trust(body: Estimate, hands: HandReadings, constants: ArmConstants) -> HandTrust:
    """Tell which hands fit the body well enough to be believed.

    Args:
        body: The first pass over the bodies.
        hands: What was seen of their hands.
        constants: Of the rig.
    """
    wrists = wrist_matrices(body.values)
    fitting = fitting_wrists(body.posed.joint_rotations, hands, constants)
    turned = angle_between(wrists, fitting) < MAX_WRIST_ANGLE_RAD
    shifts = (hands.wrists_px - _chosen(body.placement.keypoints_px, WRIST_KEYPOINTS)).norm(dim=-1)
    # Each by the side of the other hand's crop, as the released model does.
    near = shifts / hands.sides_px.flip(-1) < MAX_WRIST_SHIFT
    inside, large = hands.extents < MAX_EXTENT, hands.sides_px > MIN_HAND_SIDE_PX
    return HandTrust(wrists=wrists, believed=turned & large & inside & near)


def fitting_wrists(joint_rotations: Tensor, hands: HandReadings, constants: ArmConstants) -> Tensor:
    """Return the rotations of wrists ``(N, 2, 3, 3)`` that turn hands as they were seen.

    Args:
        joint_rotations: ``(N, 127, 3, 3)`` of the body that the hands belong to.
        hands: What was seen of them.
        constants: Of the rig.
    """
    arms = _chosen(joint_rotations, LOWER_ARMS) @ constants.wrist_twists
    return arms.mT @ hands.wrist_rotations


def keypoint_prompts(
    body: Estimate, hands: HandReadings, views: CropViews, believed: Tensor
) -> Tensor:
    """Return where wrists and elbows are, ``(N, 4, 3)``: prompts for a second pass over the body.

    Those of hands that are not believed, or outside of the body's crop, say nothing.

    Args:
        body: The first pass.
        hands: What was seen of the hands.
        views: The bodies' crops.
        believed: Which hands to believe, ``(N, 2)``.
    """
    wrists = views.in_crops(hands.wrists_px)
    elbows = _chosen(body.placement.keypoints_crop, ELBOW_KEYPOINTS)
    points = torch.cat((wrists.flip(1), elbows.flip(1)), dim=1)  # the right side first
    labels = points.new_tensor([*reversed(WRIST_KEYPOINTS), *reversed(ELBOW_KEYPOINTS)])
    valid = (points.abs() < 0.5).all(dim=-1) & believed.flip(1).repeat(1, 2)
    prompts = torch.cat(
        ((points + 0.5).clamp(0, 1), labels.expand(len(points), -1)[..., None]), dim=-1
    )
    return torch.where(valid[..., None], prompts, prompts.new_tensor([0.0, 0.0, NO_PROMPT]))


def with_hands_open(values: BodyValues, hands: HandReadings) -> BodyValues:
    """Return bodies with all that was seen of their hands, whether believed or not."""
    scale, shape = values.scale.clone(), values.shape.clone()
    for side, component in enumerate(HAND_SCALES):
        scale[:, component] = hands.own_scales[:, side]
    scale[:, SHARED_SCALES] = hands.shared_scales.mean(dim=1)
    shape[:, SHARED_SHAPES] = hands.shared_shapes.mean(dim=1)
    return replace(values, hand=hands.poses.flatten(1), scale=scale, shape=shape)


def merged(
    values: BodyValues, hands: HandReadings, fitting: Tensor, accepted: Tensor
) -> BodyValues:
    """Return bodies with the hands that are accepted, turned as they were seen.

    Args:
        values: Of the body's last pass.
        hands: What was seen of the hands.
        fitting: The wrists ``(N, 2, 3, 3)`` that turn hands so on these bodies.
        accepted: Which hands to take, ``(N, 2)``.
    """
    angles = likelier_wrist(xzy_from_matrix(fitting))
    body_pose, scale, shape = values.body_pose, values.scale.clone(), values.shape.clone()
    for side, (wrist, component) in enumerate(zip(WRISTS, HAND_SCALES, strict=True)):
        taken = accepted[:, side]
        turned = torch.where(taken[:, None], angles[:, side], _chosen(body_pose, wrist))
        body_pose = body_pose.index_copy(1, indices_on(body_pose.device, wrist), turned)
        scale[:, component] = torch.where(taken, hands.own_scales[:, side], scale[:, component])
    hand = torch.where(accepted[..., None], hands.poses, torch.unflatten(values.hand, 1, (2, -1)))
    scale[:, SHARED_SCALES] = _shared(hands.shared_scales, accepted, scale[:, SHARED_SCALES])
    shape[:, SHARED_SHAPES] = _shared(hands.shared_shapes, accepted, shape[:, SHARED_SHAPES])
    return replace(values, body_pose=body_pose, hand=hand.flatten(1), scale=scale, shape=shape)


def with_hands(
    body: Estimate, hands: HandReadings, first: HandTrust, head: PoseHead, rig: HeadRig
) -> MergedBody:
    """Return bodies as they are with hands that were looked at closely.

    Args:
        body: The last pass over the bodies.
        hands: What was seen of their hands.
        first: What the first pass over the bodies said of the hands.
        head: Of the bodies.
        rig: As it is prepared for this head.
    """
    constants = ArmConstants.of(head)
    opened = with_hands_open(body.values, hands)
    rotations = _joint_rotations(opened, head, rig)
    fitting = fitting_wrists(rotations, hands, constants)
    accepted = first.believed & (angle_between(first.wrists, fitting) < MAX_WRIST_ANGLE_RAD)
    values = merged(body.values, hands, fitting, accepted)
    return MergedBody(values=values, posed=head.posed(values, rig), accepted=accepted)


def _joint_rotations(values: BodyValues, head: PoseHead, rig: HeadRig) -> Tensor:
    """Return the rotations of all joints ``(N, 127, 3, 3)`` in the axes of the rig."""
    parameters = head.rig_parameters(values)
    _, joints = rig.of_keypoints(values.shape, parameters, values.expression)
    return matrix_from_quat_xyzw(joints[..., 3:7])


def _shared(seen: Tensor, accepted: Tensor, otherwise: Tensor) -> Tensor:
    """Return the mean ``(N, C)`` of what accepted hands say ``(N, 2, C)``; without any, another."""
    count = accepted.sum(dim=1)[:, None]
    mean = (seen * accepted[..., None]).sum(dim=1) / count.clamp(min=1)
    return torch.where(count > 0, mean, otherwise)


def _chosen(values: Tensor, indices: tuple[int, ...], dim: int = 1) -> Tensor:
    """Return some of many along an axis, without a copy of the indices to the device."""
    return values.index_select(dim, indices_on(values.device, indices))


def _by_side(both: Tensor) -> Tensor:
    """Return ``(N, 2, ...)`` of ``(2 N, ...)``, all left ones first."""
    return torch.unflatten(both, 0, (2, -1)).transpose(0, 1)
