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

"""Where mask and depth contradict each other neither is believed, and objects keep their size."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scenes import Scene, box, camera_from_world, can, placed, scene

from sam3d_ros.config import RefineConfig, SceneConfig
from sam3d_ros.geometry.contradictions import contradicted
from sam3d_ros.geometry.registration.view import Seen, prepared_view
from sam3d_ros.protocols import ObjectBackend
from sam3d_ros.scene.backends import make_object_backend
from sam3d_ros.scene.observe import observe
from sam3d_ros.scene.refining import refining
from sam3d_ros.structures import Bools, ObjectReconstruction, Observation, ScaleSource, window_of

VIEW = camera_from_world(np.radians(35), 0.9)
SIZE_M = np.array([0.08, 0.12, 0.15])


@pytest.fixture(scope="module")
def standing() -> Scene:
    return scene([box(*SIZE_M)], VIEW, noise=1.0)


@pytest.fixture(scope="module")
def fitted_lift() -> ObjectBackend:
    config = SceneConfig()
    objects = replace(config.objects, backend="lift")
    return refining(make_object_backend(replace(config, objects=objects)), RefineConfig())


def true_mask(standing: Scene) -> Bools:
    return standing.frame.masks[0].mask


def observed(standing: Scene, mask: Bools) -> Observation:
    masks = (replace(standing.frame.masks[0], mask=mask), *standing.frame.masks[1:])
    return observe(replace(standing.frame, masks=masks), SceneConfig()).observations[0]


def doubtful(seen: Observation) -> Bools:
    return contradicted(
        seen.points_camera,
        seen.mask,
        seen.silhouette,
        seen.others,
        seen.support,
        focal_px=float(seen.camera.matrix_px[0, 0]),
    )


def without_top(mask: Bools, share: float = 0.25) -> Bools:
    rows, _ = window_of(mask)
    cut = mask.copy()
    cut[: rows.start + round(share * (rows.stop - rows.start))] = False
    return cut


def without_side(mask: Bools, share: float = 0.25) -> Bools:
    return without_top(mask.T, share).T


def leaking(mask: Bools) -> Bools:
    """Return a mask that shows a piece of the table, too."""
    rows, columns = window_of(mask)
    wrong = mask.copy()
    wrong[rows.stop - 20 : rows.stop + 12, columns.start : columns.start + 45] = True
    return wrong


def test_a_right_mask_is_hardly_contradicted(standing: Scene) -> None:
    true = true_mask(standing)
    assert doubtful(observed(standing, true)).sum() < 0.01 * true.sum()


def test_what_a_mask_lost_is_doubtful(standing: Scene) -> None:
    true = true_mask(standing)
    cut = without_top(true)
    found, lost = doubtful(observed(standing, cut)), true & ~cut
    assert (found & lost).sum() > 0.95 * lost.sum()
    assert (found & ~true).sum() < 0.02 * lost.sum()


def test_what_a_mask_has_too_much_is_doubtful(standing: Scene) -> None:
    true = true_mask(standing)
    wrong = leaking(true)
    found, leak = doubtful(observed(standing, wrong)), wrong & ~true
    assert (found & leak).sum() > 0.85 * leak.sum()
    assert (found & true).sum() < 0.02 * true.sum()


def test_a_neighbour_with_a_mask_is_no_part_of_what_it_touches() -> None:
    beside = placed(box(*SIZE_M), 0.0, (0.0, SIZE_M[1] + 0.001, 0.0))
    two = scene([box(*SIZE_M), beside], VIEW, noise=1.0)
    first, second = (each.mask for each in two.frame.masks)
    found = doubtful(observed(two, first))
    assert (found & second).sum() < 0.02 * second.sum()


def test_a_table_that_is_not_known_contradicts_no_mask(standing: Scene) -> None:
    cut = without_top(true_mask(standing))
    seen = replace(observed(standing, cut), support=None)
    assert not (doubtful(seen) & ~cut).any()


def test_what_one_looks_through_is_no_leak(standing: Scene) -> None:
    true = true_mask(standing)
    _, columns = window_of(true)
    seen = observed(standing, true)
    label = seen.mask & (np.arange(true.shape[1]) > (columns.start + columns.stop) // 2)
    behind = seen.points_camera.copy()
    behind[true & ~label] *= 1.5
    glass = replace(seen, points_camera=behind, mask=label)
    assert not (doubtful(glass) & true).any()


def test_estimated_depth_contradicts_no_mask(standing: Scene) -> None:
    seen = observed(standing, without_top(true_mask(standing)))
    estimated = replace(seen, scale_source=ScaleSource.MONOCULAR)
    shown = [prepared_view(Seen.of(each)).pixels.hidden.sum() for each in (seen, estimated)]
    assert shown[0] > shown[1] == 0


@pytest.mark.parametrize("spoil", [without_side, leaking])
def test_objects_keep_their_size_under_masks_that_are_wrong(
    fitted_lift: ObjectBackend, spoil: Callable[[Bools], Bools]
) -> None:
    standing = scene([can(0.04, 0.1)], VIEW, noise=1.0)
    (found,) = fitted_lift.reconstruct([observed(standing, spoil(true_mask(standing)))])
    assert isinstance(found, ObjectReconstruction)
    size_m = np.ptp(found.mesh_object.vertices, axis=0) * found.camera_from_object.scale
    np.testing.assert_allclose(np.sort(size_m), [0.08, 0.08, 0.1], rtol=0.06)
