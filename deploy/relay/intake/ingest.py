# SPDX-License-Identifier: Apache-2.0
"""Ingest: stores new records of telemetry messages durably.

Does not connect to a broker, decode blocks (see `prepare`) or make receipts (see `receipts`).
`satcom_envelope` decodes the datagrams of a satellite carrier first. Each batch of messages is one
transaction. Each message is a part of it: an error of one message undoes only that message, which
goes to the quarantine. A message over the rate of its unit is discarded, and each message of a unit
whose quarantine is overfull.
"""

import sqlite3
import time
from dataclasses import dataclass, field

from deploy.relay.decode.prepare import MESSAGE, Preparer
from deploy.relay.intake import satcom_envelope
from deploy.relay.limits import (
    MAX_NUMBER,
    CpuBudget,
    RateLimiter,
    UnitLimits,
    count_by_unit,
    parse_schema,
)
from deploy.relay.records.database import Entry, RelayDatabase, record_class, record_id
from deploy.relay.records.quarantine import QuarantineTable
from deploy.relay.records.ranges import Range, join_ranges
from protocols.errors import DecodeError
from protocols.telemetry import merged_block
from protocols.telemetry import message as telemetry_message

UNKNOWN_MODEM = "modem"
"""In the place of a unit: of a modem that has none. Its messages: IMEI, a zero byte, datagram."""


@dataclass(slots=True)
class Received:
    """Result of a batch, durable.

    `entries`: new records in the outbox. `duplicates`: ranges of records that were received before.
    `pending_ids`: entries of such records that wait for an output; they have no receipt yet. For
    datagrams: `datagrams` has unit, number and the entries that the acknowledgement waits for.
    `throttled`: the messages that are not stored, by their place in the batch: over the rate of
    their unit, or over its quota in the quarantine.
    """

    entries: list[Entry] = field(default_factory=list)
    duplicates: list[tuple[str, bytes, Range]] = field(default_factory=list)
    datagrams: list[tuple[str, int, list[int]]] = field(default_factory=list)
    satellite_units: set[str] = field(default_factory=set)
    pending_ids: list[int] = field(default_factory=list)
    throttled: set[int] = field(default_factory=set)


class Ingest:
    """Stores messages in `database`; records that no output can take go to the quarantine."""

    def __init__(
        self,
        database: RelayDatabase,
        quarantine: QuarantineTable,
        preparer: Preparer,
        limits: UnitLimits,
        budget: CpuBudget,
    ) -> None:
        self.counts = {
            "messages": 0,
            "datagrams": 0,
            "bad_messages": 0,
            "bad_names": 0,
            "unknown_modems": 0,
            "mailbox_checks": 0,
            "throttled": 0,
            "records": 0,
            "duplicates": 0,
            "bad_blocks": 0,
            "store_errors": 0,
            "failed_receipts": 0,
        }
        self.throttled_by_unit: dict[str, int] = {}
        self._database = database
        self._quarantine = quarantine
        self._preparer = preparer
        self._limits = limits
        self._rate = RateLimiter(limits)
        self._budget = budget

    def ingest_batch(
        self, messages: list[tuple[str, bytes]], check_limits: bool = True
    ) -> Received:
        """Store (unit, message) in one transaction. Raises sqlite3.Error if nothing is stored."""
        counts_before = dict(self.counts)
        received = Received()
        for place, (unit, message) in enumerate(messages):
            if check_limits and not self._admit(unit, message):
                received.throttled.add(place)
        try:
            with self._database.transaction():
                for place, (unit, message) in enumerate(messages):
                    if place in received.throttled:
                        continue
                    if not self._ingest_guarded(unit, message, received):
                        received.throttled.add(place)
        except sqlite3.Error:
            self.counts = counts_before
            raise
        return received

    def discards(self, unit: str) -> bool:
        """Return whether a message of a unit is discarded before it takes a place in a queue."""
        if not self._budget.is_exhausted(unit):
            return False
        self.count_throttled(unit)
        return True

    def count_throttled(self, unit: str) -> None:
        """Count a message that is discarded."""
        self.counts["throttled"] += 1
        count_by_unit(self.throttled_by_unit, unit)

    def _admit(self, unit: str, message: bytes) -> bool:
        is_within = self._rate.admit(unit, len(message)) and not self._budget.is_exhausted(unit)
        if is_within and not self._quarantine.is_overfull(unit):
            return True
        self.count_throttled(unit)
        return False

    def _ingest_guarded(self, unit: str, message: bytes, received: Received) -> bool:
        """Store one message, after an error in the quarantine. The unit pays for it."""
        start = time.thread_time()
        try:
            return self._ingest_or_hold(unit, message, received)
        finally:
            self._budget.charge(unit, time.thread_time() - start)

    def _ingest_or_hold(self, unit: str, message: bytes, received: Received) -> bool:
        if unit == UNKNOWN_MODEM:
            self.counts["unknown_modems"] += 1
            imei = message.partition(b"\0")[0].decode()
            return self._hold_message(unit, message, "modem", f"no --modem for IMEI {imei}", imei)
        part = Received(satellite_units=received.satellite_units)
        try:
            if len(message) > self._limits.message_bytes:
                raise DecodeError(f"a message of {len(message)} bytes")
            with self._database.savepoint():
                self._ingest_any(unit, message, part)
        except DecodeError as error:
            self.counts["bad_messages"] += 1
            return self._hold_message(unit, message, "message", str(error))
        except sqlite3.OperationalError:
            raise  # the disk, not the message
        except Exception as error:  # noqa: BLE001 - one bad unit must not stop the others
            self.counts["bad_messages"] += 1
            return self._hold_message(unit, message, "internal", repr(error))
        received.entries.extend(part.entries)
        received.duplicates.extend(part.duplicates)
        received.datagrams.extend(part.datagrams)
        return True

    def _hold_message(
        self, unit: str, message: bytes, reason: str, detail: str, key: str = ""
    ) -> bool:
        head = bytes(message[: self._limits.message_bytes])
        return self._quarantine.add(Entry(0, unit, b"", 0, 1, MESSAGE, head), reason, detail, key)

    def _ingest_any(self, unit: str, message: bytes, received: Received) -> None:
        if not satcom_envelope.is_datagram(message):
            self._ingest_message(unit, message, received)
            return
        decoded = satcom_envelope.decode_datagram(self._database, unit, message)
        received.satellite_units.add(unit)
        self.counts["datagrams"] += 1
        self.counts["duplicates"] += decoded.is_duplicate
        for note in decoded.notes:
            received.entries.append(
                self._database.enqueue(unit, b"", 0, 1, telemetry_message.JSON_EVENT, note)
            )
        if decoded.telemetry:
            self._ingest_message(unit, decoded.telemetry, received)
        if decoded.number is not None:
            ids = [entry.id for entry in received.entries] + received.pending_ids
            if decoded.is_duplicate:  # its notes can still wait for an output
                ids += self._database.pending_notes(unit)
            received.datagrams.append((unit, decoded.number, ids))

    def _ingest_message(self, unit: str, message: bytes, received: Received) -> None:
        self.counts["messages"] += 1
        generation, records, chunk = telemetry_message.parse_message(message)
        if chunk is not None:
            if chunk.number >= 2 * MAX_NUMBER:
                raise DecodeError(f"record number {chunk.number}")
            joined = self._database.add_chunk(
                unit, generation, chunk.number, chunk.index, chunk.count, chunk.data
            )
            if not joined:
                return
            records = [(chunk.number, joined[0], joined[1:])]
        if len(records) > self._limits.records:
            raise DecodeError(f"a message of {len(records)} records")
        numbers = 0
        for number, kind, payload in records:
            if not number % MAX_NUMBER >= 4 or number >= 2 * MAX_NUMBER:
                raise DecodeError(f"record number {number}")
            numbers += self._ingest_record(
                unit, generation, number % MAX_NUMBER, kind, payload, received
            )
            if numbers > self._limits.numbers:
                raise DecodeError(f"a message of more than {self._limits.numbers} records")

    def _ingest_record(
        self,
        unit: str,
        generation: bytes,
        number: int,
        kind: int,
        payload: bytes,
        received: Received,
    ) -> int:
        """Store a record; return how many numbers it counts as."""
        if kind == telemetry_message.MERGED:
            return self._ingest_merged(unit, generation, number, payload, received)
        if self._mark(unit, generation, number, 1, received):
            self._store(unit, generation, number, 1, kind, payload, received)
        return 1

    def _mark(
        self, unit: str, generation: bytes, number: int, count: int, received: Received
    ) -> list[int]:
        """Mark `count` records; return the new numbers, add the others to `received`."""
        new = self._database.mark_received(unit, generation, number, count)
        if len(new) == count:
            return new
        self.counts["duplicates"] += count - len(new)
        first = record_id(number)
        known = set(range(first, first + count)).difference(map(record_id, new))
        for entry, low, high in self._database.pending_spans(unit, generation, number, count):
            if known.intersection(range(max(low, first), min(high, first + count - 1) + 1)):
                received.pending_ids.append(entry)
                known.difference_update(range(low, high + 1))
        spans = [(record_class(number), ident, ident) for ident in known]
        received.duplicates.extend((unit, generation, span) for span in join_ranges(spans))
        return new

    def _ingest_merged(
        self, unit: str, generation: bytes, number: int, content: bytes, received: Received
    ) -> int:
        """Store a merged block: whole if all its blocks are new, otherwise only the new blocks."""
        try:
            count = merged_block.parse_header(content)[0]
        except DecodeError as error:
            self._hold(unit, generation, number, telemetry_message.MERGED, content, str(error))
            return 1
        new = self._mark(unit, generation, number, count, received)
        if len(new) == count:
            self._store(
                unit, generation, number, count, telemetry_message.MERGED, content, received
            )
        elif new:
            try:
                numbers = range(number, number + 4 * count, 4)
                blocks = dict(zip(numbers, merged_block.split_blocks(content), strict=True))
            except (DecodeError, ValueError) as error:
                self._hold(unit, generation, number, telemetry_message.MERGED, content, str(error))
                return count
            for n in new:
                self._store(unit, generation, n, 1, telemetry_message.ROWS, blocks[n], received)
        return count

    def _hold(
        self, unit: str, generation: bytes, number: int, kind: int, payload: bytes, detail: str
    ) -> None:
        """Put a record into the quarantine whose numbers are not known: it has no receipt."""
        self.counts["bad_blocks"] += 1
        self._quarantine.add(Entry(0, unit, generation, number, 1, kind, payload), "block", detail)

    def _store(
        self,
        unit: str,
        generation: bytes,
        number: int,
        count: int,
        kind: int,
        payload: bytes,
        received: Received,
    ) -> None:
        self.counts["records"] += 1
        if kind == telemetry_message.SCHEMA:
            self._store_schema(unit, generation, number, payload, received)
            return
        entry = self._database.enqueue(unit, generation, number, count, kind, payload)
        received.entries.append(entry)

    def _store_schema(
        self, unit: str, generation: bytes, number: int, text: bytes, received: Received
    ) -> None:
        detail = "another text has this number"
        try:
            parsed = parse_schema(text)
            if self._database.store_schema(unit, parsed.number, parsed.text):
                self._preparer.release_schema(unit, parsed.number)
                detail = ""
        except DecodeError as error:
            detail = str(error)
        if detail:
            self.counts["bad_blocks"] += 1
            entry = Entry(0, unit, generation, number, 1, telemetry_message.SCHEMA, text)
            if not self._quarantine.add(entry, "text", detail):
                self._database.forget_record(entry)
                return
        # Stored, by either way: the unit can delete it.
        received.duplicates.append(
            (unit, generation, (record_class(number), record_id(number), record_id(number)))
        )
