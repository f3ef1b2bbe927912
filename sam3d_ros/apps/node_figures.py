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

"""What the logs of camera, node and listener say together about the running node."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam3d_ros.errors import ReportCode, Sam3dError

MIN_FOLLOWED = 2
NS_PER_MS = 1e6
INPUTS = ("image", "depth", "masks", "camera_info", "depth/camera_info")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFigures:
    """What happened to the messages of one topic."""

    published: int
    lost: int
    transport_p50_ms: float  # from the call of publish to the start of the callback
    transport_p99_ms: float
    callback_p50_ms: float
    callback_max_ms: float
    own_max_ms: float  # of a processor, by one callback; the rest of its time others had it


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingFigures:
    """How objects were followed from image to image, once they were known."""

    images: int  # published meanwhile
    followed: int  # of these came back as transforms
    rate_hz: float
    objects: float  # in each of these, mean
    latency_p50_ms: float  # from the call of publish to another process that hears the transforms
    latency_p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """What the node did under load."""

    seconds: float
    topics: Mapping[str, TopicFigures]
    first_result_s: float  # from the first mask to the first object heard by another process
    first_frame_s: float  # from the last message of the first frame to its report: all objects
    frames_done: int
    frames_dropped: int  # for newer ones
    refusals: Mapping[str, int]  # of other frames, by the name of the code
    frame_s: float  # from the last message of a frame to its published result, median
    tracking: TrackingFigures


class BenchError(Sam3dError, RuntimeError):
    """A process of the benchmark failed."""


def node_figures(
    sent: Mapping[str, Sequence[tuple[int, ...]]],
    calls: Mapping[str, Sequence[tuple[int, ...]]],
    heard: Mapping[str, Any],
    inputs: Sequence[str] = INPUTS,
) -> NodeFigures:
    """Join what was published, called and heard.

    Args:
        sent: (stamp, moment of publish) of each message in ns, by topic.
        calls: (stamp, begin, end, own time) of each callback in ns, by topic.
        heard: ``heard.json`` of the listener.
        inputs: Names of the topics that the camera publishes.

    Raises:
        BenchError: When a topic stayed silent, no object came or no frame was finished.
    """
    names = {f"/sam3d/{name}": name for name in inputs}
    missing = [topic for topic in names if not sent.get(topic) or not calls.get(topic)]
    if missing:
        raise BenchError(f"nothing came through on {', '.join(missing)}")
    first_mask_ns = sent["/sam3d/masks"][0][1]
    first_object_ns = heard["first_object_monotonic_ns"]
    if first_object_ns is None:
        raise BenchError("the node published no object")
    counts = Counter(ReportCode(report["code"]) for report in heard["reports"])
    done_s = [each["latency_s"] for each in heard["reports"] if not each["code"]]
    if not done_s:
        raise BenchError(f"no frame was finished among {counts.total()} reports; measure longer")
    times = [row[1] for row in sent["/sam3d/image"]]
    return NodeFigures(
        seconds=(times[-1] - times[0]) / 1e9,
        topics={name: topic_figures(sent[topic], calls[topic]) for topic, name in names.items()},
        first_result_s=(first_object_ns - first_mask_ns) / 1e9,
        first_frame_s=done_s[0],
        frames_done=counts.pop(ReportCode.OK, 0),
        frames_dropped=counts.pop(ReportCode.DROPPED, 0),
        refusals={code.name: num for code, num in sorted(counts.items())},
        frame_s=float(np.median(done_s)),
        tracking=tracking_figures(sent["/sam3d/image"], heard["tf_times"], first_object_ns),
    )


def tracking_figures(
    images: Sequence[tuple[int, ...]],
    transforms: Mapping[str, Sequence[Sequence[int]]],
    first_object_ns: int,
) -> TrackingFigures:
    """Join the images that were published with the transforms that were heard, by stamp.

    Args:
        images: (stamp, moment of publish) of each, ns.
        transforms: (stamp, moment of arrival) of each, ns, by object frame.
        first_object_ns: Moment at which objects were known; what came before does not count.

    Raises:
        BenchError: When no image came back.
    """
    heard_ns: dict[int, list[int]] = defaultdict(list)
    for stamp_ns, moment_ns in (pair for pairs in transforms.values() for pair in pairs):
        heard_ns[stamp_ns].append(moment_ns)
    counted = [(stamp, moment) for stamp, moment in images if moment > first_object_ns]
    followed = [(stamp, moment) for stamp, moment in counted if stamp in heard_ns]
    if len(followed) < MIN_FOLLOWED:
        raise BenchError(f"only {len(followed)} of {len(counted)} images came back as transforms")
    latency = [min(heard_ns[stamp]) - moment for stamp, moment in followed]
    # What was published last may still be on its way when everything stops.
    last = counted.index(followed[-1]) + 1
    seconds = (followed[-1][1] - counted[0][1]) / 1e9
    return TrackingFigures(
        images=last,
        followed=len(followed),
        rate_hz=(len(followed) - 1) / seconds,
        objects=float(np.mean([len(heard_ns[stamp]) for stamp, _ in followed])),
        latency_p50_ms=float(np.percentile(latency, 50)) / NS_PER_MS,
        latency_p95_ms=float(np.percentile(latency, 95)) / NS_PER_MS,
    )


def topic_figures(
    sent: Sequence[tuple[int, ...]], calls: Sequence[tuple[int, ...]]
) -> TopicFigures:
    """Join what was sent with what was received, by stamp.

    Args:
        sent: (stamp, moment of publish) of each message, ns.
        calls: (stamp, begin, end, own time) of each callback, ns.

    Messages from before the first one that arrived do not count: the two sides had not found each
    other yet.
    """
    begins = {stamp: begin for stamp, begin, _, _ in calls}
    first = next(index for index, (stamp, _) in enumerate(sent) if stamp in begins)
    counted = sent[first:]
    transport = [begins[stamp] - moment for stamp, moment in counted if stamp in begins]
    durations = [end - begin for _, begin, end, _ in calls]
    return TopicFigures(
        published=len(counted),
        lost=len(counted) - len(transport),
        transport_p50_ms=float(np.percentile(transport, 50)) / NS_PER_MS,
        transport_p99_ms=float(np.percentile(transport, 99)) / NS_PER_MS,
        callback_p50_ms=float(np.percentile(durations, 50)) / NS_PER_MS,
        callback_max_ms=max(durations) / NS_PER_MS,
        own_max_ms=max(own for _, _, _, own in calls) / NS_PER_MS,
    )
