# SPDX-License-Identifier: Apache-2.0
"""Receipts: what the relay tells the units, and when.

Does not send. The rule: a record has its receipt after every required output has acknowledged it,
or after it is in the quarantine. The acknowledgement of a datagram waits for all its records. The
list of waiting records is in memory only: after a restart a unit that misses a receipt sends the
record again, and the relay knows it as a duplicate.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from deploy.relay.intake.ingest import Received
from deploy.relay.records.database import Entry
from deploy.relay.records.ranges import Range, join_ranges
from protocols.telemetry import receipt

_Key = tuple[str, bytes]


@dataclass(slots=True)
class DueReceipts:
    """What to send now. `receipts`: by broker. `acks`, `downlink_receipts`: by message gateway."""

    receipts: list[tuple[str, bytes]] = field(default_factory=list)
    acks: list[tuple[str, int]] = field(default_factory=list)
    downlink_receipts: list[tuple[str, bytes]] = field(default_factory=list)


class Receipts:
    """Collects receipts; `keys`: the secret of the receipts, by unit.

    `is_on`: False: only requests for schemas; another group sends the receipts.
    """

    def __init__(self, keys: dict[str, bytes], is_on: bool = True) -> None:
        self._keys = keys
        self._is_on = is_on
        self._waiting: OrderedDict[int, Entry] = OrderedDict()
        self._datagrams: list[tuple[str, int, set[int]]] = []
        self._due: dict[_Key, list[Range]] = {}
        self._lacking_schema: set[str] = set()
        self._satellite_units: set[str] = set()

    def add(self, received: Received) -> None:
        """Add the result of a batch: new records wait, duplicates are due."""
        for entry in received.entries:
            self.wait_for(entry)
        if not self._is_on:
            return
        for unit, generation, span in received.duplicates:
            self._due.setdefault((unit, generation), []).append(span)
        self._satellite_units |= received.satellite_units
        waiting = {(unit, number) for unit, number, _ in self._datagrams}
        for unit, number, ids in received.datagrams:
            if (unit, number) not in waiting or ids:
                self._datagrams.append((unit, number, set(ids)))

    def wait_for(self, entry: Entry) -> None:
        """Add a record of the outbox that waits for the required outputs."""
        self._waiting[entry.id] = entry._replace(payload=b"")  # thousands can wait

    def advance(self, position: int) -> None:
        """All records up to the id `position` are delivered."""
        while self._waiting and next(iter(self._waiting)) <= position:
            self.done(self._waiting.popitem(last=False)[1])

    def done(self, entry: Entry) -> None:
        """A record is delivered or in the quarantine."""
        self._waiting.pop(entry.id, None)
        first = entry.record_id
        if self._is_on and first and entry.generation and not entry.output:
            span = (entry.record_class, first, first + entry.record_count - 1)
            self._due.setdefault((entry.unit, entry.generation), []).append(span)
        for _, _, ids in self._datagrams:
            ids.discard(entry.id)

    def drop(self, entry: Entry) -> None:
        """A record is not stored: no receipt, and no acknowledgement of its datagram."""
        self._waiting.pop(entry.id, None)
        self._datagrams = [kept for kept in self._datagrams if entry.id not in kept[2]]

    def request_schema(self, entry: Entry) -> None:
        """The next receipt of the unit asks for its schema."""
        self._lacking_schema.add(entry.unit)
        self._due.setdefault((entry.unit, entry.generation), [])

    def waiting_count(self) -> int:
        """Return how many records wait for an output."""
        return len(self._waiting)

    def take(self) -> DueReceipts:
        """Return the receipts that are due."""
        due = DueReceipts()
        ranges, self._due = self._due, {}
        for (unit, generation), spans in ranges.items():
            flags = receipt.SCHEMA_MISSING if unit in self._lacking_schema else 0
            joined = join_ranges(spans)
            for at in range(0, max(1, len(joined)), receipt.MAX_RANGES):
                part = receipt.Receipt(generation, flags, joined[at : at + receipt.MAX_RANGES])
                key = self._keys.get(unit, b"")
                message = (unit, receipt.build_receipt(part, unit, key))
                due.receipts.append(message)
                # The acknowledgement of a datagram covers its records, but it cannot request a
                # schema.
                if unit in self._satellite_units and (flags or not key):
                    due.downlink_receipts.append(message)
        self._lacking_schema.clear()
        waiting = []
        for unit, number, ids in self._datagrams:
            if ids:
                waiting.append((unit, number, ids))
            else:
                due.acks.append((unit, number))
        self._datagrams = waiting
        return due
