# SPDX-License-Identifier: Apache-2.0
"""Select the next records of the log to send, and handle their receipts.

Does not transmit; a carrier does. A carrier with free capacity calls `next` for a message of at
most so many bytes, then it reports the result:

    ids, message = sender.next(340)       no record is ready: no ids, and b""
    sender.mark_accepted(ids)             the peer of the carrier has it: wait for a receipt
    sender.release(ids)                   the transmission failed: send it again
    sender.mark_acknowledged(ids)         the ground relay has stored it
    sender.on_receipt(data, now)          the same, as a receipt of the ground relay

Order: alarms, live rows, events, backlog; within a class the order of logging. A record without a
receipt after `receipt_timeout_us` is sent again; the time-out doubles after each attempt. The
ground relay drops duplicates. Only a receipt, or `mark_acknowledged`, lets the log delete a record.
"""

from agent.log.latency import LatencyHistogram
from agent.log.record_store import RecordStore
from protocols.errors import DecodeError
from protocols.telemetry import message, receipt
from protocols.telemetry.message import ALARM, BULK, CLASSES, EVENT, LIVE
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.log.class_index import ClassIndex
    from agent.log.segment import LogRecord

ORDER = (ALARM, LIVE, EVENT, BULK)
CHUNK_HEAD_BYTES = 18
"""Upper limit of the head of a message with a chunk, bytes."""
_NO_CHUNK = (0, 0)
_CHUNK_SHIFT = 1 << 48
"""`next` identifies a chunk by the number of its record plus this times (count * 2048 + index)."""
_MAX_CHUNKED = 32
"""Largest number of records in chunks whose acknowledged chunks are stored."""
_MAX_DOUBLINGS = 6
MAX_OUTSTANDING = 512
"""Largest number of records of a class that are sent and without a receipt."""


def _record_numbers(record: "LogRecord", group: int) -> "list[int]":
    """Return the numbers that a record covers."""
    return [ident * 4 + group for ident in range(record.ident, record.last_ident + 1)]


class Sender:
    """Takes messages from `record_store`. `key` is the secret that authenticates receipts; b"":
    none.
    """

    def __init__(self, record_store: RecordStore, key: bytes) -> None:
        self.record_store = record_store
        self.receipt_timeout_us = 60 * SECOND
        self.schema_missing = False
        self.max_records = 0
        """Records of a message; 0: any number."""
        self.forged_receipts = self.foreign_receipts = self.unsent_receipts = (
            self.redundant_receipts
        ) = self.resent_records = 0
        self._key = key
        self._chunk_key = _NO_CHUNK
        self._chunk_index = 0
        self._chunked_records: dict[int, list[int]] = {}
        """Record in chunks: number of chunks, its last id, one bit for each acknowledged chunk."""
        self.latency = LatencyHistogram(len(CLASSES))
        self._normal_timeout_us = self.receipt_timeout_us
        self._retry_at = [NEVER] * len(CLASSES)
        self._timeouts = [0] * len(CLASSES)

    def next(
        self, limit: int, groups: "Sequence[int]" = ORDER, max_single: int = 0
    ) -> "tuple[list[int], bytes]":
        """Return the next message of at most `limit` bytes, with records of `groups` in priority
        order.

        Returns no ids and b"" if no record is ready, or if the store must read one first; it then
        calls its listeners. A single record can make a message of `max_single` bytes. A longer
        record is sent in chunks, one for each call.
        """
        ids: list[int] = []
        record_store = self.record_store
        parts = [bytes(message.begin_message(message.PACK, record_store.generation))]
        size = len(parts[0])
        for group in groups if record_store.ready else ():
            class_index = record_store.class_indexes[group]
            while class_index.sent_to - class_index.acked_to < MAX_OUTSTANDING:
                ident = class_index.next_to_send()
                if not ident:
                    break
                record = self._find_record(class_index, ident)
                if record is None:
                    if not record_store.loading:
                        continue
                    record_store.advance(record_store.now)
                    return ids, b"".join(parts) if ids else b""
                room = limit if ids else max(limit, max_single)
                if size + message.MAX_RECORD_HEADER + len(record.payload) > room:
                    if ids:
                        return ids, b"".join(parts)
                    return self._next_chunk(class_index, record, room)
                # Joined once at the end: a board has no memory for a growing message.
                entry = bytearray()
                message.append_header(
                    entry, (record.ident * 4 + group, record.kind, record.payload)
                )
                parts.extend([bytes(entry), record.payload])
                size += len(entry) + len(record.payload)
                self._mark_sent(class_index, record)
                ids.extend(_record_numbers(record, group))
                if self.max_records and len(parts) > 2 * self.max_records:
                    return ids, b"".join(parts)
        return ids, b"".join(parts) if ids else b""

    def _find_record(self, class_index: "ClassIndex", ident: int) -> "LogRecord | None":
        """Return a record, or None if it is missing or expired."""
        record = self.record_store.find(class_index, ident)
        if (
            record is not None
            and class_index.ttl_s
            and self.record_store.stamp() - record.stamp > class_index.ttl_s
        ):
            class_index.expire(ident)
            return None
        return record

    def _mark_sent(self, class_index: "ClassIndex", record: "LogRecord") -> None:
        class_index.mark_sent(record.last_ident)
        carrier = int(self.receipt_timeout_us != self._normal_timeout_us)
        self.latency.sent(class_index.group, record.last_ident, record.stamp, carrier)
        if self._retry_at[class_index.group] == NEVER:
            self._retry_at[class_index.group] = self._retry_time(class_index.group)

    def _retry_time(self, group: int) -> int:
        """Return the time at which a receipt is overdue. The time-out doubles each time."""
        return self.record_store.now + (self.receipt_timeout_us << self._timeouts[group])

    def _next_chunk(
        self, class_index: "ClassIndex", record: "LogRecord", limit: int
    ) -> "tuple[list[int], bytes]":
        size = limit - CHUNK_HEAD_BYTES
        count = len(record.payload) // size + 1 if size > 0 else 0
        if not 0 < count <= message.MAX_FRAGMENTS:
            return [], b""
        entry = (record.ident * 4 + class_index.group, record.kind, record.payload)
        name = message.fragment_number(entry)
        key = (name, size)
        index = self._chunk_index if self._chunk_key == key else 0
        self._chunk_key, self._chunk_index = key, index + 1
        if self._chunked_records.get(name, (0,))[0] != count:
            if len(self._chunked_records) >= _MAX_CHUNKED:
                self._chunked_records.clear()
            self._chunked_records[name] = [count, record.last_ident, 0]
        if index + 1 == count:
            self._mark_sent(class_index, record)
            self._chunk_key = _NO_CHUNK
        return [name + (count << 11 | index) * _CHUNK_SHIFT], message.build_fragment(
            self.record_store.generation, entry, index, count, size
        )

    def set_receipt_timeout(self, timeout_us: int) -> None:
        """Set the time-out of the next receipts."""
        self.receipt_timeout_us = timeout_us

    def mark_accepted(self, numbers: "Sequence[int]") -> None:
        """Start the time-out of the receipt for records that a carrier has delivered.

        Only the oldest record of a class without a receipt counts. Newer records do not extend its
        time-out.
        """
        for number in numbers:
            group = number & 3
            ident = number % message.MERGED_OFFSET >> 2
            if (
                self._retry_at[group] != NEVER
                and ident <= self.record_store.class_indexes[group].acked_to
            ):
                self._retry_at[group] = self._retry_time(group)

    def release(self, numbers: "Sequence[int]") -> None:
        """Send records again that a carrier could not deliver."""
        for group in ORDER:
            if [number for number in numbers if number & 3 == group]:
                self._resend(group)

    def resend_all(self) -> None:
        """Send all records without a receipt again, after a carrier lost its connection."""
        for group in ORDER:
            self._resend(group)

    def _resend(self, group: int) -> None:
        self.resent_records += self.record_store.class_indexes[group].rewind_unacked()
        self._retry_at[group] = NEVER
        self._chunk_key = _NO_CHUNK

    def mark_acknowledged(self, numbers: "Sequence[int]") -> None:
        """Mark records as stored by the ground relay. A record in chunks counts when all chunks are
        acknowledged.
        """
        for number in numbers:
            chunk, name = divmod(number, _CHUNK_SHIFT)
            ident = last = name % message.MERGED_OFFSET >> 2
            if chunk:
                chunked = self._chunked_records.get(name)
                if chunked is None or chunked[0] != chunk >> 11:
                    continue
                chunked[2] |= 1 << (chunk & 2047)
                last = chunked[1]
                if chunked[2] != (1 << chunked[0]) - 1:
                    continue
                self._chunked_records.pop(name)
            self._ack(name & 3, ident, last)
        self.record_store.advance(self.record_store.now)

    def on_receipt(self, data: bytes, now: int) -> None:
        """Handle a receipt. A forged receipt, or one of another log, is counted and changes
        nothing.
        """
        self.record_store.set_time(now)
        try:
            parsed = receipt.parse_receipt(data, self.record_store.unit, self._key)
        except DecodeError:
            self.forged_receipts += 1
            return
        if parsed.generation != self.record_store.generation:
            self.foreign_receipts += 1
            return
        self.schema_missing = self.schema_missing or bool(parsed.flags & receipt.SCHEMA_MISSING)
        new_counts = [self._ack(group, first, last) for group, first, last in parsed.ranges]
        self.redundant_receipts += not [new_count for new_count in new_counts if new_count]
        self.record_store.advance(now)

    def take_schema_request(self) -> bool:
        """Return whether the ground relay lacks the schema. Clears the request."""
        is_missing, self.schema_missing = self.schema_missing, False
        return is_missing

    def _ack(self, group: int, first: int, last: int) -> int:
        class_index = self.record_store.class_indexes[group]
        new_count = class_index.ack(first, last)
        if new_count < 0:
            self.unsent_receipts += 1
            return 0
        if new_count:
            self._timeouts[group] = 0
            stamp = self.record_store.stamp()
            self.latency.acknowledged(group, first, last, stamp, class_index.acked_to)
        if class_index.sent_to <= class_index.acked_to:
            self._retry_at[group] = NEVER
        elif new_count:
            self._retry_at[group] = self._retry_time(group)
        return new_count

    def wake(self, now: int) -> None:
        """Send records again whose receipt is overdue."""
        self.record_store.set_time(now)
        late = [group for group in ORDER if self._retry_at[group] <= now]
        for group in late:
            self._timeouts[group] = min(self._timeouts[group] + 1, _MAX_DOUBLINGS)
            self._resend(group)
        if late:
            for listener in self.record_store.listeners:
                listener(now)

    def deadline(self) -> int:
        """Return the time of the next `wake`."""
        return min(self._retry_at)
