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


"""Training batches without end: shapes, scenes, cameras and sensors drawn from a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from sam3d_ros.objects.volume.box import box_of, with_sure_plane
from sam3d_ros.objects.volume.prepare import CROP_PX
from sam3d_ros.objects.volume.view import VolumeBox, VolumeView
from sam3d_ros.training.batch import TrainingBatch
from sam3d_ros.training.scenes.bodies import Bodies, hung, sampled_bodies
from sam3d_ros.training.scenes.cameras import Cameras, crops_around, sampled_cameras
from sam3d_ros.training.scenes.draws import Draws
from sam3d_ros.training.scenes.knowledge import known_planes
from sam3d_ros.training.scenes.masking import masked, shifted, shifts
from sam3d_ros.training.scenes.pool import PoolSize, ShapePool, Shapes
from sam3d_ros.training.scenes.recipes import SceneRecipe
from sam3d_ros.training.scenes.rendering import Exact, World, rendered
from sam3d_ros.training.scenes.sensor import measured
from sam3d_ros.training.scenes.surroundings import TABLE, sampled_surroundings
from sam3d_ros.training.scenes.targets import distances, placed
from sam3d_ros.training.shapes import TRAINING_FAMILIES

SPARE = 0.15  # scenes that are drawn in addition, for those in which too little is seen
MIN_VISIBLE_PX = 60
MIN_READINGS = 40
MAX_OUTSIDE = 0.04  # sides of the box by which an object may reach out of it
MAX_SIDE = 2.8  # of the box, in largest extents of its object: nothing else was taken for it


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSize:
    """How finely views and targets are sampled."""

    crop_px: int = CROP_PX
    resolution: int = 64
    pool: PoolSize = field(default_factory=PoolSize)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captured:
    """B scenes as cameras took them."""

    bodies: Bodies
    cameras: Cameras
    view: VolumeView
    box: VolumeBox
    rgb: Tensor  # (B, 3, P, P)
    good: Tensor  # (B,) bool: enough of the object is seen

    def __getitem__(self, chosen: Tensor) -> "Captured":
        """Return some of the scenes."""
        return Captured(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})


class ProceduralSource:
    """A ``SampleSource``: its batches are a function of recipe, seed, step and size."""

    def __init__(
        self,
        recipe: SceneRecipe,
        seed: int,
        device: torch.device | str = "cpu",
        families: Mapping[str, float] = TRAINING_FAMILIES,
        size: SampleSize = SampleSize(),
    ) -> None:
        """Describe a source; nothing is drawn before the first batch.

        Args:
            recipe: Of the scenes.
            seed: Other seeds give other shapes and other scenes.
            device: On which batches are made, and stay.
            families: Of the shapes, with weights.
            size: Of the samples.
        """
        self._recipe = recipe
        self._seed = seed
        self._device = torch.device(device)
        self._families = families
        self._size = size
        self._pool: ShapePool | None = None

    def batch(self, step: int, size: int) -> TrainingBatch:
        """Return the ``size`` samples of a step."""
        shapes = self._shapes(step, size)
        draws = Draws(self._device, self._seed, step, size)
        num = size + 1 + int(SPARE * size)
        captured = captured_scenes(draws, shapes, self._recipe, num, self._size.crop_px)
        # Should ever too few be good, some come twice.
        order = (~captured.good).to(torch.int8).argsort(stable=True)
        count = captured.good.sum().clamp(min=1)
        chosen = order[torch.arange(size, device=self._device) % count]
        return _batch(captured[chosen], shapes, self._size.resolution)

    def _shapes(self, step: int, size: int) -> Shapes:
        if self._pool is None:
            self._pool = ShapePool(self._families, self._seed, self._size.pool, self._device)
        return self._pool.at(step, size)


def captured_scenes(
    draws: Draws, shapes: Shapes, recipe: SceneRecipe, num: int, crop_px: int
) -> Captured:
    """Draw scenes and take a picture of each."""
    bodies = sampled_bodies(draws, shapes, recipe, num)
    cameras = sampled_cameras(draws, bodies, recipe)
    toward = F.normalize(cameras.position_m - bodies.position_m[:, 0], dim=1)
    bodies = hung(draws, bodies, shapes, toward, recipe.hanging_share)
    world = World(
        shapes=shapes,
        bodies=bodies,
        surroundings=sampled_surroundings(draws, num, recipe),
        cameras=cameras,
        crops=crops_around(draws, cameras, bodies, shapes, crop_px),
    )
    exact = rendered(draws, world, recipe.min_visible)
    by_px = shifts(draws, num, world.crops.step_px, recipe.mask)
    mask = masked(draws, shifted(exact.body == 0, by_px), recipe.mask) & world.crops.inside
    view = _view(draws, recipe, world, exact, mask)
    box = box_of(view)
    rgb = shifted(exact.rgb, by_px) * world.crops.inside[..., None]
    return Captured(
        bodies=bodies,
        cameras=cameras,
        view=view,
        box=box,
        rgb=rgb.permute(0, 3, 1, 2),
        good=_good((exact.body == 0) & world.crops.inside, view, box) & _held(world, box),
    )


def _view(
    draws: Draws, recipe: SceneRecipe, world: World, exact: Exact, mask: Tensor
) -> VolumeView:
    """Measure scenes, and say what is known of them besides."""
    supported = world.surroundings.exists[:, TABLE]
    plane, up = known_planes(draws, world.cameras, supported, recipe.plane)
    # A camera that sees all depth too long or too short sees the support there, too.
    stretch = 1.0 + draws.normal((len(mask),), recipe.sensor.bias_sigma)
    depth_m = measured(draws, exact, world.crops, recipe.sensor) * stretch[:, None, None]
    plane = torch.cat((plane[:, :3], plane[:, 3:] * stretch[:, None]), dim=1)
    return with_sure_plane(
        VolumeView(depth_m=depth_m, mask=mask, matrix_px=world.crops.matrix_px, up=up, plane=plane)
    )


def _good(seen: Tensor, view: VolumeView, box: VolumeBox) -> Tensor:
    """Tell which scenes show their object: pixels, readings, and so a box."""
    readings = view.mask & view.depth_m.isfinite()
    enough = seen.sum(dim=(1, 2)) >= MIN_VISIBLE_PX
    enough &= readings.sum(dim=(1, 2)) >= MIN_READINGS
    return enough & box.side_m.isfinite() & box.centre_m.isfinite().all(dim=1)


def _held(world: World, box: VolumeBox) -> Tensor:
    """Tell which boxes hold their object, or almost, and fit it: what is seen may mislead."""
    feet = world.cameras.points_camera(world.bodies.feet_m(world.shapes)[:, 0])
    in_box = (feet - box.centre_m[:, None]) @ box.rotation / box.side_m[:, None, None]
    fits = box.side_m <= MAX_SIDE * world.bodies.size_m[:, 0]
    return fits & (in_box.abs().amax(dim=(1, 2)) <= 0.5 + MAX_OUTSIDE)


def _batch(captured: Captured, shapes: Shapes, resolution: int) -> TrainingBatch:
    """Add what the objects truly are."""
    placing = placed(captured.bodies, captured.cameras, captured.box)
    shape = captured.bodies.shape[:, 0]
    names = [shapes.names[index] for index in shape.tolist()]
    return TrainingBatch(
        view=captured.view,
        box=captured.box,
        rgb=captured.rgb.contiguous(),
        distance=distances(shapes, shape, placing, resolution),
        box_rotation_object=placing.rotation,
        box_centre_object=placing.centre,
        extent=shapes.extent[shape] * placing.scale[:, None],
        families=tuple(family for family, _ in names),
        seeds=tuple(seed for _, seed in names),
    )
