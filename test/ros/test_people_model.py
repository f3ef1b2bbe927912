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

"""The node with SAM 3D Body in its process, by untrained weights at toy sizes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from bodies import frame_of, person
from rig import CAMERA, Rig, image_msg, info_msg, stamp_ns
from sam3d_ros.msg import Body, BodyArray

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.node import pipeline_in_own_process
from sam3d_ros.ros.qos import reliable
from sam3d_ros.scene.pipeline import ScenePipeline
from sam3d_ros.structures import BodyReconstruction, Camera, Mesh

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SMALL = Camera(
    width=160,
    height=120,
    matrix_px=np.array([[150.0, 0.0, 79.5], [0.0, 150.0, 59.5], [0.0, 0.0, 1.0]]),
)
FAR = person((0.0, -0.2, 5.5), SMALL)  # smaller in the image than both of the others
PEOPLE = (person((-0.6, 0.1, 3.0), SMALL), person((0.7, 0.1, 4.0), SMALL))


class ModelRig(Rig):
    """A rig whose node reconstructs as it does outside of tests."""

    def _pipeline(self, config: SceneConfig) -> ScenePipeline:
        return pipeline_in_own_process(config)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ModelRig]:
    """Return a rig with a body model."""
    random_weights = pytest.importorskip("sam3d_ros.body.random_weights", exc_type=ImportError)
    random_weights.write_random_body(tmp_path)
    empty = np.zeros((0, 3))
    mesh = Mesh(
        vertices=empty,
        triangles=empty.astype(np.int32),
        colors=empty.astype(np.uint8),
        observed=empty[:, 0],
    )
    parameters = {
        "device": "cpu",
        "body.enabled": True,
        "body.first_label": 1,
        "body.max_people": 2,
        "weights.body": str(tmp_path),
    }
    rig = ModelRig(mesh, parameters)
    yield rig
    rig.close()


def send_people(
    rig: Rig,
    number: int,
    people: Sequence[BodyReconstruction] = PEOPLE,
    speck: int | None = None,
) -> None:
    """Publish one exposure of people before a wall, and of two pixels that are called somebody."""
    frame = frame_of(people, SMALL)
    labels = np.zeros((SMALL.height, SMALL.width), dtype=np.uint8)
    for mask in frame.masks:
        labels[mask.mask] = mask.instance_id
    if speck is not None:
        labels[2, 80:82] = speck
    assert frame.depth is not None
    depth_mm = np.rint(1000 * frame.depth.depth_m).astype(np.uint16)
    rig.send_frame(
        number,
        image=image_msg(frame.rgb, "rgb8", number),
        camera_info=info_msg(number),
        depth=image_msg(depth_mm, "16UC1", number),
        masks=image_msg(labels, "mono8", number),
    )


def test_the_model_poses_people_where_depth_has_them_and_they_keep_their_ids(
    rig: ModelRig,
) -> None:
    bodies = rig.listen("/sam3d_node/bodies", BodyArray, reliable(10))
    rig.start()
    for number in range(2):
        send_people(rig, 10 * number)
        report = rig.reports(number + 1)[number]
        assert report.code == ReportCode.OK, report.message
        assert list(report.object_ids) == ["body_1", "body_2"]
        assert {stage.name for stage in report.stages} >= {"bodies", "people"}
    rig.until(lambda: len(bodies) == 2, "bodies")
    for number, array in enumerate(bodies):
        assert array.header.frame_id == CAMERA
        assert stamp_ns_from_msg(array.header.stamp) == stamp_ns(10 * number)
        by_x = sorted(array.bodies, key=lambda body: body.root.position.x)
        assert [body.scale_source for body in by_x] == [Body.DEPTH] * 2
        for body, truth in zip(by_x, PEOPLE, strict=True):
            place = body.root.position
            assert place.x == pytest.approx(truth.origin_camera[0], abs=0.3)
            assert place.z == pytest.approx(truth.origin_camera[2], abs=0.4)
            assert np.isfinite(np.array(body.joint_rotations)).all()
    status = rig.diagnostics("people", lambda each: len(each.values) > 3)
    assert {pair.key: pair.value for pair in status.values}["backend"] == "sam3d_body"


def test_a_speck_fails_with_a_code_and_who_is_too_many_is_counted_while_others_finish(
    rig: ModelRig,
) -> None:
    bodies = rig.listen("/sam3d_node/bodies", BodyArray, reliable(10))
    rig.start()
    send_people(rig, 0, speck=7)
    with_speck = rig.reports(1)[0]
    send_people(rig, 10, (*PEOPLE, FAR))
    with_three = rig.reports(2)[1]

    for report in (with_speck, with_three):
        assert report.code == ReportCode.OK, report.message
        assert list(report.object_ids) == ["body_1", "body_2"]
    assert "mask 7: MASK_EMPTY" in with_speck.message
    assert "has 2; check the mask provider" in with_speck.message
    assert "left out" not in with_speck.message
    assert "1 people beyond body.max_people left out" in with_three.message
    assert "MASK_EMPTY" not in with_three.message
    rig.until(lambda: len(bodies) == 2, "bodies")
    assert [len(array.bodies) for array in bodies] == [2, 2]
    left_out = "left out beyond body.max_people"
    rig.diagnostics(
        "people", lambda each: {pair.key: pair.value for pair in each.values}.get(left_out) == "1"
    )
