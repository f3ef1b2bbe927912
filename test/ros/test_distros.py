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

"""What differs between the distributions of ROS 2 that the package runs on."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros
# Up to Jazzy these classes take no type arguments; to subscript them is a TypeError.
IMPORT_AS_ON_JAZZY = """
import importlib, pkgutil
import rclpy.action, rclpy.executors, rclpy.lifecycle  # which may subscript their own
from rclpy import client, parameter, publisher, service, subscription, task
def refuse(cls, arguments):
    raise TypeError(f"type {cls.__name__!r} is not subscriptable")
for cls in (
    client.Client, parameter.Parameter, publisher.Publisher, service.Service,
    subscription.Subscription, task.Future,
):
    cls.__class_getitem__ = classmethod(refuse)
import sam3d_ros.ros
for module in pkgutil.iter_modules(sam3d_ros.ros.__path__):
    importlib.import_module(f"sam3d_ros.ros.{module.name}")
"""


def test_every_module_loads_where_the_classes_of_rclpy_are_not_generic() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AS_ON_JAZZY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
