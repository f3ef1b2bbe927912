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

"""Presets of ``config/cameras``: the topics of common camera drivers, for the launch files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sam3d_ros.errors import ConfigError

KEYS = {"driver", "image", "depth"}
STREAM_KEYS = {"topic", "encodings", "transports"}
TRANSPORTS = {
    "image": frozenset({"raw", "compressed"}),
    "depth": frozenset({"raw", "compressedDepth"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a driver publishes of one kind of image; its camera_info is beside ``topic``."""

    topic: str  # relative ones are in the namespace of the node
    encodings: tuple[str, ...]
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPreset:
    """The topics of one driver, and how it is started to have them."""

    name: str
    driver: str
    image: Stream
    depth: Stream

    def fill(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return launch arguments with the topics that were not ``given`` (empty).

        Raises:
            ConfigError: When a transport was given that the driver does not publish.
        """
        filled = dict(given)
        for kind, stream in (("image", self.image), ("depth", self.depth)):
            topic, transport = f"{kind}_topic", given.get(f"{kind}_transport", "")
            if given.get(topic):
                continue
            if transport and transport not in stream.transports:
                raise ConfigError(
                    f"camera:={self.name} has {stream.topic} as {', '.join(stream.transports)}, "
                    f"not as {transport}; change {kind}_transport, or give {topic}"
                )
            filled[topic] = stream.topic
        return filled

    def __str__(self) -> str:
        """Say in one sentence what is expected of the driver."""
        return (
            f"camera:={self.name} has the image on {self.image.topic} and the depth on "
            f"{self.depth.topic}; its driver: {self.driver}"
        )


def preset_names(folder: Path) -> list[str]:
    """Return the names of the presets in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_preset(path: Path) -> CameraPreset:
    """Read the preset of one camera.

    Raises:
        ConfigError: When the file lacks a key, has one too many, or a value of another kind.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    _check_keys(content, KEYS, path.name)
    return CameraPreset(
        name=path.stem,
        driver=_text(content["driver"], f"{path.name}: driver"),
        image=_stream(content["image"], "image", path.name),
        depth=_stream(content["depth"], "depth", path.name),
    )


def _stream(content: Any, kind: str, name: str) -> Stream:
    where = f"{name}: {kind}"
    _check_keys(content, STREAM_KEYS, where)
    transports = _texts(content["transports"], f"{where}: transports")
    if unknown := set(transports) - TRANSPORTS[kind]:
        wanted = ", ".join(sorted(TRANSPORTS[kind]))
        raise ConfigError(f"{where}: transports must be of {wanted}, got {', '.join(unknown)}")
    return Stream(
        topic=_text(content["topic"], f"{where}: topic"),
        encodings=_texts(content["encodings"], f"{where}: encodings"),
        transports=transports,
    )


def _check_keys(content: Any, wanted: set[str], where: str) -> None:
    found = set(content) if isinstance(content, dict) else None
    if found != wanted:
        raise ConfigError(f"{where} must have the keys {sorted(wanted)}, got {content!r}")


def _texts(content: Any, where: str) -> tuple[str, ...]:
    if not isinstance(content, list) or not content:
        raise ConfigError(f"{where} must be a list of names, got {content!r}")
    return tuple(_text(each, where) for each in content)


def _text(content: Any, where: str) -> str:
    if not isinstance(content, str) or not content:
        raise ConfigError(f"{where} must be a text, got {content!r}")
    return content
