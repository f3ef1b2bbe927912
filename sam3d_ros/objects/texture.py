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


"""UV textures without a rasteriser: charts by xatlas, colours baked in NumPy, GLB by trimesh.

Texture coordinates are trimesh's: u to the right, v upwards from the lower edge of the image.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import trimesh
from PIL import Image
from scipy import ndimage

from sam3d_ros.errors import ConfigError, DependencyError, ReconstructionError
from sam3d_ros.geometry.mesh_files import file_from_object
from sam3d_ros.objects.colored_points import MAX_VALUE, ColoredPoints, bytes_from_colors
from sam3d_ros.shapes import check_shape
from sam3d_ros.structures import Bytes, Floats, Ints, Mesh

MIN_RESOLUTION = 16
MIN_SQUARE = 4  # texels along a side, for two triangles
CHUNK_TEXELS = 2_000_000  # looked at in one go; bounds the memory
NUM_NEAREST = 4  # points that colour a texel
INSIDE = -1e-6  # barycentric weight from which on a texel counts as covered
ROUNDING = 1e-6  # texels that a corner may lie beside the middle of one that it is meant to cover


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureConfig:
    """The size of a texture."""

    resolution: int = 1024  # texels along a side, about: the packing decides
    padding: int = 2  # texels between charts

    def __post_init__(self) -> None:
        if self.resolution < MIN_RESOLUTION or self.padding < 0:
            raise ConfigError(
                f"a texture needs at least {MIN_RESOLUTION} texels a side and no negative padding, "
                f"got {self.resolution} and {self.padding}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """Where the triangles of a mesh lie on an image; vertices on seams lie in several places."""

    source: Ints  # (W,) vertex of the mesh that each of the chart's vertices is
    triangles: Ints  # (F, 3) rows of ``source`` and ``uv``, in the order of the mesh's triangles
    uv: Floats  # (W, 2) in [0, 1]
    width: int  # texels
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class TexturedMesh:
    """A mesh with an image of its colours."""

    mesh: Mesh  # in the object frame; vertices on seams are doubled, so it is not closed
    uv: Floats  # (V, 2)
    texture: Bytes  # (H, W, 3)

    def __post_init__(self) -> None:
        check_shape(self.uv, f"{len(self.mesh.vertices)} 2", "uv")
        check_shape(self.texture, "H W 3", "texture")


def textured(
    mesh: Mesh, config: TextureConfig, colored: ColoredPoints | None = None
) -> TexturedMesh:
    """Give a mesh a texture with the colours of points around it, or else of its vertices.

    Charts take long on large meshes, seconds per 20 000 triangles: decimate first.

    Raises:
        DependencyError: xatlas is not installed.
    """
    chart = unwrapped(mesh, config)
    seamed = Mesh(
        vertices=mesh.vertices[chart.source],
        triangles=chart.triangles,
        colors=mesh.colors[chart.source],
        observed=mesh.observed[chart.source],
    )
    return TexturedMesh(seamed, chart.uv, baked(mesh, chart, colored))


def unwrapped(mesh: Mesh, config: TextureConfig) -> Chart:
    """Cut a mesh into charts and pack them into one image."""
    xatlas = _xatlas()
    if len(mesh.triangles) == 0:
        raise ReconstructionError("a mesh to be textured must have triangles, has none")
    options = xatlas.PackOptions()
    options.resolution, options.padding = config.resolution, config.padding
    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.astype(np.float32), mesh.triangles.astype(np.uint32))
    atlas.generate(xatlas.ChartOptions(), options)
    source, triangles, uv = atlas[0]
    return Chart(
        source=source.astype(np.int64),
        triangles=triangles.astype(np.int32),
        uv=uv.astype(np.float64),
        width=int(atlas.width),
        height=int(atlas.height),
    )


def tiled(triangles: Ints, side: int) -> Chart:
    """Put each triangle of ``(F, 3)`` on texels of its own, two to a square, in their order.

    This takes no time and no library, and wastes nothing that a message or a small file misses:
    every vertex lies in as many places as it has triangles. ``unwrapped`` is for meshes whose
    vertices shall stay together.

    Args:
        triangles: Of the mesh.
        side: Texels along a side that are wanted; more where triangles would get too few.
    """
    per_row = max(1, int(np.ceil(np.sqrt(len(triangles) / 2))))
    square = max(MIN_SQUARE, side // per_row)
    # Corners lie on the middles of texels. Between the two long edges there is room for what a
    # viewer blends of neighbours.
    lower = np.array([[0, 0], [square - 3, 0], [0, square - 3]])
    upper = np.array([[square - 1, square - 1], [2, square - 1], [square - 1, 2]])
    number = np.arange(len(triangles))
    first = np.stack((number // 2 % per_row, number // 2 // per_row), axis=1) * square
    corners = first[:, None] + np.where((number % 2 == 0)[:, None, None], lower, upper)
    size = per_row * square
    u, v = np.moveaxis((corners.reshape(-1, 2) + 0.5) / size, -1, 0)
    return Chart(
        source=triangles.ravel().astype(np.int64),
        triangles=np.arange(triangles.size).reshape(-1, 3).astype(np.int32),
        uv=np.stack((u, 1 - v), axis=1),
        width=size,
        height=size,
    )


def baked(mesh: Mesh, chart: Chart, colored: ColoredPoints | None = None) -> Bytes:
    """Colour each texel by the place of the surface that lies on it, ``(H, W, 3)``.

    Texels between the charts take the colour of the nearest one on a chart, so that nothing shows
    at the seams when a viewer blends neighbours.
    """
    values = (mesh.colors / MAX_VALUE if colored is None else mesh.vertices).astype(np.float64)
    image = np.zeros((chart.height, chart.width, 3))
    covered = np.zeros((chart.height, chart.width), dtype=bool)
    for texels, face, weights in _texels(chart):
        corners = chart.source[chart.triangles[face]]
        image[tuple(texels)] = np.einsum("kc,kcd->kd", weights, values[corners])
        covered[tuple(texels)] = True
    if not covered.any():
        raise ReconstructionError(
            f"triangles must cover some of {chart.width} x {chart.height} texels, cover none; "
            "raise the resolution of the texture"
        )
    if colored is not None:
        image[covered] = colored.at(image[covered], NUM_NEAREST)
    nearest = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return bytes_from_colors(image[tuple(nearest)])


def write_textured(textured_mesh: TexturedMesh, path: Path, up_axis: str = "y") -> None:
    """Write a ``.glb``; see ``textured_glb``.

    Args:
        textured_mesh: In the object frame.
        path: Must end in ``.glb``.
        up_axis: ``y`` as glTF says, ``z`` keeps the axes of the object frame.
    """
    if path.suffix != ".glb":
        raise ConfigError(f"a textured mesh must be written as .glb, got {path.name!r}")
    content = textured_glb(textured_mesh, up_axis)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def textured_glb(textured_mesh: TexturedMesh, up_axis: str = "y") -> bytes:
    """Return a ``.glb`` with a physically based material: not metallic, wholly rough."""
    turned = textured_mesh.mesh.transformed(file_from_object(up_axis))
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(textured_mesh.texture),
        metallicFactor=0.0,
        roughnessFactor=1.0,
    )
    exported = trimesh.Trimesh(
        vertices=turned.vertices.astype(np.float64),
        faces=turned.triangles,
        visual=trimesh.visual.TextureVisuals(uv=textured_mesh.uv, material=material),
        process=False,
    )
    content = exported.export(file_type="glb")
    assert isinstance(content, bytes)  # as of every binary format
    return content


def check_textures() -> None:
    """Raise unless textures can be baked.

    Raises:
        DependencyError: xatlas is not installed.
    """
    _xatlas()


def _xatlas() -> ModuleType:
    try:
        return importlib.import_module("xatlas")
    except ModuleNotFoundError as error:
        raise DependencyError(
            "textures need xatlas, which is not installed; run python3 -m pip install xatlas, or "
            "keep the colours of the vertices (objects.texture: vertex_color)"
        ) from error


def _texels(chart: Chart) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Yield texels ``(2, K)`` as rows and columns, their triangles ``(K,)``, weights ``(K, 3)``.

    Looks at all texels in the box around each triangle, many triangles at a time.
    """
    size = np.array([chart.width, chart.height])
    # The middle of a texel is at u = (column + 0.5) / width and v = 1 - (row + 0.5) / height.
    places = np.stack((chart.uv[:, 0], 1 - chart.uv[:, 1]), axis=1) * size - 0.5
    corners = places[chart.triangles]  # (F, 3, 2) as column, row
    low = np.clip(np.ceil(corners.min(axis=1) - ROUNDING), 0, size).astype(int)
    high = np.clip(np.floor(corners.max(axis=1) + ROUNDING) + 1, low, size).astype(int)
    counts = np.prod(high - low, axis=1)
    chunk = np.cumsum(counts) // CHUNK_TEXELS
    for number in np.unique(chunk):
        faces = np.flatnonzero((chunk == number) & (counts > 0))
        face = np.repeat(faces, counts[faces])
        first = np.cumsum(counts[faces]) - counts[faces]
        step = np.arange(len(face)) - np.repeat(first, counts[faces])
        widths = (high - low)[face, 0]
        texels = low[face] + np.stack((step % widths, step // widths), axis=1)
        weights = _barycentric(texels, corners[face])
        inside = (weights >= INSIDE).all(axis=1)
        yield texels[inside].T[::-1], face[inside], weights[inside]


def _barycentric(points: Ints, corners: Floats) -> Floats:
    """Return the weights of corners ``(K, 3, 2)`` at points ``(K, 2)``; NaN in flat triangles."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_b, weight_c = _cross(points - a, c - a) / area, _cross(b - a, points - a) / area
        return np.stack((1 - weight_b - weight_c, weight_b, weight_c), axis=1)


def _cross(one: Floats, other: Floats) -> Floats:
    product: Floats = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return product
