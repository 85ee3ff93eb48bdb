# SPDX-License-Identifier: Apache-2.0
"""Proof records over a restart: the last lines in one record of a store.

Not a log: when a proof test ends, the record `proof.records` is replaced as a whole. It holds at
most `_MAX_LINES` lines, the newest last, each "UTC-seconds what result seconds". The first number
is 0 if UTC was unknown. Without a store (no `port` in the section) nothing is kept.
"""

from agent.core.stored_record import StoredRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.core.component.base import Actions

    class ProofRecords(Protocol):
        """The proof tests; see `agent.control.law.proof_test`."""

        records: "list[tuple[int, str, str, int]]"


KEY = "proof.records"
_MAX_LINES = 16
_LONGEST = 64


class ProofStore:
    """Stores the records of `proofs` through the port with the number `port`; -1: no store."""

    def __init__(self, proofs: "ProofRecords", port: int) -> None:
        self.proofs = proofs
        self.port = port
        self.lines: list[str] = []
        self._last_record: tuple[int, str, str, int] | None = None
        self._store = StoredRecord(port, KEY)
        self._write_due = False

    def event(self, kind: str) -> None:
        """Handle an event of the store. The first `opened` requests the stored lines."""
        self._store.event(kind)
        self._write()

    def receive(self, data: bytes) -> None:
        """Handle the stored lines; invalid lines are discarded."""
        payload = self._store.receive(data)
        if payload is None:
            return
        stored = []
        for line in payload.split(b"\n"):
            words = line.split(b" ", 1)
            if len(words) == 2 and words[0].isdigit() and len(line) <= _LONGEST:
                try:
                    stored.append(line.decode())
                except UnicodeError:
                    continue
        self.lines = (stored + self.lines)[-_MAX_LINES:]

    def check_records(self, utc_us: "int | None") -> None:
        """Store the record of a proof test that has ended; called once a cycle."""
        records = self.proofs.records
        if self.port < 0 or not records or records[-1] is self._last_record:
            return
        self._last_record = records[-1]
        _, actuator, result, seconds = records[-1]
        at = 0 if utc_us is None else utc_us // 1_000_000
        self.lines = (self.lines + ["%d %s %s %d" % (at, actuator, result, seconds)])[-_MAX_LINES:]
        self._write_due = True
        self._write()

    def _write(self) -> None:
        if self._write_due and self._store.is_open:
            self._write_due = False
            self._store.write("\n".join(self.lines).encode())

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        return self._store.outbox()
