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


"""What an object is called outside the package."""

import re


def object_name(track_id: int, class_id: str, prefix: str = "sam3d") -> str:
    """Return ``<prefix>_<class>_<id>``: TF child frame, detection id and file stem in one.

    Characters outside ``[A-Za-z0-9_]`` become ``_``, so the name is valid everywhere.
    """
    parts = [part for part in (prefix, class_id, str(track_id)) if part]
    return re.sub(r"[^A-Za-z0-9_]", "_", "_".join(parts))
