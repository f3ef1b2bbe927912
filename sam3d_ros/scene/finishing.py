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


"""What leaves the reconstructor: finished meshes, poses of known ones, and reasons for neither."""

import logging
import time
from dataclasses import replace

import numpy as np

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReconstructionError, ReportCode, Sam3dError
from sam3d_ros.geometry.measures import enclosed_volume_m3
from sam3d_ros.geometry.meshes import decimate
from sam3d_ros.geometry.previews import clustered
from sam3d_ros.objects.colored_points import MAX_VALUE, ColoredPoints, points_of_splats
from sam3d_ros.objects.texture import baked as baked_image
from sam3d_ros.objects.texture import tiled
from sam3d_ros.protocols import ObjectOutcome
from sam3d_ros.scene.choosing import agreements
from sam3d_ros.scene.compose import with_origin
from sam3d_ros.scene.knowing import Finding, Verdict
from sam3d_ros.scene.reconstructor import (
    MeasuredInstance,
    ReconstructedFrame,
    ReconstructedInstance,
)
from sam3d_ros.scene.views import remembered
from sam3d_ros.structures import (
    Frame,
    Mesh,
    ObjectFailure,
    ObjectReconstruction,
    Provenance,
    Quality,
    RefinementStatus,
    Splats,
    Texture,
)

# Agreement that a mesh of more views may lose: on the mean of all views, and in any one of them.
# Meshes of one view are made to agree with it; where one fits no other, it is worth less.
MAX_WORSE, MAX_WORSE_OF_MISFIT, MAX_WORSE_IN_ONE = 0.02, 0.05, 0.15

TEXTURED_STYLES = ("texture", "mesh_resource")  # of markers
TEXTURE_SIDE = 512  # texels; 5000 triangles get some 40 each

logger = logging.getLogger(__name__)


def finished(reconstruction: ObjectReconstruction, config: SceneConfig) -> ObjectReconstruction:
    """Bring what a backend made into the form that leaves the package."""
    started = time.perf_counter()
    baked = reconstruction.baked()
    mesh = decimate(baked.mesh_object, config.mesh.max_triangles)
    preview = clustered(mesh, config.markers.max_triangles)
    texture = None
    if config.markers.style in TEXTURED_STYLES:
        texture = _texture(preview, mesh, baked.splats)
    seconds = sum(baked.stage_s.values()) + time.perf_counter() - started
    return with_origin(
        replace(
            baked,
            mesh_object=mesh,
            preview=preview,
            preview_texture=texture,
            volume_m3=enclosed_volume_m3(mesh),
            stage_s={**baked.stage_s, "object": seconds},
        ),
        config.mesh.origin,
    )


def add_known(finding: Finding, result: ReconstructedFrame, note: str = "") -> None:
    """Add what a mask shows of a known object whose mesh stays."""
    known, registration = finding.known, finding.registration
    assert known is not None
    assert registration is not None
    instance_id = finding.observation.instance.instance_id
    if finding.verdict is Verdict.MISS:
        message = (
            f"mask {instance_id} shows nothing that looks like locked object {known.track_id}, "
            "which is not where it was; unlock it to have it reconstructed anew"
        )
        code = ReportCode.RECONSTRUCTION
        result.failures.append(ObjectFailure(instance_id=instance_id, code=code, message=message))
        return
    result.measured.append(
        MeasuredInstance(
            instance_id=instance_id,
            track_id=known.track_id,
            revision=known.revision,
            camera_from_object=registration.camera_from_object,
            refinement=registration.refinement,
            quality=Quality(
                silhouette_iou=registration.silhouette_iou,
                depth_residual_m=registration.residual_m,
                inlier_fraction=registration.inlier_fraction,
            ),
            flags=finding.observation.flags,
            note=note,
            view=finding.view,
        )
    )


def add_made(
    finding: Finding,
    outcome: ObjectOutcome,
    frame: Frame,
    config: SceneConfig,
    result: ReconstructedFrame,
) -> str:
    """Add a mesh that a backend made, or the failure; return why a known mesh stays, if it does."""
    instance_id = finding.observation.instance.instance_id
    try:
        if isinstance(outcome, Sam3dError):
            raise outcome
        made = finished(outcome, config)
        refusal = _refusal(finding, made)
    except Sam3dError as error:
        logger.warning("object %d not reconstructed: %s", instance_id, error)
        if finding.known is not None:  # a mesh there is
            return f"not improved: {error}"
        failure = ObjectFailure(instance_id=instance_id, code=error.code, message=str(error))
        result.failures.append(failure)
        return ""
    _count(made, result)
    if not refusal:
        result.instances.append(_instance(finding, made, frame, config))
    return refusal


def _texture(preview: Mesh, mesh: Mesh, splats: Splats | None) -> Texture | None:
    """Show on a preview what its mesh looks like, or splats where there are some."""
    colored = points_of_splats(splats)
    if colored is None and preview is not mesh:
        colored = ColoredPoints(mesh.vertices, mesh.colors / MAX_VALUE)
    chart = tiled(preview.triangles, TEXTURE_SIDE)
    try:
        image = baked_image(preview, chart, colored)
    except ReconstructionError as error:
        logger.warning("a marker keeps the colours of its vertices: %s", error)
        return None
    return Texture(chart.uv.reshape(-1, 3, 2), image)


def _instance(
    finding: Finding, made: ObjectReconstruction, frame: Frame, config: SceneConfig
) -> ReconstructedInstance:
    view = None
    if config.tracking.enabled:
        pose = made.camera_from_object
        view = remembered(finding.observation, pose, frame.fixed_from_camera)
    known, registration = finding.known, finding.registration
    return ReconstructedInstance(
        instance_id=finding.observation.instance.instance_id,
        reconstruction=made,
        flags=finding.observation.flags,
        track_id=known.track_id if known else None,
        camera_from_known=registration.camera_from_object if registration else None,
        view=view,
    )


def _refusal(finding: Finding, made: ObjectReconstruction) -> str:
    """Say why a known mesh is better than one that was made to improve it; empty if it is not."""
    if finding.known is None or finding.registration is None:
        return ""
    if made.refinement.status in (RefinementStatus.REJECTED, RefinementStatus.OCCLUDED):
        return f"not improved: a mesh of more views is {made.refinement.status.name} by this one"
    old = ObjectReconstruction(
        mesh_object=finding.known.mesh_object,
        camera_from_object=finding.registration.camera_from_object,
        quality=Quality(),
        provenance=Provenance(backend="known"),
    )
    before, after = (agreements(each, finding.observation) for each in (old, made))
    num = len(after)
    if after.mean() < before.mean() - (MAX_WORSE_OF_MISFIT if finding.is_misfit else MAX_WORSE):
        return (
            f"not improved: a mesh of {num} views agrees with them by {after.mean():.2f}, "
            f"the known one by {before.mean():.2f}"
        )
    worst = int((after - before).argmin())
    if after[worst] < before[worst] - MAX_WORSE_IN_ONE:
        return (
            f"not improved: a mesh of {num} views agrees with one of them by {after[worst]:.2f}, "
            f"the known one by {before[worst]:.2f}"
        )
    return ""


def _count(made: ObjectReconstruction, result: ReconstructedFrame) -> None:
    """Add up what a mesh has cost."""
    result.gpu_peak_mb = float(np.fmax(result.gpu_peak_mb, made.gpu_peak_mb))
    for stage, seconds in made.stage_s.items():
        result.stage_s[stage] = result.stage_s.get(stage, 0.0) + seconds
