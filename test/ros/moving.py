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


"""A table that is looked at again and again while things move on it: exact depth, exact truth."""

import threading
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rig import CAMERA, PATIENCE_S, stamp_ns
from sensor_msgs.msg import CameraInfo, Image

from sam3d_ros.evaluation.synthetic import looking_at, true_depth
from sam3d_ros.evaluation.synthetic_objects import model
from sam3d_ros.evaluation.synthetic_render import PlacedObject, World
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.ros.encode import header_of
from sam3d_ros.structures import (
    Mesh,
    ObjectReconstruction,
    Observation,
    Provenance,
    Quality,
    ScaleSource,
    Similarity,
)

NAMES = ("mug", "box")
PLACES_M = ((-0.1, 0.0, 0.0), (0.12, 0.05, 0.0))
VOXEL_M = 0.004
SEEN_FROM = looking_at(np.array([0.0, -0.6, 0.4]), np.array([0.0, 0.0, 0.04]))
COLOUR = camera_from_fov(320, 240, 45.0)


class Table:
    """Two things on a table, where a test puts them, and the messages that a camera sends."""

    def __init__(self) -> None:
        self._things = [
            PlacedObject(
                model=model(name),
                mesh=model(name).mesh(VOXEL_M),
                world_from_object=Similarity(np.eye(3), np.array(place)),
            )
            for name, place in zip(NAMES, PLACES_M, strict=True)
        ]
        self._poses: list[Similarity | None] = [each.world_from_object for each in self._things]
        self.world_from_camera = SEEN_FROM

    @property
    def meshes(self) -> list[Mesh]:
        return [each.mesh for each in self._things]

    def put(self, index: int, world_from_object: Similarity) -> None:
        self._poses[index] = world_from_object

    def take_away(self, index: int) -> None:
        self._poses[index] = None

    def world_from_object(self, index: int) -> Similarity:
        pose = self._poses[index]
        assert pose is not None
        return pose

    def camera_from_object(self, index: int) -> Similarity:
        return self.world_from_camera.inverse() @ self.world_from_object(index)

    def look(self, number: int) -> dict[str, Any]:
        """Return all messages of one exposure, by topic, the mask last."""
        present = [index for index, pose in enumerate(self._poses) if pose is not None]
        world = World(
            [
                replace(self._things[index], world_from_object=self.world_from_object(index))
                for index in present
            ]
        )
        true, surface = true_depth(world, COLOUR, self.world_from_camera, 0.05)
        labels = np.zeros(surface.shape, dtype=np.uint8)
        for place, index in enumerate(present, start=1):
            labels[surface == place] = index + 1
        millimetres = np.nan_to_num(1000 * true.depth_m).round().astype(np.uint16)
        grey = np.full((*labels.shape, 3), 90, dtype=np.uint8)
        return {
            "camera_info": info(number),
            "image": image(grey, "rgb8", number),
            "depth_info": info(number),
            "depth": image(millimetres, "16UC1", number),
            "masks": image(labels, "mono8", number),
        }


class TrueBackend:
    """Gives each mask the true mesh, where it truly stands, once the gate is open."""

    name = "true"

    def __init__(self, table: Table) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.num_started = 0
        self._meshes = table.meshes
        self.order = list(range(len(self._meshes)))  # which mesh the mask of an id gets
        self.remember(table)

    def remember(self, table: Table) -> None:
        """Take what is true now for what the next masks show."""
        self._poses = [table.camera_from_object(index) for index in self.order]

    def reconstruct(self, observation: Observation) -> ObjectReconstruction:
        self.num_started += 1
        assert self.gate.wait(PATIENCE_S)
        index = self.order[observation.instance.instance_id - 1]
        return ObjectReconstruction(
            mesh_object=self._meshes[index],
            camera_from_object=self._poses[index],
            quality=Quality(),
            provenance=Provenance(backend=self.name, scale_source=ScaleSource.DEPTH),
        )


def image(pixels: Any, encoding: str, number: int) -> Image:
    message = Image(
        header=header_of(CAMERA, stamp_ns(number)),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.strides[0],
    )
    message.data = array("B", pixels.tobytes())
    return message


def info(number: int) -> CameraInfo:
    header = header_of(CAMERA, stamp_ns(number))
    message = CameraInfo(header=header, width=COLOUR.width, height=COLOUR.height)
    message.distortion_model, message.d = "plumb_bob", [0.0] * 5
    message.k = [float(value) for value in COLOUR.matrix_px.ravel()]
    return message


def only(labels: Image, *ids: int) -> Image:
    """Return a label image with some of its ids."""
    pixels = np.array(labels.data, dtype=np.uint8).reshape(labels.height, labels.width)
    kept = np.where(np.isin(pixels, ids), pixels, 0).astype(np.uint8)
    message = Image(header=labels.header, height=labels.height, width=labels.width)
    message.encoding, message.step = labels.encoding, labels.step
    message.data = array("B", kept.tobytes())
    return message


def off_by(found: Similarity, true: Similarity) -> tuple[float, float]:
    """Return how far a pose is from the truth: metres, degrees."""
    cosine = (np.trace(found.rotation.T @ true.rotation) - 1) / 2
    distance_m = float(np.linalg.norm(found.translation_m - true.translation_m))
    return distance_m, float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def stamps_of(messages: Sequence[Any], child: str) -> list[int]:
    """Return the stamps of one frame's transforms, in the order in which they came."""
    return [
        each.header.stamp.sec * 1_000_000_000 + each.header.stamp.nanosec
        for message in messages
        for each in message.transforms
        if each.child_frame_id == child
    ]
