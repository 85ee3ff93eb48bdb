# SPDX-License-Identifier: Apache-2.0
"""Writes of BACnet clients to set-points: what is sent to the unit.

A client that writes its value in each cycle makes one change. A write of the value that is
configured, or on trial, of whomever, is acknowledged, and nothing is sent. A repetition of a value
that another user has changed since, or that the unit has rolled back, is refused; see `decisions`.
Another value is a new change.

Does not check values; see `device`. Does not sign; see `deploy.northbound.access.writes`.
"""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.northbound.access import decisions
from deploy.northbound.access.decisions import Decisions, TrialWatch
from deploy.northbound.access.types import AuditSink, Refusal, SetPointChange, WriteAccess
from deploy.northbound.bacnet.clients import PROTOCOL
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import Snapshot

_OUTCOMES = {"confirmed": decisions.KEPT, "refused": decisions.REFUSED}


class SetPointWrites:
    """The writes of all clients. `clock`: monotonic s. `state`: folder of the file; None: none."""

    def __init__(
        self,
        writer: WriteAccess,
        audit: AuditSink,
        clock: Callable[[], float] = time.monotonic,
        state: Path | None = None,
    ) -> None:
        keys = {row.key for row in point_table().values() if row.setpoint}
        self._writer, self._audit = writer, audit
        self._decisions = Decisions(state and state / "bacnet-decisions.json", keys, clock)
        self._trials = TrialWatch(clock)
        self._submissions: dict[str, str] = {}
        self._snapshot = Snapshot()

    def submit(self, change: SetPointChange, client: str) -> bool:
        """Send a change; return whether it is not refused. The audit log has the reason."""
        key, raw, active = change.key, change.raw, self._active(change.key)
        on_trial = self._snapshot.is_on_trial
        verdict = self._decisions.judge(key, raw, client, active, on_trial=on_trial)
        if on_trial and active == raw and verdict not in (decisions.ON_TRIAL, decisions.KEPT):
            return True  # of another user; the object shows it
        if verdict in decisions.HELD:
            text = f"refused: {decisions.HELD[verdict]}"
            self._audit.record(client, client, PROTOCOL, "write", key, text)
            return False
        if verdict == decisions.KEPT:
            self._decisions.decide(key, raw, raw, client)
            self._writer.support(change, client, PROTOCOL)
        return verdict != decisions.SEND or self._send(change, client)

    def _send(self, change: SetPointChange, client: str) -> bool:
        setpoint = self._snapshot.setpoints.get(change.key)
        base = None if setpoint is None else setpoint.configured
        answer = self._writer.submit(change, client, client, PROTOCOL)
        if isinstance(answer, Refusal):
            return False
        self._submissions[change.key] = answer.id
        if base is not None:
            self._decisions.decide(change.key, change.raw, base, client)
        return True

    def update(self, snapshot: Snapshot) -> None:
        """Compare the values in force with the decisions."""
        self._snapshot = snapshot
        for key, submission in list(self._submissions.items()):
            outcome = self._writer.result(submission)
            state = outcome.state if outcome else ""  # a lost one is not in force
            if state not in {"pending", "trial"}:
                del self._submissions[key]
                self._decisions.settle(key, _OUTCOMES.get(state, decisions.ROLLED_BACK))
        if self._trials.update(snapshot.is_on_trial):
            return  # the value in force may return
        for key in self._decisions.set_points():
            active = self._active(key)
            if active is not None and key not in self._submissions:
                self._decisions.compare(key, active)

    def _active(self, key: str) -> int | None:
        """Return the configured value; None: it is not known, or no write is permitted."""
        setpoint = self._snapshot.setpoints.get(key)
        if self._snapshot.stale or setpoint is None or not setpoint.writable:
            return None
        return setpoint.configured
