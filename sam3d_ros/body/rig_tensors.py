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

"""What the file of the MHR rig holds, checked: counts and kinds before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam3d_ros.body.architecture import NUM_EXPRESSIONS, NUM_IDENTITIES, NUM_RIG_PARAMETERS
from sam3d_ros.errors import ShapeError, WeightsError
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures.people import NUM_JOINTS

PARAMETERS_OF_JOINT = 7  # translation, rotation about x, y, z, log2 of the scale
NUM_FEATURES = (NUM_JOINTS - 2) * 6  # of the pose, for the correctives

SKELETON = "character_torch.skeleton."
SKIN = "character_torch.linear_blend_skinning."
BLEND = "character_torch.blend_shape."
EXPRESSION = "face_expressions_model.shape_vectors"
TRANSFORM = "character_torch.parameter_transform.parameter_transform"
CORRECTIVES = "pose_correctives_model.pose_dirs_predictor."
FACES = "character_torch.mesh.faces"

# Axes as check_shape writes them; V vertices, K weights of the correctives, M influences.
SHAPES = {
    BLEND + "base_shape": "V 3",
    BLEND + "shape_vectors": "S V 3",
    SKELETON + "joint_translation_offsets": f"{NUM_JOINTS} 3",
    SKELETON + "joint_prerotations": f"{NUM_JOINTS} 4",
    SKELETON + "joint_parents": f"{NUM_JOINTS}",
    TRANSFORM: f"{NUM_JOINTS * PARAMETERS_OF_JOINT} P",
    SKIN + "inverse_bind_pose": f"{NUM_JOINTS} 8",
    SKIN + "skin_indices_flattened": "M",
    SKIN + "skin_weights_flattened": "M",
    SKIN + "vert_indices_flattened": "M",
    CORRECTIVES + "0.sparse_indices": "2 K",
    CORRECTIVES + "0.sparse_weight": "K",
    CORRECTIVES + "2.weight": "N H",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkeletonTensors:
    """Joints of the rig; centimetres."""

    offsets: Tensor  # (127, 3), from the parent
    prerotations: Tensor  # (127, 4) xyzw
    parents: Tensor  # (127,), -1 for the root, else smaller than the joint's own index
    parameter_transform: Tensor  # (889, 204)
    inverse_bind_pose: Tensor  # (127, 8): translation, quaternion xyzw, scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurfaceTensors:
    """Vertices of the rig; centimetres, y up, the body looks along +z."""

    base_shape: Tensor  # (V, 3)
    shape_vectors: Tensor  # (117, V, 3): 45 of the identity, 72 of the expression
    skin_weights: Tensor  # (V, 127)
    corrective_hidden: Tensor  # (H, 750)
    corrective_offsets: Tensor  # (V, 3, H)
    triangles: Tensor  # (F, 3) int64; none where the file leaves them to the model's checkpoint

    def of(self, vertices: Tensor) -> "SurfaceTensors":
        """Return some vertices ``(N,)`` alone; no triangle is left."""
        return replace(
            self,
            base_shape=self.base_shape[vertices],
            shape_vectors=self.shape_vectors[:, vertices],
            skin_weights=self.skin_weights[vertices],
            corrective_offsets=self.corrective_offsets[vertices],
            triangles=self.triangles[:0],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RigTensors:
    """The rig as its file describes it."""

    skeleton: SkeletonTensors
    surface: SurfaceTensors

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], source: str) -> "RigTensors":
        """Take what is needed from the tensors of ``mhr_model.pt``; others are ignored.

        Args:
            tensors: By their official names.
            source: What an error calls them.

        Raises:
            WeightsError: A tensor is missing or has the wrong counts.
        """
        sizes = _checked_sizes(tensors, source)
        skeleton = SkeletonTensors(
            offsets=tensors[SKELETON + "joint_translation_offsets"].float(),
            prerotations=tensors[SKELETON + "joint_prerotations"].float(),
            parents=_parents(tensors, source),
            # Later columns repeat the blend shapes, for which the parameters are given apart.
            parameter_transform=tensors[TRANSFORM][:, :NUM_RIG_PARAMETERS].float(),
            inverse_bind_pose=tensors[SKIN + "inverse_bind_pose"].float(),
        )
        surface = SurfaceTensors(
            base_shape=tensors[BLEND + "base_shape"].float(),
            shape_vectors=_shape_vectors(tensors, source),
            skin_weights=_skin_weights(tensors, sizes["V"], source),
            corrective_hidden=_corrective_hidden(tensors, sizes["H"], source),
            corrective_offsets=torch.unflatten(
                tensors[CORRECTIVES + "2.weight"].float(), 0, (-1, 3)
            ),
            triangles=_triangles(tensors, sizes["V"], source),
        )
        return cls(skeleton=skeleton, surface=surface)


def _checked_sizes(tensors: Mapping[str, Tensor], source: str) -> dict[str, int]:
    """Check that all is there in shapes that agree with each other; return what letters stand for.

    Raises:
        WeightsError: With the first misfit.
    """
    if missing := [name for name in SHAPES if name not in tensors]:
        raise _refused(source, f"lacks {len(missing)} of its tensors, first {missing[0]}")
    sizes: dict[str, int] = {}
    for name, spec in SHAPES.items():
        known = " ".join(str(sizes.get(axis, axis)) for axis in spec.split())
        try:
            found = check_shape(tensors[name], known, name)
        except ShapeError as error:
            raise _refused(source, f"is not consistent: {error}") from error
        sizes.update(found)
    if sizes["P"] < NUM_RIG_PARAMETERS:
        raise _refused(source, f"has {sizes['P']} parameters, expected {NUM_RIG_PARAMETERS}")
    if sizes["N"] != 3 * sizes["V"]:
        raise _refused(
            source, f"corrects {sizes['N']} coordinates, expected 3 x {sizes['V']} vertices"
        )
    return sizes


def _shape_vectors(tensors: Mapping[str, Tensor], source: str) -> Tensor:
    """Return identity and expression in one; newer files have them so, the released one apart."""
    vectors = [tensors[BLEND + "shape_vectors"]]
    if EXPRESSION in tensors:
        vectors.append(tensors[EXPRESSION])
    counts = [len(each) for each in vectors]
    expected = NUM_IDENTITIES + NUM_EXPRESSIONS
    if counts not in ([NUM_IDENTITIES, NUM_EXPRESSIONS], [expected]):
        raise _refused(
            source,
            f"has {' + '.join(map(str, counts))} blend shapes, expected {NUM_IDENTITIES} of the "
            f"identity and {NUM_EXPRESSIONS} of the expression",
        )
    if vectors[-1].shape[1:] != vectors[0].shape[1:]:
        raise _refused(source, f"{EXPRESSION} is {tuple(vectors[-1].shape)}, of other vertices")
    return torch.cat(vectors).float()


def _parents(tensors: Mapping[str, Tensor], source: str) -> Tensor:
    parents = tensors[SKELETON + "joint_parents"].long()
    precede = (parents >= -1) & (parents < torch.arange(NUM_JOINTS))
    if not bool(precede.all()):
        raise _refused(source, f"joint {int(precede.long().argmin())} comes before its parent")
    if (num_roots := int((parents < 0).sum())) != 1:
        raise _refused(source, f"has {num_roots} joints without a parent, expected one root")
    return parents


def _triangles(tensors: Mapping[str, Tensor], num_vertices: int, source: str) -> Tensor:
    if FACES not in tensors:
        return torch.empty(0, 3, dtype=torch.int64)
    try:
        check_shape(tensors[FACES], "F 3", FACES)
    except ShapeError as error:
        raise _refused(source, f"is not consistent: {error}") from error
    return _checked_indices(tensors[FACES], num_vertices, FACES, source)


def _skin_weights(tensors: Mapping[str, Tensor], num_vertices: int, source: str) -> Tensor:
    names = (SKIN + "vert_indices_flattened", SKIN + "skin_indices_flattened")
    vertices, joints = (
        _checked_indices(tensors[name], count, name, source)
        for name, count in zip(names, (num_vertices, NUM_JOINTS), strict=True)
    )
    weights = torch.zeros(num_vertices, NUM_JOINTS)
    return weights.index_put_(
        (vertices, joints), tensors[SKIN + "skin_weights_flattened"].float(), accumulate=True
    )


def _corrective_hidden(tensors: Mapping[str, Tensor], num_hidden: int, source: str) -> Tensor:
    name = CORRECTIVES + "0.sparse_indices"
    rows, columns = tensors[name]
    weights = torch.zeros(num_hidden, NUM_FEATURES)
    place = (
        _checked_indices(rows, num_hidden, name, source),
        _checked_indices(columns, NUM_FEATURES, name, source),
    )
    values = tensors[CORRECTIVES + "0.sparse_weight"].float()
    return weights.index_put_(place, values, accumulate=True)


def _checked_indices(indices: Tensor, count: int, name: str, source: str) -> Tensor:
    if indices.is_floating_point():
        raise _refused(source, f"{name} must be indices, got {indices.dtype}")
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        raise _refused(source, f"{name} points beyond the {count} that there are")
    return indices.long()


def _refused(source: str, reason: str) -> WeightsError:
    return WeightsError(
        f"{source} is not a rig of MHR: it {reason}; take assets/mhr_model.pt of the release"
    )
