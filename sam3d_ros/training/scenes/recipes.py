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


"""What scenes are made of, stage by stage: a recipe is a set of shares and ranges."""

from dataclasses import dataclass, field, replace

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorRecipe:
    """How depth cameras err; each view draws a camera of its own from these ranges."""

    disparity_noise_px: Range = (0.03, 0.10)
    constant_noise_m: Range = (0.0, 0.0010)
    focal_baseline: Range = (20.0, 80.0)  # pixels of the depth camera times metres
    coarse_share: float = 0.3  # of cameras that count eighths of a pixel, others 32nds
    bias_sigma: float = 0.0015  # of all depth, as a share of it
    ripple_m: float = 0.0010  # at 1 m, growing with the square: slow waves over the image
    flying_share: Range = (0.0, 0.15)  # of pixels at depth steps: what gets through the filter
    edge_loss: Range = (0.0, 0.5)  # of pixels at depth steps
    fattening_share: float = 0.1  # of views in which what is near looks a pixel too wide
    grazing_cosine: Range = (0.05, 0.15)  # seen flatter, a surface gives no reading
    shadow_share: float = 0.5  # of cameras with a second eye whose shadow is seen
    baseline_m: Range = (0.03, 0.09)
    hole_share: Range = (0.0, 0.01)  # of the image, in blobs
    shine_share: float = 0.1  # of views in which highlights give no reading


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRecipe:
    """How masks err, in pixels of the crop; the object is some 60 wide in it."""

    ragged_px: Range = (0.0, 0.7)  # how far the outline wanders
    grown_px: float = 0.7  # standard deviation of dilation (> 0) and erosion
    gross_share: float = 0.0  # of masks that err grossly
    gross_px: float = 5.0
    shift_px: float = 0.5  # standard deviation, of colour and mask to the depth
    bitten_share: float = 0.0  # of masks that lack a patch


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRecipe:
    """How well the support is known."""

    given_share: float = 0.9  # of scenes on a support; the others know at most which way is up
    offset_sigma_m: float = 0.002
    tilt_sigma_rad: float = 0.010
    wrong_share: float = 0.25  # of planes that are off by up to the following
    wrong_offset_m: float = 0.008
    wrong_tilt_rad: float = 0.075


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRecipe:
    """Shares and ranges of one stage's scenes."""

    name: str
    supported_share: float = 0.95  # the others float, as if held
    standing_share: float = 0.55
    lying_share: float = 0.25  # the rest falls from anywhere and comes to rest
    num_others: int = 3  # places for other objects around each
    neighbour_share: float = 0.45  # of those places that are taken
    occluder_share: float = 0.3  # of scenes in which something stands in front
    hanging_share: float = 0.1  # of scenes in which something hangs in front
    min_visible: float = 0.35  # of the object; what hides more is taken away
    cut_share: float = 0.05  # of objects that the image border cuts
    size_px: Range = (45.0, 300.0)  # of the object in the whole image
    distance_m: Range = (0.3, 2.0)
    sensor: SensorRecipe = field(default_factory=SensorRecipe)
    mask: MaskRecipe = field(default_factory=MaskRecipe)
    plane: PlaneRecipe = field(default_factory=PlaneRecipe)


PASTED = SceneRecipe(name="pasted")
ISOLATED = replace(PASTED, name="isolated", num_others=0, cut_share=0.0)
FULL_SENSOR = replace(
    PASTED,
    name="full_sensor",
    neighbour_share=0.55,
    occluder_share=0.35,
    hanging_share=0.12,
    cut_share=0.10,
    plane=PlaneRecipe(
        given_share=0.85, offset_sigma_m=0.003, tilt_sigma_rad=0.015, wrong_share=0.35
    ),
    sensor=SensorRecipe(
        disparity_noise_px=(0.04, 0.2),
        constant_noise_m=(0.0, 0.002),
        bias_sigma=0.004,
        ripple_m=0.0025,
        flying_share=(0.0, 0.35),
        fattening_share=0.3,
        grazing_cosine=(0.05, 0.25),
        baseline_m=(0.03, 0.13),
        shadow_share=0.7,
        hole_share=(0.0, 0.05),
        shine_share=0.25,
    ),
    mask=MaskRecipe(
        ragged_px=(0.0, 1.0),
        grown_px=1.0,
        gross_share=0.12,
        shift_px=1.0,
        bitten_share=0.08,
    ),
)
RECIPES = {recipe.name: recipe for recipe in (ISOLATED, PASTED, FULL_SENSOR)}
