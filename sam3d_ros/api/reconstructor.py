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

"""Images and masks in, posed objects out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.api.images import Image, camera_of, checked_seed, frame_of, rgb_from
from sam3d_ros.api.posed import PosedObject
from sam3d_ros.config import SceneConfig, WeightsConfig
from sam3d_ros.errors import ConfigError, Sam3dError, WeightsMissingError
from sam3d_ros.objects.hub import weights_folder
from sam3d_ros.objects.pipeline import Reconstructor as ObjectPipeline
from sam3d_ros.protocols import PointEstimator
from sam3d_ros.scene.estimated import Estimate
from sam3d_ros.scene.estimators import make_point_estimator
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import Bytes, Frame, ObjectReconstruction, Observation

SEED = 42
Outcome: TypeAlias = PosedObject | Sam3dError


class Reconstructor:
    """Images and masks in, posed objects out; keeps nothing from one call to the next."""

    def __init__(
        self, pipeline: ObjectPipeline, config: SceneConfig, estimator: PointEstimator | None
    ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._estimator = estimator

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        config: SceneConfig | None = None,
        *,
        splats: bool = True,
        allow_download: bool = False,
    ) -> "Reconstructor":
        """Load weights.

        Args:
            source: Folder of weights, or the name of a repository on the Hugging Face hub.
            config: Device, precision, memory, ``depth`` and ``objects``; the rest as for the node.
            splats: Whether objects have splats, which take a decoder and time of their own.
            allow_download: Whether a repository may be fetched; else it must be in the cache.

        Raises:
            WeightsError: Something is missing or does not fit; the text says what to do.
            ConfigError: The machine has no such device.
        """
        folder = weights_folder(source, allow_download=allow_download)
        config = replace(config or SceneConfig(), weights=WeightsConfig(objects=str(folder)))
        pipeline = ObjectPipeline.load(config, splats=splats)
        return cls(pipeline, config, make_point_estimator(config))

    @overload
    def __call__(
        self,
        image: Image,
        mask: Image,
        depth: Image | None = None,
        intrinsics: NDArray[Any] | None = None,
        seed: int = SEED,
    ) -> PosedObject: ...

    @overload
    def __call__(
        self,
        image: Image,
        mask: Sequence[Image],
        depth: Image | None = None,
        intrinsics: NDArray[Any] | None = None,
        seed: int = SEED,
    ) -> list[Outcome]: ...

    def __call__(
        self,
        image: Image,
        mask: Image | Sequence[Image],
        depth: Image | None = None,
        intrinsics: NDArray[Any] | None = None,
        seed: int = SEED,
    ) -> PosedObject | list[Outcome]:
        """Reconstruct one object of an image, or each of a list.

        Args:
            image: ``(H, W, 3)``, bytes or floats in [0, 1]; NumPy or PIL.
            mask: ``(H, W)``, not zero on the object; or a list of such masks.
            depth: ``(H, W)`` in metres (floats) or millimetres (integers), 0 or NaN where unknown.
                Where it is missing the depth model estimates it, see ``depth.on_missing``; without
                any the scale is a guess. ``reconstruction.provenance`` says which it is.
            intrinsics: Camera matrix ``(3, 3)`` in pixels, without distortion; needed with depth.
            seed: Equal inputs and seeds give equal objects; from 0 up to 2^63 - 1.

        Returns:
            The object; of a list of masks a list, with an error in place of what failed.

        Raises:
            Sam3dError: The only object failed, or the image cannot be used at all.
        """
        if isinstance(mask, Sequence):
            return self._outcomes(image, mask, depth, intrinsics, seed)
        (outcome,) = self._outcomes(image, [mask], depth, intrinsics, seed)
        if isinstance(outcome, Sam3dError):
            raise outcome
        return outcome

    def _outcomes(
        self,
        image: Image,
        masks: Sequence[Image],
        depth: Image | None,
        intrinsics: NDArray[Any] | None,
        seed: int,
    ) -> list[Outcome]:
        seed, rgb = checked_seed(seed), rgb_from(image)
        estimate: Estimate | None
        if intrinsics is not None:
            frame = frame_of(rgb, camera_of(rgb, intrinsics), masks, depth)
            estimate = None if self._estimator is None else self._estimator.estimate
        elif depth is None:
            frame, estimate = self._frame_without_camera(rgb, masks)
        else:
            raise ConfigError(
                "depth needs intrinsics, the camera matrix (3, 3) in pixels; got none"
            )
        if depth is None and estimate is None:
            raise self._no_estimator()
        return self._modelled(self._observed(frame, estimate), seed)

    def _frame_without_camera(
        self, rgb: Bytes, masks: Sequence[Image]
    ) -> tuple[Frame, Estimate | None]:
        """Return a frame whose camera is found from its image, and the estimate that found it."""
        if self._estimator is None:
            raise self._no_estimator()
        estimated = self._estimator.estimate(rgb.astype(np.float32) / np.float32(255))
        height, width = rgb.shape[:2]
        to_px = np.array([[width, 1.0, width], [1.0, height, height], [1.0, 1.0, 1.0]])
        camera = camera_of(rgb, estimated.matrix_normalised * to_px)
        return frame_of(rgb, camera, masks), lambda rgb, camera: estimated

    def _observed(self, frame: Frame, estimate: Estimate | None) -> list[Observation | Sam3dError]:
        result = observe(frame, self._config, estimate)
        found: dict[int, Observation | Sam3dError] = dict(result.errors)
        found |= {each.instance.instance_id: each for each in result.observations}
        return [found[instance.instance_id] for instance in frame.masks]

    def _modelled(self, observed: list[Observation | Sam3dError], seed: int) -> list[Outcome]:
        observations = [each for each in observed if isinstance(each, Observation)]
        made = iter(self._pipeline.model(observations, [seed]))
        outcomes = [next(made) if isinstance(each, Observation) else each for each in observed]
        return [
            PosedObject(each.baked()) if isinstance(each, ObjectReconstruction) else each
            for each in outcomes
        ]

    def _no_estimator(self) -> Sam3dError:
        if self._config.depth.on_missing != "monocular":
            return ConfigError(
                "without depth it must be estimated, depth.on_missing forbids that "
                f"({self._config.depth.on_missing}); give depth and intrinsics, or set it to "
                "monocular"
            )
        return WeightsMissingError(
            f"without depth the depth model is needed, {self._config.weights.objects} has no "
            "moge-vitl/model.pt that can be used; give depth and intrinsics, or run sam3d check "
            f"--weights {self._config.weights.objects} for the command that fetches it"
        )
