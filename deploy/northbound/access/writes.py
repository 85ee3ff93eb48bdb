# SPDX-License-Identifier: Apache-2.0
"""Way of a change or a command to the agent: permit it, send it signed, follow it.

Does not decide alone: the agent checks each message against `northbound.writes` again, and a change
is on trial as one of an operator. This module confirms the own change when the trial asks for it.
After a restart no process follows the change of before; if it is still on trial, it is rolled back.
A change to the value that is configured already is confirmed without a message: a program that sets
its value in each cycle would else keep the changes of all others out.

    submit ─▶ pending ─▶ trial ─▶ confirmed          a change
                 └─▶ refused  └─▶ rolled_back
    submit ─▶ pending ─▶ confirmed | refused         a command
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.remote.message.counter import seconds_of
from deploy.errors import OpsError
from deploy.northbound.access.counter_lock import is_own, note_change, process_of, shared_counters
from deploy.northbound.access.kept_changes import KeptChanges
from deploy.northbound.access.owners import ValueOwners
from deploy.northbound.access.site_messages import (
    outcome_of,
    send_datagram,
    setpoint_refusal,
    sign_request,
)
from deploy.northbound.access.submissions import AGAIN_S, OpenWrite, Request, TrialValues
from deploy.northbound.access.types import (
    OTHER_TRIAL,
    AuditSink,
    Outcome,
    Refusal,
    SetPointChange,
    Submission,
    TrialChange,
    UnitCommand,
)
from deploy.northbound.snapshot import Snapshot, SnapshotReader
from deploy.ops import keys
from drivers.ports.cpython.local import SOCKET
from protocols.signed_message import COMMAND, PATCH

_KEPT = 64
_TIMEOUT_S = 30.0
_CONFIRM_S, _LONGEST_CONFIRM_S = 120, 3600
"""Time to confirm after the health window. A trial without a confirm keeps other changes out."""
_MAX_PENDING = 4
_TRIAL_RETRY_S = 30
_TRIES = 3
_COLLISIONS = ("replay", "rollback", "wrong_base")
"""Reasons for which another message came first; a new signature can be accepted."""

_AT_TRIAL = "kept: it is sent when the change is on trial"
_OPERATORS = "operators"
"""Protocol of signed changes of operators, as a user of a value."""
PERSONS = ("panel", "redfish")
"""Protocols whose users are accounts; the users of others are addresses and certificates."""


@dataclass(frozen=True, slots=True)
class WriterProcess:
    """`state`: folder of the counters that processes share. `health_s`: health window, s.

    `right`: text that names the right of the user of a protocol to write at this moment; "": none.
    Another text than at the submission is another right: a change is withdrawn.
    """

    state: Path | None = None
    name: str = "web"
    health_s: int = 120
    right: Callable[[str, str], str] = lambda _user, _protocol: "all"


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
        self._owners = ValueOwners(process.state)
        self._values = TrialValues()
        self._clock = clock
        self._socket_path = str(folder / SOCKET)
        self._unit = unit
        self._process = process.name
        self._right = process.right
        self._confirm_s = min(process.health_s + _CONFIRM_S, _LONGEST_CONFIRM_S)
        self._abandoned = _last_change(process.state, process.name)
        self._rollback_at = clock()
        self._rollback_pause_s: float = AGAIN_S
        self._started_at = clock()
        self._key: keys.Key | None = None
        self._no_key = "northbound.writes has no key"
        self._submissions: OrderedDict[str, OpenWrite] = OrderedDict()
        self._next_id = 1
        self._kept_changes = KeptChanges()
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
        found = setpoint_refusal(request, snapshot.setpoints.get(request.key))
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
        pending = OpenWrite(request, user, address, protocol, PATCH if is_change else COMMAND)
        pending.right = self._right(user, protocol)
        is_in_force = refusal is None and _is_configured(request, snapshot)
        if is_in_force:
            pending.outcome = Outcome("confirmed", "the value is configured already")
        elif refusal is None:
            refusal = self._send(pending, snapshot)
        if refusal is not None:
            self._record(pending, f"refused: {refusal.reason}")
            return refusal
        found = self._add(pending)
        is_sent = not is_in_force
        if isinstance(request, SetPointChange):
            note = self._owners.decide if is_sent else self._owners.support
            note(request.key, request.raw, f"{protocol} {user}")
        self._record(pending, f"sent {pending.counter}" if is_sent else pending.outcome.reason)
        return found

    def roll_back(
        self,
        user: str,
        address: str,
        protocol: str,
        submission: str = "",
        *,
        any_user: bool,
        shown: int = 0,
    ) -> Submission | Refusal:
        """Roll back a change on trial: the one of `submission`, or the trial of the site.

        `any_user`: also the change of another user, or of another process. `shown`: counter of the
        trial that the user has seen; another one is refused. The answer is the submission to
        follow. Each request is in the audit log. Never raises.
        """
        snapshot = self._source.read()
        trial = snapshot.trial
        name, change = self._find_change(submission, trial)
        counter = change.counter if change else trial if not submission else 0
        command = UnitCommand("rollback", {"counter": int(counter or 0)})
        pending = OpenWrite(command, user, address, protocol, COMMAND)
        pending.right = self._right(user, protocol)
        is_own = change is not None and change.user == user and change.protocol in PERSONS
        refusal = Refusal("no change is on trial") if not counter else None
        if refusal is None and shown not in (0, counter):
            refusal = Refusal(OTHER_TRIAL)
        if refusal is None and not (any_user or is_own):
            refusal = Refusal("only an administrator rolls back the change of another user")
        if refusal is None and (self._key is None or snapshot.stale):
            refusal = Refusal(self._no_key if self._key is None else "the agent does not run", 5)
        if refusal is None and trial == counter:
            refusal = self._send(pending, snapshot)
        result = f"sent {pending.counter}" if trial == counter else _AT_TRIAL
        self._record(pending, f"refused: {refusal.reason}" if refusal else result)
        if refusal is not None:
            return refusal
        if change is not None:
            change.is_withdrawn = True
            change.confirm_at = self._clock() + AGAIN_S
            return Submission(name)
        return self._add(pending)

    def change_on_trial(self) -> TrialChange | None:
        """Return what the unit tries, of whomever; None: nothing is on trial."""
        snapshot = self._source.read()
        if snapshot.stale or not snapshot.is_on_trial:
            return None
        counter, change = snapshot.trial, self._values.change(snapshot)
        _, own = self._find_change("", counter)
        if own is not None and isinstance(own.request, SetPointChange):
            return TrialChange(counter, own.request, own.protocol, own.user)
        process = process_of(self._state, counter)
        users = self._owners.users(change.key, change.raw) if change is not None else []
        names = [name.partition(" ") for name in users if process]
        protocol, _, user = names[-1] if names else (process, "", "")
        return TrialChange(counter, change, protocol, user)

    def _find_change(self, submission: str, trial: object) -> tuple[str, OpenWrite | None]:
        """Return an own change that has not ended: by its name, or the one on trial."""
        for name, pending in self._submissions.items():
            is_wanted = name == submission if submission else pending.counter == trial
            if is_wanted and pending.kind == PATCH and not pending.is_done():
                return name, pending
        return "", None

    def _add(self, pending: OpenWrite) -> Submission:
        name = str(self._next_id)
        self._next_id += 1
        self._submissions[name] = pending
        while len(self._submissions) > _KEPT:  # one that is open is followed to its end
            ended = (old for old, pending in self._submissions.items() if pending.is_done())
            del self._submissions[next(ended, next(iter(self._submissions)))]
        return Submission(name)

    def result(self, submission: str) -> Outcome | None:
        """Return the state of a submission; None: there is no such submission."""
        pending = self._submissions.get(submission)
        return None if pending is None else pending.outcome

    def support(self, change: SetPointChange, user: str, protocol: str) -> None:
        """Note that a user repeats the value in force: a decision that needs no message."""
        self._owners.support(change.key, change.raw, f"{protocol} {user}")

    def is_shared(self, change: SetPointChange, protocol: str) -> bool:
        """Return whether a user of another protocol has decided on this value, too."""
        return self._owners.has_other(change.key, change.raw, protocol)

    def _record(self, pending: OpenWrite, result: str) -> None:
        request = pending.request
        if isinstance(request, SetPointChange):
            action, target = "set", f"{request.key}={request.raw}"
        else:
            arguments = " ".join(f"{k}={v}" for k, v in request.arguments.items())
            action, target = request.name, arguments
        self._audit.record(pending.user, pending.address, pending.protocol, action, target, result)

    # Messages.

    def _send(self, pending: OpenWrite, snapshot: Snapshot) -> Refusal | None:
        """Sign a request for the present state of the unit and send it."""
        try:
            with shared_counters(self._state) as counters:
                last = counters.values.get(str(pending.kind), 0)
                counter, data = sign_request(
                    self._unit, self._key, pending.request, snapshot, last, self._confirm_s
                )
                values = {str(pending.kind): seconds_of(counter)}
                if pending.kind == PATCH:
                    values |= note_change(counters, self._process, counter)
                counters.store(values)
                refusal = send_datagram(self._socket_path, data)
        except OSError as error:
            return Refusal(f"the counter cannot be stored: {error}", 5)
        except (OpsError, ValueError, TypeError, KeyError) as error:
            return Refusal(f"the agent cannot be reached: {error}", 5)
        if refusal is not None:
            return refusal
        pending.counter, pending.sent_at = counter, self._clock()
        pending.tries += 1
        return None

    # Results.

    def tick(self) -> None:
        """Compare the open submissions with the record of the agent. Never raises."""
        waiting = [p for p in self._submissions.values() if not p.is_done()]
        snapshot = self._source.read()
        self._values.update(snapshot)
        self._note_signed(snapshot)
        if not waiting and not self._abandoned:
            return
        if snapshot.stale:
            for pending in waiting:
                self._time_out(pending)
            return
        remote = snapshot.details.get("remote")
        if isinstance(remote, dict):
            for pending in waiting:
                self._follow(pending, remote, snapshot)
            self._end_abandoned(remote, snapshot)

    def _note_signed(self, snapshot: Snapshot) -> None:
        """Take a kept change of operators as their decision for all values in force."""
        change = self._kept_changes.take(snapshot)
        if change is None or is_own(self._state, change.counter) or self._has_sent(change.counter):
            return
        for key, raw in change.values.items():
            self._owners.support(key, raw, f"{_OPERATORS} {change.counter}")

    def _has_sent(self, counter: int) -> bool:
        return any(
            pending.kind == PATCH and pending.counter == counter
            for pending in self._submissions.values()
        )

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
            pending = OpenWrite(rollback, self._process, "local", "restart", COMMAND)
            refusal = self._send(pending, snapshot)
            reason = "" if refusal is None else f": {refusal.reason}"
            self._record(pending, f"refused{reason}" if reason else f"sent {pending.counter}")

    def _follow(self, pending: OpenWrite, remote: dict[str, Any], snapshot: Snapshot) -> None:
        outcome = outcome_of(pending.kind, pending.counter, remote)
        if outcome is None:
            self._time_out(pending, snapshot)
            return
        pending.missing_at = None
        if outcome.state == "refused" and self._try_again(pending, outcome, snapshot):
            return
        if outcome != pending.outcome:
            pending.outcome = outcome
            self._note_owner(pending)
            self._record(pending, f"{outcome.state} {outcome.reason}".strip())
        if outcome.state == "trial" and not pending.is_withdrawn:
            self._check_right(pending)
        if outcome.state == "trial" and pending.is_withdrawn:
            self._end_trial(pending, snapshot, "rollback")
        elif outcome.state == "trial" and remote.get("phase") == "confirm":
            self._end_trial(pending, snapshot, "confirm")

    def _note_owner(self, pending: OpenWrite) -> None:
        """Note what has become of a change that has ended."""
        request = pending.request
        if isinstance(request, SetPointChange) and pending.is_done():
            is_kept = pending.outcome.state == "confirmed"
            note = self._owners.keep if is_kept else self._owners.drop
            note(request.key, request.raw, f"{pending.protocol} {pending.user}")

    def _try_again(self, pending: OpenWrite, outcome: Outcome, snapshot: Snapshot) -> bool:
        """Sign again if another message came first."""
        reason = outcome.reason.partition(":")[0]
        if reason not in _COLLISIONS or pending.tries >= _TRIES or pending.is_withdrawn:
            return False
        if not self._has_right(pending):
            return False
        return self._send(pending, snapshot) is None

    def _check_right(self, pending: OpenWrite) -> None:
        """Withdraw the change of a user whose account has changed since."""
        if not self._has_right(pending):
            pending.is_withdrawn, pending.confirm_at = True, 0.0
            self._record(pending, "withdrawn: the account of the user has changed")

    def _has_right(self, pending: OpenWrite) -> bool:
        """Return whether the right of the submission still counts."""
        found = self._right(pending.user, pending.protocol)
        return bool(found) and found == pending.right

    def _end_trial(self, pending: OpenWrite, snapshot: Snapshot, word: str) -> None:
        """Confirm the own change or roll it back; again if it is still on trial some s later."""
        now = self._clock()
        if now < pending.confirm_at:
            return
        pending.confirm_at = now + pending.confirm_pause_s
        pending.confirm_pause_s *= 2
        command = UnitCommand(word, {"counter": pending.counter})
        self._send(OpenWrite(command, pending.user, pending.address, "", COMMAND), snapshot)

    def _time_out(self, pending: OpenWrite, record: Snapshot | None = None) -> None:
        """End a submission without an answer. `record`: of an agent that runs and has none of it.

        So a trial whose end was not seen, or is lost, keeps no other change out.
        """
        now = self._clock()
        if pending.outcome.state == "pending" and now - pending.sent_at > _TIMEOUT_S:
            pending.outcome = Outcome("refused", "no answer of the agent")
            self._record(pending, "refused: no answer of the agent")
        if pending.outcome.state == "trial" and record is not None:
            pending.missing_at = now if pending.missing_at is None else pending.missing_at
            if now - pending.missing_at > _TIMEOUT_S:
                state = "confirmed" if _is_configured(pending.request, record) else "rolled_back"
                pending.outcome = Outcome(state, "by the value: the unit does not report its end")
                self._note_owner(pending)
                self._record(pending, f"{state} {pending.outcome.reason}")


def _is_configured(request: Request, snapshot: Snapshot) -> bool:
    if not isinstance(request, SetPointChange):
        return False
    found = snapshot.setpoints.get(request.key)
    return found is not None and found.configured == request.raw


def _last_change(state: Path | None, process: str) -> int:
    """Return the counter of the last change of the process before this one; 0: none."""
    try:
        with shared_counters(state) as counters:
            return counters.values.get(f"trial {process}", 0)
    except OSError:
        return 0
