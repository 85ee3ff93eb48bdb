"""The part `modem_store`: what the carrier must remember over a restart.

    day, bytes     of the budget. Written ahead: bytes stand here before they are spent, some more
                   than are needed, so that not every datagram costs a write. After a power cut
                   what was written counts as spent.
    numbers        messages may use numbers below this; after a start they go on here
    offsets        what was learned of the obstruction mask
    heard          the highest number of a message from the ground, in a record of its own

The first four stand in two records, written in turn, each a line of integers with a CRC; the newer
good one counts. With one broken, what may have been spent since the other is added; with both
broken the day counts as spent, and the numbers go on from the time of day. Nothing is sent before
the records were read: a budget that is not known is not exceeded.
"""

from agent.core.component import Part
from agent.core.json_writer import Object
from protocols.modem.checksum import crc16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions

KEYS = ("link.0", "link.1")
HEARD = "link.heard"
NUMBERS = 64
"""Numbers that are set aside by one write."""


class Record:
    """What is remembered."""

    def __init__(self, turn: int, day: int, spent: int, numbers: int) -> None:
        self.turn = turn
        self.day = day
        self.spent = spent
        self.numbers = numbers
        self.offsets: list[int] = []

    def text(self) -> bytes:
        """Write it."""
        values = [self.turn, self.day, self.spent, self.numbers] + self.offsets
        body = " ".join([str(value) for value in values]).encode()
        return body + b" %04x" % crc16(body)


def read(payload: bytes) -> "Record | None":
    """Read a record; None for a broken one."""
    body, _, check = payload.rpartition(b" ")
    try:
        if len(check) != 4 or int(check, 16) != crc16(body):
            return None
        values = [int(word) for word in body.split(b" ")]
    except ValueError:
        return None
    if len(values) < 4:
        return None
    record = Record(values[0], values[1], values[2], values[3])
    record.offsets = values[4:]
    return record


class Memory(Part):
    """See the module. `loaded`: the records were read; `broken`: how many of them were broken."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.loaded = False
        self.broken = 0
        self.fresh = False
        self.durable = Record(0, 0, 0, 0)
        self.writes = 0
        self.heard = self.first_heard = -1
        """Highest number from the ground that is durable; the same as it was at the start."""
        self._hear = self._hearing = -1
        self._wanted: Record | None = None
        self._writing: Record | None = None
        self._answers: list[bytes | None] = []
        self._open = False
        self._out: Actions = []

    def event(self, kind: str, now: int) -> None:
        """Take an event of the store."""
        if kind == "opened":
            self._open = True
            self._writing = None
            self._hearing = -1
            if not self.loaded:
                self._answers = []
                for key in KEYS + (HEARD,):
                    self._out.append((self.port, "get", key.encode()))
            self._write()
        elif kind == "drained":
            if self._writing is not None:
                self.durable, self._writing = self._writing, None
            elif self._hearing >= 0:
                self.heard, self._hearing = self._hearing, -1
            self._write()
        else:
            self._open = False
            self._writing = None
            self._hearing = -1

    def receive(self, data: bytes, now: int) -> None:
        """Take the answer to a `get`."""
        if self.loaded:
            return
        _, nul, payload = data.partition(b"\0")
        self._answers.append(payload if nul else None)
        if len(self._answers) == len(KEYS) + 1:
            self._load_heard(self._answers.pop())
            self._load()

    def _load_heard(self, payload: "bytes | None") -> None:
        body, _, check = (payload or b"").rpartition(b" ")
        if body and body.isdigit() and check == b"%04x" % crc16(body):
            self.heard = self.first_heard = int(body)

    def hear(self, number: int) -> None:
        """Ask for a number from the ground to be made durable; `heard` shows when it is."""
        self._hear = max(self._hear, number)
        self._write()

    def _load(self) -> None:
        there = [payload for payload in self._answers if payload is not None]
        records = [record for record in [read(payload) for payload in there] if record is not None]
        self.broken = len(there) - len(records)
        self.fresh = not there
        for record in records:
            if record.turn >= self.durable.turn:
                self.durable = record
        self.loaded = True

    def want(self, day: int, spent: int, numbers: int, offsets: "list[int]") -> None:
        """Ask for values to be made durable; `durable` shows when they are."""
        newest = self._writing or self.durable
        record = Record(newest.turn + 1, day, spent, numbers)
        record.offsets = list(offsets)
        self._wanted = record
        self._write()

    def _write(self) -> None:
        record = self._wanted
        busy = self._writing is not None or self._hearing >= 0
        if busy or not self._open or not self.loaded:
            return
        if record is None:
            self._write_heard()
            return
        self._wanted = None
        record.turn = self.durable.turn + 1
        self._writing = record
        self.writes += 1
        key = KEYS[record.turn % 2].encode()
        self._out.append((self.port, "write", key + b"\0" + record.text()))

    def _write_heard(self) -> None:
        if self._hear > self.heard:
            self._hearing = self._hear
            body = b"%d" % self._hear
            data = HEARD.encode() + b"\0" + body + b" %04x" % crc16(body)
            self._out.append((self.port, "write", data))

    def outbox(self) -> "Actions":
        """Hand over what the store is asked to do."""
        out, self._out = self._out, []
        return out

    def status(self, now: int) -> Object:
        """Count what was written, and how many records were broken at the start."""
        return Object([("writes", self.writes), ("broken", self.broken)])
