# SPDX-License-Identifier: Apache-2.0
"""Way of a change or a command to the agent: sign it with the site key, send it, follow it.

Does not decide alone: the agent checks each message against `northbound.writes` again, and a change
is on trial as one of an operator. This module confirms the own change when the trial asks for it.
After a restart no process follows the change of before; if it is still on trial, it is rolled back.
A change to the value that is configured already is confirmed without a message: a program that sets
its value in each cycle would else keep the changes of all others out.

    submit ─▶ pending ─▶ trial ─▶ confirmed          a change
                 └─▶ refused  └─▶ rolled_back
    submit ─▶ pending ─▶ confirmed | refused         a command
"""

import json
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.remote.message.canonical import decimal
from agent.remote.message.counter import seconds_of
from agent.remote.message.header import EPOCH_S
from agent.remote.message.parameters import number_of
from agent.remote.message.reject import REJECT_REASONS
from deploy.errors import OpsError
from deploy.northbound.access.counter_lock import shared_counters
from deploy.northbound.access.types import (
    AuditSink,
    Outcome,
    Refusal,
    SetPointChange,
    Submission,
    UnitCommand,
)
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import SetPoint, Snapshot, SnapshotReader
from deploy.ops import keys, messages
from deploy.ops.report.unit_report import UnitReport, parse_report
from drivers.ports.cpython.local import SOCKET
from protocols.signed_message import COMMAND, PATCH

_KEPT = 64
_TIMEOUT_S = 30.0
_COMMAND_EXPIRES_S = 120
_CHANGE_EXPIRES_S = 3600
_UNDATED_EXPIRES_S = 30 * 86_400
"""Without UTC the unit counts the time since its last message; the counter prevents a replay."""
_CONFIRM_S, _LONGEST_CONFIRM_S = 120, 3600
"""Time to confirm after the health window. A trial without a confirm keeps other changes out."""
_MAX_PENDING = 4
_TRIAL_RETRY_S = 30
_AGAIN_S = 5
"""A confirm or rollback without effect is sent again after this time; it doubles. The unit writes
an entry of its audit log for each one."""
_TRIES = 3
_COLLISIONS = ("replay", "rollback", "wrong_base")
"""Reasons for which another message came first; a new signature can be accepted."""

Request = SetPointChange | UnitCommand


@dataclass(slots=True)
class _Pending:
    """A submission: the request and its user, the counter of its message, its state."""

    request: Request
    user: str
    address: str
    protocol: str
    kind: int
    counter: int = 0
    sent_at: float = 0.0
    tries: int = 0
    outcome: Outcome = field(default_factory=lambda: Outcome("pending"))
    confirm_at: float = 0.0
    confirm_pause_s: float = _AGAIN_S

    def is_done(self) -> bool:
        """Whether the state is final."""
        return self.outcome.state in {"confirmed", "refused", "rolled_back"}


@dataclass(frozen=True, slots=True)
class WriterProcess:
    """`state`: folder of the counters that processes share. `health_s`: health window, s."""

    state: Path | None = None
    name: str = "web"
    health_s: int = 120


class Writer:
    """The submissions of a process; implements `WriteAccess`. Call `tick` some times a second.

    `unit`: SITE/UNIT. `folder`: of the record of points. `key`: file of the site key; None: no
    writes. `clock`: monotonic seconds.
    """

    def __init__(
        self,
        unit: str,
        folder: Path,
        key: Path | None,
        source: SnapshotReader,
        audit: AuditSink,
        process: WriterProcess | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        process = process or WriterProcess()
        self._source = source
        self._audit = audit
        self._state = process.state
        self._clock = clock
        self._socket_path = str(folder / SOCKET)
        self._unit = unit
        self._process = process.name
        self._confirm_s = min(process.health_s + _CONFIRM_S, _LONGEST_CONFIRM_S)
        self._abandoned = _last_change(process.state, process.name)
        self._rollback_at = clock()
        self._rollback_pause_s: float = _AGAIN_S
        self._started_at = clock()
        self._key: keys.Key | None = None
        self._no_key = "northbound.writes has no key"
        self._submissions: OrderedDict[str, _Pending] = OrderedDict()
        self._next_id = 1
        if key is not None:
            try:
                self._key = keys.load(key, "")
            except OpsError as error:
                self._no_key = str(error)

    def why_off(self) -> str:
        """Return why this process cannot write; empty: it can."""
        return "" if self._key is not None else self._no_key

    # Requests.

    def permitted(self, request: Request) -> Refusal | None:
        """Return why the unit does not permit the request; None: it does."""
        return self._refusal(request, self._source.read())

    def _refusal(self, request: Request, snapshot: Snapshot) -> Refusal | None:
        if self._key is None:
            return Refusal(self._no_key)
        if snapshot.stale:
            return Refusal("the agent does not run", 5)
        if isinstance(request, UnitCommand):
            permitted = snapshot.details.get("commands")
            if not isinstance(permitted, list) or request.name not in permitted:
                return Refusal(f"northbound.writes does not permit {request.name}")
            return None
        found = _setpoint_refusal(request, snapshot.setpoints.get(request.key))
        if found is None and snapshot.is_on_trial:
            return Refusal("another change is on trial", _TRIAL_RETRY_S)
        return found

    def submit(
        self, request: Request, user: str, address: str, protocol: str
    ) -> Submission | Refusal:
        """Sign and send a request; each one is in the audit log. Never raises."""
        snapshot = self._source.read()
        refusal = self._refusal(request, snapshot)
        busy = [p for p in self._submissions.values() if not p.is_done()]
        is_change = isinstance(request, SetPointChange)
        if refusal is None and len(busy) >= _MAX_PENDING:
            refusal = Refusal("other requests are on their way", 5)
        if refusal is None and is_change and any(p.kind == PATCH for p in busy):
            refusal = Refusal("another change is on trial", _TRIAL_RETRY_S)
        pending = _Pending(request, user, address, protocol, PATCH if is_change else COMMAND)
        is_in_force = refusal is None and _is_configured(request, snapshot)
        if is_in_force:
            pending.outcome = Outcome("confirmed", "the value is configured already")
        elif refusal is None:
            refusal = self._send(pending, snapshot)
        if refusal is not None:
            self._record(pending, f"refused: {refusal.reason}")
            return refusal
        name = str(self._next_id)
        self._next_id += 1
        self._submissions[name] = pending
        while len(self._submissions) > _KEPT:
            self._submissions.popitem(last=False)
        is_sent = not is_in_force
        self._record(pending, f"sent {pending.counter}" if is_sent else pending.outcome.reason)
        return Submission(name)

    def result(self, submission: str) -> Outcome | None:
        """Return the state of a submission; None: there is no such submission."""
        pending = self._submissions.get(submission)
        return None if pending is None else pending.outcome

    def _record(self, pending: _Pending, result: str) -> None:
        request = pending.request
        if isinstance(request, SetPointChange):
            action, target = "set", f"{request.key}={request.raw}"
        else:
            arguments = " ".join(f"{k}={v}" for k, v in request.arguments.items())
            action, target = request.name, arguments
        self._audit.record(pending.user, pending.address, pending.protocol, action, target, result)

    # Messages.

    def _send(self, pending: _Pending, snapshot: Snapshot) -> Refusal | None:
        """Sign a request for the present state of the unit and send it."""
        try:
            with shared_counters(self._state) as counters:
                last = counters.values.get(str(pending.kind), 0)
                counter, data = self._sign(pending.request, snapshot, last)
                values = {str(pending.kind): seconds_of(counter)}
                if pending.kind == PATCH:
                    values[f"trial {self._process}"] = counter
                counters.store(values)
                refusal = self._post(data)
        except OSError as error:
            return Refusal(f"the counter cannot be stored: {error}", 5)
        except (OpsError, ValueError, TypeError, KeyError) as error:
            return Refusal(f"the agent cannot be reached: {error}", 5)
        if refusal is not None:
            return refusal
        pending.counter, pending.sent_at = counter, self._clock()
        pending.tries += 1
        return None

    def _sign(self, request: Request, snapshot: Snapshot, last: int) -> tuple[int, bytes]:
        """Return counter and message. `last`: the last counter of another process."""
        report = _report(snapshot)
        times = _times(request, snapshot, report, last, self._confirm_s)
        key = [self._key] if self._key is not None else []
        if isinstance(request, UnitCommand):
            pairs = list(request.arguments.items())
            return messages.sign_command(self._unit, report, request.name, pairs, key, times)
        path = snapshot.setpoints[request.key].path
        value = _decimal(request.raw)
        number = number_of(path)
        change = (path if number is None else number, value)
        return messages.sign_patch(self._unit, report, [change], key, times)

    def _post(self, data: bytes) -> Refusal | None:
        """Send a message. A refusal: nothing was sent."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(data, self._socket_path)
        except OSError as error:
            return Refusal(f"the agent cannot be reached: {error}", 5)
        return None

    # Results.

    def tick(self) -> None:
        """Compare the open submissions with the record of the agent. Never raises."""
        waiting = [p for p in self._submissions.values() if not p.is_done()]
        if not waiting and not self._abandoned:
            return
        snapshot = self._source.read()
        if snapshot.stale:
            for pending in waiting:
                self._time_out(pending)
            return
        remote = snapshot.details.get("remote")
        if isinstance(remote, dict):
            for pending in waiting:
                self._follow(pending, remote, snapshot)
            self._end_abandoned(remote, snapshot)

    def _end_abandoned(self, remote: dict[str, Any], snapshot: Snapshot) -> None:
        """Roll back the change of the process before this one."""
        if not self._abandoned or self._key is None:
            return
        if remote.get("trial") != self._abandoned:
            # A message that was sent just before the restart is in the record some seconds later.
            if self._clock() - self._started_at > _TIMEOUT_S:
                self._abandoned = 0
            return
        now = self._clock()
        if now >= self._rollback_at:
            self._rollback_at = now + self._rollback_pause_s
            self._rollback_pause_s *= 2
            rollback = UnitCommand("rollback", {"counter": self._abandoned})
            pending = _Pending(rollback, self._process, "local", "restart", COMMAND)
            refusal = self._send(pending, snapshot)
            reason = "" if refusal is None else f": {refusal.reason}"
            self._record(pending, f"refused{reason}" if reason else f"sent {pending.counter}")

    def _follow(self, pending: _Pending, remote: dict[str, Any], snapshot: Snapshot) -> None:
        outcome = _outcome(pending, remote)
        if outcome is None:
            self._time_out(pending)
            return
        if outcome.state == "refused" and self._try_again(pending, outcome, snapshot):
            return
        if outcome != pending.outcome:
            pending.outcome = outcome
            self._record(pending, f"{outcome.state} {outcome.reason}".strip())
        if outcome.state == "trial" and remote.get("phase") == "confirm":
            self._confirm(pending, snapshot)

    def _try_again(self, pending: _Pending, outcome: Outcome, snapshot: Snapshot) -> bool:
        """Sign again if another message came first."""
        reason = outcome.reason.partition(":")[0]
        if reason not in _COLLISIONS or pending.tries >= _TRIES:
            return False
        return self._send(pending, snapshot) is None

    def _confirm(self, pending: _Pending, snapshot: Snapshot) -> None:
        """Confirm the own change; again if it is still on trial after some seconds."""
        now = self._clock()
        if now < pending.confirm_at:
            return
        pending.confirm_at = now + pending.confirm_pause_s
        pending.confirm_pause_s *= 2
        confirm = UnitCommand("confirm", {"counter": pending.counter})
        self._send(_Pending(confirm, pending.user, pending.address, "", COMMAND), snapshot)

    def _time_out(self, pending: _Pending) -> None:
        if pending.outcome.state == "pending" and self._clock() - pending.sent_at > _TIMEOUT_S:
            pending.outcome = Outcome("refused", "no answer of the agent")
            self._record(pending, "refused: no answer of the agent")


def _is_configured(request: Request, snapshot: Snapshot) -> bool:
    if not isinstance(request, SetPointChange):
        return False
    return snapshot.setpoints[request.key].configured == request.raw


def _setpoint_refusal(change: SetPointChange, setpoint: SetPoint | None) -> Refusal | None:
    if setpoint is None or not setpoint.writable or setpoint.configured is None:
        return Refusal(f"northbound.writes does not permit {change.key}")
    row = point_table()[change.key]
    if not setpoint.low <= change.raw <= setpoint.high:
        low, high = row.value(setpoint.low), row.value(setpoint.high)
        return Refusal(f"out of range: {low:g} to {high:g} {row.unit}")
    if abs(change.raw - setpoint.configured) > setpoint.step:
        return Refusal(f"too big a step: at most {row.value(setpoint.step):g} {row.unit}")
    return None


def _decimal(raw: int) -> Any:
    """Return thousandths as a number of a message in lowest terms."""
    return raw // 1000 if raw % 1000 == 0 else decimal(raw, 3)


def _report(snapshot: Snapshot) -> UnitReport:
    """Return the report of the unit from the record. Raises `OpsError`: there is no `remote`."""
    return parse_report(json.dumps(snapshot.details.get("remote")).encode())


def _times(
    request: Request,
    snapshot: Snapshot,
    report: UnitReport,
    last: int,
    confirm_s: int,
) -> messages.MessageTimes:
    """Return the times of a message by the clock of the unit.

    While the unit does not know UTC, the time is that of its last accepted message.
    """
    if snapshot.utc is None:
        now_s = EPOCH_S + max(last, *(seconds_of(counter) for counter in report.counters)) + 1
        return messages.MessageTimes(now_s, _UNDATED_EXPIRES_S, confirm_s)
    now_s = int(snapshot.utc.timestamp())
    if last < now_s - EPOCH_S + messages.ACCEPTED_AHEAD_S:
        now_s = max(now_s, EPOCH_S + last + 1)
    is_command = isinstance(request, UnitCommand)
    return messages.MessageTimes(
        now_s, _COMMAND_EXPIRES_S if is_command else _CHANGE_EXPIRES_S, confirm_s
    )


def _last_change(state: Path | None, process: str) -> int:
    """Return the counter of the last change of the process before this one; 0: none."""
    try:
        with shared_counters(state) as counters:
            return counters.values.get(f"trial {process}", 0)
    except OSError:
        return 0


def _outcome(pending: _Pending, remote: dict[str, Any]) -> Outcome | None:
    """Return the state of a submission in the report; None: the report does not have it."""
    for refused in remote.get("refusals") or []:
        if list(refused[:2]) == [pending.kind, pending.counter]:
            return Outcome("refused", ": ".join(str(text) for text in refused[2:] if text))
    if pending.kind == COMMAND:
        start = f"{pending.counter} "
        for line in remote.get("results") or []:
            if str(line).startswith(start):
                return _command_outcome(str(line).partition(": ")[2])
        return None
    if remote.get("trial") == pending.counter:
        return Outcome("trial", str(remote.get("phase") or ""))
    last = list(remote.get("last") or [0, "", ""])
    if last[0] == pending.counter:
        states = {"confirmed": "confirmed", "rolled_back": "rolled_back"}
        return Outcome(states.get(str(last[1]), "refused"), str(last[2]))
    return None


def _command_outcome(text: str) -> Outcome:
    is_refused = text.partition(":")[0] in REJECT_REASONS
    return Outcome("refused" if is_refused else "confirmed", text)
