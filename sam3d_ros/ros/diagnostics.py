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


"""What ``/diagnostics`` says of inputs, processing, tracking, resources and outputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ReportCode
from sam3d_ros.msg import FrameReport
from sam3d_ros.ros.compat.transforms import looked_up_by
from sam3d_ros.ros.following import FollowingFigures
from sam3d_ros.ros.framing import Input, Instant
from sam3d_ros.ros.input_topics import inputs_off
from sam3d_ros.ros.realtime import priority_here
from sam3d_ros.ros.receiver import Receiver
from sam3d_ros.ros.reports import Reports
from sam3d_ros.ros.resources import Resources
from sam3d_ros.ros.session import Session
from sam3d_ros.ros.triggers import Fate
from sam3d_ros.scene.verdict import OBJECTS_OFF
from sam3d_ros.structures import NS_PER_S

PATIENCE_S = 5.0
Problem = tuple[bytes, str]  # level and sentence
UNSYNCED = (ReportCode.NOT_SYNCED, ReportCode.MASK_STALE)


class Rates:
    """Messages per second between two calls."""

    def __init__(self) -> None:
        self._counts: dict[Input, int] = {}
        self._steady_ns = 0

    def update(self, counts: Mapping[Input, int], steady_ns: int) -> dict[Input, float]:
        """Return the rate of each input since the last call."""
        elapsed_s = (steady_ns - self._steady_ns) / NS_PER_S
        rates = {key: (num - self._counts.get(key, 0)) / elapsed_s for key, num in counts.items()}
        self._counts, self._steady_ns = dict(counts), steady_ns
        return rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What there is to say of one part of the node."""

    values: Mapping[str, str]
    problems: tuple[Problem, ...] = ()

    def fill(self, status: DiagnosticStatus) -> DiagnosticStatus:
        """Write it into a status: the worst level, and every problem as a sentence."""
        status.level = max((level for level, _ in self.problems), default=DiagnosticStatus.OK)
        status.message = "; ".join(sentence for _, sentence in self.problems) or "OK"
        status.values = [KeyValue(key=key, value=value) for key, value in self.values.items()]
        return status


NOT_ACTIVE = Condition(values={"state": "not active"})


def inputs_condition(session: Session, rates: Rates) -> Condition:
    """Describe every topic, and what keeps masks from becoming frames.

    To be called in the thread that receives, whose priority it tells.
    """
    receiver = session.receiver
    now = receiver.now()
    caches = receiver.assembler.caches
    counts = {each: cache.num_received for each, cache in caches.items()}
    rate_hz = rates.update({**counts, Input.MASKS: receiver.num_masks}, now.steady_ns)
    newest_ns = {each: cache.last_ns for each, cache in caches.items()}
    newest_ns[Input.MASKS] = receiver.masks_ns
    values = {
        topic: f"{rate_hz.get(each, 0.0):.1f} Hz"
        f"{_stamps(newest_ns.get(each), newest_ns[Input.IMAGE], now)}"
        for each, topic in receiver.topics.items()
    }
    values |= {name: f"off: {why}" for name, why in inputs_off(session.config).items()}
    values["transforms"] = looked_up_by(receiver.assembler.transforms)
    values["longest callback"] = f"{1e3 * receiver.longest_callback_s:.1f} ms"
    receiver.longest_callback_s = 0.0
    values["real-time priority"] = str(receiver.urgency.level or priority_here() or "none")
    errors = receiver.conflicts()
    warnings = [
        *_silent(receiver, counts),
        *_unmatched(receiver, session.reports),
        *session.cautions.sentences(receiver.assembler, session.config),
    ]
    return Condition(
        values=values,
        problems=(
            *((DiagnosticStatus.ERROR, each) for each in errors),
            *((DiagnosticStatus.WARN, each) for each in warnings),
        ),
    )


def processing_condition(session: Session) -> Condition:
    """Describe what became of the masks; they may come faster than they can be handled.

    What makes meshes is known once the first frame came back from it.
    """
    reports, backend = session.reports, session.backend
    values = {code.name: str(num) for code, num in sorted(reports.counts.items())}
    values["state"] = "ready" if session.is_ready else "loading"
    values["objects"] = str(session.num_objects)
    values.update(_flow(session))
    if backend is not None:
        values["backend"] = f"{backend.name} ({backend.why})" if backend.why else backend.name
    for name, (p50_s, p95_s) in reports.durations.percentiles_s((50.0, 95.0)).items():
        values[f"{name} p50, p95"] = f"{1e3 * p50_s:.1f}, {1e3 * p95_s:.1f} ms"
    last = reports.last
    if last is None:
        return Condition(values=values)
    values["last latency"] = f"{last.latency:.3f} s"
    return Condition(values=values, problems=tuple(_problems_of(last, session)))


def _problems_of(last: FrameReport, session: Session) -> Iterator[Problem]:
    """Say what is wrong with the last frame that is news."""
    code, failed = ReportCode(last.code), session.reports.failed
    if ReportCode.OUT_OF_MEMORY in failed:
        yield DiagnosticStatus.ERROR, f"{ReportCode.OUT_OF_MEMORY.name}: {last.message}"
    elif code != ReportCode.OK:
        yield DiagnosticStatus.WARN, f"{code.name}: {last.message}"
    max_latency_s = session.config.diagnostics.max_latency
    if max_latency_s and last.latency > max_latency_s:
        yield DiagnosticStatus.WARN, _too_late(last.latency, max_latency_s)


def resources_condition(held: Resources, gpu_peak_mb: float) -> Condition:
    """Describe what node and processes hold of the machine; that is for people to judge."""
    values = {"memory of the node": f"{held.resident_mb:.0f} MB"}
    for name, memory_mb in held.children_mb.items():
        values[f"memory of the {name} process"] = f"{memory_mb:.0f} MB"
    no_gpu = "none was used"
    values["memory of the GPU, peak of the last frame"] = (
        f"{gpu_peak_mb:.0f} MB" if np.isfinite(gpu_peak_mb) else no_gpu
    )
    values["threads"] = str(held.num_threads)
    values["open files and sockets"] = str(held.num_files)
    return Condition(values=values)


def _flow(session: Session) -> dict[str, str]:
    """Say which masks are looked at, how many wait, and how many were not, and why."""
    counts, config = session.trigger.counts, session.config
    mode = config.trigger.mode if session.trigger.is_enabled else "paused by ~/enable"
    return {
        "trigger": mode,
        "waiting": f"{session.num_waiting}, queue.depth {config.queue.depth}",
        f"dropped by queue.policy {config.queue.policy}": str(session.num_overtaken),
        f"dropped by trigger.max_rate {config.trigger.max_rate:g}": str(counts[Fate.DROP]),
        "kept for ~/reconstruct": str(counts[Fate.KEEP]),
        "ignored by ~/enable": str(counts[Fate.IGNORE]),
    }


def tracking_condition(
    receiver: Receiver, figures: FollowingFigures, config: NodeConfig
) -> Condition:
    """Describe how objects are followed from image to image, or why they are not."""
    if why_off := _why_not_followed(receiver, config):
        return Condition(values={"state": f"off: {why_off}"})
    candidates = receiver.assembler.candidates
    followed, lost, hidden = figures.objects
    values = {
        "state": "on",
        "images followed": f"{figures.num_followed / figures.seconds:.1f} Hz",
        "images left out for newer ones": str(figures.num_overtaken),
        "images beyond tracking.max_rate": str(candidates.num_too_fast),
        "images without depth, intrinsics or transform in time": str(candidates.num_incomplete),
        "images that failed": str(figures.num_failed),
        "latency p50, p95, image to TF": (
            f"{figures.latency_ms(50):.1f}, {figures.latency_ms(95):.1f} ms"
        ),
        "objects followed, hidden, lost": f"{followed}, {hidden}, {lost}",
    }
    problems = [figures.error] if figures.error else []
    if not figures.num_followed and candidates.num_incomplete and candidates.reason:
        problems.append(f"no image could be followed: {candidates.reason}")
    elif not figures.num_followed and figures.num_overtaken and not problems:
        problems.append(_too_slow(figures))
    candidates.begin_counting()
    return Condition(
        values=values, problems=tuple((DiagnosticStatus.WARN, each) for each in problems)
    )


def outputs_condition(off: Mapping[str, str]) -> Condition:
    """Describe which outputs are off, and why; that is no problem."""
    return Condition(values={output: f"off: {why}" for output, why in off.items()})


def _too_late(latency_s: float, max_latency_s: float) -> str:
    return (
        f"the last frame took {latency_s:.3f} s, more than diagnostics.max_latency "
        f"({max_latency_s:g} s); see which stage takes it, or raise that"
    )


def _stamps(newest_ns: int | None, image_ns: int | None, now: Instant) -> str:
    """Say how old the newest stamp of a topic is, and how far from that of the images."""
    if newest_ns is None:
        return ""
    age = f", newest stamp {_ago_s(newest_ns, now):.3f} s ago"
    if image_ns is None:
        return age
    return f"{age}, {(newest_ns - image_ns) / NS_PER_S:+.3f} s from the image"


def _too_slow(figures: FollowingFigures) -> str:
    return (
        f"no image was followed in {figures.seconds:.1f} s, {figures.num_overtaken} were left out: "
        "the tracking process is starting, or too slow on this machine"
    )


def _why_not_followed(receiver: Receiver, config: NodeConfig) -> str:
    """Say why no image can be followed; empty where some can."""
    caches, topics = receiver.assembler.caches, receiver.topics
    if not config.objects.enabled:
        return OBJECTS_OFF
    if not config.tracking.enabled:
        return "tracking.enabled is false"
    if not config.queue.follows_images:
        return "queue.policy none looks at masks alone, so that a recording gives the same again"
    if caches[Input.DEPTH].num_received:
        return ""
    has_points = caches[Input.POINTS].num_received > 0
    reason = f"no depth image came on {topics[Input.DEPTH]}"
    return f"{reason}, and points are too sparse" if has_points else reason


def _silent(receiver: Receiver, counts: Mapping[Input, int]) -> list[str]:
    """Say which topics no frame can do without, and have been silent from the start."""
    if receiver.unmatched_s < PATIENCE_S:
        return []
    silent = [each for each in (Input.IMAGE, Input.CAMERA_INFO) if not counts[each]]
    silent += [Input.MASKS] if not receiver.num_masks else []
    sentences = [f"nothing came on {receiver.topics[each]}" for each in silent]
    if not counts[Input.DEPTH] and not counts[Input.POINTS]:
        depth, points = receiver.topics[Input.DEPTH], receiver.topics[Input.POINTS]
        sentences.append(f"nothing came on {depth} nor on {points}, one of which is needed")
    return sentences


def _unmatched(receiver: Receiver, reports: Reports) -> list[str]:
    last = reports.last
    if receiver.unmatched_s < PATIENCE_S or last is None or last.code not in UNSYNCED:
        return []
    code = ReportCode(last.code).name
    return [f"{code}: no mask was matched for {receiver.unmatched_s:.0f} s; {last.message}"]


def _ago_s(stamp_ns: int, now: Instant) -> float:
    return (now.clock_ns - stamp_ns) / NS_PER_S
