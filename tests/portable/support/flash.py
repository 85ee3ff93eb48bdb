"""Flash in the hand: a log's store that does one thing when told to, and loses its power when told.

Shared by the tests of the log, on both interpreters. `Unit` is a log (keeper and sender) on flash;
it can be killed and started anew. `Ground` keeps what arrives, as a relay does.
"""

from agent.log.record_store import Keeper
from agent.log.sender import Sender
from protocols.telemetry import merged_block, receipt
from protocols.telemetry import message as parcel
from protocols.time_units import MILLISECOND, SECOND

SETTINGS = {"bytes": 1 << 20, "segment_bytes": 1024, "live_ttl_s": 0, "bulk_ttl_s": 0}
WHERE = "s1/u1"


class Lcg:
    """Numbers that look random and are the same everywhere."""

    def __init__(self, seed):
        self.state = seed & 0x7FFFFFFF

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % limit


class Flash:
    """Records by key; `capacity` in bytes, or None."""

    def __init__(self):
        self.records = {}
        self.capacity = None
        self.done = 0

    def fits(self, op, payload):
        used = sum([len(record) for record in self.records.values()])
        return op == "delete" or self.capacity is None or used + len(payload) <= self.capacity

    def do(self, op, data):
        """Carry out one request; give its answer."""
        key, _, payload = data.partition(b"\0")
        self.done += 1
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

    def half(self, op, data, part):
        """The power goes while a request is carried out: `part` of 256 of it is done."""
        key, _, payload = data.partition(b"\0")
        if op == "append":
            self.do(op, key + b"\0" + payload[: len(payload) * part // 256])
        elif op in ("write", "delete") and part >= 128:
            self.do(op, data)


class Ground:
    """Takes messages; drops what it has; `kept` has payloads by number, `order` numbers as new."""

    def __init__(self, key=b""):
        self.key = key
        self.kept = {}
        self.order = []
        self.twice = 0
        self.pieces = {}
        self.life = b""

    def take(self, message):
        """Take a message; give the receipt for it."""
        self.life, records, piece = parcel.read(message)
        if piece is not None:
            parts = self.pieces.setdefault(piece.number, {})
            parts[piece.place] = piece.data
            if len(parts) < piece.of:
                return b""
            whole = b"".join([parts[place] for place in range(piece.of)])
            records = [(piece.number, whole[0], whole[1:])]
        ranges = []
        for number, kind, payload in undone(records):
            if number in self.kept:
                self.twice += 1
                assert self.kept[number] == (kind, payload), number
            else:
                self.kept[number] = (kind, payload)
                self.order.append(number)
            ranges.append((number & 3, number >> 2, number >> 2))
        return receipt.write(receipt.Receipt(self.life, 0, ranges), WHERE, self.key)


def undone(records):
    """Give the records that longer blocks were made of."""
    found = []
    for number, kind, payload in records:
        if kind == parcel.MERGED:
            first = number % parcel.OF_MERGED
            blocks = merged_block.split(payload)
            found.extend([(first + 4 * i, parcel.ROWS, each) for i, each in enumerate(blocks)])
        else:
            found.append((number, kind, payload))
    return found


class Unit:
    """A log on `flash`, started; `now` goes on."""

    def __init__(self, flash, now=5 * SECOND, settings=None, key=b""):
        self.flash = flash
        self.now = now
        self.settings = settings or SETTINGS
        self.key = key
        self.waiting = []
        self.start()

    def start(self):
        self.keeper = Keeper(WHERE, self.settings)
        self.sender = Sender(self.keeper, self.key)
        self.waiting = []
        self.keeper.event("opened", self.now)
        self.collect()

    def collect(self):
        self.waiting.extend(self.keeper.outbox())

    def step(self):
        """Carry out one request; False when there is none."""
        self.collect()
        if not self.waiting:
            return False
        self.now += 2 * MILLISECOND
        op, data = self.waiting.pop(0)
        _, _, payload = data.partition(b"\0")
        if op in ("write", "append") and not self.flash.fits(op, payload):
            self.keeper.event("full", self.now)
            self.keeper.event("failed", self.now)
            self.waiting = []
            return False
        answer = self.flash.do(op, data)
        if answer:
            self.keeper.receive(answer, self.now)
        self.keeper.event("drained", self.now)
        self.collect()
        return True

    def settle(self):
        while self.step():
            pass

    def kill(self, part):
        """Cut the power while the oldest request is carried out, then start anew."""
        if self.waiting:
            op, data = self.waiting[0]
            self.flash.half(op, data, part)
        self.now += SECOND
        self.start()

    def put(self, group, payload):
        self.keeper.put(group, parcel.NOTE, payload, self.now)
        self.collect()

    def send(self, ground, limit=1000, groups=(0, 1, 2, 3), most=1000):
        """Send until nothing is left; the receipts come at once."""
        count = 0
        while count < most:
            ids, message = self.sender.next(limit, groups)
            if not ids:
                if not self.step():
                    return count
                continue
            assert len(message) <= limit, (len(message), limit)
            count += 1
            said = ground.take(message)
            if said:
                self.sender.receipt(said, self.now)
            self.collect()
        return count
