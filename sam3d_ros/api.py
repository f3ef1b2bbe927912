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

"""SAM 3D Objects in Python, for whoever has an image and masks and no robot.

::

    from sam3d_ros import Reconstructor

    reconstructor = Reconstructor.from_pretrained("weights/sam-3d-objects")
    mug = reconstructor(image, mask, depth, intrinsics)
    mug.save("mug.glb")
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from sam3d_ros.config import SceneConfig, WeightsConfig
from sam3d_ros.errors import (
    ConfigError,
    EncodingError,
    Sam3dError,
    ShapeError,
    WeightsMissingError,
)
from sam3d_ros.geometry.depth import metric_depth, unproject
from sam3d_ros.geometry.mesh_files import write_mesh
from sam3d_ros.nn.devices import device_named, dtype_named, lent_to
from sam3d_ros.objects.architecture_file import read_architecture
from sam3d_ros.objects.colored_points import ColoredPoints
from sam3d_ros.objects.depth_model import DepthModel, EstimatedPoints, estimate_points
from sam3d_ros.objects.hub import weights_folder
from sam3d_ros.objects.pipeline import Reconstructor as ObjectPipeline
from sam3d_ros.objects.splat_files import write_splats
from sam3d_ros.objects.texture import TextureConfig, textured, write_textured
from sam3d_ros.objects.weights import load_depth_model
from sam3d_ros.scene.observe import observe
from sam3d_ros.structures import (
    Bools,
    Bytes,
    Camera,
    DepthImage,
    Floats,
    Frame,
    InstanceMask,
    Mesh,
    ObjectReconstruction,
    Observation,
    ScaleSource,
    Similarity,
    Splats,
)

SEED = 42
SPLAT_STEP = 8  # so dense are splats that every eighth gives the same texture
Outcome: TypeAlias = "PosedObject | Sam3dError"


class Image(Protocol):
    """What NumPy reads as an array: its own arrays, images of PIL."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Where the pixels are."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PosedObject:
    """An object in metres, in a frame of its own with z up, and where that frame stands."""

    reconstruction: ObjectReconstruction  # baked; with quality, provenance and times

    def __repr__(self) -> str:
        """Return size and place, without pages of numbers."""
        x, y, z = np.ptp(self.mesh.vertices, axis=0)
        at = ", ".join(f"{value:.3f}" for value in self.camera_from_object.translation_m)
        return (
            f"PosedObject({x:.3f} x {y:.3f} x {z:.3f} m at [{at}], "
            f"{len(self.mesh.triangles)} triangles, {len(self.splats or ())} splats)"
        )

    @property
    def mesh(self) -> Mesh:
        """The closed mesh."""
        return self.reconstruction.mesh_object

    @property
    def splats(self) -> Splats | None:
        """The splats, in the frame of the mesh; None unless they were asked for."""
        return self.reconstruction.splats

    @property
    def camera_from_object(self) -> Similarity:
        """Rigid pose in the optical frame: x right, y down, z forward."""
        return self.reconstruction.camera_from_object

    def save(self, path: str | Path, up_axis: str = "z") -> None:
        """Write the mesh as ``.glb`` or ``.ply``.

        Args:
            path: Its suffix names the format.
            up_axis: Of a ``.glb``: ``z`` is that of ``camera_from_object``, ``y`` suits viewers.

        Raises:
            ConfigError: The format is another one.
        """
        path = Path(path)
        write_mesh(self.mesh, path, up_axis if path.suffix == ".glb" else "z")

    def save_textured(self, path: str | Path, up_axis: str = "z") -> None:
        """Write the mesh as ``.glb`` with a texture in place of colours per vertex.

        The texture shows the splats, or the vertices where there are none; it takes some seconds.

        Args:
            path: Must end in ``.glb``.
            up_axis: As for ``save``.

        Raises:
            ConfigError: The format is another one.
            DependencyError: xatlas, which unfolds the mesh, is not installed.
        """
        splats = self.splats
        colored = None
        if splats is not None:
            colors = np.clip(splats.colors[::SPLAT_STEP], 0.0, 1.0)
            colored = ColoredPoints(splats.means[::SPLAT_STEP], colors)
        write_textured(textured(self.mesh, TextureConfig(), colored), Path(path), up_axis)

    def save_splats(self, path: str | Path) -> None:
        """Write the splats as a ``.ply`` for viewers of 3D Gaussian Splatting.

        Raises:
            ConfigError: No splats were asked for, or the format is another one.
        """
        if self.splats is None:
            raise ConfigError("there are no splats; load the reconstructor with splats=True")
        write_splats(Path(path), self.splats)


class Reconstructor:
    """Images and masks in, posed objects out; keeps nothing from one call to the next."""

    def __init__(
        self, pipeline: ObjectPipeline, config: SceneConfig, depth_model: DepthModel | None
    ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._depth_model = depth_model

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
            config: Device, precision, ``low_memory`` and ``objects``; the rest as for the node.
            splats: Whether objects have splats, which take a decoder and time of their own.
            allow_download: Whether a repository may be fetched; else it must be in the cache.

        Raises:
            WeightsError: Something is missing or does not fit; the text says what to do.
            ConfigError: The machine has no such device.
        """
        folder = weights_folder(source, allow_download=allow_download)
        config = replace(config or SceneConfig(), weights=WeightsConfig(objects=str(folder)))
        pipeline = ObjectPipeline.load(config, splats=splats)
        return cls(pipeline, config, _depth_model(folder, config))

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
                Without it the depth model estimates the scene, whose scale is a guess then.
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
        seed, rgb, pixels = _seed(seed), _rgb(image), [_mask(each) for each in masks]
        if depth is None:
            observed = self._observed_without_depth(rgb, pixels, intrinsics)
        else:
            observed = self._observed(_frame(rgb, pixels, depth, intrinsics))
        return self._modelled(observed, seed)

    def _modelled(self, observed: list[Observation | Sam3dError], seed: int) -> list[Outcome]:
        observations = [each for each in observed if isinstance(each, Observation)]
        made = iter(self._pipeline.model(observations, [seed]))
        outcomes = [next(made) if isinstance(each, Observation) else each for each in observed]
        return [
            PosedObject(each.baked()) if isinstance(each, ObjectReconstruction) else each
            for each in outcomes
        ]

    def _observed(self, frame: Frame) -> list[Observation | Sam3dError]:
        result = observe(frame, self._config)
        found: dict[int, Observation | Sam3dError] = dict(result.errors)
        found |= {each.instance.instance_id: each for each in result.observations}
        return [found[instance.instance_id] for instance in frame.masks]

    def _observed_without_depth(
        self, rgb: Bytes, masks: Sequence[Bools], intrinsics: NDArray[Any] | None
    ) -> list[Observation | Sam3dError]:
        if self._depth_model is None:
            raise WeightsMissingError(
                f"without depth the depth model is needed, {self._config.weights.objects} has no "
                "moge-vitl/model.pt; give depth and intrinsics, or run sam3d check --weights "
                f"{self._config.weights.objects} for the command that fetches it"
            )
        with lent_to(self._depth_model, device_named(self._config.device)) as depth_model:
            estimated = estimate_points(depth_model, rgb.astype(np.float32) / np.float32(255))
        return _observations_of(rgb, masks, estimated, intrinsics)


def _depth_model(folder: Path, config: SceneConfig) -> DepthModel | None:
    device = device_named(config.device)
    try:
        return load_depth_model(
            folder,
            read_architecture(folder),
            device="cpu" if config.low_memory else device,
            dtype=dtype_named(config.precision, device),
        )
    except WeightsMissingError:
        return None


def _seed(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError as error:
        raise ConfigError(f"seed must be an integer, got {seed!r}") from error
    if not 0 <= number < 2**63:
        raise ConfigError(f"seed must be from 0 to 2^63 - 1, got {number}")
    return number


def _rgb(image: Image) -> Bytes:
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] not in {3, 4}:
        raise ShapeError(
            f"image must have shape (H, W, 3), got {pixels.shape}; convert others to RGB first"
        )
    pixels = pixels[..., :3]
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = np.round(255.0 * pixels)
        if not ((pixels >= 0) & (pixels <= 255)).all():
            raise EncodingError(
                "image of floats must be in [0, 1] everywhere, is not; divide by 255 what has the "
                "range of bytes, and clip the rest"
            )
    elif pixels.dtype != np.uint8:
        raise EncodingError(f"image must be of bytes or of floats in [0, 1], got {pixels.dtype}")
    return np.ascontiguousarray(pixels.astype(np.uint8))


def _mask(mask: Image) -> Bools:
    pixels = np.asarray(mask)
    if pixels.ndim != 2:
        raise ShapeError(
            f"mask must have shape (H, W), got {pixels.shape}; several masks go into a list"
        )
    return np.asarray(pixels > 0)


def _camera(rgb: Bytes, intrinsics: NDArray[Any]) -> Camera:
    height, width = rgb.shape[:2]
    return Camera(width=width, height=height, matrix_px=np.asarray(intrinsics, dtype=np.float64))


def _instances(masks: Sequence[Bools]) -> tuple[InstanceMask, ...]:
    return tuple(InstanceMask(instance_id=i, mask=each) for i, each in enumerate(masks, start=1))


def _frame(
    rgb: Bytes, masks: Sequence[Bools], depth: Image, intrinsics: NDArray[Any] | None
) -> Frame:
    if intrinsics is None:
        raise ConfigError("depth needs intrinsics, the camera matrix (3, 3) in pixels; got none")
    camera = _camera(rgb, intrinsics)
    depth_image = DepthImage(depth_m=metric_depth(np.asarray(depth)), camera=camera)
    return Frame(rgb=rgb, camera=camera, masks=_instances(masks), depth=depth_image)


def _observations_of(
    rgb: Bytes, masks: Sequence[Bools], estimated: EstimatedPoints, intrinsics: NDArray[Any] | None
) -> list[Observation | Sam3dError]:
    """Return what the depth model sees of each mask; its points go by other intrinsics if given."""
    height, width = rgb.shape[:2]
    points: Floats = estimated.points_camera
    if intrinsics is None:
        to_px = np.array([[width, 1.0, width], [1.0, height, height], [1.0, 1.0, 1.0]])
        camera = _camera(rgb, estimated.matrix_normalised * to_px)
    else:
        camera = _camera(rgb, intrinsics)
        points = unproject(points[..., 2], camera)
    frame = Frame(rgb=rgb, camera=camera, masks=_instances(masks))  # checks the shapes, too
    count = np.sum(masks, axis=0)
    known = np.isfinite(points).all(axis=-1)
    return [
        Observation(
            instance=instance,
            rgb=rgb.astype(np.float32) / np.float32(255.0),
            mask=instance.mask & known,
            silhouette=instance.mask,
            points_camera=points.astype(np.float32),
            camera=camera,
            others=count > instance.mask,
            scale_source=ScaleSource.MONOCULAR,
        )
        for instance in frame.masks
    ]
