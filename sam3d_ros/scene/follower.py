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


"""Follows known objects by depth, in this process."""

from collections.abc import Sequence

import numpy as np

from sam3d_ros.geometry.cameras import pixel_rays
from sam3d_ros.geometry.registration.model import RegistrationModel, prepared
from sam3d_ros.geometry.tracking.judging import Finding
from sam3d_ros.geometry.tracking.targets import Target
from sam3d_ros.geometry.tracking.tracker import Tracked, track
from sam3d_ros.geometry.tracking.views import tracking_view
from sam3d_ros.geometry.transforms import quat_wxyz_from_rotation, rotation_from_quat_wxyz
from sam3d_ros.scene.following import Expected, Followed, FollowStatus
from sam3d_ros.structures import Camera, DepthFrame, Floats, Mesh, Quality, Similarity

STATUS = {
    Finding.CONFIRMED: FollowStatus.FOLLOWED,
    Finding.UNSEEN: FollowStatus.OCCLUDED,
    Finding.CONTRADICTED: FollowStatus.LOST,
}


class DepthFollower:
    """Measures where objects are by the depth around where they should be.

    It remembers what it made of meshes and of the depth camera, nothing of earlier images.
    """

    def __init__(self) -> None:
        # Of the objects of the last image; those that are known are expected in every one.
        self._models: dict[int, tuple[Mesh, RegistrationModel]] = {}
        self._rays: tuple[Camera, Floats] | None = None
        self._num_images = 0

    def start(self) -> None:
        """Do nothing: there is nothing to get ready."""

    def close(self) -> None:
        """Forget prepared meshes."""
        self._models.clear()
        self._rays = None

    def follow(self, frame: DepthFrame, expected: Sequence[Expected]) -> list[Followed]:
        """Return where each object is, in the order of ``expected``.

        Raises:
            IntrinsicsError: The depth camera has no usable intrinsics.
            DistortionError: Its distortion model is not known.
            ShapeError: A mesh has no area.
        """
        if not expected:
            return []
        depth = frame.depth
        view = tracking_view(depth, frame.camera, frame.masks, self._rays_of(depth.camera))
        depth_from_color = depth.color_from_depth.inverse()
        targets = [self._target(each, depth_from_color) for each in expected]
        self._models = {
            each.track_id: (each.mesh_object, target.model)
            for each, target in zip(expected, targets, strict=True)
        }
        found = track(view, targets, self._num_images)
        self._num_images += 1
        return [
            _followed(each, target, outcome, depth.color_from_depth)
            for each, target, outcome in zip(expected, targets, found, strict=True)
        ]

    def _target(self, expected: Expected, depth_from_color: Similarity) -> Target:
        return Target(
            model=self._model(expected),
            depth_from_object=depth_from_color @ expected.camera_from_object,
            sigma_m=expected.sigma_m,
            sigma_rad=expected.sigma_rad,
            instance_id=expected.instance_id,
        )

    def _model(self, expected: Expected) -> RegistrationModel:
        """Prepare the mesh, once; ids may recur with other meshes, after a jump in time."""
        mesh, model = self._models.get(expected.track_id, (None, None))
        if model is None or mesh is not expected.mesh_object:
            return prepared(expected.mesh_object)
        return model

    def _rays_of(self, camera: Camera) -> Floats:
        """Return the rays of the depth camera, which rarely changes."""
        if self._rays is None or not _is_same(self._rays[0], camera):
            self._rays = camera, pixel_rays(camera)
        return self._rays[1]


def _is_same(first: Camera, second: Camera) -> bool:
    return (
        (first.width, first.height) == (second.width, second.height)
        and np.array_equal(first.matrix_px, second.matrix_px)
        and (first.distortion_model, first.distortion)
        == (second.distortion_model, second.distortion)
    )


def _followed(
    expected: Expected, target: Target, found: Tracked, color_from_depth: Similarity
) -> Followed:
    """Express an outcome in the colour camera."""
    status = STATUS[found.finding]
    pose = _rigid(color_from_depth @ found.depth_from_object)
    followed = status == FollowStatus.FOLLOWED
    arm_m = color_from_depth.rotation @ (
        found.depth_from_object.translation_m - found.depth_from_object.apply(target.model.center)
    )
    return Followed(
        track_id=expected.track_id,
        status=status,
        camera_from_object=pose if followed else expected.camera_from_object,
        quality=Quality(
            silhouette_iou=found.silhouette_iou,
            depth_residual_m=found.residual_m,
            inlier_fraction=found.inlier_fraction,
        ),
        covariance=_moved(found.covariance, color_from_depth.rotation, arm_m),
    )


def _rigid(pose: Similarity) -> Similarity:
    """Make a rotation of what almost is one: what extrinsics lack would grow with each image."""
    rotation = rotation_from_quat_wxyz(quat_wxyz_from_rotation(pose.rotation))
    return Similarity(rotation, pose.translation_m)


def _moved(covariance: Floats, rotation: Floats, arm_m: Floats) -> Floats:
    """Give the covariance of a point ``arm_m`` (3,) from the centre, in another camera.

    It moves by ``shift + turn x arm``.
    """
    x, y, z = arm_m
    jacobian = np.zeros((6, 6))
    jacobian[:3, :3] = jacobian[3:, 3:] = rotation
    jacobian[:3, 3:] = np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]) @ rotation
    moved: Floats = jacobian @ covariance @ jacobian.T
    return moved
