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


"""Messages to arrays and cameras: images, depth, labels, intrinsics, clouds, transforms.

Imports no ROS: a message is anything with the right attributes, so those that ``rosbags`` reads
from a bag work like those of rclpy. Nothing here changes a message.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from sam3d_ros.errors import EncodingError, IntrinsicsError, ShapeError
from sam3d_ros.geometry.cameras import binned, check_principal_point, checked_matrix_px, cropped
from sam3d_ros.geometry.depth import MEASURABLE_M
from sam3d_ros.geometry.lenses import lens_of
from sam3d_ros.geometry.rigid import Rigid
from sam3d_ros.ros.compat.images import rgb_by_cv_bridge
from sam3d_ros.structures import NS_PER_S, Bytes, Camera, Floats, Ints, Similarity

# Of rclpy or of rosbags, which share no base class.
ImageMsg: TypeAlias = Any
CompressedImageMsg: TypeAlias = Any
CameraInfoMsg: TypeAlias = Any
PointCloud2Msg: TypeAlias = Any
TransformMsg: TypeAlias = Any
StampMsg: TypeAlias = Any

# Of the focal length to the longer side of the image: fields of view of 3 minutes to 178 degrees.
# A fisheye lens sees more with a focal length of a quarter of that side.
FOCAL_RANGE = 0.01, 1000.0
MAX_OFF_CENTER = 10.0  # of the principal point from the image, in its longer sides
MAX_POINT_STEP = 65535  # bytes; no point has as many
MAX_SHIFT_M = 1e9  # the Earth has 6.4e6
COMPRESSED_DEPTH_HEADER = struct.Struct("=iff")  # kind, then A and B of depth = A / (value - B)


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How the pixels of one encoding lie in memory, and how they become red, green, blue."""

    dtype: str
    channels: int = 1
    conversion: int | None = None  # of cv2.cvtColor, to red, green, blue


# The names are those of sensor_msgs/image_encodings.hpp. 8UC3 has no meaning there; cv_bridge
# sends images of OpenCV under it, whose order is blue, green, red.
COLOR_LAYOUTS = {
    "rgb8": PixelLayout("u1", 3),
    "bgr8": PixelLayout("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": PixelLayout("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": PixelLayout("u1", 4, cv2.COLOR_BGRA2RGB),
    "rgb16": PixelLayout("u2", 3),
    "bgr16": PixelLayout("u2", 3, cv2.COLOR_BGR2RGB),
    "mono8": PixelLayout("u1", conversion=cv2.COLOR_GRAY2RGB),
    "mono16": PixelLayout("u2", conversion=cv2.COLOR_GRAY2RGB),
    "8UC1": PixelLayout("u1", conversion=cv2.COLOR_GRAY2RGB),
    "8UC3": PixelLayout("u1", 3, cv2.COLOR_BGR2RGB),
    "bayer_rggb8": PixelLayout("u1", conversion=cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": PixelLayout("u1", conversion=cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": PixelLayout("u1", conversion=cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": PixelLayout("u1", conversion=cv2.COLOR_BayerGRBG2RGB),
    "bayer_rggb16": PixelLayout("u2", conversion=cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr16": PixelLayout("u2", conversion=cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg16": PixelLayout("u2", conversion=cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg16": PixelLayout("u2", conversion=cv2.COLOR_BayerGRBG2RGB),
    "yuv422": PixelLayout("u1", 2, conversion=cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": PixelLayout("u1", 2, conversion=cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": PixelLayout("u1", 2, conversion=cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": PixelLayout("u1", 2, conversion=cv2.COLOR_YUV2RGB_YUY2),
}
DEPTH_LAYOUTS = {
    "16UC1": PixelLayout("u2"),
    "mono16": PixelLayout("u2"),
    "32FC1": PixelLayout("f4"),
}
LABEL_LAYOUTS = {
    "mono8": PixelLayout("u1"),
    "8UC1": PixelLayout("u1"),
    "mono16": PixelLayout("u2"),
    "16UC1": PixelLayout("u2"),
    "32SC1": PixelLayout("i4"),
}
FLOAT_DTYPES = {7: "f4", 8: "f8"}  # of sensor_msgs/PointField


def stamp_ns_from_msg(stamp: StampMsg) -> int:
    """Return a ``builtin_interfaces/Time`` in nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def image_from_msg(msg: ImageMsg | CompressedImageMsg) -> Bytes:
    """Return the colours ``(H, W, 3)`` uint8, red first, of an Image or a CompressedImage.

    Raises:
        EncodingError: The encoding is not known, or the data do not have the announced size.
    """
    if hasattr(msg, "format"):
        return _image_from_compressed(msg)
    if msg.encoding not in COLOR_LAYOUTS and (rgb := rgb_by_cv_bridge(msg)) is not None:
        return rgb
    layout = _layout(msg, COLOR_LAYOUTS, "colour")
    pixels = _pixels(msg, layout)
    if pixels.dtype.itemsize == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    if layout.conversion is None:
        return np.array(pixels)  # not a view: the message stays what it is
    raw = pixels[..., 0] if layout.channels == 1 else pixels
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(raw), layout.conversion), dtype=np.uint8)


def depth_from_msg(msg: ImageMsg | CompressedImageMsg) -> NDArray[np.generic]:
    """Return the depth ``(h, w)`` as sent, uint16 or float32; ``metric_depth`` knows the unit.

    Reads Image and, of CompressedImage, the ``compressedDepth`` transport with PNG.

    Raises:
        EncodingError: The encoding is not known, or the data do not have the announced size.
    """
    if hasattr(msg, "format"):
        return _depth_from_compressed(msg)
    return _pixels(msg, _layout(msg, DEPTH_LAYOUTS, "depth"))[..., 0]


def labels_from_msg(msg: ImageMsg) -> Ints:
    """Return the instance id of each pixel ``(H, W)`` int32; 0 is background.

    Raises:
        EncodingError: The encoding is not known, or the data do not have the announced size.
    """
    return _pixels(msg, _layout(msg, LABEL_LAYOUTS, "label"))[..., 0].astype(np.int32)


def camera_from_msg(msg: CameraInfoMsg, *, rectified: bool = False) -> Camera:
    """Return the camera of the image that a CameraInfo comes with.

    K and P are those of the full image; roi and binning lead to the image as sent. R turns the
    rectified image against the raw one; it is not needed, because each is read in its own frame.

    Args:
        msg: The CameraInfo.
        rectified: The image is rectified: take P and no distortion instead of K and D.

    Raises:
        IntrinsicsError: The matrix is all zeros or cannot be one of a camera.
        DistortionError: The distortion model is not known.
    """
    name, values = ("P", np.reshape(msg.p, (3, 4))[:, :3]) if rectified else ("K", msg.k)
    roi = msg.roi
    return _camera(
        _Calibration(
            name=name,
            size=(int(msg.width), int(msg.height)),
            matrix_px=tuple(np.ravel(values).tolist()),
            model="none" if rectified else msg.distortion_model or "none",
            distortion=() if rectified else tuple(float(value) for value in msg.d),
            roi=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
            binning=(int(msg.binning_x), int(msg.binning_y)),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """What a CameraInfo says of its image."""

    name: str  # of the matrix
    size: tuple[int, int]
    matrix_px: tuple[float, ...]
    model: str
    distortion: tuple[float, ...]
    roi: tuple[int, int, int, int]
    binning: tuple[int, int]


@lru_cache(maxsize=16)  # a camera sends the same one with every image
def _camera(said: _Calibration) -> Camera:
    name = said.name
    camera = Camera(
        width=said.size[0],
        height=said.size[1],
        matrix_px=np.array(said.matrix_px, dtype=np.float64).reshape(3, 3),
        distortion_model=said.model,
        distortion=said.distortion,
    )
    if not camera.matrix_px.any():
        raise IntrinsicsError(
            f"{name} is all zeros: the camera is not calibrated; calibrate it, or set "
            "camera.fov_fallback_deg to go on with a guess"
        )
    _check_plausible(checked_matrix_px(camera), camera, name)
    check_principal_point(camera)
    lens_of(camera)
    if said.roi[2] and said.roi[3]:
        camera = cropped(camera, *said.roi)
    return binned(camera, *said.binning)


def cloud_from_msg(msg: PointCloud2Msg) -> Floats:
    """Return the measurable points ``(N, 3)`` of a PointCloud2, organised or not, in its frame.

    Raises:
        EncodingError: x, y, z are missing, or the data do not have the announced size.
    """
    point = _point_dtype(msg)
    if not msg.width * msg.height:
        return np.empty((0, 3))
    rows = _rows(msg.data, int(msg.height), int(msg.row_step), int(msg.width) * point.itemsize)
    cloud = np.ascontiguousarray(rows).reshape(-1).view(point)
    points = np.stack([cloud[name].astype(np.float64) for name in "xyz"], axis=-1)
    return points[(np.abs(points) < MEASURABLE_M[1]).all(axis=-1)]


def transform_from_msg(msg: TransformMsg) -> Similarity:
    """Return a ``geometry_msgs/Transform`` as ``parent_from_child``.

    Raises:
        ShapeError: The quaternion is zero, or anything is not finite or beyond all measure.
    """
    return rigid_from_msg(msg).similarity


def rigid_from_msg(msg: TransformMsg) -> Rigid:
    """Return a ``geometry_msgs/Transform`` as ``parent_from_child``, in plain numbers.

    Raises:
        ShapeError: As ``transform_from_msg``.
    """
    quat, shift = msg.rotation, msg.translation
    translation_m = float(shift.x), float(shift.y), float(shift.z)
    if not all(abs(length_m) < MAX_SHIFT_M for length_m in translation_m):
        raise ShapeError(
            f"translation must be finite and below {MAX_SHIFT_M:g} m, got {translation_m}; check "
            "the publisher of the transform"
        )
    quat_wxyz = float(quat.w), float(quat.x), float(quat.y), float(quat.z)
    return Rigid.from_numbers(quat_wxyz, translation_m)


def _check_plausible(matrix_px: Floats, camera: Camera, name: str) -> None:
    """Refuse what no lens has: all points would fall into one line, or beyond all numbers."""
    side_px = max(camera.width, camera.height, 1)
    focal = matrix_px[[0, 1], [0, 1]] / side_px
    center = np.abs(matrix_px[:2, 2]) / side_px
    least, most = FOCAL_RANGE
    if not ((least <= focal) & (focal <= most) & (center <= MAX_OFF_CENTER)).all():
        raise IntrinsicsError(
            f"{name} of an image of {camera.width}x{camera.height} must have focal lengths of "
            f"{least:g} to {most:g} times its longer side and its principal point within "
            f"{MAX_OFF_CENTER:g} of them, got {matrix_px.tolist()}; check the calibration"
        )


def _layout(msg: ImageMsg, layouts: dict[str, PixelLayout], what: str) -> PixelLayout:
    if msg.encoding not in layouts:
        raise EncodingError(
            f"{what} image must be one of {', '.join(layouts)}, got {msg.encoding!r}; "
            "convert it before, or remap the right topic"
        )
    return layouts[msg.encoding]


def _pixels(msg: ImageMsg, layout: PixelLayout) -> NDArray[Any]:
    """Return the pixels ``(H, W, channels)`` in native byte order, rows without padding."""
    width, height = int(msg.width), int(msg.height)
    endian = ">" if msg.is_bigendian else "<"
    dtype = np.dtype(endian + layout.dtype)
    rows = _rows(msg.data, height, int(msg.step), width * layout.channels * dtype.itemsize)
    pixels = np.ascontiguousarray(rows).view(dtype).reshape(height, width, layout.channels)
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def _rows(data: Any, height: int, step: int, row_bytes: int) -> Bytes:
    """Return the bytes ``(height, row_bytes)`` of a message; the last row may lack its padding."""
    flat = np.frombuffer(data, dtype=np.uint8)
    needed = step * (height - 1) + row_bytes
    if height < 1 or row_bytes < 1 or step < row_bytes or len(flat) < needed:
        raise EncodingError(
            f"{height} rows of {row_bytes} bytes, {step} from one row to the next, need {needed} "
            f"bytes, got {len(flat)}; width, height, step and encoding contradict the data"
        )
    if len(flat) < step * height:
        flat = np.pad(flat, (0, step * height - len(flat)))
    return flat[: step * height].reshape(height, step)[:, :row_bytes]


def _image_from_compressed(msg: CompressedImageMsg) -> Bytes:
    bgr = _decompressed(np.frombuffer(msg.data, dtype=np.uint8), cv2.IMREAD_COLOR, msg.format)
    # OpenCV takes every file for blue-green-red. The compressed transport says when it has packed
    # the colours as they were instead: "rgb8; png compressed rgb8".
    encoding, _, packed = msg.format.partition(";")
    as_is = packed and "compressed bgr" not in packed and encoding.strip().startswith("rgb")
    return np.asarray(bgr if as_is else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _depth_from_compressed(msg: CompressedImageMsg) -> NDArray[np.generic]:
    """Read what compressed_depth_image_transport packs: a header of 12 bytes, then a PNG."""
    encoding = msg.format.partition(";")[0].strip()
    flat = np.frombuffer(msg.data, dtype=np.uint8)
    size = COMPRESSED_DEPTH_HEADER.size
    if encoding not in DEPTH_LAYOUTS or "rvl" in msg.format or len(flat) <= size:
        raise EncodingError(
            f"compressed depth must be PNG of {', '.join(DEPTH_LAYOUTS)}, got format "
            f"{msg.format!r} with {len(flat)} bytes; set the publisher's compressed depth to png"
        )
    stored = _decompressed(flat[size:], cv2.IMREAD_UNCHANGED, msg.format)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise EncodingError(
            f"compressed depth must be one channel of 16 bit, got {stored.dtype} {stored.shape}"
        )
    if encoding != "32FC1":
        return stored
    _, a, b = COMPRESSED_DEPTH_HEADER.unpack(flat[:size].tobytes())
    values = stored.astype(np.float32)
    with np.errstate(divide="ignore"):
        return np.where(stored > 0, a / (values - b), np.nan).astype(np.float32)


def _decompressed(data: Bytes, flags: int, file_format: str) -> NDArray[Any]:
    # The pixels belong to camera_info as they lie in the file, however the camera was held.
    image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise EncodingError(
            f"compressed image of {len(data)} bytes with format {file_format!r} is no JPEG or PNG; "
            "check the publisher's image transport"
        )
    return np.asarray(image)


def _point_dtype(msg: PointCloud2Msg) -> np.dtype[np.void]:
    """Return the structure of one point, of which only x, y and z have names."""
    fields = {field.name: field for field in msg.fields}
    if not {"x", "y", "z"} <= fields.keys():
        raise EncodingError(f"cloud must have fields x, y, z, got {', '.join(fields) or 'none'}")
    datatypes = [int(fields[name].datatype) for name in "xyz"]
    if not set(datatypes) <= FLOAT_DTYPES.keys():
        raise EncodingError(f"x, y, z must be FLOAT32 (7) or FLOAT64 (8), got {datatypes}")
    endian = ">" if msg.is_bigendian else "<"
    formats = [np.dtype(endian + FLOAT_DTYPES[datatype]) for datatype in datatypes]
    offsets = [int(fields[name].offset) for name in "xyz"]
    ends = [start + each.itemsize for start, each in zip(offsets, formats, strict=True)]
    if not max(ends) <= msg.point_step <= MAX_POINT_STEP:
        raise EncodingError(
            f"x, y, z end at bytes {ends}, so that point_step must be from {max(ends)} to "
            f"{MAX_POINT_STEP}, got {msg.point_step}"
        )
    return np.dtype(
        {
            "names": ["x", "y", "z"],
            "formats": formats,
            "offsets": offsets,
            "itemsize": int(msg.point_step),
        }
    )
