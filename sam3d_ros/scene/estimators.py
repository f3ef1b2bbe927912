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

"""The one place that wires what estimates points where none were measured."""

import logging

from sam3d_ros.config import SceneConfig
from sam3d_ros.errors import OutOfMemoryError, WeightsError, WeightsMissingError
from sam3d_ros.protocols import PointEstimator
from sam3d_ros.scene.fetching import objects_source, with_objects

logger = logging.getLogger(__name__)


def make_point_estimator(config: SceneConfig) -> PointEstimator | None:
    """Load the depth model of ``weights.objects`` where ``depth.on_missing`` wants it.

    Returns:
        None where it is not wanted, not there or no good, as the log says; objects without depth
        are left out then.

    Raises:
        ConfigError: The machine has no such device.
    """
    is_wanted = config.depth.on_missing == "monocular" and config.objects.enabled
    if not (is_wanted and objects_source(config.weights)):
        return None
    try:
        # Imports torch, which need not be installed.
        from sam3d_ros.objects.point_estimator import DepthModelEstimator  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        logger.info("depth that is missing stays so: torch, which the depth model needs, is, too")
        return None
    try:
        # Nothing is fetched for it: the backend that needs the same weights comes first.
        return DepthModelEstimator.load(with_objects(config, fetch=False))
    except WeightsMissingError as error:
        logger.info("depth that is missing stays so: %s", error)
    except (WeightsError, OutOfMemoryError) as error:
        logger.warning("depth that is missing stays so: %s", error)
    return None
