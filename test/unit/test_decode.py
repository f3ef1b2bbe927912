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


"""Messages to arrays: every encoding, padding and byte order, and no silent misreading."""

import struct
from array import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from sam3d_ros.errors import DistortionError, EncodingError, IntrinsicsError, ShapeError
from sam3d_ros.ros.decode import (
    COMPRESSED_DEPTH_HEADER,
    camera_from_msg,
    cloud_from_msg,
    depth_from_msg,
    image_from_msg,
    labels_from_msg,
    transform_from_msg,
)

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def image(pixels: Any, encoding: str, padding: int = 0, big: bool = False) -> Any:
    """Return an Image with ``padding`` bytes behind each row."""
    rows = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder(">" if big else "<"))
    flat = rows.view(np.uint8).reshape(len(pixels), -1)
    padded = np.pad(flat, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=padded.shape[1],
        data=array("B", padded.tobytes()),
    )


def info(**changed: Any) -> Any:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    values = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": [0.1, -0.2, 0.001, 0.002, 0.0],
        "k": [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0],
        "r": np.eye(3).ravel().tolist(),
        "p": [450.0, 0.0, 300.0, 0.0, 0.0, 460.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": roi,
    }
    return SimpleNamespace(**{**values, **changed})


def cloud(points: Any, names: str = "xyz", datatype: int = 7, **changed: Any) -> Any:
    """Return a cloud with one unused field before x, y, z."""
    endian = ">" if changed.get("is_bigendian") else "<"
    kind = {7: "f4", 8: "f8", 5: "i4"}[datatype]
    size = np.dtype(kind).itemsize
    records = np.zeros(
        len(points), dtype=[("pad", "u1", 3), ("p", f"{endian}{kind}", 3), ("end", "u1", 5)]
    )
    records["p"] = points
    fields = [
        SimpleNamespace(name=name, offset=3 + index * size, datatype=datatype, count=1)
        for index, name in enumerate(names)
    ]
    values = {
        "height": 1,
        "width": len(points),
        "fields": fields,
        "is_bigendian": False,
        "point_step": records.itemsize,
        "row_step": records.itemsize * len(points),
        "data": array("B", records.tobytes()),
    }
    return SimpleNamespace(**{**values, **changed})


# Colour


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, RGB[..., 0]])),
        ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., 0]])),
    ],
)
def test_colours_come_out_red_first(encoding: str, pixels: Any, padding: int) -> None:
    np.testing.assert_array_equal(image_from_msg(image(pixels, encoding, padding)), RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_has_three_equal_channels(encoding: str) -> None:
    rgb = image_from_msg(image(RGB[..., 0], encoding))
    np.testing.assert_array_equal(rgb, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("encoding", "order"), [("rgb16", 1), ("bgr16", -1)])
def test_sixteen_bits_keep_their_upper_half(encoding: str, order: int, big: bool) -> None:
    pixels = RGB[..., ::order].astype(np.uint16) * 256 + 99
    np.testing.assert_array_equal(image_from_msg(image(pixels, encoding, big=big)), RGB)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_pattern_of_one_colour_gives_that_colour(pattern: str, bits: int) -> None:
    color = {"r": 200, "g": 120, "b": 40}
    tile = np.array(
        [[color[pattern[0]], color[pattern[1]]], [color[pattern[2]], color[pattern[3]]]]
    )
    pixels = np.tile(tile, (4, 4)).astype(np.uint8 if bits == 8 else np.uint16) * 2 ** (bits - 8)
    rgb = image_from_msg(image(pixels, f"bayer_{pattern}{bits}"))
    np.testing.assert_array_equal(rgb[2:-2, 2:-2], np.broadcast_to([200, 120, 40], (4, 4, 3)))


@pytest.mark.parametrize(
    ("encoding", "luma_first"),
    [("yuv422", False), ("uyvy", False), ("yuv422_yuy2", True), ("yuyv", True)],
)
def test_grey_in_yuv_is_grey(encoding: str, luma_first: bool) -> None:
    luma, chroma = np.full((4, 6), 126, np.uint8), np.full((4, 6), 128, np.uint8)
    pixels = np.dstack([luma, chroma] if luma_first else [chroma, luma])
    rgb = image_from_msg(image(pixels, encoding)).astype(int)
    assert np.ptp(rgb) <= 1
    assert abs(rgb.mean() - (126 - 16) * 255 / 219) < 2


@pytest.mark.parametrize(
    ("image_format", "stored"),
    [
        ("png", RGB[..., ::-1]),
        ("rgb8; png compressed bgr8", RGB[..., ::-1]),
        ("bgr8; png compressed bgr8", RGB[..., ::-1]),
        ("rgb8; png compressed rgb8", RGB),
    ],
)
def test_compressed_colours_come_out_red_first(image_format: str, stored: Any) -> None:
    data = cv2.imencode(".png", np.ascontiguousarray(stored))[1].tobytes()
    message = SimpleNamespace(format=image_format, data=array("B", data))
    np.testing.assert_array_equal(image_from_msg(message), RGB)


def test_a_decoded_message_is_not_changed_by_what_is_done_to_the_array() -> None:
    message = image(RGB, "rgb8")
    before = message.data.tobytes()
    image_from_msg(message)[:] = 0
    assert message.data.tobytes() == before


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingError, match="no JPEG or PNG"):
        image_from_msg(SimpleNamespace(format="jpeg", data=data))


@pytest.mark.parametrize(
    "changed", [{"height": 7}, {"width": 9}, {"step": 23}, {"height": 0}, {"data": b""}]
)
def test_sizes_that_contradict_the_data_are_refused(changed: dict[str, Any]) -> None:
    message = image(RGB, "rgb8")
    message.__dict__.update(changed)
    with pytest.raises(EncodingError, match="contradict the data"):
        image_from_msg(message)


def test_the_last_row_needs_no_padding() -> None:
    message = image(RGB, "rgb8", padding=4)
    message.data = message.data[:-4]
    np.testing.assert_array_equal(image_from_msg(message), RGB)


# Depth and labels


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("encoding", "dtype"), [("16UC1", "u2"), ("mono16", "u2"), ("32FC1", "f4")]
)
def test_depth_comes_out_as_sent(encoding: str, dtype: str, big: bool) -> None:
    depth = RNG.integers(0, 5000, (6, 8)).astype(dtype)
    read = depth_from_msg(image(depth, encoding, padding=3, big=big))
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, depth)


def test_compressed_depth_of_integers_is_exact() -> None:
    depth = RNG.integers(0, 5000, (6, 8)).astype(np.uint16)
    data = COMPRESSED_DEPTH_HEADER.pack(0, 0, 0) + cv2.imencode(".png", depth)[1].tobytes()
    read = depth_from_msg(SimpleNamespace(format="16UC1; compressedDepth png", data=data))
    np.testing.assert_array_equal(read, depth)


def test_compressed_depth_of_floats_is_unquantised_and_nan_where_unknown() -> None:
    depth_m = np.array([[0.5, 1.0, np.nan], [2.0, 4.0, 8.0]], dtype=np.float32)
    # As compressed_depth_image_transport does: inverse depth, zero for unknown.
    quant_a = 100.0 * 101.0
    quant_b = 1.0 - quant_a / 10.0
    stored = np.nan_to_num(quant_a / depth_m + quant_b).astype(np.uint16)
    header = struct.pack("<iff", 0, quant_a, quant_b)
    data = header + cv2.imencode(".png", stored)[1].tobytes()
    read = depth_from_msg(SimpleNamespace(format="32FC1; compressedDepth png", data=data))
    np.testing.assert_allclose(read, depth_m, rtol=0.01)


def test_compressed_depth_in_another_form_is_refused() -> None:
    with pytest.raises(EncodingError, match="to png"):
        depth_from_msg(SimpleNamespace(format="16UC1; compressedDepth rvl", data=b"x" * 40))


@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [("mono8", "u1"), ("8UC1", "u1"), ("mono16", "u2"), ("16UC1", "u2"), ("32SC1", "i4")],
)
def test_labels_come_out_as_int32(encoding: str, dtype: str) -> None:
    labels = RNG.integers(0, 100, (6, 8)).astype(dtype)
    read = labels_from_msg(image(labels, encoding, padding=1))
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("read", [image_from_msg, depth_from_msg, labels_from_msg])
def test_an_unknown_encoding_is_refused_with_those_that_work(read: Any) -> None:
    with pytest.raises(EncodingError, match=r"one of .*, got '64FC9'"):
        read(image(RGB, "64FC9"))


# Cameras


def test_a_raw_image_has_k_and_d_a_rectified_one_has_p() -> None:
    raw, rectified = camera_from_msg(info()), camera_from_msg(info(), rectified=True)
    assert raw.distortion == (0.1, -0.2, 0.001, 0.002, 0.0)
    assert raw.matrix_px[0, 0] == 500.0
    assert not rectified.is_distorted
    assert rectified.matrix_px[1].tolist() == [0.0, 460.0, 230.0]


def test_roi_and_binning_lead_to_the_image_as_sent() -> None:
    roi = SimpleNamespace(x_offset=100, y_offset=60, width=400, height=300, do_rectify=False)
    camera = camera_from_msg(info(roi=roi, binning_x=2, binning_y=2))
    assert (camera.width, camera.height) == (200, 150)
    assert camera.matrix_px[0, 0] == pytest.approx(250.0)
    assert camera.matrix_px[0, 2] == pytest.approx((320 - 100 + 0.5) / 2 - 0.5)


def test_an_empty_distortion_model_is_none() -> None:
    assert not camera_from_msg(info(distortion_model="", d=[])).is_distorted


@pytest.mark.parametrize("model", ["fancy", ""])
def test_distortion_without_a_known_model_is_refused(model: str) -> None:
    with pytest.raises(DistortionError):
        camera_from_msg(info(distortion_model=model))


def test_a_matrix_of_zeros_is_refused_with_the_way_out() -> None:
    with pytest.raises(IntrinsicsError, match="fov_fallback_deg"):
        camera_from_msg(info(k=[0.0] * 9))


@pytest.mark.parametrize("moved", [2000.0, -1500.0])
def test_a_principal_point_that_no_image_has_is_refused(moved: float) -> None:
    given = np.array(info().k, dtype=np.float64)
    given[2] = moved * given[0] / 600.0

    with pytest.raises(IntrinsicsError, match="cx and cy must be in the image"):
        camera_from_msg(info(k=given))


def test_a_negative_focal_length_is_refused() -> None:
    with pytest.raises(IntrinsicsError, match="positive focal"):
        camera_from_msg(info(k=[-500.0, 0, 320, 0, 500, 240, 0, 0, 1]))


# Clouds and transforms


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("datatype", [7, 8])
def test_points_are_read_wherever_they_lie_and_without_nan(datatype: int, big: bool) -> None:
    points = np.array([[1, 2, 3], [np.nan, 0, 0], [4, 5, np.inf], [7, 8, 9]])
    read = cloud_from_msg(cloud(points, datatype=datatype, is_bigendian=big))
    np.testing.assert_array_equal(read, points[[0, 3]])


def test_an_organised_cloud_with_padded_rows_is_read() -> None:
    points = np.arange(18.0).reshape(6, 3)
    message = cloud(points)
    step = message.point_step
    rows = np.frombuffer(message.data, np.uint8).reshape(2, 3 * step)
    message.data = np.pad(rows, ((0, 0), (0, 7))).tobytes()
    message.height, message.width, message.row_step = 2, 3, 3 * step + 7
    np.testing.assert_array_equal(cloud_from_msg(message), points)


def test_an_empty_cloud_has_no_points() -> None:
    assert cloud_from_msg(cloud(np.zeros((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (cloud(np.ones((2, 3)), names="xyw"), "fields x, y, z"),
        (cloud(np.ones((2, 3)), datatype=5), "FLOAT32"),
        (cloud(np.ones((2, 3)), point_step=10), "point_step must be"),
        (cloud(np.ones((2, 3)), width=9), "contradict the data"),
    ],
)
def test_a_cloud_that_cannot_be_read_is_refused(message: Any, match: str) -> None:
    with pytest.raises(EncodingError, match=match):
        cloud_from_msg(message)


def test_a_point_of_four_gigabytes_is_refused() -> None:
    message = cloud(np.zeros((3, 3)))
    message.point_step = 2**32 - 1
    with pytest.raises(EncodingError, match="point_step must be"):
        cloud_from_msg(message)


def test_a_quaternion_is_read_as_xyzw() -> None:
    half = np.sqrt(0.5)
    message = SimpleNamespace(
        translation=SimpleNamespace(x=1.0, y=2.0, z=3.0),
        rotation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half),
    )
    pose = transform_from_msg(message)
    np.testing.assert_allclose(pose.apply(np.array([1.0, 0.0, 0.0])), [1, 3, 3], atol=1e-12)


def test_a_quaternion_of_zeros_is_refused() -> None:
    zero = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=0.0)
    with pytest.raises(ShapeError, match="quaternion"):
        transform_from_msg(SimpleNamespace(translation=zero, rotation=zero))


@pytest.mark.parametrize("shift", [float("nan"), float("inf"), -1e300])
def test_a_translation_beyond_all_measure_is_refused(shift: float) -> None:
    rotation = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
    with pytest.raises(ShapeError, match="translation must be finite"):
        transform_from_msg(
            SimpleNamespace(translation=SimpleNamespace(x=0.0, y=shift, z=0.0), rotation=rotation)
        )


@pytest.mark.parametrize(("place", "value"), [(0, 1e-300), (4, 1e300), (2, 1e9), (5, -1e9)])
def test_a_camera_that_no_lens_could_make_is_refused(place: int, value: float) -> None:
    matrix = list(info().k)
    matrix[place] = value
    with pytest.raises(IntrinsicsError, match="times its longer side"):
        camera_from_msg(info(k=matrix))


def test_a_fisheye_and_a_telescope_are_cameras() -> None:
    for focal_px in (640 / 20, 640 * 500.0):
        matrix = [focal_px, 0.0, 320.0, 0.0, focal_px, 240.0, 0.0, 0.0, 1.0]
        assert camera_from_msg(info(k=matrix)).matrix_px[0, 0] == focal_px
