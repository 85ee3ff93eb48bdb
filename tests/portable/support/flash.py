# SPDX-License-Identifier: Apache-2.0
"""Flash under control of a test: executes one store request at a time, and can lose its power.

Shared by the tests of the log, on both interpreters. `LogUnit` is a log (record store and sender)
on flash; a test can kill it and start it again. `GroundModel` stores messages, as a relay does.
"""

from agent.log.record_store import RecordStore
from agent.log.sender import Sender
from protocols.telemetry import merged_block, message, receipt
from protocols.time_units import MILLISECOND, SECOND

SETTINGS = {"bytes": 1 << 20, "segment_bytes": 1024, "live_ttl_s": 0, "bulk_ttl_s": 0}
UNIT_PATH = "s1/u1"


class LogLcg:
    """Pseudo-random numbers, equal on every interpreter."""

    def __init__(self, seed):
        self.state = seed & 0x7FFFFFFF

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % limit


class LogFlash:
    """Records by key; `capacity` in bytes, or None."""

    def __init__(self):
        self.records = {}
        self.capacity = None
        self.operations = 0

    def fits(self, op, payload):
        used = sum([len(record) for record in self.records.values()])
        return op == "delete" or self.capacity is None or used + len(payload) <= self.capacity

    def execute(self, op, data):
        """Execute one request; return its answer."""
        key, _, payload = data.partition(b"\0")
        self.operations += 1
        if op == "write":
            self.records[key] = payload
        elif op == "append":
            self.records[key] = self.records.get(key, b"") + payload
        elif op == "delete":
            self.records.pop(key, None)
        elif op == "get":
            return key + b"\0" + self.records[key] if key in self.records else key
        else:
            return b"\0" + b"\0".join(sorted(self.records))
        return b""

    def execute_partly(self, op, data, part):
        """Cut the power during a request: `part` of 256 of it is done."""
        key, _, payload = data.partition(b"\0")
        if op == "append":
            self.execute(op, key + b"\0" + payload[: len(payload) * part // 256])
        elif op in ("write", "delete") and part >= 128:
            self.execute(op, data)


class GroundModel:
    """Accepts messages and drops duplicates; `received` has payloads by number, `order` new
    numbers.
    """

    def __init__(self, key=b""):
        self.key = key
        self.received = {}
        self.order = []
        self.duplicates = 0
        self.chunks = {}
        self.generation = b""

    def receive(self, packed):
        """Accept a message; return its receipt."""
        self.generation, records, chunk = message.parse_message(packed)
        if chunk is not None:
            parts = self.chunks.setdefault(chunk.number, {})
            parts[chunk.index] = chunk.data
            if len(parts) < chunk.count:
                return b""
            whole = b"".join([parts[place] for place in range(chunk.count)])
            records = [(chunk.number, whole[0], whole[1:])]
        ranges = []
        for number, kind, payload in split_merged(records):
            if number in self.received:
                self.duplicates += 1
                assert self.received[number] == (kind, payload), number
            else:
                self.received[number] = (kind, payload)
                self.order.append(number)
            ranges.append((number & 3, number >> 2, number >> 2))
        return receipt.build_receipt(
            receipt.Receipt(self.generation, 0, ranges), UNIT_PATH, self.key
        )


def split_merged(records):
    """Return the original records of merged blocks."""
    result = []
    for number, kind, payload in records:
        if kind == message.MERGED:
            first = number % message.MERGED_OFFSET
            blocks = merged_block.split_blocks(payload)
            result.extend([(first + 4 * i, message.ROWS, block) for i, block in enumerate(blocks)])
        else:
            result.append((number, kind, payload))
    return result


class LogUnit:
    """A started log on `flash`; its time is `now`."""

    def __init__(self, flash, now=5 * SECOND, settings=None, key=b""):
        self.flash = flash
        self.now = now
        self.settings = settings or SETTINGS
        self.key = key
        self.pending = []
        self.start()

    def start(self):
        self.record_store = RecordStore(UNIT_PATH, self.settings, self.make_compactor())
        self.sender = Sender(self.record_store, self.key)
        self.pending = []
        self.record_store.event("opened", self.now)
        self.collect()

    def make_compactor(self):
        return None

    def collect(self):
        self.pending.extend(self.record_store.outbox())

    def step(self):
        """Execute one request; return False if there is none."""
        self.collect()
        if not self.pending:
            return False
        self.now += 2 * MILLISECOND
        op, data = self.pending.pop(0)
        _, _, payload = data.partition(b"\0")
        if op in ("write", "append") and not self.flash.fits(op, payload):
            self.record_store.event("full", self.now)
            self.record_store.event("failed", self.now)
            self.pending = []
            return False
        answer = self.flash.execute(op, data)
        if answer:
            self.record_store.receive(answer, self.now)
        self.record_store.event("drained", self.now)
        self.collect()
        return True

    def run_until_idle(self):
        while self.step():
            pass

    def cut_power(self, part):
        """Cut the power during the oldest request, then start again."""
        if self.pending:
            op, data = self.pending[0]
            self.flash.execute_partly(op, data, part)
        self.now += SECOND
        self.start()

    def append(self, group, payload):
        self.record_store.append(group, message.JSON_EVENT, payload, self.now)
        self.collect()

    def send(self, ground, limit=1000, groups=(0, 1, 2, 3), max_messages=1000):
        """Send until nothing is left; the receipts come immediately."""
        count = 0
        while count < max_messages:
            ids, packed = self.sender.next(limit, groups)
            if not ids:
                if not self.step():
                    return count
                continue
            assert len(packed) <= limit, (len(packed), limit)
            count += 1
            receipt = ground.receive(packed)
            if receipt:
                self.sender.on_receipt(receipt, self.now)
            self.collect()
        return count
