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

"""An image and who is in it in, posed bodies out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam3d_ros.api.images import Image, camera_of, mask_from, rgb_from
from sam3d_ros.api.measuring import measured_bodies, measured_frame
from sam3d_ros.body.crop import default_camera
from sam3d_ros.body.files import FILES
from sam3d_ros.body.official import OfficialBody
from sam3d_ros.body.pipeline import BodyReconstructor as BodyPipeline
from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ConfigError
from sam3d_ros.objects.hub import weights_folder
from sam3d_ros.protocols import BodyOutcome
from sam3d_ros.structures import BodyReconstruction
from sam3d_ros.structures.people import PeopleView, PersonPrompt

GUESSED = "no intrinsics: the focal length is a guess, and with it the distance"
T = TypeVar("T")


class BodyReconstructor:
    """An image and who is in it in, posed bodies out; keeps nothing from one call to the next."""

    def __init__(self, pipeline: BodyPipeline, config: SceneConfig) -> None:
        self._pipeline = pipeline
        self._config = config

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        config: SceneConfig | None = None,
        *,
        allow_download: bool = False,
    ) -> "BodyReconstructor":
        """Load weights.

        Args:
            source: Folder of weights, or the name of a repository on the Hugging Face hub.
            config: Device, precision, memory, ``body``, ``depth`` and ``masks``; the rest as for
                the node.
            allow_download: Whether a repository may be fetched; else it must be in the cache.

        Raises:
            WeightsError: Something is missing or does not fit; the text says what to do.
            ConfigError: The machine has no such device.
        """
        folder = weights_folder(source, allow_download=allow_download, wanted=FILES)
        config = config or SceneConfig()
        weights = replace(config.weights, body=str(folder))
        return cls(BodyPipeline.load(replace(config, weights=weights)), config)

    def __call__(
        self,
        image: Image,
        boxes: ArrayLike | None = None,
        masks: Sequence[Image] | None = None,
        keypoints: Sequence[ArrayLike | None] | None = None,
        intrinsics: NDArray[Any] | None = None,
        depth: Image | None = None,
    ) -> list[BodyOutcome]:
        """Reconstruct people of an image.

        Args:
            image: ``(H, W, 3)``, bytes or floats in [0, 1]; NumPy or PIL.
            boxes: ``(N, 4)`` x1 y1 x2 y2 in pixels. Without boxes those of the masks are taken;
                without masks either, somebody fills the image.
            masks: Of each person ``(H, W)``, not zero on them.
            keypoints: Of each person ``(K, 3)`` x, y in pixels and which of MHR70, or None.
            intrinsics: Matrix ``(3, 3)`` in pixels, undistorted, else a guess; needed with depth.
            depth: ``(H, W)`` in metres (floats) or millimetres (integers), 0 or NaN where unknown.
                Bodies are moved to it along the ray through their hips; ``fit`` says by how much
                and how far the surface is off afterwards, ``scale_source`` whether it was possible.

        Returns:
            For each person a body, or the error that says why there is none.

        Raises:
            Sam3dError: The image cannot be used at all, or there are not as many of each.
        """
        view = _view(image, boxes, masks, keypoints, intrinsics)
        if depth is not None:
            return self._measured(view, depth, is_calibrated=intrinsics is not None)
        outcomes = self._pipeline.reconstruct(view)
        if intrinsics is not None:
            return outcomes
        return [
            replace(each, notes=(*each.notes, GUESSED))
            if isinstance(each, BodyReconstruction)
            else each
            for each in outcomes
        ]

    def _measured(
        self, view: PeopleView, depth: Image, *, is_calibrated: bool
    ) -> list[BodyOutcome]:
        if not is_calibrated:
            raise ConfigError(
                "depth needs intrinsics, the camera matrix (3, 3) in pixels; got none"
            )
        frame = measured_frame(view, depth)  # refuses depth that does not fit before the model runs
        return measured_bodies(self._pipeline.reconstruct(view), view, frame, self._config)

    def official(
        self,
        image: Image,
        boxes: ArrayLike | None = None,
        masks: Sequence[Image] | None = None,
        intrinsics: NDArray[Any] | None = None,
    ) -> list[OfficialBody]:
        """Return what the released code would say of people; arguments as for a call.

        Raises:
            Sam3dError: Somebody cannot be reconstructed.
        """
        return self._pipeline.official(_view(image, boxes, masks, None, intrinsics))


def _view(
    image: Image,
    boxes: ArrayLike | None,
    masks: Sequence[Image] | None,
    keypoints: Sequence[ArrayLike | None] | None,
    intrinsics: NDArray[Any] | None,
) -> PeopleView:
    rgb = rgb_from(image)
    camera = default_camera(*rgb.shape[1::-1]) if intrinsics is None else camera_of(rgb, intrinsics)
    corners = None if boxes is None else np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    marked = [each for each in (corners, masks, keypoints) if each is not None]
    num = len(marked[0]) if marked else 1
    if any(len(each) != num for each in marked):
        raise ConfigError(
            "boxes, masks and keypoints must be of the same people in the same order, got "
            f"{', '.join(str(len(each)) for each in marked)} of them"
        )
    people = tuple(
        PersonPrompt(
            instance_id=place + 1,
            box_px=_at(corners, place),
            mask=None if masks is None else mask_from(masks[place]),
            keypoints_px=_points(_at(keypoints, place)),
        )
        for place in range(num)
    )
    return PeopleView(rgb=rgb, camera=camera, people=people)


def _at(values: Sequence[T] | NDArray[Any] | None, place: int) -> Any:
    return None if values is None else values[place]


def _points(keypoints: ArrayLike | None) -> NDArray[Any] | None:
    return None if keypoints is None else np.asarray(keypoints, dtype=np.float64)
