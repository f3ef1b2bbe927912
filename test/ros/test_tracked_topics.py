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


"""Between masks: what is known is followed into every image, over real DDS."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
from moving import Table, TrueBackend, off_by, only, stamps_of
from rig import CAMERA, PATIENCE_S, Rig, stamp_ns
from sam3d_ros.msg import Object

from sam3d_ros.errors import ReportCode
from sam3d_ros.geometry.transforms import rotation_from_axis_angle, rotation_from_quat_wxyz
from sam3d_ros.ros.compat import tf_message_type
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.encode import transform_msg
from sam3d_ros.scene.follower import DepthFollower
from sam3d_ros.scene.follower_process import FollowerProcess
from sam3d_ros.scene.following import Expected, Followed
from sam3d_ros.structures import DepthFrame, Similarity

pytestmark = pytest.mark.ros
MUG, BOX = 0, 1
FRAMES = {MUG: "sam3d_object_1", BOX: "sam3d_object_2"}
SETTINGS = {"mesh.origin": "model", "masks.min_pixels": 100}
MANY = 20  # images; masks wait long before, also where this machine has much else to do
NEAR_M, NEAR_DEG = 0.005, 4.0


class Scene:
    """A table, and a node that has seen it once with masks."""

    def __init__(self, make_rig: Callable[..., Rig], **parameters: Any) -> None:
        self.table = Table()
        self.backend = TrueBackend(self.table)
        settings = {**SETTINGS, **{name.replace("__", "."): v for name, v in parameters.items()}}
        self.rig = make_rig(settings, backend=self.backend, make_follower=self._make_follower)

    def _make_follower(self, config: Any) -> Any:
        return DepthFollower()

    def start(self) -> None:
        self.rig.start()
        self.send(0)
        report = self.rig.reports(1)[0]
        assert report.code == ReportCode.OK, report.message

    def send(self, number: int, masks: Any = True) -> None:
        """Publish one exposure; the next masks that are reconstructed are those of this one."""
        messages = self.table.look(number)
        own_masks = messages.pop("masks")
        self.rig.send(**messages)
        if masks:
            self.backend.remember(self.table)
            self.rig.send(masks=own_masks if masks is True else masks)

    def transform(self, index: int, number: int) -> Any:
        """Return the transform of an object at the stamp of an image, None before it came."""
        for message in reversed(self.rig.heard["/tf"]):
            for each in message.transforms:
                at = stamp_ns_from_msg(each.header.stamp)
                if each.child_frame_id == FRAMES[index] and at == stamp_ns(number):
                    return each
        return None

    def pose(self, index: int, number: int) -> Similarity:
        """Wait for the transform of an object at the stamp of an image."""
        self.rig.until(lambda: self.transform(index, number), f"TF of image {number}")
        return similarity(self.transform(index, number))

    def follow(self, number: int, index: int = MUG) -> Similarity:
        """Publish one exposure without masks; return where an object is in it."""
        self.send(number, masks=False)
        return self.pose(index, number)

    def object(self, index: int) -> Any:
        """Return the newest word on an object."""
        newest = self.rig.heard["/objects"][-1].objects
        return next((each for each in newest if each.id == FRAMES[index]), None)

    def warning(self, numbers: Iterator[int], is_it: Callable[[Any], bool]) -> Any:
        """Publish exposures without masks until diagnostics warn of the tracking in this way."""

        def has_warned() -> bool:
            self.send(next(numbers), masks=False)  # one may be left out, or lost
            self.rig.settle(0.2)
            heard = [each for array in self.rig.heard["/diagnostics"] for each in array.status]
            return any(each.name.endswith(": tracking") and is_it(each) for each in heard)

        self.rig.until(has_warned, "the warning")
        return self.rig.diagnostics("tracking", is_it)

    def last_seen_ns(self, index: int) -> int:
        return stamp_ns_from_msg(self.object(index).header.stamp)


def similarity(stamped: Any) -> Similarity:
    turn, place = stamped.transform.rotation, stamped.transform.translation
    rotation = rotation_from_quat_wxyz(np.array([turn.w, turn.x, turn.y, turn.z]))
    return Similarity(rotation, np.array([place.x, place.y, place.z]))


@pytest.fixture
def scene(make_rig: Callable[..., Rig]) -> Scene:
    return Scene(make_rig)


def moved(number: int) -> Similarity:
    """Return where something is after some images that is pushed and turned."""
    turn = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), 0.01 * number)
    return Similarity(turn, np.array([-0.1 + 0.003 * number, 0.001 * number, 0.0]))


def swung(number: int) -> Similarity:
    """Return where a camera is after some images that swings about the table."""
    turn = rotation_from_axis_angle(np.array([0.0, 0.0, 1.0]), 0.01 * number)
    return Similarity(turn, np.zeros(3)) @ Table().world_from_camera


def assert_near(found: Similarity, true: Similarity, what: str) -> None:
    distance_m, angle_deg = off_by(found, true)
    assert distance_m < NEAR_M, f"{what} is {1000 * distance_m:.1f} mm off"
    assert angle_deg < NEAR_DEG, f"{what} is {angle_deg:.1f} degrees off"


def test_after_one_mask_every_image_tells_where_a_moving_object_is(scene: Scene) -> None:
    scene.start()
    for number in range(1, 31):
        scene.table.put(MUG, moved(number))
        found = scene.follow(number)
        assert_near(found, scene.table.camera_from_object(MUG), f"image {number}: the mug")
        assert_near(scene.pose(BOX, number), scene.table.camera_from_object(BOX), "the box")
    assert scene.transform(MUG, 30).header.frame_id == CAMERA
    assert len(scene.rig.heard["/report"]) == 1
    assert len(scene.rig.heard["/meshes"]) == 2
    scene.rig.until(lambda: scene.last_seen_ns(MUG) == stamp_ns(30), "the objects")
    known = scene.object(MUG)
    assert (known.state, known.mesh_revision) == (Object.TRACKED, 1)
    assert 0 <= known.depth_residual < 0.003
    assert known.inlier_fraction > 0.5


def test_under_a_moving_camera_objects_stand_still_in_the_fixed_frame(
    make_rig: Callable[..., Rig],
) -> None:
    scene = Scene(make_rig, output_frame="world", tf__timeout=5.0)

    def send_pose(number: int) -> None:
        scene.table.world_from_camera = swung(number)
        stamped = transform_msg(swung(number), "world", CAMERA, stamp_ns(number))
        scene.rig.send(tf=tf_message_type()(transforms=[stamped]))

    scene.rig.start()
    send_pose(0)
    scene.send(0)
    scene.rig.reports(1)
    for number in range(1, 21):
        send_pose(number)
        found = scene.follow(number)
        assert_near(found, scene.table.world_from_object(MUG), f"image {number}: the mug")
    assert scene.transform(MUG, 20).header.frame_id == "world"


def test_an_image_waits_for_the_pose_of_the_camera(make_rig: Callable[..., Rig]) -> None:
    scene = Scene(make_rig, output_frame="world", tf__timeout=5.0)
    scene.rig.start()
    for number in (0, 2):
        stamped = transform_msg(swung(0), "world", CAMERA, stamp_ns(number))
        scene.rig.send(tf=tf_message_type()(transforms=[stamped]))
    scene.send(0)
    scene.rig.reports(1)
    scene.send(3, masks=False)
    scene.rig.settle(0.3)
    assert scene.transform(MUG, 3) is None
    stamped = transform_msg(swung(0), "world", CAMERA, stamp_ns(4))
    scene.rig.send(tf=tf_message_type()(transforms=[stamped]))
    assert_near(scene.pose(MUG, 3), scene.table.world_from_object(MUG), "the mug")


def test_while_an_object_is_reconstructed_poses_go_on_and_never_back(scene: Scene) -> None:
    scene.rig.start()
    scene.send(0, masks=only(scene.table.look(0)["masks"], MUG + 1))
    scene.rig.reports(1)
    scene.backend.gate.clear()
    scene.table.put(MUG, moved(1))
    scene.send(1)  # with the box, which is new
    for number in range(2, 12):
        scene.table.put(MUG, moved(number))
        assert_near(scene.follow(number), scene.table.camera_from_object(MUG), f"image {number}")
    assert len(scene.rig.heard["/report"]) == 1
    scene.backend.gate.set()
    assert list(scene.rig.reports(2)[1].object_ids) == list(FRAMES.values())
    for number in range(12, 15):
        scene.table.put(MUG, moved(number))
        assert_near(scene.follow(number), scene.table.camera_from_object(MUG), f"image {number}")
    assert_near(scene.pose(BOX, 14), scene.table.camera_from_object(BOX), "the box")
    for frame in FRAMES.values():
        stamps = stamps_of(scene.rig.heard["/tf"], frame)
        assert all(earlier < later for earlier, later in pairwise(stamps))


def test_masks_that_come_a_second_late_change_no_pose_of_today(scene: Scene) -> None:
    scene.start()
    late = None
    for number in range(1, 41):
        scene.table.put(MUG, moved(min(number, 30)))
        messages = scene.table.look(number)
        late = messages["masks"] if number == 10 else late
        if number == 10:
            scene.backend.remember(scene.table)
        if number == 40:
            scene.rig.send(masks=late)
            report = scene.rig.reports(2)[1]
            assert report.code == ReportCode.OK, report.message
            assert stamp_ns_from_msg(report.header.stamp) == stamp_ns(10)
            assert list(report.object_ids) == list(FRAMES.values())
        found = scene.follow(number)
        assert_near(found, scene.table.camera_from_object(MUG), f"image {number}: the mug")
    stamps = stamps_of(scene.rig.heard["/tf"], FRAMES[MUG])
    assert all(earlier < later for earlier, later in pairwise(stamps))


def test_an_object_that_is_taken_away_is_lost_and_its_frame_stops(
    make_rig: Callable[..., Rig],
) -> None:
    scene = Scene(make_rig, registry__lost_after=0.5)
    scene.start()
    scene.follow(1)
    scene.table.take_away(MUG)
    for number in range(2, 40, 2):
        scene.follow(number, BOX)
        if scene.object(MUG).state == Object.LOST:
            break
    assert scene.object(MUG).state == Object.LOST
    assert scene.object(BOX).state == Object.TRACKED
    num_sent = len(stamps_of(scene.rig.heard["/tf"], FRAMES[MUG]))
    scene.follow(40, BOX)
    assert len(stamps_of(scene.rig.heard["/tf"], FRAMES[MUG])) == num_sent


def test_a_mask_of_another_object_is_rejected(make_rig: Callable[..., Rig]) -> None:
    scene = Scene(make_rig, refine__enabled=True)
    scene.backend.order = [BOX, MUG]
    scene.rig.start()
    scene.send(0, masks=only(scene.table.look(0)["masks"], MUG + 1))
    scene.rig.reports(1)
    scene.rig.until(lambda: scene.rig.heard["/objects"], "objects")
    (known,) = scene.rig.heard["/objects"][-1].objects
    assert known.refinement == Object.REJECTED


def test_masks_wait_while_all_they_show_is_known_and_followed(
    make_rig: Callable[..., Rig],
) -> None:
    scene = Scene(make_rig, tracking__max_mask_rate=0.01)  # the next one in 100 s
    scene.start()
    session, number, num_sent = scene.rig.node.session, 0, 1
    while number < MANY and not session.num_waiting:
        scene.rig.reports(num_sent)  # nothing is in work that a mask would wait for
        scene.follow(number + 1)  # just now, or masks would not wait
        number, num_sent = number + 2, num_sent + 1
        scene.send(number)
        scene.pose(MUG, number)
        scene.rig.settle(0.5)
    assert session.num_waiting == 1
    assert len(scene.rig.heard["/report"]) == num_sent - 1
    assert_near(scene.follow(number + 1), scene.table.camera_from_object(MUG), "the mug")


@pytest.mark.parametrize(
    "setting",
    [
        {"tracking__max_mask_rate": 0.0},
        {"tracking__max_mask_rate": 4.0},  # after a quarter of a second
        {"tracking__max_mask_rate": 0.01, "trigger__mode": "continuous"},
    ],
)
def test_every_mask_is_looked_at_where_the_settings_leave_time(
    make_rig: Callable[..., Rig], setting: dict[str, Any]
) -> None:
    scene = Scene(make_rig, **setting)
    scene.start()
    reports, number = scene.rig.heard["/report"], 1
    scene.follow(number)
    for num_sent in range(2, 5):
        number += 1
        scene.send(number)
        last = number + 20 * MANY
        while len(reports) < num_sent and number < last:  # followed just now at its end, too
            number += 1
            scene.send(number, masks=False)
            scene.rig.settle(0.1)
        assert len(reports) == num_sent
        assert reports[-1].code == ReportCode.OK


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"tracking__enabled": False}, "tracking.enabled is false"),
        ({"queue__policy": "none"}, "a recording gives the same again"),
    ],
)
def test_images_move_nothing_where_they_are_not_followed(
    make_rig: Callable[..., Rig], setting: dict[str, Any], reason: str
) -> None:
    scene = Scene(make_rig, **setting)
    scene.start()
    for number in range(1, 5):
        scene.send(number, masks=False)
        scene.rig.settle(0.1)
    assert stamps_of(scene.rig.heard["/tf"], FRAMES[MUG]) == [stamp_ns(0)]
    status = scene.rig.diagnostics("tracking", lambda _: True)
    assert reason in status.values[0].value


def test_time_that_jumps_back_lets_frames_start_over(scene: Scene) -> None:
    scene.rig.start()
    scene.send(100)
    scene.rig.reports(1)
    scene.follow(101)
    scene.send(0)
    scene.rig.reports(2)
    scene.send(1, masks=False)
    scene.rig.until(
        lambda: stamp_ns(1) in stamps_of(scene.rig.heard["/tf"], "sam3d_object_1"), "the new frame"
    )


def test_diagnostics_count_what_is_followed(scene: Scene) -> None:
    scene.start()
    for number in range(1, 6):
        scene.follow(number)
    status = scene.rig.diagnostics("tracking", lambda status: "2, 0, 0" in status.values[-1].value)
    values = {pair.key: pair.value for pair in status.values}
    assert values["state"] == "on"
    assert "Hz" in values["images followed"]
    assert status.level == status.OK, status.message


class Slow(DepthFollower):
    """Looks at an image for as long as a test holds the gate shut."""

    gate = threading.Event()

    def follow(self, frame: DepthFrame, expected: Sequence[Expected]) -> list[Followed]:
        assert self.gate.wait(PATIENCE_S)
        return super().follow(frame, expected)


def test_diagnostics_warn_where_no_image_gets_its_turn(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scene, "_make_follower", lambda self, config: Slow())
    scene = Scene(make_rig)
    scene.start()
    status = scene.warning(count(1), lambda status: "no image was followed" in status.message)
    Slow.gate.set()
    assert status.level == status.WARN
    assert "starting, or too slow" in status.message


def test_a_killed_follower_is_named_and_comes_back(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scene, "_make_follower", lambda self, config: FollowerProcess(config))
    scene = Scene(make_rig)
    scene.start()
    assert_near(scene.follow(1), scene.table.camera_from_object(MUG), "the mug")
    (child,) = multiprocessing.active_children()
    child.kill()
    child.join()  # or it may still answer
    numbers = count(2)
    status = scene.warning(numbers, lambda status: status.level == status.WARN)
    assert "a signal ended the tracking process" in status.message
    last = next(numbers)
    scene.table.put(MUG, moved(last))
    assert_near(scene.follow(last), scene.table.camera_from_object(MUG), "the mug")
