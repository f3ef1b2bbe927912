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

"""What the launch tests share: a ROS domain of their own and a node that looks around in it."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

WAIT_S = 60.0  # for a process to start on a busy machine


@pytest.fixture(scope="session", autouse=True)
def own_domain() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield


class Observer:
    """Asks the launched node what it is."""

    def __init__(self, executor: Any, name: str) -> None:
        self.executor = executor
        (self.node,) = executor.get_nodes()
        self.name = name

    def wait_for(self, found: Callable[[], Any]) -> Any:
        """Return the first true answer of ``found``."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if answer := found():
                return answer
            self.executor.spin_once(timeout_sec=0.1)
        raise TimeoutError(f"{self.name} did not answer within {WAIT_S:g} s")

    def call(self, kind: type, service: str, request: Any) -> Any:
        """Return the answer of one of the node's services."""
        client = self.node.create_client(kind, f"{self.name}/{service}")
        self.wait_for(client.service_is_ready)
        future = client.call_async(request)
        self.wait_for(future.done)
        return future.result()

    def state(self) -> str:
        """Return the state of its life cycle."""
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def parameter(self, name: str) -> Any:
        """Return the value in force of one parameter."""
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        request = GetParameters.Request(names=[name])
        return parameter_value_to_python(
            self.call(GetParameters, "get_parameters", request).values[0]
        )

    def latched(self, kind: type, topic: str, is_wanted: Callable[[Any], bool]) -> Any:
        """Return the first message of a latched topic that is wanted."""
        from rclpy.qos import DurabilityPolicy, QoSProfile

        received: list[Any] = []
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(kind, f"{self.name}/{topic}", received.append, qos)
        return self.wait_for(lambda: [each for each in received if is_wanted(each)])[0]

    def listens_to(self, topics: set[str]) -> bool:
        """Return whether it subscribes to all of these topics, as soon as discovery says so."""
        namespace, name = self.name.rsplit("/", 1)

        from rclpy.node import NodeNameNonExistentError

        def found() -> bool:
            try:
                listed = self.node.get_subscriber_names_and_types_by_node(name, namespace)
            except NodeNameNonExistentError:  # not yet
                return False
            return topics <= {topic for topic, _ in listed}

        return self.wait_for(found)


@pytest.fixture
def observe(own_domain: None) -> Iterator[Callable[[str], Observer]]:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.context.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("observer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield lambda name: Observer(executor, name)
    node.destroy_node()
    context.shutdown()
