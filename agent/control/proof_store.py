# SPDX-License-Identifier: Apache-2.0
"""Proof records that survive a restart: the newest lines of them in one record of a store.

Not a log: `proof.records` is replaced as a whole when a proof ends, `_MAX_LINES` lines, the newest
last, each "UTC-seconds what result seconds"; 0 for a time that was not known. Without a store (no
`port` in the section) there is nothing to keep, and nothing is asked for.
"""

from agent.control.law.proof_test import ProofTests
from agent.core.stored_record import StoredRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component import Actions

KEY = "proof.records"
_MAX_LINES = 16
_LONGEST = 64


class ProofStore:
    """Keeps what `proofs` records through the port numbered `port`; -1: none."""

    def __init__(self, proofs: ProofTests, port: int) -> None:
        self.proofs = proofs
        self.port = port
        self.lines: list[str] = []
        self._last_record: tuple[int, str, str, int] | None = None
        self._store = StoredRecord(port, KEY)
        self._write_due = False

    def event(self, kind: str) -> None:
        """Take what the store says; ask for what is kept, once."""
        self._store.event(kind)
        self._write()

    def receive(self, data: bytes) -> None:
        """Take the lines that were kept; what does not look like one is left out."""
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
        """See whether a proof has ended; called once a cycle."""
        records = self.proofs.records
        if self.port < 0 or not records or records[-1] is self._last_record:
            return
        self._last_record = records[-1]
        _, what, result, seconds = records[-1]
        at = 0 if utc_us is None else utc_us // 1_000_000
        self.lines = (self.lines + ["%d %s %s %d" % (at, what, result, seconds)])[-_MAX_LINES:]
        self._write_due = True
        self._write()

    def _write(self) -> None:
        if self._write_due and self._store.open:
            self._write_due = False
            self._store.write("\n".join(self.lines).encode())

    def outbox(self) -> "Actions":
        """Hand over what the store is asked to do."""
        return self._store.outbox()
