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

"""The result drawn into the image: silhouettes of the meshes with id, class and size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam3d_ros.apps.drawing import (
    FAILED,
    INK,
    PAPER,
    Color,
    color_of,
    fitted,
    hatch,
    outlined,
    printable,
    text_size,
    tinted,
    with_text,
)
from sam3d_ros.geometry.cameras import resized
from sam3d_ros.geometry.raster import render, silhouette
from sam3d_ros.scene.people.export import person_mesh
from sam3d_ros.structures import (
    Bools,
    Bytes,
    Camera,
    Floats,
    Frame,
    Ints,
    Mesh,
    ObjectReconstruction,
    ScenePerson,
    SceneSnapshot,
    Similarity,
)

MIN_OVERLAY_WIDTH_PX = 1200  # smaller images are enlarged by a whole number, for the text's sake
TEXT_PER_IMAGE_HEIGHT = 1 / 58
MIN_TEXT_PX = 11.0
FILL_OPACITY = 0.38
PLATE_OPACITY = 0.86
MASK_LINE_PX = 1
GAP_PX = 5  # between an object and its label
LABEL_WEIGHT = 10.0  # covering a label is worse than covering an object

Box = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictured:
    """One object or person as pictures show it: what was asked for and what came of it."""

    number: int  # its id, and so its colour
    name: str
    mask: Bools | None = None  # (H, W) of the image
    mesh_camera: Mesh | None = None  # None where there is no reconstruction
    size_m: Floats | None = None  # (3,)
    quality: str = ""  # one line for a person
    failure: str = ""  # why there is no reconstruction
    size_note: str = ""  # instead of the size

    @property
    def color(self) -> Color:
        """Colour of this object in every picture."""
        return color_of(self.number) if self.mesh_camera is not None else FAILED

    @property
    def size_text(self) -> str:
        """Size in centimetres, what stands in its place, or that there is none."""
        if self.size_note:
            return self.size_note
        if self.size_m is None:
            return "no result"
        return " x ".join(f"{100.0 * extent:.1f}" for extent in self.size_m) + " cm"


def pictured_objects(snapshot: SceneSnapshot, frame: Frame) -> list[Pictured]:
    """Prepare objects and people seen in a frame, and the masks that failed, for pictures.

    People are drawn among objects, so that both hide each other.
    """
    failed = {failure.instance_id: failure for failure in snapshot.failures}
    people = snapshot.people.people if snapshot.people is not None else ()
    taken = {*failed, *(person.body.instance_id for person in people)}
    masks = [mask for mask in frame.masks if mask.instance_id not in taken]
    seen = [known for known in snapshot.objects if known.track_id in snapshot.updated]
    pictured = []
    for known in seen:
        mesh_camera = in_camera(known.reconstruction)
        pictured.append(
            Pictured(
                number=known.track_id,
                name=known.class_id,
                mask=_best_mask(silhouette(mesh_camera, frame.camera), [m.mask for m in masks]),
                mesh_camera=mesh_camera,
                size_m=known.size_m,
                quality=quality_text(known.reconstruction),
            )
        )
    pictured += [_pictured_person(person, frame) for person in people]
    for mask in frame.masks:
        if (failure := failed.get(mask.instance_id)) is not None:
            pictured.append(
                Pictured(
                    number=mask.instance_id,
                    name=mask.class_id,
                    mask=mask.mask,
                    failure=f"{failure.code.name}: {failure.message}",
                )
            )
    return pictured


def _pictured_person(person: ScenePerson, frame: Frame) -> Pictured:
    body, fit = person.body, person.fit
    parts = [
        body.backend,
        _measured("depth off by", fit.residual_m, 1000.0, ".0f", " mm"),
        _measured("moved by", fit.correction_m, 100.0, "+.0f", " cm"),
    ]
    distance_m = float(np.linalg.norm(body.origin_camera))
    masks = {mask.instance_id: mask.mask for mask in frame.masks}
    return Pictured(
        number=person.person_id,
        name="person",
        mask=masks.get(body.instance_id),
        mesh_camera=person_mesh(body, Similarity.identity()),
        quality="   ".join(part for part in parts if part),
        size_note=f"{distance_m:.2f} m away" + ("" if fit.is_measured else " (a guess)"),
    )


def in_camera(reconstruction: ObjectReconstruction) -> Mesh:
    """Return the mesh where it stands, in metres."""
    return reconstruction.mesh_object.transformed(reconstruction.camera_from_object)


def quality_text(reconstruction: ObjectReconstruction) -> str:
    """Say in one line how far a reconstruction agrees with what was measured."""
    quality, provenance = reconstruction.quality, reconstruction.provenance
    hypothesis = f" / {provenance.hypothesis}" if provenance.hypothesis else ""
    parts = [
        f"{provenance.backend}{hypothesis}",
        _measured("outline IoU", quality.silhouette_iou, 1.0, ".2f"),
        _measured("depth off by", quality.depth_residual_m, 1000.0, ".1f", " mm"),
        _measured("seen", quality.observed_fraction, 100.0, ".0f", " %"),
    ]
    return "   ".join(part for part in parts if part)


def draw_frame(frame: Frame, snapshot: SceneSnapshot) -> Bytes:
    """Draw the meshes of a snapshot as silhouettes, and the masks of its frame as thin outlines.

    Returns:
        Image ``(H, W, 3)``, enlarged by a whole number where that of the frame is small.
    """
    image = draw_overlay(frame.rgb, pictured_objects(snapshot, frame), frame.camera)
    factor = enlargement(frame.camera.width)
    for each in frame.masks:
        image = outlined(image, enlarged(each.mask, factor), PAPER, MASK_LINE_PX)
    return image


def draw_overlay(rgb: Bytes, pictured: Sequence[Pictured], camera: Camera) -> Bytes:
    """Draw each mesh as the camera would see it, with id, class and size beside it.

    Args:
        rgb: ``(H, W, 3)``.
        pictured: Objects without a mesh are shown as the mask that they came from, hatched.
        camera: Of the image, with its distortion.

    Returns:
        The image, enlarged by a whole number where it is small.
    """
    image, regions = draw_silhouettes(rgb, pictured, camera)
    height_px = max(MIN_TEXT_PX, image.shape[0] * TEXT_PER_IMAGE_HEIGHT)
    labels = [(f"{item.number} {item.name}", item.size_text) for item in pictured]
    return draw_labels(image, pictured, regions, labels, height_px)


def draw_silhouettes(
    rgb: Bytes, pictured: Sequence[Pictured], camera: Camera
) -> tuple[Bytes, list[Bools]]:
    """Return the overlay without labels, and the pixels of each object in it."""
    factor = enlargement(camera.width)
    large = resized(camera, factor * camera.width, factor * camera.height)
    image = fitted(rgb, large.width, large.height)
    regions = _regions(pictured, large, factor)
    for item, region in zip(pictured, regions, strict=True):
        fill = region if item.mesh_camera is not None else region & hatch(*region.shape)
        image = tinted(image, fill, item.color, FILL_OPACITY)
    for item, region in zip(pictured, regions, strict=True):
        image = outlined(image, region, item.color)
    return image, regions


def enlargement(width: int) -> int:
    """Return by which whole number pictures of an image of this width are enlarged."""
    return max(1, round(MIN_OVERLAY_WIDTH_PX / width))


def enlarged(mask: Bools, factor: int) -> Bools:
    """Return a mask with each pixel repeated ``factor`` times along both axes."""
    return mask.repeat(factor, axis=0).repeat(factor, axis=1)


def draw_labels(
    image: Bytes,
    pictured: Sequence[Pictured],
    regions: Sequence[Bools],
    labels: Sequence[Sequence[str]],
    height_px: float,
) -> Bytes:
    """Write lines at each region, where they cover least of all regions and other labels."""
    covered = np.any(regions, axis=0).astype(np.float64) if len(regions) else None
    for item, region, lines in zip(pictured, regions, labels, strict=True):
        if covered is None or not region.any():
            continue
        width = max(text_size(printable(line), height_px)[0] for line in lines)
        size = (int(width + 1.6 * height_px), int((0.6 + 1.8 * len(lines)) * height_px))
        box = _free_box(region, size, covered)
        covered[box] = LABEL_WEIGHT
        image = _with_label(image, lines, box, item.color, height_px)
    return image


def _regions(pictured: Sequence[Pictured], camera: Camera, factor: int) -> list[Bools]:
    """Return the pixels of each object: visible ones of its mesh, else of its mask."""
    meshes = [item.mesh_camera for item in pictured if item.mesh_camera is not None]
    visible: Ints = render(meshes, camera).object_index
    regions, index = [], 0
    for item in pictured:
        if item.mesh_camera is not None:
            regions.append(visible == index)
            index += 1
        elif item.mask is not None:
            regions.append(enlarged(item.mask, factor))
        else:
            regions.append(np.zeros(visible.shape, dtype=bool))
    return regions


def _with_label(
    image: Bytes, lines: Sequence[str], box: Box, color: Color, height_px: float
) -> Bytes:
    """Draw lines of text on a pale plate with a bar in the object's colour."""
    plate = np.zeros(image.shape[:2], dtype=bool)
    plate[box] = True
    image = tinted(image, plate, PAPER, PLATE_OPACITY)
    x, y = box[1].start, box[0].start
    image[box[0], x : x + int(0.4 * height_px)] = color
    for number, line in enumerate(lines):
        base = (int(x + 0.9 * height_px), int(y + (1.6 + 1.8 * number) * height_px))
        image = with_text(image, line, base, height_px, INK)
    return image


def _free_box(region: Bools, size: tuple[int, int], covered: Floats) -> Box:
    """Find the place above, below, beside or on a region that covers least; within the image."""
    pixels = np.argwhere(region)
    (top, left), (bottom, right) = pixels.min(axis=0), pixels.max(axis=0)
    width, height = size
    columns = (left, (left + right - width) // 2, right - width)
    rows = (top, (top + bottom - height) // 2, bottom - height)
    places = [
        *((x, y) for y in (top - height - GAP_PX, bottom + GAP_PX) for x in columns),
        *((x, y) for x in (right + GAP_PX, left - width - GAP_PX) for y in rows),
        (columns[1], rows[1]),
    ]
    limit_x, limit_y = max(0, region.shape[1] - width), max(0, region.shape[0] - height)
    boxes = []
    for place_x, place_y in places:
        x, y = int(np.clip(place_x, 0, limit_x)), int(np.clip(place_y, 0, limit_y))
        boxes.append((slice(y, y + height), slice(x, x + width)))
    return min(boxes, key=lambda box: float(covered[box].sum()))


def _best_mask(rendered: Bools, masks: Sequence[Bools]) -> Bools | None:
    """Return the mask that shares most pixels with a rendered object."""
    if not masks:
        return None
    shared = np.array([np.count_nonzero(rendered & mask) for mask in masks])
    return masks[int(shared.argmax())] if shared.any() else None


def _measured(name: str, value: float, factor: float, form: str, unit: str = "") -> str:
    return f"{name} {value * factor:{form}}{unit}" if np.isfinite(value) else ""
