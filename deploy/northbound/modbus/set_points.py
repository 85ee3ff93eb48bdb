# SPDX-License-Identifier: Apache-2.0
"""Registers of the unit: the newest image, and writes to set-points.

A write is a change of the configuration: `WriteAccess` sends it to the agent, which tries it and
keeps it or takes it back. Before that, the rules of this module apply: the client has the right,
the keep-alive register is written, the value is within the limits and the largest step, and a
set-point changes at most once in `interval_s`. A client that writes the same value cyclically makes
one change, also if the unit rolls it back; see `decisions`.

If a client stops to write the keep-alive register, the set-points that it was the last one to
write return to the values before the first change. These values are in a file, so a restart of the
process in between loses nothing.

A value that no client of this server has written is the change of another user: it stays, at the
end of the keep-alive and also if a client repeats its old value. Between two clients the later
decision stays likewise. Such a repetition is no new decision: it gets a reply without an exception,
nothing is sent, and the result says `replaced`. Another value, or the old one after the value in
force, is a new change. The register `result` only shows the last outcome: the fact `replaced` is in
`decisions`, where no refusal can end it.

Does not decode requests; see `requests`. Does not check signatures; the agent does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from deploy.northbound.access import decisions
from deploy.northbound.access.decisions import Decisions, TrialWatch
from deploy.northbound.access.networks import PermittedNetworks
from deploy.northbound.access.types import (
    AuditSink,
    Refusal,
    SetPointChange,
    WriteAccess,
)
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.image import SlotState, WriteState, build_image
from deploy.northbound.modbus.keep_alives import KeepAlives
from deploy.northbound.modbus.restore_file import RestoreFile
from deploy.northbound.modbus.returns import ReturnPauses, next_step
from deploy.northbound.modbus.server import ModbusClient
from deploy.northbound.snapshot import SetPoint, Snapshot, SnapshotReader

_PROTOCOL = "modbus"
_WRITERS = ("Operator", "Administrator")
_NO_WRITE, _ON_TRIAL, _KEPT, _ROLLED_BACK, _REFUSED, _REPLACED = 0, 1, 2, 3, 4, 5
_RESULT_OF = {
    decisions.ON_TRIAL: (_ON_TRIAL, 0),
    decisions.KEPT: (_KEPT, 0),
    decisions.ROLLED_BACK: (_ROLLED_BACK, 0),
    decisions.REPLACED: (_REPLACED, 11),
}
"""Result and reason of a decision."""
_OUTCOMES = {_KEPT: decisions.KEPT, _ROLLED_BACK: decisions.ROLLED_BACK}
_RESULTS = {
    "pending": _ON_TRIAL,
    "trial": _ON_TRIAL,
    "confirmed": _KEPT,
    "refused": _REFUSED,
    "rolled_back": _ROLLED_BACK,
}
_CHANGED = "another user has changed the value of the client"
_FOREIGN = "no return: another user has decided on the value"
_RETRY_S = 5.0
"""Time between two returns, of any set-points."""
REASONS = {
    0: "none",
    1: "the configuration does not permit writes",
    2: "the client has no right to write",
    3: "the register cannot be written",
    4: "the value is outside the limits",
    5: "the step is too large",
    6: "the last change was too short a time ago",
    7: "another change is on trial",
    8: "the keep-alive register was not written in time",
    9: "the unit refused the change",
    10: "the set-point is not known now",
    11: "another user has changed the value",
}
"""Numbers in the register `reason` of a set-point."""
_EXCEPTIONS = {0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 5: 3, 6: 6, 7: 6, 8: 6, 9: 4, 10: 4}


@dataclass(frozen=True, slots=True)
class ModbusWriteRules:
    """Rules of writes. `sources`: networks of clients without TLS that may write; default none.

    Limits and the largest step are those of the set-point. Times in s.
    """

    sources: tuple[str, ...] = ()
    interval_s: float = 60.0
    keep_alive_s: float = 60.0


class _ReturnStep(NamedTuple):
    """A step of a return on its way: its raw value; `before`: the slot of the client's change."""

    raw: int
    is_last: bool
    before: SlotState


class UnitRegisters:
    """The source of `requests.ModbusRequests`. `clock` returns monotonic seconds."""

    def __init__(
        self,
        reader: SnapshotReader,
        audit: AuditSink,
        clock: Callable[[], float],
        writer: WriteAccess | None = None,
        rules: ModbusWriteRules | None = None,
        memory: Path | None = None,
    ) -> None:
        self._reader, self._audit, self._clock, self._writer = reader, audit, clock, writer
        self._rules = rules or ModbusWriteRules()
        self._writers = PermittedNetworks(self._rules.sources)
        self._slots: dict[str, SlotState] = {}
        self._repeated: set[tuple[str, str]] = set()  # held repetitions that are in the audit log
        self._submissions: dict[str, str] = {}
        self._returning: dict[str, _ReturnStep] = {}
        self._pauses = ReturnPauses(clock)
        self._changed_at: dict[str, float] = {}
        self._memory = RestoreFile(memory)
        path = memory and memory.with_name("modbus-decisions.json")
        self._decisions = Decisions(path, layout.SETPOINT_SLOTS, clock)
        self._trials, self._is_open = TrialWatch(clock), False
        self._keep_alives = KeepAlives(self._rules.keep_alive_s, clock)
        self._retry_at = clock() + self._rules.keep_alive_s  # after a restart: time to go on
        self._snapshot = Snapshot()
        self._image: list[int] = []
        self._take_up()
        self.refresh()

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self._snapshot

    def registers(self) -> list[int]:
        """Return the image of the newest record."""
        return self._image

    def identity(self) -> dict[int, str]:
        """Return the objects of function 43/14 that are not empty."""
        identity = self._snapshot.identity
        objects = {
            0: identity.manufacturer or "coldloop",
            1: identity.part_number or identity.model or "coldloop",
            2: self._snapshot.software or "unknown",
            4: "coldloop",
            5: identity.model,
            6: f"{identity.site}/{identity.unit}" if identity.unit else "",
        }
        return {n: text.encode("ascii", "replace").decode() for n, text in objects.items() if text}

    def refresh(self) -> None:
        """Read the newest record and the results of changes; return set-points if it is time."""
        self._snapshot = self._reader.read()
        for key, submission in list(self._submissions.items()):
            self._update_result(key, submission)
        now = self._clock()
        self._is_open = self._trials.update(self._snapshot.is_on_trial)
        for key in self._decisions.set_points():
            self._compare(key)
        if self._writer and self._memory.values and now >= self._retry_at:
            self._return_set_points(now)
        self._image = build_image(self._snapshot, self._write_state())

    def write(self, address: int, value: int, client: ModbusClient) -> int:
        """Write one register; return 0 or an exception code."""
        reason = self._check_client(client)
        key = _slot_of(address)
        if not reason and address == layout.KEEP_ALIVE:
            self._accept_keep_alive(value, client)
        elif not reason:
            reason = self._change(key, value, client) if key else 3
        if reason:
            target = key or str(address)
            result = f"refused: {REASONS[reason]}"
            self._audit.record(client.user, client.address, _PROTOCOL, "write", target, result)
            if key and reason > 2:
                old = self._slots.get(key, SlotState())
                self._slots[key] = replace(old, result=_REFUSED, reason=reason)
        self._image = build_image(self._snapshot, self._write_state())
        return _EXCEPTIONS[reason]

    def refuse(self, function: int, reason: str, client: ModbusClient) -> None:
        """Record an attempt to write that does not reach a register."""
        target, result = f"function {function}", f"refused: {reason}"
        self._audit.record(client.user, client.address, _PROTOCOL, "write", target, result)

    def _write_state(self) -> WriteState:
        alive = self._keep_alives
        return WriteState(self._writer is not None, alive.number, alive.left_s(), dict(self._slots))

    def _check_client(self, client: ModbusClient) -> int:
        if self._writer is None:
            return 1
        if client.tls:
            return 0 if client.role in _WRITERS else 2
        return 0 if self._writers.has(client.address) else 2

    def _accept_keep_alive(self, number: int, client: ModbusClient) -> None:
        if self._keep_alives.write(client.user, number):
            for key in self._decisions.set_points():
                if client.user in self._decisions.clients(key):
                    self._pauses.end(key)

    def _change(self, key: str, counts: int, client: ModbusClient) -> int:
        """Submit a change; return 0 or a reason."""
        now = self._clock()
        place = layout.register_fields()[key]
        setpoint, raw = self._snapshot.setpoints.get(key), place.raw(counts)
        active = _known_counts(key, self._configured(key))
        verdict = self._decisions.judge(
            key, counts, client.user, active, on_trial=self._snapshot.is_on_trial
        )
        if verdict in decisions.HELD:
            self._hold(key, counts, verdict, client)
            return 0
        if not self._keep_alives.is_alive(client.user):
            return 8
        if setpoint is None or setpoint.configured is None or self._snapshot.stale:
            return 10
        if verdict != decisions.SEND and key not in self._returning:
            if verdict == decisions.KEPT:
                self._decisions.decide(key, counts, counts, client.user)
                if self._writer is not None:
                    self._writer.support(SetPointChange(key, raw), client.user, _PROTOCOL)
            self._slots[key] = SlotState(counts, *_RESULT_OF[verdict], self._writes(key))
            return 0
        return self._check_value(setpoint, raw, now) or self._submit(setpoint, counts, raw, client)

    def _hold(self, key: str, counts: int, verdict: str, client: ModbusClient) -> None:
        """Answer a repetition that has no effect; its first one is in the audit log."""
        if key not in self._submissions:
            self._slots[key] = SlotState(counts, *_RESULT_OF[verdict], self._writes(key))
        if (key, client.user) not in self._repeated:
            self._repeated.add((key, client.user))
            text = f"without effect: {decisions.HELD[verdict]}"
            self._audit.record(client.user, client.address, _PROTOCOL, "write", key, text)

    def _writes(self, key: str) -> int:
        return self._slots.get(key, SlotState()).writes

    def _check_value(self, setpoint: SetPoint, raw: int, now: float) -> int:
        if not setpoint.low <= raw <= setpoint.high:
            return 4
        if setpoint.step and abs(raw - (setpoint.configured or 0)) > setpoint.step:
            return 5
        if self._submissions:
            return 7
        if now - self._changed_at.get(setpoint.key, -self._rules.interval_s) < (
            self._rules.interval_s
        ):
            return 6
        return 0

    def _submit(self, setpoint: SetPoint, counts: int, raw: int, client: ModbusClient) -> int:
        key = setpoint.key
        before = self._memory.entry(key)
        is_replaced = self._decisions.state(key) == decisions.REPLACED
        again = is_replaced or self._is_foreign(key)  # a new way back begins
        try:
            self._memory.keep(key, setpoint.configured or 0, raw, again=again)
        except OSError:
            return 9  # a change that could not return is not made
        reason = self._send(SetPointChange(key, raw), client.user, client.address)
        if reason:
            self._memory.put_back(key, before)
            return reason
        self._changed_at[key] = self._clock()
        self._forget_repetitions(key)
        self._slots[key] = SlotState(counts, _ON_TRIAL, 0, self._writes(key) + 1)
        base = _counts(key, setpoint.configured or 0)
        self._decisions.decide(key, counts, base, client.user)
        return 0

    def _send(self, change: SetPointChange, user: str, address: str) -> int:
        """Submit a change; return 0 or a reason."""
        if self._writer is None:
            return 1
        answer = self._writer.submit(change, user, address, _PROTOCOL)
        if isinstance(answer, Refusal):
            return _reason_of(answer.reason)
        self._submissions[change.key] = answer.id
        return 0

    def _update_result(self, key: str, submission: str) -> None:
        """Take over the state of a submission; one that is unknown was lost: rolled back."""
        outcome = self._writer.result(submission) if self._writer else None
        result = _RESULTS.get(outcome.state, _REFUSED) if outcome else _ROLLED_BACK
        state = self._slots.get(key, SlotState())
        reason = _reason_of(outcome.reason) if outcome and result == _REFUSED else 0
        self._slots[key] = replace(state, result=result, reason=reason)
        if key in self._returning:
            self._slots[key] = replace(state, result=result, reason=8)
        if result != _ON_TRIAL:
            del self._submissions[key]
            self._settle_decision(key, result)
            self._end_return(key, result)

    def _end_return(self, key: str, result: int) -> None:
        """A return that failed leaves the result of the client's change, and is tried again."""
        step = self._returning.pop(key, None)
        if step is None:
            return
        if result == _KEPT:
            self._pauses.wait_for_record(key)
        else:
            self._pauses.begin(key, rolled_back=result == _ROLLED_BACK)
            self._slots[key] = replace(step.before, reason=8)

    def _settle_decision(self, key: str, result: int) -> None:
        """Note the outcome of a client's change; a return that is done ends the decision.

        A step of a return is a decision of the client that has ended: it still owns the value.
        """
        step = self._returning.get(key)
        if step is None:
            self._decisions.settle(key, _OUTCOMES.get(result, decisions.REFUSED))
            return
        self._decisions.wait(key)
        if result == _KEPT and step.is_last:
            self._decisions.end(key)
        elif result == _KEPT:
            counts = _counts(key, step.raw)
            self._decisions.decide(key, counts, counts, self._decisions.client(key))

    def _take_up(self) -> None:
        """After a restart: go on with the decisions; those of an older program are in `_memory`."""
        for key, written in self._memory.written.items():
            if written and self._decisions.counts(key) is None:
                before = _counts(key, self._memory.values[key])
                self._decisions.decide(key, _counts(key, written[-1]), before, sent=False)
        for key in self._decisions.set_points():
            state = self._decisions.state(key)
            if state in _RESULT_OF and state != decisions.KEPT:
                self._slots[key] = SlotState(self._decisions.counts(key), *_RESULT_OF[state])

    def _compare(self, key: str) -> None:
        """Note that another user has replaced a decision, and the reverse."""
        configured = self._configured(key)
        if configured is None or key in self._submissions or self._is_open:
            return  # the value in force is not known, or may return
        change = self._decisions.compare(key, _counts(key, configured))
        state = self._slots.get(key, SlotState())
        if change == decisions.KEPT and state.result in (_NO_WRITE, _REFUSED):
            return
        if change:
            counts = self._decisions.counts(key)
            self._slots[key] = SlotState(counts, *_RESULT_OF[change], state.writes)
        if change == decisions.REPLACED:
            self._forget_repetitions(key)
            self._audit.record("", "", _PROTOCOL, "write", key, _CHANGED)

    def _forget_repetitions(self, key: str) -> None:
        self._repeated = {entry for entry in self._repeated if entry[0] != key}

    def _is_foreign(self, key: str) -> bool:
        """Return whether another user has changed the value in force, or counts on it.

        It is then neither of a client nor from before its changes, or it is a decision of a user of
        another protocol, too.
        """
        configured, before = self._configured(key), self._memory.values.get(key)
        if configured is None:
            return False
        if configured not in (before, *self._memory.written.get(key, ())):
            return True
        change = SetPointChange(key, configured)
        return self._writer is not None and self._writer.is_shared(change, _PROTOCOL)

    def _configured(self, key: str) -> int | None:
        setpoint = None if self._snapshot.stale else self._snapshot.setpoints.get(key)
        return setpoint.configured if setpoint else None

    def _may_return(self, key: str) -> bool:
        """Return whether a set-point of the record can return now.

        Without the right to write, its limits are the value in force: it waits for the right.
        """
        if not self._snapshot.setpoints[key].writable:
            return False
        clients = self._decisions.clients(key)
        is_alive = any(self._keep_alives.is_alive(client) for client in clients)
        return not is_alive and self._pauses.is_over(key)

    def _return_set_points(self, now: float) -> None:
        """Return the next set-point whose client has ended to its value before the first change."""
        if self._submissions or self._snapshot.stale or self._is_open:
            return
        found = self._snapshot.setpoints
        ready = [key for key in self._memory.values if key in found and self._may_return(key)]
        if ready:
            self._return(ready[0], found[ready[0]], now)

    def _return(self, key: str, setpoint: SetPoint, now: float) -> None:
        """Send the next step of a return, or end it."""
        target, is_last = next_step(setpoint, self._memory.values[key])
        is_foreign = self._decisions.state(key) == decisions.REPLACED or self._is_foreign(key)
        if is_foreign:
            self._audit.record("keep-alive ended", "", _PROTOCOL, "write", key, _FOREIGN)
        if setpoint.configured == target or is_foreign:
            self._memory.forget(key)
            self._pauses.end(key)
            return
        self._retry_at = now + _RETRY_S
        before = self._slots.get(key, SlotState())
        if self._send(SetPointChange(key, target), "keep-alive ended", ""):
            self._pauses.begin(key, rolled_back=False)
            self._slots[key] = replace(before, reason=8)
            return
        self._memory.add_step(key, target)
        self._returning[key] = _ReturnStep(target, is_last, before)
        self._slots[key] = SlotState(None, _ON_TRIAL, 8, before.writes)


def _reason_of(text: str) -> int:
    """Return the number of a reason of the agent or of `WriteAccess`."""
    if "one change in" in text or "too many messages" in text:
        return 6
    return 7 if text.startswith(("busy", "another change", "other requests")) else 9


def _counts(key: str, raw: int) -> int:
    """Return the register of a raw value of a set-point."""
    return layout.register_fields()[key].counts(raw) & 0xFFFF


def _known_counts(key: str, raw: int | None) -> int | None:
    return None if raw is None else _counts(key, raw)


def _slot_of(address: int) -> str:
    """Return the set-point whose register `wanted` has this address; ""."""
    for index, key in enumerate(layout.SETPOINT_SLOTS):
        if address == layout.slot_address(index, "wanted"):
            return key
    return ""
