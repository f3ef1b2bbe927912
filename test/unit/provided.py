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

"""Stand-ins for the messages of mask providers, with the fields of vision_msgs 4 and yolo_msgs."""

from types import SimpleNamespace
from typing import Any


def vision_detection(
    box: tuple[float, float, float, float], class_id: str = "mug", score: float = 0.9, **other: Any
) -> Any:
    """Return a Detection2D with a box (middle x, y, width, height); ``other`` is id, theta."""
    x, y, width, height = box
    hypothesis = SimpleNamespace(class_id=class_id, score=score)
    center = SimpleNamespace(position=SimpleNamespace(x=x, y=y), theta=other.get("theta", 0.0))
    return SimpleNamespace(
        results=[SimpleNamespace(hypothesis=hypothesis)] if class_id else [],
        bbox=SimpleNamespace(center=center, size_x=width, size_y=height),
        id=other.get("id", ""),
    )


def yolo_detection(
    corners: list[tuple[float, float]], size: tuple[int, int] = (40, 30), **other: Any
) -> Any:
    """Return a yolo_msgs/Detection with a polygon in an image of a size (width, height)."""
    width, height = size
    points = [SimpleNamespace(x=x, y=y) for x, y in corners]
    return SimpleNamespace(
        class_id=other.get("class_id", 0),
        class_name=other.get("class_name", "mug"),
        score=other.get("score", 0.8),
        id=other.get("id", ""),
        mask=SimpleNamespace(width=width, height=height, data=points),
    )


def array(*detections: Any, header: Any = None) -> Any:
    """Return a DetectionArray or Detection2DArray."""
    return SimpleNamespace(header=header, detections=list(detections))


def label_info(**numbers: int) -> Any:
    """Return a LabelInfo of numbers by name."""
    return SimpleNamespace(
        class_map=[
            SimpleNamespace(class_id=number, class_name=name) for name, number in numbers.items()
        ]
    )
