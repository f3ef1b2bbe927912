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


"""The benchmark of following: what it counts, draws and writes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam3d_ros.apps import bench_tracking
from sam3d_ros.apps.timelines import LEFT_PX, LOST, WRONG, error_strips
from sam3d_ros.config import NodeConfig
from sam3d_ros.evaluation.benchmarks import tracking
from sam3d_ros.evaluation.benchmarks.tracking import Speed, spreads, verdicts
from sam3d_ros.evaluation.sequences import SequenceSpec
from sam3d_ros.evaluation.synthetic_render import Quality
from sam3d_ros.evaluation.tracking import PoseError, Row
from sam3d_ros.evaluation.tracking_runs import Run
from sam3d_ros.geometry.cameras import camera_from_fov
from sam3d_ros.scene.following import FollowStatus
from sam3d_ros.structures import Frame

SMALL = SequenceSpec(
    seed=4,
    objects=("box", "mug", "can"),
    num_frames=3,
    mask_every=4,
    mask_delay=1,
    camera=camera_from_fov(320, 240, 55.0),
    quality=Quality(supersampling=1, light_samples=1),
    voxel_m=0.004,
)
RIGHT = PoseError(surface_mm=1.0, center_mm=0.5, turn_deg=0.2)


def _row(frame: int, status: FollowStatus = FollowStatus.FOLLOWED, mm: float = 1.0) -> Row:
    error = replace(RIGHT, surface_mm=mm)
    return Row(frame=frame, number=0, visible=1.0, track_id=1, status=status, error=error)


def test_every_limit_can_be_broken() -> None:
    good = Run(rows=[_row(k) for k in range(60)], follow_ms=[20.0] * 60)
    bad = Run(rows=[_row(k, mm=4.0) for k in range(30)], follow_ms=[80.0])
    bad.rows += [_row(30 + k, mm=25.0) for k in range(12)]
    bad.rows += [replace(_row(42), track_id=2)]
    bad.rows += [replace(_row(43 + k, FollowStatus.OCCLUDED), is_present=False) for k in range(3)]
    bad.rows = [
        replace(row, error=replace(row.error, turn_deg=3.0)) if row.error else row
        for row in bad.rows
    ]

    assert all(verdict.kept for verdict in verdicts(good))
    assert not any(verdict.kept for verdict in verdicts(bad))


def test_strips_show_what_was_lost_and_what_was_wrong() -> None:
    rows = [_row(0), _row(1, FollowStatus.LOST), _row(2, mm=30.0), _row(3)]

    image = error_strips({"box": rows}, "title", 3.0, 2.0)

    quarter = (image.shape[1] - LEFT_PX) // 4
    strip = image[60:-16]
    for column, color in ((1, LOST), (2, WRONG)):
        part = strip[:, LEFT_PX + column * quarter + 4 : LEFT_PX + (column + 1) * quarter - 4]
        assert (part == color).all(axis=-1).mean() > 0.5


def test_a_command_prints_and_writes_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = [Speed(num_objects=1, median_ms=9.0, p95_ms=10.0, processor_ms=8.0)]
    monkeypatch.setattr(bench_tracking, "speeds", lambda: fast)
    monkeypatch.setattr(bench_tracking, "SequenceSpec", lambda **_: SMALL)

    code = bench_tracking.main(["-o", str(tmp_path), "--data", str(tmp_path / "nothing")])

    printed = capsys.readouterr().out
    values = json.loads((tmp_path / "tracking.json").read_text(encoding="utf-8"))
    assert code == 0
    assert "sequence 4, true meshes" in printed
    assert "sequence 4, pipeline" in printed
    assert values["sequences"][0]["objects"] == ["box", "mug", "can"]
    assert values["sequences"][0]["alone"]["median_mm"] < 3.0
    assert (
        len((tmp_path / "tracking.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * 3 * 3
    )
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "tracking_4_overlays.png",
        "tracking_4_meshes.png",
        "tracking_4_scene.png",
    }


def test_no_frames_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_tracking.main(["-o", str(tmp_path), "--frames", "0"]) == 1
    assert "--frames must be positive, got 0" in capsys.readouterr().err


def test_what_stands_still_is_as_far_from_its_usual_place_as_it_was_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = np.array([[0.0, 0.0, 0.0], [0.0, 0.001, 0.0], [0.0, 0.0, 0.004], [0.0, 0.0, 0.0]])
    seen = iter([tracking._Place(1 + (k == 2), place) for k, place in enumerate(places)])
    monkeypatch.setattr(tracking, "_places", lambda _: {7: next(seen)})
    frame = Frame(rgb=np.zeros((240, 320, 3), dtype=np.uint8), camera=SMALL.camera)

    (found,) = spreads([frame] * 4, NodeConfig())

    assert found.num_views == 4
    assert found.num_revisions == 2
    assert found.revision_mm == pytest.approx(1.0)
    assert found.radius_mm == pytest.approx(4.0)
    assert found.diameter_mm == pytest.approx(1000 * np.hypot(0.001, 0.004))
