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

"""SAM 3D Body as a whole: an image and who is in it in, posed bodies in metres out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam3d_ros.body.asked import AskedPerson, asked_person
from sam3d_ros.body.files import check_body_present
from sam3d_ros.body.mhr import BodyRig
from sam3d_ros.body.model import Part
from sam3d_ros.body.official import OfficialBody, official_bodies
from sam3d_ros.body.passes import Bodies, Passes, PassRules, PeopleImage
from sam3d_ros.body.rows import mapped
from sam3d_ros.body.weights import LoadedBody, load_body
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import DecodingError, OutOfMemoryError, Sam3dError
from sam3d_ros.geometry.cameras import checked_matrix_px, project
from sam3d_ros.nn.devices import device_named, dtype_named, limit_memory, within_memory
from sam3d_ros.protocols import BodyOutcome, Cancelled, never
from sam3d_ros.structures import Bools, Floats, Ints
from sam3d_ros.structures.people import (
    BodyParameters,
    BodyReconstruction,
    PeopleView,
    PersonPrompt,
)

NAME = "sam3d_body"
CAMERA_FROM_RIG = np.diag([1.0, -1.0, -1.0]).astype(np.float32)  # from y up to y down
SIDES = ("left", "right")

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class _Work:
    """One person on the way to an outcome."""

    prompt: PersonPrompt
    asked: AskedPerson | None = None
    outcome: BodyOutcome | None = None


class BodyReconstructor:
    """SAM 3D Body, loaded; a ``BodyBackend``.

    Equal inputs give equal results, whoever else is in the image, but for the rounding of other
    batch sizes. ``official`` gives what the released code gives instead.
    """

    def __init__(self, passes: Passes, config: SceneConfig) -> None:
        self._passes = passes
        self._config = config
        faces = passes.model.layers(Part.BODY).head_pose.faces
        self._triangles: Ints = faces.cpu().numpy().astype(np.int32)

    @classmethod
    def load(cls, config: SceneConfig) -> "BodyReconstructor":
        """Load what lies in the folder ``weights.body``.

        Raises:
            WeightsError: A file is missing, cannot be read or does not fit.
            ConfigError: The machine has no such device.
            OutOfMemoryError: The device has no room for the weights.
        """
        device = device_named(config.device)
        check_body_present(config.weights.body)
        limit_memory(device, config.gpu_memory_limit_gb)
        folder, dtype = Path(config.weights.body), dtype_named(config.precision, device)
        home = torch.device("cpu") if config.low_memory else device

        def load() -> "BodyReconstructor":
            return cls.of(load_body(folder, device=home, dtype=dtype), config, device)

        loaded = within_memory(load, device, "the weights")
        logger.info("%s: weights of %s, on %s", NAME, folder, device)
        return loaded

    @classmethod
    def of(cls, body: LoadedBody, config: SceneConfig, device: torch.device) -> "BodyReconstructor":
        """Take a model that is loaded already, with its weights where they shall wait."""
        home = next(body.model.parameters()).device
        rig = BodyRig.of(body.rig).to(home)
        low_memory = config.low_memory and device.type != "cpu"
        return cls(Passes(body.model.eval(), rig, device, low_memory=low_memory), config)

    @property
    def name(self) -> str:
        """Name under which results report this backend."""
        return NAME

    @property
    def wants_warmup(self) -> bool:
        """Whether a first call takes seconds, and the next ones are shorter: on a GPU."""
        return self._passes.device.type == "cuda"

    def reconstruct(self, view: PeopleView, cancelled: Cancelled = never) -> list[BodyOutcome]:
        """Reconstruct the people of one image; see ``BodyBackend``.

        At most ``body.max_people`` are in the device's memory at once.
        """
        works = [_Work(prompt=person) for person in view.people]
        for work in works:
            try:
                checked_matrix_px(view.camera)
                work.asked = asked_person(work.prompt, view.camera)
            except Sam3dError as error:
                work.outcome = error
        waiting = [work for work in works if work.outcome is None]
        size = self._config.body.max_people
        for start in range(0, len(waiting), size):
            self._attempt(view, waiting[start : start + size], cancelled)
        return [work.outcome for work in works if work.outcome is not None]

    def official(self, view: PeopleView) -> list[OfficialBody]:
        """Return what the released code says of an image's people; see ``OfficialBody``.

        Raises:
            Sam3dError: Somebody cannot be reconstructed.
        """
        people = [asked_person(person, view.camera) for person in view.people]
        if not people:
            return []
        rules = PassRules(hands=self._looks_at_hands, together=True)
        bodies = self._passes.run(
            PeopleImage(rgb=view.rgb, camera=view.camera, people=people), rules
        )
        return official_bodies(bodies, people, view.camera)

    @property
    def _looks_at_hands(self) -> bool:
        return self._config.body.inference == "full"

    def _attempt(self, view: PeopleView, works: Sequence[_Work], cancelled: Cancelled) -> None:
        """Note an outcome for each person; what memory does not suffice for is tried one by one."""
        try:
            within_memory(lambda: self._run(view, works, cancelled), self._passes.device, "people")
        except OutOfMemoryError as error:
            makes_room = self._passes.park()
            if len(works) == 1 and not makes_room:
                works[0].outcome = error.with_traceback(None)  # whose frames would hold tensors
                return
            for work in works:
                self._attempt(view, [work], cancelled)

    def _run(self, view: PeopleView, works: Sequence[_Work], cancelled: Cancelled) -> None:
        people = [work.asked for work in works if work.asked is not None]
        image = PeopleImage(rgb=view.rgb, camera=view.camera, people=people)
        rules = PassRules(hands=self._looks_at_hands)
        bodies = _on_cpu(self._passes.run(image, rules, cancelled))
        for place, work in enumerate(works):
            try:
                work.outcome = self._reconstruction(bodies, place, people[place], view)
            except Sam3dError as error:
                work.outcome = error
            else:
                prompt = work.prompt
                work.outcome = replace(
                    work.outcome, instance_id=prompt.instance_id, score=prompt.score
                )

    def _reconstruction(
        self, bodies: Bodies, place: int, person: AskedPerson, view: PeopleView
    ) -> BodyReconstruction:
        """Return one of the bodies.

        Raises:
            DecodingError: It is not finite, or not before the camera.
        """
        posed = bodies.posed
        translation_m = _numbers(bodies.last.placement.translation_m, place)
        vertices, keypoints, joints = (
            _numbers(points, place) + translation_m
            for points in (posed.vertices_m, posed.keypoints_m, posed.joints_m)
        )
        _check_before_camera(vertices, joints)
        return BodyReconstruction(
            vertices_camera=vertices,
            triangles=self._triangles,
            keypoints_camera=keypoints,
            keypoints_px=project(view.camera, keypoints),
            joints_camera=joints,
            # Of the pose with its hands; the released code reports those from before.
            camera_from_joint=CAMERA_FROM_RIG @ _numbers(posed.joint_rotations, place),
            parameters=_parameters(bodies, place),
            box_px=person.box_px,
            backend=self.name,
            notes=_notes(bodies, place),
            stage_s=bodies.stage_s,
        )


def _on_cpu(bodies: Bodies) -> Bodies:
    """Return bodies on the CPU, without what single layers said."""
    return mapped(bodies, Tensor.cpu)


def _parameters(bodies: Bodies, place: int) -> BodyParameters:
    values = bodies.values
    return BodyParameters(
        global_rot=_numbers(values.global_rot, place),
        body_pose=_numbers(values.body_pose, place),
        hand_pose=_numbers(values.hand, place),
        scale=_numbers(values.scale, place),
        shape=_numbers(values.shape, place),
        expression=_numbers(values.expression, place),
        rig=_numbers(bodies.posed.rig_parameters, place),
    )


def _check_before_camera(vertices: Floats, joints: Floats) -> None:
    """Raise unless a body is finite and has its middle before the camera.

    Raises:
        DecodingError: It is not.
    """
    if not (np.isfinite(vertices).all() and np.isfinite(joints).all()):
        raise DecodingError(
            "the model's body is not finite; check that box and mask show a person, and the "
            "weights with sam3d check"
        )
    depth_m = float(vertices[:, 2].mean())
    if depth_m <= 0:
        raise DecodingError(
            f"the model puts the person behind the camera, at {depth_m:.2f} m; check that box and "
            "mask show a person"
        )


def _notes(bodies: Bodies, place: int) -> tuple[str, ...]:
    if bodies.accepted is None:
        return ()
    accepted: Bools = bodies.accepted[place].numpy()
    return tuple(
        f"{side} hand as the whole body shows it: a closer look did not fit"
        for side, fits in zip(SIDES, accepted, strict=True)
        if not fits
    )


def _numbers(tensor: Tensor, place: int) -> Floats:
    numbers: Floats = tensor[place].numpy()
    return numbers
