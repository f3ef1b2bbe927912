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

"""The node with SAM 3D Objects in its process, by untrained weights at toy sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rig import CAMERA, Rig, stamp_ns
from sam3d_ros.msg import ObjectMesh
from sensor_msgs.msg import PointCloud2

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.objects.random_weights import write_random_weights
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.node import pipeline_in_own_process
from sam3d_ros.ros.qos import latched
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import Mesh

pytestmark = [pytest.mark.ros, pytest.mark.slow]


class ModelRig(Rig):
    """A rig whose node reconstructs as it does outside of tests."""

    def _pipeline(self, config: SceneConfig) -> ScenePipeline:
        return pipeline_in_own_process(config)


def rig_with(folder: Path, more: dict[str, Any] | None = None) -> ModelRig:
    empty = np.zeros((0, 3))
    mesh = Mesh(
        vertices=empty,
        triangles=empty.astype(np.int32),
        colors=empty.astype(np.uint8),
        observed=empty[:, 0],
    )
    parameters: dict[str, Any] = {
        "device": "cpu",
        "objects.backend": "sam3d",
        "objects.stage1_steps": 2,
        "objects.stage2_steps": 2,
        "weights.objects": str(folder),
        **(more or {}),
    }
    return ModelRig(mesh, parameters)


def means_of(cloud: PointCloud2) -> Any:
    """Return where splats are, ``(N, 3)``; x, y and z are the first fields."""
    assert [field.name for field in cloud.fields[:3]] == ["x", "y", "z"]
    return np.frombuffer(cloud.data, "<f4").reshape(cloud.width, -1)[:, :3]


def reach_of(mesh: ObjectMesh) -> float:
    """Return how far a mesh reaches from the origin of its frame, in metres."""
    places = np.asarray(mesh.vertices).reshape(-1, 3)
    return float(np.linalg.norm(places, axis=1).max())


def test_the_node_publishes_what_the_model_makes_at_the_stamp_of_the_image(tmp_path: Path) -> None:
    rig = rig_with(write_random_weights(tmp_path))
    try:
        rig.start()
        rig.send_frame(3)
        report = rig.report()
        assert report.code == ReportCode.OK, report.message
        assert len(report.object_ids) == 2
        assert {stage.name for stage in report.stages} >= {"geometry", "refinement", "object"}
        rig.until(lambda: len(rig.heard["/meshes"]) == 2, "meshes")
        (objects,) = rig.heard["/objects"][-1:]
        assert (objects.header.frame_id, stamp_ns_from_msg(objects.header.stamp)) == (
            CAMERA,
            stamp_ns(3),
        )
        for known, side in zip(objects.objects, (-1, 1), strict=True):
            position = known.pose.pose.position
            assert 0.5 < position.z < 1.6  # the squares are at 1 m, left and right
            assert np.sign(position.x) == side
        frames = {
            transform.child_frame_id: transform
            for message in rig.heard["/tf"]
            for transform in message.transforms
        }
        assert set(report.object_ids) <= set(frames)
        for name in report.object_ids:
            assert frames[name].header.frame_id == CAMERA
            assert stamp_ns_from_msg(frames[name].header.stamp) == stamp_ns(3)
        assert all(mesh.watertight for mesh in rig.heard["/meshes"])
    finally:
        rig.close()


def test_splats_come_in_the_frame_of_each_object_at_the_stamp_of_the_image(tmp_path: Path) -> None:
    rig = rig_with(write_random_weights(tmp_path), {"gaussians.publish": True})
    try:
        clouds = rig.listen("/sam3d_node/gaussians", PointCloud2, latched(10))
        rig.start()
        rig.send_frame(3)
        report = rig.report()
        assert report.code == ReportCode.OK, report.message
        assert "splats" in {stage.name for stage in report.stages}
        rig.until(lambda: len(clouds) == 2, "splats")
        assert {cloud.header.frame_id for cloud in clouds} == set(report.object_ids)
        rig.until(lambda: len(rig.heard["/meshes"]) == 2, "meshes")
        sizes = {mesh.header.frame_id: reach_of(mesh) for mesh in rig.heard["/meshes"]}
        for cloud in clouds:
            assert stamp_ns_from_msg(cloud.header.stamp) == stamp_ns(3)
            assert cloud.width > 100
            places = means_of(cloud)
            assert np.isfinite(places).all()
            reach_m = sizes[cloud.header.frame_id]  # metres, not the model's cube of side 1
            assert np.median(np.linalg.norm(places, axis=1)) < reach_m
    finally:
        rig.close()


def test_the_fast_mesh_is_published_closed_and_without_the_second_stage(tmp_path: Path) -> None:
    rig = rig_with(write_random_weights(tmp_path), {"objects.mesh_detail": "fast"})
    try:
        rig.start()
        rig.send_frame(3)
        report = rig.report()
        assert report.code == ReportCode.OK, report.message
        stages = {stage.name for stage in report.stages}
        assert stages >= {"geometry", "occupancy", "mesh"}
        assert stages.isdisjoint({"fine condition", "refinement", "splats"})
        rig.until(lambda: len(rig.heard["/meshes"]) == 2, "meshes")
        for mesh in rig.heard["/meshes"]:
            assert mesh.watertight
            assert mesh.header.frame_id in report.object_ids
            assert stamp_ns_from_msg(mesh.header.stamp) == stamp_ns(3)
    finally:
        rig.close()


def test_without_weights_the_node_is_not_configured(tmp_path: Path) -> None:
    rig = rig_with(tmp_path)
    try:
        assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    finally:
        rig.close()
