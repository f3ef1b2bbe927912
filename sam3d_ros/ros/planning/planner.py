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

"""What a planner is told of the scene: collision objects that come, move and go.

Everything here happens in the executor's thread, but for ``see`` and the making of geometry.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node

from sam3d_ros.config import NodeConfig
from sam3d_ros.errors import ConfigError, ReportCode, Sam3dError
from sam3d_ros.ros.desk import Waiting
from sam3d_ros.ros.planning.messages import CollisionEncoder, PlanningMessages, attached_after
from sam3d_ros.ros.planning.placing import Lookup, Placing
from sam3d_ros.ros.planning.shaping import Shaped, ShapeMaker, Shaper
from sam3d_ros.ros.qos import reliable
from sam3d_ros.scene.names import object_name
from sam3d_ros.scene.obstacles import Change, Obstacle, Operation, ToldObstacles
from sam3d_ros.structures import CollisionShape, SceneSnapshot, ShapeOrder

OBJECTS_TOPIC = "/collision_object"
SCENE_TOPIC = "/monitored_planning_scene"
PLANNER_DEPTH = 10  # of both
APPLY_SERVICE = "/apply_planning_scene"
# Says what else there is, by name, in the frame of the planner, given where cameras are.
Others: TypeAlias = Callable[[Lookup], Mapping[str, tuple[Obstacle, Shaped]]]
ANSWER_S = 5.0  # a planner that does not answer within that is not there
FAREWELL_S = 0.5  # for the last messages to arrive


class PlannerError(Sam3dError, RuntimeError):
    """No planner took what it was told."""

    code = ReportCode.PLANNER


class Planner:
    """Publishes collision objects from configuration to cleanup; the poses go on while active.

    Args:
        node: Whose they are.
        config: The settings in force.
        messages: Of moveit_msgs.
        maker: Makes geometry.
        crashed: Called where a bug ended the thread that asks for geometry.

    Raises:
        ConfigError: No frame is named that stands still.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        messages: PlanningMessages,
        maker: ShapeMaker,
        crashed: Callable[[], None],
    ) -> None:
        self._node = node
        self._prefix = config.tf.prefix
        planning = config.planning
        self.frame_id = planning.frame or config.output_frame
        if not self.frame_id:
            raise ConfigError(
                "planning.enabled wants a frame that the planner knows and that stands still; set "
                "planning.frame or output_frame, to base_link or world for instance"
            )
        self.placing = Placing(self.frame_id, config.output_frame, planning.remove_when_lost)
        self.told = ToldObstacles(min_move_m=planning.min_move)
        self._encoder = CollisionEncoder(messages, self.frame_id)
        order = ShapeOrder(
            geometry=planning.geometry,
            max_hulls=planning.max_hulls,
            padding_m=planning.padding,
        )
        self.shaper = Shaper(maker, order, self.encode, self._warn, crashed)
        self._lookup: Lookup | None = None  # while active
        self._others: Others | None = None
        self._calls: list[tuple[float, Waiting]] = []  # that wait for an answer, until when
        self._geometry: dict[str, list[Any]] = {}  # of what was told, by name
        self._connect(messages)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0 / planning.max_rate, self._on_tick, clock=steady)

    def _connect(self, messages: PlanningMessages) -> None:
        self._publisher = self._node.create_publisher(
            messages.moveit.CollisionObject,
            OBJECTS_TOPIC,
            reliable(PLANNER_DEPTH),
            event_callbacks=PublisherEventCallbacks(
                matched=self._on_matched, use_default_callbacks=False
            ),
        )
        self._subscription = self._node.create_subscription(
            messages.moveit.PlanningScene, SCENE_TOPIC, self._on_scene, reliable(PLANNER_DEPTH)
        )
        self._client: Any = self._node.create_client(
            messages.services.ApplyPlanningScene, APPLY_SERVICE
        )

    @property
    def num_listeners(self) -> int:
        """How many subscribe to the collision objects."""
        return self._publisher.get_subscription_count()

    @property
    def is_served(self) -> bool:
        """Whether somebody takes whole scenes."""
        return bool(self._client.service_is_ready())

    def start(self, lookup: Lookup) -> None:
        """Go on telling where things are; ``lookup`` knows transforms at the times of images."""
        self._lookup = lookup
        self.shaper.start()

    def pause(self) -> None:
        """Tell nothing more; what was told stays an obstacle."""
        self._lookup = None
        self.shaper.pause()

    def see(self, snapshot: SceneSnapshot, stamp_ns: int) -> None:
        """Take in what is known now; may be called from any thread."""
        self.placing.see(snapshot, stamp_ns)

    def encode(self, shape: CollisionShape) -> list[Any]:
        """Return the geometry of a shape in messages; may be called from any thread."""
        return self._encoder.geometry(shape)

    def ask_also(self, others: Others) -> None:
        """Let somebody say, with every tick, what else there is; before the node is active."""
        self._others = others

    def start_over(self) -> None:
        """Forget where things stood: time went back."""
        self.placing.start_over()

    async def apply(self) -> str:
        """Tell the planner everything by its service, which says whether it took it.

        Raises:
            PlannerError: No planner serves that, it did not answer, or it refused.
        """
        if not self.is_served:
            raise PlannerError(
                f"nobody serves {APPLY_SERVICE}; start move_group, or remap {APPLY_SERVICE} to "
                f"where it does; {OBJECTS_TOPIC} is published meanwhile"
            )
        self._on_tick()
        objects = [self._message(change) for change in self.told.everything()]
        waiting = Waiting(self._node)
        self._calls.append((time.monotonic() + ANSWER_S, waiting))
        self._client.call_async(self._encoder.request(objects)).add_done_callback(waiting.finish)
        answered = await waiting.value()
        if answered is None:
            raise PlannerError(f"{APPLY_SERVICE} did not answer within {ANSWER_S:g} s; try again")
        if not answered.result().success:
            raise PlannerError(
                f"the planner refused {len(objects)} collision objects in {self.frame_id}; does it "
                "know that frame? its log says more; set planning.frame"
            )
        return f"{len(objects)} collision objects are in the planning scene, in {self.frame_id}"

    def destroy(self) -> None:
        """Take everything back, and give back what belongs to the node."""
        self.placing.start_over()
        self._tell({})
        self._publisher.wait_for_all_acked(Duration(seconds=FAREWELL_S))
        self.shaper.close()
        self._finish_calls(float("inf"))
        self._node.destroy_timer(self._timer)
        self._node.destroy_client(self._client)
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)

    def _on_tick(self) -> None:
        self._finish_calls(time.monotonic())
        if self._lookup is None or not self.placing.knows_anything:
            return  # what was told stays so until something else is known
        self.shaper.want(
            {
                each.track_id: (each.revision, each.reconstruction.mesh_object)
                for each in self.placing.present()
            }
        )
        placed, made = self.placing.place(self._lookup), self.shaper.made()
        wanted = dict(self._others(self._lookup)) if self._others is not None else {}
        for key in placed.keys() & made.keys():
            known, shaped = placed[key].known, made[key]
            name = object_name(key, known.class_id, self._prefix)
            obstacle = Obstacle(
                name=name,
                class_id=known.class_id,
                planning_from_object=placed[key].planning_from_object,
                stamp_ns=placed[key].stamp_ns,
                seen_ns=known.last_seen_ns,
                shape=shaped.shape,
            )
            wanted[name] = obstacle, shaped
        self._tell(wanted)

    def _tell(self, wanted: dict[str, tuple[Obstacle, Shaped]]) -> None:
        changes = self.told.changes({name: obstacle for name, (obstacle, _) in wanted.items()})
        for change in changes:
            if change.operation is Operation.ADD:
                self._geometry[change.name] = wanted[change.name][1].geometry
            elif change.operation is Operation.REMOVE:
                self._geometry.pop(change.name, None)
            self._publisher.publish(self._message(change))

    def _message(self, change: Change) -> Any:
        return self._encoder.message(change, self._geometry.get(change.name, []))

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text)

    def _on_matched(self, status: Any) -> None:
        """Tell a planner that came late what the others know; to them it changes nothing."""
        if status.current_count_change > 0:
            for change in self.told.everything():
                self._publisher.publish(self._message(change))

    def _on_scene(self, scene: Any) -> None:
        self.told.attach(attached_after(scene, self.told.attached))

    def _finish_calls(self, now_s: float) -> None:
        for deadline_s, waiting in list(self._calls):
            if now_s >= deadline_s:
                waiting.finish(None)
        self._calls = [each for each in self._calls if now_s < each[0]]
