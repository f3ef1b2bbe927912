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

"""Say what the system lacks before anything is downloaded; ``make env`` runs this first."""

import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path


def missing() -> list[str]:
    """Return one sentence per thing that is missing, with the way to get it on Debian/Ubuntu."""
    sentences = []
    if not (3, 11) <= sys.version_info < (3, 13):  # open3d 0.19 has no wheels for later ones
        sentences.append(f"Python 3.11 or 3.12, this is {sys.version.split()[0]}: set PYTHON=")
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        sentences.append("the modules venv and ensurepip: apt install python3-venv")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        sentences.append("the headers of Python: apt install python3-dev")
    if shutil.which("c++") is None or shutil.which("cc") is None:
        sentences.append("a C and C++ compiler: apt install g++")
    return sentences


if __name__ == "__main__":
    if sentences := missing():
        sys.exit("make env needs\n  " + "\n  ".join(sentences))
