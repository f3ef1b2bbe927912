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

"""The optional step after all objects of a frame: none overlaps, floats or sinks."""

import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from sam3d_ros.config import SettleConfig
from sam3d_ros.geometry.dressing import fit_quality
from sam3d_ros.geometry.evidence import camera_of, view_evidence
from sam3d_ros.geometry.raster import render
from sam3d_ros.geometry.settling.body import Body
from sam3d_ros.geometry.settling.settle import Settled, SettlingLimits, settle
from sam3d_ros.scene.reconstructor import KnownObject, ReconstructedFrame
from sam3d_ros.structures import (
    Floats,
    Mesh,
    ObjectReconstruction,
    Observation,
    RefinementStatus,
    SupportPlane,
)

# Standard deviation of a place of which no covariance is known: of one seen all over, and of one
# of which nothing was seen.
SEEN_M, UNSEEN_M = 0.002, 0.006
NOTHING = np.zeros((0, 3))


def settled(
    reconstructions: Sequence[ObjectReconstruction],
    observations: Sequence[Observation],
    config: SettleConfig,
    *,
    support: SupportPlane | None,
    fixed: Sequence[Mesh] = (),
) -> list[ObjectReconstruction]:
    """Return the objects of one frame as they can stand beside each other, each with a report.

    What moves is measured anew; where nothing was wrong, poses stay exactly what they were.

    Args:
        reconstructions: With rigid poses.
        observations: What each was made from.
        config: How far they may be moved; where it is not enabled, nothing is done.
        support: What they stand on.
        fixed: Other objects, in the camera frame, which stay where they are.
    """
    if not config.enabled:
        return list(reconstructions)
    bodies = [
        _body(reconstruction, observation)
        for reconstruction, observation in zip(reconstructions, observations, strict=True)
    ]
    obstacles = [Body(mesh, np.zeros((3, 3)), NOTHING, NOTHING) for mesh in fixed]
    found = settle([*bodies, *obstacles], support, _limits(config))
    return [
        _moved(*each)
        for each in zip(reconstructions, observations, found[: len(bodies)], strict=True)
    ]


def settle_frame(
    result: ReconstructedFrame,
    observations: Sequence[Observation],
    known: Sequence[KnownObject],
    config: SettleConfig,
) -> None:
    """Settle what was made of one frame, around the known objects that were measured in it.

    Args:
        result: Changed in place, where settling is enabled.
        observations: Of the frame, at least those of the instances.
        known: Objects of which some were measured.
        config: See ``settled``.
    """
    if not (config.enabled and result.instances):
        return
    started = time.perf_counter()
    seen = {each.instance.instance_id: each for each in observations}
    meshes = {each.track_id: each.mesh_object for each in known}
    moved = settled(
        [each.reconstruction for each in result.instances],
        [seen[each.instance_id] for each in result.instances],
        config,
        support=result.support,
        fixed=[
            meshes[each.track_id].transformed(each.camera_from_object)
            for each in result.measured
            if each.refinement.status is RefinementStatus.ACCEPTED
        ],
    )
    result.instances = [
        replace(instance, reconstruction=reconstruction)
        for instance, reconstruction in zip(result.instances, moved, strict=True)
    ]
    result.stage_s["settle"] = time.perf_counter() - started


def _limits(config: SettleConfig) -> SettlingLimits:
    return SettlingLimits(
        max_shift_m=config.max_shift,
        max_turn_rad=float(np.radians(config.max_turn_deg)),
        max_departure_m=config.max_departure,
    )


def _body(reconstruction: ObjectReconstruction, observation: Observation) -> Body:
    mask = observation.mask.astype(np.uint8)
    rim = observation.mask & (cv2.erode(mask, np.ones((3, 3), dtype=np.uint8)) == 0)
    points = observation.points_camera[rim]
    return Body(
        reconstruction.mesh_object.transformed(reconstruction.camera_from_object),
        _variance_m2(reconstruction),
        observation.object_points_camera,
        points[np.isfinite(points).all(axis=-1)],
    )


def _variance_m2(reconstruction: ObjectReconstruction) -> Floats:
    """Return the covariance of the place, ``(3, 3)``; a guess from what was seen if unknown."""
    covariance: Floats = reconstruction.refinement.covariance[:3, :3]
    if np.trace(covariance) > 0:
        return covariance
    observed = np.nan_to_num(reconstruction.quality.observed_fraction, nan=0.0)
    sigma_m = observed * SEEN_M + (1.0 - observed) * UNSEEN_M
    return sigma_m**2 * np.eye(3)


def _moved(
    reconstruction: ObjectReconstruction, observation: Observation, found: Settled
) -> ObjectReconstruction:
    report = found.report
    if report.shift_m == 0.0 and report.turn_rad == 0.0:
        return replace(reconstruction, settling=report)
    pose = found.now_from_start @ reconstruction.camera_from_object
    moved = replace(reconstruction, camera_from_object=pose, settling=report)
    mesh_camera = moved.mesh_object.transformed(pose)
    evidence = view_evidence(observation)
    raster = render([mesh_camera], camera_of(evidence))
    return replace(moved, quality=fit_quality(mesh_camera, raster, evidence))
