# SPDX-License-Identifier: Apache-2.0
"""Pipeline: store, prepare, deliver, receipt; the rule of the relay without its connections.

Does not connect to a broker; see `relay`. The steps, each durable before the next:

    receive    messages of units are stored in one transaction; then the broker gets its PUBACK
    prepare    records are decoded and dated; what cannot be goes to the quarantine
    deliver    the thread of each output; its position is stored after its acknowledgement
    receipts   for records that are in the quarantine or that all required outputs have

Records are prepared at most `MAX_AHEAD` before the slowest required output. Then no more messages
are received, so that the broker and the units keep them.
"""

import sqlite3
import time
from dataclasses import dataclass, field

from deploy.relay.decode import row_format
from deploy.relay.decode.prepare import Preparer
from deploy.relay.delivery import ItemCache, OutputWorker
from deploy.relay.intake.ingest import UNKNOWN_MODEM, Ingest, Received
from deploy.relay.intake.receipts import DueReceipts, Receipts
from deploy.relay.limits import CpuBudget, UnitLimits
from deploy.relay.outputs.base import Output
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.quarantine import LOT, QuarantineTable
from deploy.relay.terminal_text import report

MAX_AHEAD = 5000
_PREPARE_BATCH = 200
_MOST_CACHED_VALUES = 2_000_000
"""About 80 MB."""
_TIDY_S = 1.0
_LOT_S = 0.1
_STOP_WAIT_S = 4.0
"""For the acknowledgements of batches in progress, at the end."""


@dataclass(slots=True)
class PipelineSettings:
    """`keys`: secret of each unit. `required`: outputs that a receipt waits for.

    `optional_backlog`: records that another output can be behind. `undated_wait_s`: how long rows
    wait for a date. `modems`: unit of each IMEI. `sends_receipts`: False: another group sends them.
    """

    keys: dict[str, bytes] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    limits: UnitLimits = field(default_factory=UnitLimits)
    optional_backlog: int = 1_000_000
    undated_wait_s: float = 3600.0
    modems: dict[str, str] = field(default_factory=dict)
    sends_receipts: bool = True


class Pipeline:
    """The pipeline of one relay over `database`."""

    def __init__(self, database: RelayDatabase, settings: PipelineSettings) -> None:
        self.database = database
        self.quarantine = QuarantineTable(database, settings.limits.quarantine_bytes)
        limits = settings.limits
        row_format.warm_up()
        self.budget = CpuBudget(limits)
        self.preparer = Preparer(
            database, self.quarantine, limits, self.budget, settings.undated_wait_s
        )
        self.ingest = Ingest(database, self.quarantine, self.preparer, limits, self.budget)
        self.receipts = Receipts(settings.keys, settings.sends_receipts)
        self.workers: dict[str, OutputWorker] = {}
        self._settings = settings
        self._cache = ItemCache(_MOST_CACHED_VALUES)
        positions = database.positions()
        self._receipted_to = positions.get("", 0)
        self._prepared_to = self._receipted_to
        self._has_new = True
        self._next_tidy = 0.0

    def add_output(self, name: str, output: Output) -> None:
        """Add an output, before `open`."""
        self.preparer.outputs.add(name)
        self.workers[name] = OutputWorker(
            name,
            output,
            self.database,
            self.quarantine,
            self.preparer,
            self._cache,
            lambda: self._prepared_to,
        )

    def open(self) -> None:
        """Store names and positions, after all outputs are added. Raises sqlite3.Error."""
        with self.database.transaction():
            self.database.forget_outputs(set(self.workers))
            self.database.set_position("", self._receipted_to)  # the name is known from now on
            for imei in self._settings.modems:
                self.quarantine.release_all(UNKNOWN_MODEM, "modem", imei)

    def start(self) -> None:
        """Start the threads of the outputs. Records of the last run wait for their receipts."""
        for worker in self.workers.values():
            worker.start()

    def begin_stop(self) -> None:
        """End the threads after the batches in progress; wait some seconds for that."""
        for worker in self.workers.values():
            worker.begin_close()
        for worker in self.workers.values():
            worker.join(_STOP_WAIT_S / len(self.workers))

    def stop(self) -> None:
        """Wait for the end of the threads, store the positions."""
        for worker in self.workers.values():
            worker.join()
        try:
            self._tidy(force=True)
        except sqlite3.Error as error:  # the next start does it
            report(f"database of the relay: {error}")

    # The steps.

    def receive(self, messages: list[tuple[str, bytes]]) -> Received:
        """Store messages. Raises sqlite3.Error if nothing is stored."""
        received = self.ingest.ingest_batch(messages)
        self.receipts.add(received)
        self._has_new = True
        return received

    def is_behind(self) -> bool:
        """Return whether the required outputs are so far behind that nothing must be received."""
        return self.receipts.waiting_count() >= MAX_AHEAD

    def prepare(self) -> bool:
        """Prepare the next records of the outbox; return whether there are more."""
        entries = self.database.outbox(self._prepared_to, _PREPARE_BATCH)
        if not entries:
            self._has_new = False
            return False
        prepared = self.preparer.prepare(entries)
        entries = entries[: prepared.count]
        for entry in entries:
            if entry.id in prepared.items:
                self.receipts.wait_for(entry)
        for entry, reason in prepared.quarantined:
            self.receipts.done(entry)
            if reason == "schema":
                self.receipts.request_schema(entry)
        for entry, reason in prepared.dropped:
            self.receipts.drop(entry)
            if reason == "schema":
                self.receipts.request_schema(entry)
        for entry in prepared.messages:
            self._ingest_again(entry.id, entry.unit, entry.payload)
        self._cache.add(prepared.items)
        self._prepared_to = entries[-1].id
        for worker in self.workers.values():
            worker.wake()
        return True

    def _ingest_again(self, entry_id: int, unit: str, message: bytes) -> None:
        """Ingest a message that comes from the quarantine."""
        if unit == UNKNOWN_MODEM:
            imei, _, data = message.partition(b"\0")
            if imei.decode() in self._settings.modems:
                unit, message = self._settings.modems[imei.decode()], data
        self.receipts.add(self.ingest.ingest_batch([(unit, message)], check_limits=False))
        with self.database.transaction():
            self.database.remove(entry_id)

    def take_receipts(self) -> DueReceipts:
        """Return what is due, after what the required outputs have acknowledged."""
        self.receipts.advance(self._required_position())
        return self.receipts.take()

    def _required_position(self) -> int:
        positions = [
            worker.position
            for name, worker in self.workers.items()
            if name in self._settings.required
        ]
        return min(positions, default=self._prepared_to)

    def process(self) -> bool:
        """Do the steps after the reception once; return whether there is more to prepare."""
        try:
            more = self.prepare() if self._has_new else False
            self._tidy()
        except sqlite3.Error as error:
            self.ingest.counts["store_errors"] += 1
            report(f"database of the relay: {error}")
            time.sleep(1)
            return False
        return more

    def _tidy(self, force: bool = False) -> None:
        """Once a second: store the position of the receipts, delete what all outputs have.

        Also release a lot of the quarantine; the next one comes sooner if the outputs have most of
        the records, so that new ones of other units do not wait for many of them.
        """
        if not force and time.monotonic() < self._next_tidy:
            return
        self._next_tidy = time.monotonic() + _TIDY_S
        for worker in self.workers.values():
            worker.watch()
        self._has_new = True  # another process can release records of the quarantine
        if self.preparer.release_due() >= LOT and self.undelivered() < LOT:
            self._next_tidy = time.monotonic() + _LOT_S
        position = self._required_position()
        delivered_by_all = min(
            [worker.position for worker in self.workers.values()] or [self._prepared_to]
        )
        if position != self._receipted_to:
            with self.database.transaction():
                self.database.set_position("", position)
                self.database.delete_delivered(min(delivered_by_all, position))
            self._receipted_to = position
            self._cache.discard(delivered_by_all)
        self._skip_dead_outputs(position)

    def undelivered(self) -> int:
        """Return how many prepared records a required output has not been given, at most."""
        required = [self.workers[name] for name in self._settings.required & self.workers.keys()]
        return max([self._prepared_to - worker.given_to for worker in required], default=0)

    def _skip_dead_outputs(self, position: int) -> None:
        for name, worker in self.workers.items():
            is_too_far_behind = position - worker.position > self._settings.optional_backlog
            if is_too_far_behind and name not in self._settings.required:
                worker.skip_to(position - self._settings.optional_backlog)

    def counts(self) -> dict[str, int]:
        """Return the counters. A name that ends in `_now` is a level."""
        counts = {**self.ingest.counts, **self.preparer.counts}
        counts["uptime_conflicts"] = self.preparer.run_clocks.conflicts
        counts["waiting_now"] = self.receipts.waiting_count()
        for name, worker in self.workers.items():
            counts[f"output_{name}_delivered"] = worker.delivered
            counts[f"output_{name}_refused"] = worker.refused
            counts[f"output_{name}_skipped"] = worker.skipped
            counts[f"output_{name}_ignored"] = worker.output.ignored
            is_failing = worker.is_failing() or bool(worker.output.problem)
            counts[f"output_{name}_failing_now"] = int(is_failing)
            counts[f"output_{name}_backlog_now"] = max(0, self._prepared_to - worker.position)
        return counts
