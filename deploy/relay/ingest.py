# SPDX-License-Identifier: Apache-2.0
"""Ingest: stores new records of telemetry messages and makes the receipts.

Does not connect to a broker. `satcom_envelope` decodes the datagrams of a satellite carrier first.
Each batch of messages is one transaction; the receipts of a batch are valid after it. An unknown
message is counted and discarded. A block with an unknown schema is stored, and the receipt requests
the schema from the unit.
"""

import sqlite3
from dataclasses import dataclass, field

from deploy.relay import row_format, satcom_envelope
from deploy.relay.database import Entry, RelayDatabase
from deploy.relay.row_format import Rows
from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block, receipt, schema
from protocols.telemetry import message as telemetry_message

_BLOCKS = (telemetry_message.ROWS, telemetry_message.SUMMARY)


@dataclass(slots=True)
class BatchResult:
    """Result of a batch: receipts by unit, records for the outputs.

    For datagrams: `acks` are the numbers to acknowledge. `downlink_receipts` are receipts that no
    acknowledgement replaces; the gateway must send them.
    """

    receipts: list[tuple[str, bytes]] = field(default_factory=list)
    acks: list[tuple[str, int]] = field(default_factory=list)
    downlink_receipts: list[tuple[str, bytes]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Ingest:
    """Stores messages in `database`; `keys`: the secret of the receipts, by unit."""

    def __init__(self, database: RelayDatabase, keys: dict[str, bytes]) -> None:
        self.counts = {
            "messages": 0,
            "datagrams": 0,
            "bad_messages": 0,
            "records": 0,
            "duplicates": 0,
            "bad_blocks": 0,
            "values": 0,
            "undated_rows": 0,
            "store_errors": 0,
        }
        self._database = database
        self._keys = keys

    def ingest_batch(self, messages: list[tuple[str, bytes]]) -> BatchResult:
        """Store (unit, message) in one transaction. Raises sqlite3.Error if nothing is stored."""
        counts_before = dict(self.counts)
        result = BatchResult()
        ranges: dict[tuple[str, bytes], list[tuple[int, int, int]]] = {}
        missing_schema: set[str] = set()
        satellite_units: set[str] = set()
        try:
            with self._database.transaction():
                for unit, message in messages:
                    is_datagram = satcom_envelope.is_datagram(message)
                    content = (
                        self._open_datagram(unit, message, result, satellite_units)
                        if is_datagram
                        else message
                    )
                    if content or not is_datagram:
                        self._ingest_message(unit, content, result, ranges, missing_schema)
        except sqlite3.Error:
            self.counts = counts_before
            raise
        for (unit, generation), received in ranges.items():
            flags = receipt.SCHEMA_MISSING if unit in missing_schema else 0
            joined = _join_ranges(received)
            for at in range(0, len(joined), receipt.MAX_RANGES):
                part = receipt.Receipt(generation, flags, joined[at : at + receipt.MAX_RANGES])
                key = self._keys.get(unit, b"")
                result.receipts.append((unit, receipt.build_receipt(part, unit, key)))
                # The acknowledgement of a datagram covers its records, but it cannot request a
                # schema.
                if unit in satellite_units and (flags or not key):
                    result.downlink_receipts.append(result.receipts[-1])
        return result

    def _open_datagram(
        self, unit: str, message: bytes, result: BatchResult, satellite_units: set[str]
    ) -> bytes:
        """Decode a datagram, store its notes; return its telemetry message or b""."""
        try:
            decoded = satcom_envelope.decode_datagram(self._database, unit, message)
        except DecodeError:
            self.counts["bad_messages"] += 1
            return b""
        satellite_units.add(unit)
        self.counts["datagrams"] += 1
        self.counts["duplicates"] += decoded.is_duplicate
        if decoded.number is not None:
            result.acks.append((unit, decoded.number))
        for note in decoded.notes:
            entry_id = self._database.enqueue(unit, 0, telemetry_message.NOTE, note)
            result.entries.append((entry_id, unit, 0, telemetry_message.NOTE, note))
        return decoded.telemetry

    def _ingest_message(
        self,
        unit: str,
        message: bytes,
        result: BatchResult,
        ranges: dict[tuple[str, bytes], list[tuple[int, int, int]]],
        missing_schema: set[str],
    ) -> None:
        self.counts["messages"] += 1
        try:
            generation, records, chunk = telemetry_message.parse_message(message)
        except DecodeError:
            self.counts["bad_messages"] += 1
            return
        if chunk is not None:
            joined = self._database.add_chunk(
                unit, generation, chunk.number, chunk.index, chunk.count, chunk.data
            )
            if not joined:
                return
            records = [(chunk.number, joined[0], joined[1:])]
        for number, kind, payload in records:
            received = ranges.setdefault((unit, generation), [])
            if kind == telemetry_message.MERGED:
                new_records = self._ingest_merged(
                    unit, generation, number % telemetry_message.MERGED_OFFSET, payload, received
                )
            else:
                received.append((number & 3, number >> 2, number >> 2))
                is_new = number >> 2 and self._database.record_seen(unit, generation, number)
                new_records = [(number, kind, payload)] if is_new else []
                self.counts["duplicates"] += not is_new
            for record in new_records:
                self.counts["records"] += 1
                self._store_record(unit, *record, result, missing_schema)

    def _ingest_merged(
        self,
        unit: str,
        generation: bytes,
        number: int,
        content: bytes,
        received: list[tuple[int, int, int]],
    ) -> list[tuple[int, int, bytes]]:
        """Store a merged block: whole if all its blocks are new, otherwise only the new blocks."""
        try:
            count = merged_block.parse_header(content)[0]
        except DecodeError:
            self.counts["bad_blocks"] += 1
            return []
        received.append((number & 3, number >> 2, (number >> 2) + count - 1))
        numbers = [number + 4 * at for at in range(count)]
        new_numbers = [
            record_number
            for record_number in numbers
            if self._database.record_seen(unit, generation, record_number)
        ]
        self.counts["duplicates"] += count - len(new_numbers)
        if new_numbers == numbers:
            return [(number, telemetry_message.ROWS, merged_block.extract_block(content))]
        if not new_numbers:
            return []
        try:
            blocks = zip(numbers, merged_block.split_blocks(content), strict=True)
        except DecodeError:
            self.counts["bad_blocks"] += 1
            return []
        return [
            (record_number, telemetry_message.ROWS, block)
            for record_number, block in blocks
            if record_number in new_numbers
        ]

    def _store_record(
        self,
        unit: str,
        number: int,
        kind: int,
        payload: bytes,
        result: BatchResult,
        missing_schema: set[str],
    ) -> None:
        if kind == telemetry_message.SCHEMA:
            try:
                parsed = schema.parse_schema(payload)
                self._database.store_schema(parsed.number, parsed.text)
            except DecodeError:
                self.counts["bad_blocks"] += 1
            return
        if kind in _BLOCKS and not self._is_schema_known(payload):
            missing_schema.add(unit)
        entry_id = self._database.enqueue(unit, number, kind, payload)
        result.entries.append((entry_id, unit, number, kind, payload))

    def _is_schema_known(self, payload: bytes) -> bool:
        try:
            return self._database.schema(block.read_schema_number(payload)) is not None
        except DecodeError:
            return True  # cannot be decoded, so no schema is missing

    def decode(self, entry: Entry) -> Rows | None:
        """Decode a block; return None while its schema is unknown. Raises DecodeError."""
        _, unit, number, _, payload = entry
        text = self._database.schema(block.read_schema_number(payload))
        if text is None:
            return None
        decoded = row_format.read(unit, number, schema.parse_schema(text), payload)
        self.counts["values"] += len(decoded.values) * len(decoded.names)
        self.counts["undated_rows"] += decoded.undated
        return decoded


def _join_ranges(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join consecutive ids to ranges."""
    joined: list[tuple[int, int, int]] = []
    for group, first, last in sorted(set(ranges)):
        if joined and joined[-1][0] == group and first <= joined[-1][2] + 1:
            joined[-1] = (group, joined[-1][1], max(last, joined[-1][2]))
        elif first:
            joined.append((group, first, last))
    return joined
