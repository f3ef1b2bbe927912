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


"""The services of the node; each answers in every state, with a code and a sentence."""

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from sam3d_ros.errors import ReportCode, Sam3dError, UnknownObjectError
from sam3d_ros.ros.desk import Desk
from sam3d_ros.ros.exports import ExportOrder, check_formats, exported
from sam3d_ros.ros.jobs import OffError
from sam3d_ros.ros.object_answers import describe
from sam3d_ros.ros.planning.start import why_no_planner
from sam3d_ros.ros.reconstruct_action import ReconstructAction
from sam3d_ros.ros.session import Session, active
from sam3d_ros.scene.selecting import find_object
from sam3d_ros.srv import Export, GetObject, ObjectCommand
from sam3d_ros.structures import SceneObject

# Of a session, a request and a response, which it may fill; returns the sentence.
Answering = Callable[[Session, Any, Any], str]
SlowAnswering = Callable[[Session, Any, Any], Awaitable[str]]


class Services:
    """All services and the action, from the making of the node to its end.

    Args:
        node: Whose they are.
        session: Returns what runs while the node is active.
        crashed: Called where a bug ended the thread of what takes long.
    """

    def __init__(
        self, node: Node, session: Callable[[], Session | None], crashed: Callable[[], None]
    ) -> None:
        self._node = node
        self._session = session
        self._group = ReentrantCallbackGroup()  # one that waits must not hold up the others
        self._desk = Desk(node, crashed)
        self._action = ReconstructAction(node, session, self._desk, self._group)
        self._serve(ObjectCommand, "~/lock_geometry", _lock_geometry)
        self._serve(ObjectCommand, "~/remove_object", _remove_object)
        self._serve(Trigger, "~/clear", _clear)
        self._serve(Trigger, "~/republish", _republish)
        self._serve(SetBool, "~/enable", _enable)
        self._serve_slowly(GetObject, "~/get_object", self._get_object)
        self._serve_slowly(Export, "~/export", self._export)
        self._serve_slowly(Trigger, "~/apply_planning_scene", _apply_planning_scene)

    def close(self) -> None:
        """Give back what the node does not give back by itself."""
        self._action.destroy()
        self._desk.close()

    def _serve(self, kind: Any, name: str, answering: Answering) -> None:
        def answer(request: Any, response: Any) -> Any:
            try:
                sentence = answering(active(self._session()), request, response)
            except Sam3dError as error:
                return _said(response, error.code, str(error))
            return _said(response, ReportCode.OK, sentence)

        self._node.create_service(kind, name, answer, callback_group=self._group)

    def _serve_slowly(self, kind: Any, name: str, answering: SlowAnswering) -> None:
        async def answer(request: Any, response: Any) -> Any:
            try:
                sentence = await answering(active(self._session()), request, response)
            except Sam3dError as error:
                return _said(response, error.code, str(error))
            return _said(response, ReportCode.OK, sentence)

        self._node.create_service(kind, name, answer, callback_group=self._group)

    async def _get_object(self, session: Session, request: Any, response: Any) -> str:
        snapshot = session.snapshot()
        known = find_object(request.id, snapshot.objects, session.config.tf.prefix)
        answer = await self._desk.run(lambda: describe(known, snapshot, session))
        response.object, response.mesh = answer.description, answer.mesh
        response.points, response.measured = answer.points, answer.measured
        return f"{answer.description.id}, revision {known.revision}"

    async def _export(self, session: Session, request: Any, response: Any) -> str:
        order = ExportOrder(
            objects=_named(session, request.ids),
            formats=check_formats(request.formats) or ("glb",),
            path=request.path,
            overwrite=request.overwrite,
        )
        response.files = await self._desk.run(lambda: exported(order, session))
        return f"{len(response.files)} files of {len(order.objects)} objects"


def _said(response: Any, code: ReportCode, sentence: str) -> Any:
    """Fill in what every response has; those of std_srvs name the code in their sentence."""
    response.success = code == ReportCode.OK
    if hasattr(response, "code"):
        response.code = int(code)
    elif code != ReportCode.OK:
        sentence = f"{code.name}: {sentence}"
    response.message = sentence
    return response


def _named(session: Session, names: list[str]) -> tuple[SceneObject, ...]:
    """Return the objects of some ids, all for none.

    Raises:
        UnknownObjectError: An id is of no object, or all are asked for and there is none.
    """
    objects = session.snapshot().objects
    found = [find_object(name, objects, session.config.tf.prefix) for name in dict.fromkeys(names)]
    found = found or list(objects)
    if not found:
        raise UnknownObjectError("no object is known, so that there is nothing to write")
    return tuple({known.track_id: known for known in found}.values())


def _find(session: Session, name: str) -> SceneObject:
    return find_object(name, session.snapshot().objects, session.config.tf.prefix)


def _lock_geometry(session: Session, request: Any, _: Any) -> str:
    known = _find(session, request.id)
    session.lock(known.track_id, not request.release)
    what = "may change again" if request.release else "stays as it is"
    return f"the mesh of {request.id}, revision {known.revision}, {what}"


def _remove_object(session: Session, request: Any, _: Any) -> str:
    session.remove(_find(session, request.id).track_id)
    return f"{request.id} is removed; where a mask shows it again, it is a new object"


def _clear(session: Session, request: Any, _: Any) -> str:
    return f"{session.clear()} objects are removed"


def _republish(session: Session, request: Any, _: Any) -> str:
    session.publish_again()
    return f"{len(session.snapshot().objects)} objects are sent again, after the frame in work"


async def _apply_planning_scene(session: Session, request: Any, _: Any) -> str:
    planner = session.outputs.planner
    if planner is None:
        raise OffError(f"no planner is told anything: {why_no_planner(session.config)}")
    return await planner.apply()


def _enable(session: Session, request: Any, _: Any) -> str:
    session.trigger.is_enabled = request.data
    if request.data:
        return "masks and images are looked at again"
    return "masks and images are ignored until ~/enable true; calls are answered"
