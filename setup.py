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

"""The pip route: run the CMakeLists.txt that colcon runs, and pack what it installs."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from setuptools import Command, Distribution, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
STAND_IN = ROOT / "cmake" / "tf2_msgs"
PYTHON_DIR = Path("lib", f"python{sysconfig.get_python_version()}", "site-packages")
LEFT_OUT = frozenset({"include", "__pycache__"})


def version_of(package: Path) -> str:
    """Return the version that ``package.xml`` states."""
    return ElementTree.parse(package / "package.xml").findtext("version", "")


def ros_prefixes() -> list[str]:
    """Return where ROS packages are found: the environment this runs in, then what is sourced."""
    import ament_package  # noqa: PLC0415  # there only once the build requirements are installed

    wheels = Path(ament_package.__file__).resolve().parents[4]
    sourced = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return list(dict.fromkeys([str(wheels), *filter(None, sourced)]))


def has_real_tf2_msgs(prefixes: list[str]) -> bool:
    """Tell whether a tf2_msgs other than the stand-in is installed."""
    found = [share for prefix in prefixes if (share := Path(prefix, "share", "tf2_msgs")).exists()]
    return any(version_of(share) != version_of(STAND_IN) for share in found)


def install_with_cmake(source: Path, build: Path, stage: Path, prefixes: list[str]) -> None:
    """Configure, build and install one CMake project into ``stage``."""
    path = os.pathsep.join(prefixes)
    environment = os.environ | {"AMENT_PREFIX_PATH": path, "CMAKE_PREFIX_PATH": path}
    options = {
        "BUILD_TESTING": "OFF",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": stage,
        "PYTHON_INSTALL_DIR": PYTHON_DIR,
        "Python3_EXECUTABLE": sys.executable,
    }
    settings = [f"-D{name}={value}" for name, value in options.items()]
    configure = ["cmake", "-G", "Ninja", "-S", str(source), "-B", str(build), *settings]
    subprocess.run(configure, check=True, env=environment)
    subprocess.run(["cmake", "--build", str(build), "--target", "install"], check=True)


class BuildInterfaces(Command):
    """Builds with CMake: messages, launch files and configs become data files of the wheel."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        """Do nothing: there are no options."""

    def finalize_options(self) -> None:
        """Do nothing: there are no options."""

    def run(self) -> None:
        """Build everything from scratch: a CMake cache would point to a deleted build overlay."""
        build = Path(self.get_finalized_command("build").build_temp).resolve()
        shutil.rmtree(build, ignore_errors=True)
        prefixes = ros_prefixes()
        if not has_real_tf2_msgs(prefixes):
            install_with_cmake(STAND_IN, build / "tf2_msgs", build / "stage", prefixes)
        install_with_cmake(ROOT, build / "sam3d_ros", build / "stage", prefixes)
        self._pack(build / "stage")

    def get_source_files(self) -> list[str]:
        """Return nothing for the source distribution, which takes all that git knows."""
        return []

    def get_outputs(self) -> list[str]:
        """Return nothing: data files are not outputs in the sense of setuptools."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Return nothing: no output stands for one source file."""
        return {}

    def _pack(self, stage: Path) -> None:
        """Hand the files of ``stage`` to setuptools, all but what is there already.

        An editable install takes the sources from this folder, where the messages must not shadow
        them: ``sam3d_ros/msg`` in site-packages has no ``__init__.py`` above it.
        """
        data_files = defaultdict(list)
        for file in sorted(path for path in stage.rglob("*") if path.is_file()):
            place = file.relative_to(stage)
            if not self._is_left_out(place):
                data_files[str(place.parent)].append(str(file))
        self.distribution.data_files = list(data_files.items())

    def _is_left_out(self, place: Path) -> bool:
        """Tell whether an installed file is of no use at run time, or a source of this folder."""
        if place.suffix == ".c" or LEFT_OUT.intersection(place.parts):
            return True
        if not place.is_relative_to(PYTHON_DIR):
            return False
        in_site = place.relative_to(PYTHON_DIR)
        return in_site.parts[0].endswith(".egg-info") or (ROOT / in_site).exists()


class Build(build):
    """Builds the interfaces after the Python."""

    sub_commands: ClassVar = [*build.sub_commands, ("build_interfaces", None)]


class BinaryDistribution(Distribution):
    """Makes the wheel one for this Python and platform, because of the messages' libraries."""

    def has_ext_modules(self) -> bool:
        """Say yes, although no extension is listed: CMake makes them."""
        return True

    def has_data(self) -> bool:
        """Say yes: this is how setuptools' editable_wheel asks for data files."""
        return True


setup(
    version=version_of(ROOT),
    cmdclass={"build": Build, "build_interfaces": BuildInterfaces},
    distclass=BinaryDistribution,
    data_files=[],
)
