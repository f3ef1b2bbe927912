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


"""What a goal of ``~/reconstruct`` asks for becomes a job, or an error that says why not."""

from collections.abc import Sequence
from typing import Any

from sam3d_ros.action import Reconstruct
from sam3d_ros.errors import ReportCode, Sam3dError, SelectionError
from sam3d_ros.ros.assembler import SAME_CLOCK_NS
from sam3d_ros.ros.compat.tf_buffer import frame_name
from sam3d_ros.ros.decode import stamp_ns_from_msg
from sam3d_ros.ros.framing import Bundle, Input, Matched
from sam3d_ros.ros.jobs import Caller, Job
from sam3d_ros.ros.placing import poses_of
from sam3d_ros.ros.session import Session
from sam3d_ros.scene.selecting import EVERYTHING, Selection, find_object
from sam3d_ros.structures import NS_PER_S, SceneObject

MAX_CHOSEN = 1000
NEEDED = ("image", "camera_info", "depth", "masks")


class NoFrameError(Sam3dError, LookupError):
    """No frame is complete."""

    code = ReportCode.NOT_SYNCED


class OldFrameError(Sam3dError, ValueError):
    """A frame is older than masks may be."""

    code = ReportCode.MASK_STALE


class EarlyFrameError(Sam3dError, ValueError):
    """A frame is of a time that has not come."""

    code = ReportCode.CLOCK


def job_of(goal: Any, session: Session, caller: Caller) -> Job:
    """Return what is to be done for a goal.

    Raises:
        Sam3dError: It cannot be done; says why.
    """
    objects = session.snapshot().objects
    return Job(
        bundle=_bundle_of(goal, session),
        selection=_selection_of(goal, objects, session.config.tf.prefix),
        anew=goal.anew,
        fit=_fit_of(goal),
        caller=caller,
    )


def image_of(goal: Any, session: Session) -> tuple[str, int]:
    """Return frame id and stamp of the image that a goal is about; ``"", 0`` where there is none.

    It may be one that the goal was refused for; see ``job_of``.
    """
    if any(_is_given(getattr(goal, name)) for name in NEEDED):
        return goal.image.header.frame_id, stamp_ns_from_msg(goal.image.header.stamp)
    bundle = session.trigger.latest
    return ("", 0) if bundle is None else (bundle.frame_id, bundle.stamp_ns)


def _fit_of(goal: Any) -> bool | None:
    """Return whether meshes are fitted, None where settings say that."""
    answers = {
        Reconstruct.Goal.AS_SET: None,
        Reconstruct.Goal.FIT: True,
        Reconstruct.Goal.KEEP: False,
    }
    if goal.refine not in answers:
        raise SelectionError(f"refine must be a constant of the goal, 0 to 2, got {goal.refine}")
    return answers[goal.refine]


def _selection_of(goal: Any, objects: Sequence[SceneObject], prefix: str) -> Selection:
    """Return which masks a goal chooses."""
    if max(len(goal.instances), len(goal.ids)) > MAX_CHOSEN:
        raise SelectionError(
            f"at most {MAX_CHOSEN} masks can be chosen one by one, got {len(goal.instances)} "
            f"values and {len(goal.ids)} ids; use ALL or BOX"
        )
    if goal.select == Reconstruct.Goal.ALL:
        return EVERYTHING
    if goal.select == Reconstruct.Goal.INSTANCES:
        return Selection(instances=tuple(int(value) for value in goal.instances))
    if goal.select == Reconstruct.Goal.OBJECTS:
        if not goal.ids:
            raise SelectionError("objects are to be chosen by their ids, and none is given")
        known = [find_object(name, objects, prefix) for name in goal.ids]
        return Selection(track_ids=tuple(each.track_id for each in known))
    if goal.select == Reconstruct.Goal.BOX:
        return Selection(box_px=tuple(float(edge) for edge in goal.box))
    if goal.select == Reconstruct.Goal.PIXEL:
        return Selection(pixel_px=tuple(float(place) for place in goal.pixel))
    raise SelectionError(f"select must be a constant of the goal, 0 to 4, got {goal.select}")


def _bundle_of(goal: Any, session: Session) -> Bundle:
    """Return the frame of a goal: its own, or the last one that came."""
    given = [name for name in NEEDED if _is_given(getattr(goal, name))]
    if not given:
        return _latest(session)
    if missing := [name for name in NEEDED if name not in given]:
        raise NoFrameError(
            f"the goal has {', '.join(given)} but no {', '.join(missing)}; give all of "
            f"{', '.join(NEEDED)}, or none for the last frame of the topics"
        )
    _check_stamp(stamp_ns_from_msg(goal.image.header.stamp), session)
    _check_frame(frame_name(goal.image.header.frame_id), session)
    messages = Matched(
        image=goal.image,
        masks=goal.masks,
        info=goal.camera_info,
        depth=goal.depth,
        depth_info=goal.depth_info if _is_given(goal.depth_info) else None,
    )
    poses = poses_of(messages, session.receiver.assembler.transforms, session.config)
    return Bundle(messages=messages, poses=poses, completed=session.receiver.now())


def _is_given(message: Any) -> bool:
    return bool(message.width or message.height or message.header.frame_id)


def _latest(session: Session) -> Bundle:
    bundle, topics = session.trigger.latest, session.receiver.topics
    if bundle is None:
        raise NoFrameError(
            f"no frame is complete yet: a mask on {topics[Input.MASKS]} and all that belongs to it "
            "have to come first; see ~/report and /diagnostics, or give the frame in the goal"
        )
    _check_stamp(bundle.stamp_ns, session)
    return bundle


def _check_stamp(stamp_ns: int, session: Session) -> None:
    """Refuse a frame from which objects could not go on: much older or newer than the last.

    Raises:
        OldFrameError: It is older by more than masks may be.
        EarlyFrameError: It is newer, and stamps and clock tell the same time.
    """
    image_ns, now_ns = session.receiver.assembler.caches[Input.IMAGE].last_ns, _now_ns(session)
    present_ns = max((each for each in (image_ns, session.stamp_ns) if each is not None), default=0)
    if not present_ns:
        return
    ahead_s = (stamp_ns - present_ns) / NS_PER_S
    if -ahead_s > session.config.masks.max_age:
        raise OldFrameError(
            f"the frame is {-ahead_s:.3f} s older than the last one, masks.max_age is "
            f"{session.config.masks.max_age:g} s; take a newer one, or ~/clear before a replay"
        )
    if stamp_ns > max(present_ns, now_ns if image_ns is None else 0) + SAME_CLOCK_NS:
        raise EarlyFrameError(
            f"the frame is {ahead_s:.1f} s newer than the last one; give it the stamp of its "
            "exposure by the clock of the camera"
        )


def _now_ns(session: Session) -> int:
    return session.receiver.now().clock_ns


def _check_frame(frame_id: str, session: Session) -> None:
    """Refuse a second camera where poses are those in the camera."""
    if (
        session.config.output_frame
        or not session.frame_id
        or frame_id == frame_name(session.frame_id)
    ):
        return
    raise SelectionError(
        f"the frame is of {frame_id[:80]!r}, those before of {session.frame_id!r}; set "
        "output_frame to use several cameras"
    )
