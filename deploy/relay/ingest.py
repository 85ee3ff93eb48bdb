"""Parcels in, receipts and records out: what is new is kept, what is known is only confirmed.

Not a connection. Datagrams of a satellite carrier are opened first (`envelope`). Messages are taken
in batches, each one transaction; the receipts of a batch are for after it. A message that is not
ours is counted and forgotten. A block whose schema is not known yet is kept, and its unit is asked
for the schema.
"""

import sqlite3
from dataclasses import dataclass, field

from deploy.relay import row_format, satcom_envelope
from deploy.relay.database import Entry, Memory
from deploy.relay.row_format import Rows
from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block, receipt, schema
from protocols.telemetry import message as parcel

_BLOCKS = (parcel.ROWS, parcel.SUMMARY)


@dataclass(slots=True)
class Taken:
    """What came of a batch: receipts by unit, records to hand on.

    Of datagrams: `acks` are numbers to be acknowledged, `down` receipts that must go down by the
    gateway, because no acknowledgement says the same.
    """

    receipts: list[tuple[str, bytes]] = field(default_factory=list)
    acks: list[tuple[str, int]] = field(default_factory=list)
    down: list[tuple[str, bytes]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Intake:
    """Takes messages into `memory`; `keys` are the secrets of the units' receipts, by unit."""

    def __init__(self, memory: Memory, keys: dict[str, bytes]) -> None:
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
        self._memory = memory
        self._keys = keys

    def take(self, messages: list[tuple[str, bytes]]) -> Taken:
        """Take (unit, message) in one transaction. Raises sqlite3.Error: then nothing was taken."""
        before = dict(self.counts)
        taken = Taken()
        ranges: dict[tuple[str, bytes], list[tuple[int, int, int]]] = {}
        lacks: set[str] = set()
        flown: set[str] = set()
        try:
            with self._memory.transaction():
                for unit, message in messages:
                    flew = satcom_envelope.looks_like(message)
                    inner = self._opened(unit, message, taken, flown) if flew else message
                    if inner or not flew:
                        self._message(unit, inner, taken, ranges, lacks)
        except sqlite3.Error:
            self.counts = before
            raise
        for (unit, life), said in ranges.items():
            flags = receipt.LACKS_SCHEMA if unit in lacks else 0
            joined = _joined(said)
            for at in range(0, len(joined), receipt.MOST_RANGES):
                part = receipt.Receipt(life, flags, joined[at : at + receipt.MOST_RANGES])
                key = self._keys.get(unit, b"")
                taken.receipts.append((unit, receipt.write(part, unit, key)))
                # An acknowledged datagram says the same of its records, but not what is lacking.
                if unit in flown and (flags or not key):
                    taken.down.append(taken.receipts[-1])
        return taken

    def _opened(self, unit: str, message: bytes, taken: Taken, flown: set[str]) -> bytes:
        """Open a datagram, keep its notes; give the parcel that is in it, or nothing."""
        try:
            opened = satcom_envelope.open_up(self._memory, unit, message)
        except DecodeError:
            self.counts["bad_messages"] += 1
            return b""
        flown.add(unit)
        self.counts["datagrams"] += 1
        self.counts["duplicates"] += opened.known
        if opened.number is not None:
            taken.acks.append((unit, opened.number))
        for note in opened.notes:
            ident = self._memory.post(unit, 0, parcel.NOTE, note)
            taken.entries.append((ident, unit, 0, parcel.NOTE, note))
        return opened.parcel

    def _message(
        self,
        unit: str,
        message: bytes,
        taken: Taken,
        ranges: dict[tuple[str, bytes], list[tuple[int, int, int]]],
        lacks: set[str],
    ) -> None:
        self.counts["messages"] += 1
        try:
            life, records, piece = parcel.read(message)
        except DecodeError:
            self.counts["bad_messages"] += 1
            return
        if piece is not None:
            whole = self._memory.piece(unit, life, piece.number, piece.place, piece.of, piece.data)
            if not whole:
                return
            records = [(piece.number, whole[0], whole[1:])]
        for number, kind, payload in records:
            said = ranges.setdefault((unit, life), [])
            if kind == parcel.MERGED:
                found = self._merged(unit, life, number % parcel.OF_MERGED, payload, said)
            else:
                said.append((number & 3, number >> 2, number >> 2))
                new = number >> 2 and self._memory.note(unit, life, number)
                found = [(number, kind, payload)] if new else []
                self.counts["duplicates"] += not new
            for each in found:
                self.counts["records"] += 1
                self._keep(unit, *each, taken, lacks)

    def _merged(
        self,
        unit: str,
        life: bytes,
        number: int,
        content: bytes,
        said: list[tuple[int, int, int]],
    ) -> list[tuple[int, int, bytes]]:
        """Take several blocks that were made one: whole if all are new, else those that are."""
        try:
            count = merged_block.head(content)[0]
        except DecodeError:
            self.counts["bad_blocks"] += 1
            return []
        said.append((number & 3, number >> 2, (number >> 2) + count - 1))
        numbers = [number + 4 * at for at in range(count)]
        new = [each for each in numbers if self._memory.note(unit, life, each)]
        self.counts["duplicates"] += count - len(new)
        if new == numbers:
            return [(number, parcel.ROWS, merged_block.longer_block(content))]
        if not new:
            return []
        try:
            blocks = zip(numbers, merged_block.split(content), strict=True)
        except DecodeError:
            self.counts["bad_blocks"] += 1
            return []
        return [(each, parcel.ROWS, block) for each, block in blocks if each in new]

    def _keep(
        self, unit: str, number: int, kind: int, payload: bytes, taken: Taken, lacks: set[str]
    ) -> None:
        if kind == parcel.SCHEMA:
            try:
                found = schema.parse(payload)
                self._memory.learn(found.number, found.text)
            except DecodeError:
                self.counts["bad_blocks"] += 1
            return
        if kind in _BLOCKS and not self._known(payload):
            lacks.add(unit)
        ident = self._memory.post(unit, number, kind, payload)
        taken.entries.append((ident, unit, number, kind, payload))

    def _known(self, payload: bytes) -> bool:
        try:
            return self._memory.schema(block.schema_of(payload)) is not None
        except DecodeError:
            return True  # it never will be

    def decode(self, entry: Entry) -> Rows | None:
        """Decode a block; None while its schema is not known. Raises DecodeError."""
        _, unit, number, _, payload = entry
        text = self._memory.schema(block.schema_of(payload))
        if text is None:
            return None
        found = row_format.read(unit, number, schema.parse(text), payload)
        self.counts["values"] += len(found.values) * len(found.names)
        self.counts["undated_rows"] += found.undated
        return found


def _joined(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join ids that follow each other."""
    joined: list[tuple[int, int, int]] = []
    for group, first, last in sorted(set(ranges)):
        if joined and joined[-1][0] == group and first <= joined[-1][2] + 1:
            joined[-1] = (group, joined[-1][1], max(last, joined[-1][2]))
        elif first:
            joined.append((group, first, last))
    return joined
