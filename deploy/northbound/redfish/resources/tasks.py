# SPDX-License-Identifier: Apache-2.0
"""TaskService: each accepted write is a task; its state comes from the agent.

Does not decide on a write. The agent tests a change on trial, then confirms it or rolls it back.
The tasks are kept in memory: after a restart of this process they are gone, the change is not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy.northbound.access.types import (
    Outcome,
    Refusal,
    SetPointChange,
    UnitCommand,
    WriteAccess,
)
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.resource import (
    MANAGER,
    ROOT,
    Call,
    Method,
    Reply,
    Resource,
    ResourceTree,
    collection,
    link,
)
from deploy.northbound.redfish.sensors import SensorModel, utc_text

_SERVICE = f"{ROOT}/TaskService"
_MONITORS = f"{_SERVICE}/TaskMonitors"
_MAX_TASKS = 32
_STATES = {
    "pending": ("Starting", "OK"),
    "trial": ("Running", "OK"),
    "confirmed": ("Completed", "OK"),
    "refused": ("Exception", "Critical"),
    "rolled_back": ("Exception", "Critical"),
}
"""State of a change: TaskState and TaskStatus of Redfish."""
_CANCELLED = {
    "pending": ("Cancelling", "OK"),
    "trial": ("Cancelling", "OK"),
    "rolled_back": ("Cancelled", "OK"),
}
"""The same for a task that a user has cancelled."""
_ENDED = ("Completed", "Exception", "Cancelled")


@dataclass(slots=True)
class WriteTask:
    """One write. `path`: the resource that the client wrote to. `start`: UTC, None: not known.

    `is_cancelled`: a user has asked for the rollback of the change.
    """

    id: str
    submission: str
    path: str
    start: str | None
    last: Outcome
    user: str = ""
    is_cancelled: bool = False


class TaskList:
    """The tasks of all writes; the oldest of more than 32 is dropped."""

    def __init__(self, tree: ResourceTree, sensors: SensorModel, writer: WriteAccess) -> None:
        self._sensors = sensors
        self._writer = writer
        self._tasks: dict[str, WriteTask] = {}
        self._next = 1
        tree.add(
            Resource(_SERVICE, "TaskService", "Task service", self._service),
            collection(f"{_SERVICE}/Tasks", "TaskCollection", "Tasks", lambda: list(self._tasks)),
        )
        tree.add_members(f"{_SERVICE}/Tasks", self._find)
        tree.add_members(_MONITORS, self._find_monitor)

    def submit(self, request: SetPointChange | UnitCommand, call: Call) -> Reply | Refusal:
        """Send a write to the agent; the answer is 202 with its task."""
        submission = self._writer.submit(request, call.user, call.address, "redfish")
        if isinstance(submission, Refusal):
            return submission
        number = str(self._next)
        self._next += 1
        start = utc_text(self._sensors.read().utc)
        task = WriteTask(number, submission.id, call.path, start, Outcome("pending"), call.user)
        self._tasks[number] = task
        if len(self._tasks) > _MAX_TASKS:
            del self._tasks[next(iter(self._tasks))]
        resource = self._find(number)
        body = resource.body() if resource else {}
        return Reply(202, body, {"Location": f"{_MONITORS}/{number}", "Retry-After": "2"})

    def _service(self) -> Json:
        return {
            "ServiceEnabled": True,
            "DateTime": utc_text(self._sensors.read().utc),
            "CompletedTaskOverWritePolicy": "Oldest",
            "LifeCycleEventOnTaskStateChange": False,
            "Status": {"State": "Enabled", "Health": "OK"},
            "Tasks": link(f"{_SERVICE}/Tasks"),
        }

    def _find(self, number: str) -> Resource | None:
        task = self._tasks.get(number)
        if task is None:
            return None
        build: Callable[[], Json] = lambda: self._task(task)  # noqa: E731
        return Resource(
            f"{_SERVICE}/Tasks/{number}",
            "Task",
            f"Write to {task.path}",
            build,
            delete=Method(lambda call: self._delete(task, call), MANAGER),
            owner=task.user,
        )

    def _delete(self, task: WriteTask, call: Call) -> Reply:
        """Roll back the change of a task that runs; remove a task that has ended."""
        state = self._task(task)["TaskState"]
        if state not in ("Starting", "Running", "Cancelling"):
            self._tasks.pop(task.id, None)
            return Reply(204)
        any_user = call.may(MANAGER)
        found = self._writer.roll_back(
            call.user, call.address, "redfish", task.submission, any_user=any_user
        )
        if isinstance(found, Refusal):
            text = {**message("GeneralError"), "Message": found.reason}
            raise RedfishError(503 if found.retry_s else 409, text)
        task.is_cancelled = True
        return Reply(202, self._task(task), {"Location": f"{_MONITORS}/{task.id}"})

    def _find_monitor(self, number: str) -> Resource | None:
        task = self._find(number)
        if task is None:
            return None
        return replace(task, path=f"{_MONITORS}/{number}", id=number)

    def running(self, path: str) -> bool:
        """Return whether the task of a monitor is still running; the answer is then 202."""
        parent, _, number = path.rpartition("/")
        task = self._tasks.get(number)
        if parent != _MONITORS or task is None:
            return False
        return self._task(task)["TaskState"] in ("Starting", "Running", "Cancelling")

    def _task(self, task: WriteTask) -> Json:
        task.last = self._writer.result(task.submission) or task.last
        state, health = _STATES.get(task.last.state, ("Interrupted", "Warning"))
        if task.is_cancelled and task.last.state in _CANCELLED:
            state, health = _CANCELLED[task.last.state]
        content: Json = {
            "TaskState": state,
            "TaskStatus": health,
            "TaskMonitor": f"{_MONITORS}/{task.id}",
            "Messages": [self._outcome(task.last)] if state in _ENDED else [],
            "Payload": {"TargetUri": task.path, "HttpOperation": "PATCH", "HttpHeaders": []},
        }
        if task.start:
            content["StartTime"] = task.start
        if state == "Completed":
            content["PercentComplete"] = 100
        return content

    def _outcome(self, outcome: Outcome) -> Json:
        if outcome.state == "confirmed":
            return message("Success")
        words = {"refused": "The agent refused the change.",
                 "rolled_back": "The agent rolled the change back after its trial."}  # fmt: skip
        text = f"{words[outcome.state]} {outcome.reason}".strip()
        return {**message("GeneralError"), "Message": text}
