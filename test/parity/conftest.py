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

"""The fixtures of the reference implementation as pytest fixtures."""

from collections.abc import Callable

import pytest
from fixtures import Golden, load_golden, load_manifest


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """Return the reader of recorded fixtures: ``golden("mot_flow_forward")``."""
    return load_golden


@pytest.fixture(scope="session")
def manifest() -> Callable[..., dict[str, tuple[int, ...]]]:
    """Return the reader of released shapes: ``manifest("ss_decoder", "prefix.")``."""
    return load_manifest
