# SPDX-License-Identifier: Apache-2.0
"""Writes of BACnet clients to set-points: what is sent to the unit.

A client that writes its value in each cycle must not undo a later change of another user, for
example of an administrator. So a repetition of the last value that a client has written is refused
while the value in force is one that no client of this device has written. Another value is a new
change.

Does not check values; see `device`. Does not sign; see `deploy.northbound.access.writes`.
"""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.northbound.access.decisions import Decisions
from deploy.northbound.access.types import AuditSink, Refusal, SetPointChange, WriteAccess
from deploy.northbound.bacnet.clients import PROTOCOL
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import Snapshot

_REPEATED = "refused: the client repeats its old value, another user has changed it"
_SETTLE_S = 5.0
"""Time after a change has ended in which the record may still have the value before it."""


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
        self._writer, self._audit, self._clock = writer, audit, clock
        self._decisions = Decisions(state and state / "bacnet-decisions.json", keys)
        self._submissions: dict[str, str] = {}
        self._settled_at: dict[str, float] = {}
        self._snapshot = Snapshot()

    def submit(self, change: SetPointChange, client: str) -> bool:
        """Send a change; return whether it is not refused. The audit log has the reason."""
        key = change.key
        if self._decisions.counts(key) == change.raw and self._decisions.is_replaced(key):
            self._audit.record(client, client, PROTOCOL, "write", key, _REPEATED)
            return False
        answer = self._writer.submit(change, client, client, PROTOCOL)
        if isinstance(answer, Refusal):
            return False
        setpoint = self._snapshot.setpoints.get(key)
        base = None if setpoint is None else setpoint.configured
        self._submissions[key] = answer.id
        if base is not None:
            self._decisions.decide(key, change.raw, base, client)
        return True

    def update(self, snapshot: Snapshot) -> None:
        """Compare the values in force with the decisions."""
        self._snapshot = snapshot
        now = self._clock()
        for key, submission in list(self._submissions.items()):
            outcome = self._writer.result(submission)
            if outcome is None or outcome.state not in {"pending", "trial"}:
                del self._submissions[key]
                self._settled_at[key] = now + _SETTLE_S
        remote = snapshot.details.get("remote")
        if snapshot.stale or (isinstance(remote, dict) and remote.get("trial")):
            return  # the value in force is not known, or may return
        for key in self._decisions.set_points():
            self._compare(key, now)

    def _compare(self, key: str, now: float) -> None:
        setpoint = self._snapshot.setpoints.get(key)
        if setpoint is None or setpoint.configured is None or key in self._submissions:
            return
        if setpoint.configured == self._decisions.counts(key):
            self._settled_at[key] = now
        elif now < self._settled_at.get(key, 0.0):
            return
        self._decisions.compare(key, setpoint.configured)
