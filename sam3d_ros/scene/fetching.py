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

"""Which weights settings mean: a folder, or what the Hugging Face hub has under a name.

Nothing is fetched unless ``weights.allow_download`` says so.
"""

import logging
from dataclasses import replace

from sam3d_ros.body.files import FILES as BODY_FILES
from sam3d_ros.body.files import REPOSITORIES
from sam3d_ros.config import SceneConfig, WeightsConfig
from sam3d_ros.objects.hub import WANTED, is_repository, weights_folder

OBJECTS = "facebook/sam-3d-objects"
BODY = REPOSITORIES[0]

logger = logging.getLogger(__name__)


def objects_source(weights: WeightsConfig) -> str:
    """Return which folder or repository is meant for objects; empty where none is."""
    return weights.objects or (OBJECTS if weights.allow_download else "")


def body_source(weights: WeightsConfig) -> str:
    """Return which folder or repository is meant for people; empty where none is."""
    return weights.body or (BODY if weights.allow_download else "")


def may_fetch(source: str, config: SceneConfig) -> bool:
    """Tell whether finding out what there is of a source may take a download."""
    return config.weights.allow_download and is_repository(source)


def with_objects(config: SceneConfig, *, fetch: bool = True) -> SceneConfig:
    """Return settings that name a folder of weights for objects where they named a repository.

    Args:
        config: What is no repository stays as it is.
        fetch: Whether it may be fetched, where settings allow that.

    Raises:
        WeightsError: The repository is not at hand, or huggingface_hub is not installed.
    """
    folder = _folder(objects_source(config.weights), config, WANTED, fetch=fetch)
    return replace(config, weights=replace(config.weights, objects=folder))


def with_body(config: SceneConfig) -> SceneConfig:
    """Return settings that name a folder of weights for people where they named a repository.

    Raises:
        WeightsError: The repository is not at hand, or huggingface_hub is not installed.
    """
    folder = _folder(body_source(config.weights), config, BODY_FILES, fetch=True)
    return replace(config, weights=replace(config.weights, body=folder))


def _folder(source: str, config: SceneConfig, wanted: tuple[str, ...], *, fetch: bool) -> str:
    if not is_repository(source):
        return source
    fetches = fetch and config.weights.allow_download
    if fetches:
        logger.info("%s: fetched from the hub, unless it is in the cache on this machine", source)
    return str(weights_folder(source, allow_download=fetches, wanted=wanted))
