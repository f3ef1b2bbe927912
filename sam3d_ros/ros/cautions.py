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

"""What looks wrong with the inputs although frames can be made of them: said, and logged once."""

from collections.abc import Callable, Iterator

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.ros.assembler import SAME_CLOCK_NS, Assembler
from sam3d_ros.ros.compat.tf_buffer import frame_name
from sam3d_ros.ros.framing import Input, Topics
from sam3d_ros.ros.matching import RARE_NS
from sam3d_ros.ros.placing import OPTICAL, optical_beside
from sam3d_ros.structures import NS_PER_S


class Cautions:
    """Looks at the newest image now and then.

    Args:
        topics: Under what name a person knows each input.
        warn: Logs one line.
    """

    def __init__(self, topics: Topics, warn: Callable[[str], None]) -> None:
        self._topics = topics
        self._warn = warn
        self._said: set[str] = set()

    def sentences(self, assembler: Assembler, config: NodeConfig) -> list[str]:
        """Return what to look into; the log gets each kind once."""
        found = dict(self._clock(assembler))
        found |= dict(self._infos(assembler))
        if config.camera.frame_is_optical == "auto":
            found |= dict(self._frame(assembler))
        for kind in found.keys() - self._said:
            self._warn(found[kind])
        self._said |= found.keys()
        return list(found.values())

    def _clock(self, assembler: Assembler) -> Iterator[tuple[str, str]]:
        """Say that stamps and the node's time have nothing to do with each other."""
        if abs(assembler.behind_ns) < SAME_CLOCK_NS:
            return
        behind_s = assembler.behind_ns / NS_PER_S
        code, topic = ReportCode.CLOCK.name, self._topics[Input.IMAGE]
        yield (
            code,
            f"{code}: the stamps of {topic} are {abs(behind_s):.1f} s "
            f"{'behind' if behind_s > 0 else 'ahead of'} the node's time; set use_sim_time in a "
            "replay, or synchronise the hosts",
        )

    def _infos(self, assembler: Assembler) -> Iterator[tuple[str, str]]:
        """Say that a camera_info is not sent with every image."""
        for info, image in ((Input.CAMERA_INFO, Input.IMAGE), (Input.DEPTH_INFO, Input.DEPTH)):
            last, newest = assembler.caches[info].latest, assembler.caches[image].latest
            if last is None or newest is None or newest.stamp_ns - last.stamp_ns <= RARE_NS:
                continue
            age_s = (newest.stamp_ns - last.stamp_ns) / NS_PER_S
            yield (
                info.value,
                f"the last message of {self._topics[info]} is {age_s:.1f} s older than the last of "
                f"{self._topics[image]}; it is taken for what the camera still is, unless "
                "sync.mode is exact or its frame_id is another",
            )

    def _frame(self, assembler: Assembler) -> Iterator[tuple[str, str]]:
        """Say that images come in a frame that does not look along z, beside one that does."""
        newest = assembler.caches[Input.IMAGE].latest
        if newest is None:
            return
        frame = frame_name(newest.message.header.frame_id)
        optical = "" if OPTICAL in frame else optical_beside(frame, assembler.transforms)
        if optical:
            yield (
                "frame",
                f"{self._topics[Input.IMAGE]} is in frame {frame!r}, which seems not to look along "
                f"z (REP-103), as {optical!r} beside it does; let the driver stamp its images with "
                "that, set camera.frame_is_optical to false to take it, or to true if all is well",
            )
