# SPDX-License-Identifier: Apache-2.0
"""Component `modem_store`: state of the satellite link that survives a restart.

Does not decide about spending; see `agent.satcom.spend_guard`.

    day, bytes     of the budget. Written ahead: bytes are stored before they are spent, in larger
                   amounts than needed, so that not each datagram needs a write. After a power cut
                   the stored bytes count as spent.
    numbers        limit: messages can use numbers below it; after a start they continue here
    offsets        learned corrections of the horizon mask
    received       highest number of a message from the ground relay: record `link.heard`
    place          region and configured position of a unit that is outside of the region: record
                   `link.place`, empty inside

The first three are in two records that are written in turn, each a line of integers with a CRC. The
newer valid one counts. If one is damaged, the amount that can have been spent since the other is
added. If both are damaged, the day counts as spent, and the numbers continue from UTC. Nothing is
sent before the records are read, so an unknown budget is never exceeded.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from protocols.modem.checksum import crc16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Actions
    from agent.core.context import Context
    from drivers.modems.regions.permit import Permit

RECORD_KEYS = ("link.0", "link.1")
RECEIVED_KEY = "link.heard"
PLACE_KEY = "link.place"
_TEXT_KEYS = (RECEIVED_KEY, PLACE_KEY)
NUMBERS_PER_WRITE = 64
"""Numbers that one write reserves."""


class LinkState:
    """The stored state: `day` of UTC since 1970, `spent` bytes of it, `numbers`: limit of the
    reserved message numbers, `offsets` of the horizon mask.
    """

    def __init__(self, sequence: int, day: int, spent: int, numbers: int) -> None:
        self.sequence = sequence
        self.day = day
        self.spent = spent
        self.numbers = numbers
        self.offsets: list[int] = []

    def encode(self) -> bytes:
        """Encode the record."""
        values = [self.sequence, self.day, self.spent, self.numbers] + self.offsets
        body = " ".join([str(value) for value in values]).encode()
        return body + b" %04x" % crc16(body)


def decode(payload: bytes) -> "LinkState | None":
    """Decode a record. None: it is damaged."""
    body, _, checksum = payload.rpartition(b" ")
    try:
        if len(checksum) != 4 or int(checksum, 16) != crc16(body):
            return None
        values = [int(word) for word in body.split(b" ")]
    except ValueError:
        return None
    if len(values) < 4:
        return None
    record = LinkState(values[0], values[1], values[2], values[3])
    record.offsets = values[4:]
    return record


def _encode_text(text: bytes) -> bytes:
    return text + b" %04x" % crc16(text)


def _decode_text(payload: "bytes | None") -> bytes:
    """Return the text of a record with a CRC; empty: there is none, or it is damaged."""
    text, _, checksum = (payload or b"").rpartition(b" ")
    return text if checksum == b"%04x" % crc16(text) else b""


class SatcomStore(Component):
    """The component; see the module. `loaded`: the records are read. `damaged_records`: damaged
    ones of the state.
    """

    PORTS = ("store",)
    PROVIDES = ("satcom_store",)

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.loaded = False
        self.damaged_records = 0
        self.is_empty = False
        self.has_failed = False
        """The last write failed, or the store is away."""
        self.durable = LinkState(0, 0, 0, 0)
        self.writes = 0
        self.received_number = self.initial_number = -1
        """Highest stored number from the ground relay, now and at the start."""
        self._place = b""
        self._place_restored = False
        self._texts: dict[str, bytes] = {}
        """Texts that are to be written, by key."""
        self._writing_text: tuple[str, bytes] | None = None
        self._requested: LinkState | None = None
        self._writing: LinkState | None = None
        self._replies: list[bytes | None] = []
        self._is_open = False
        self._out: Actions = []

    @property
    def satcom_store(self) -> "SatcomStore":
        """Return itself as the service of the store."""
        return self

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        if kind == "opened":
            self._is_open = True
            self._writing = self._writing_text = None
            if not self.loaded:
                self._replies = []
                for key in RECORD_KEYS + _TEXT_KEYS:
                    self._out.append((self.port, "get", key.encode()))
            self._write()
        elif kind == "drained":
            self.has_failed = False
            if self._writing is not None:
                self.durable, self._writing = self._writing, None
            elif self._writing_text is not None:
                self._on_text_written(self._writing_text)
            self._write()
        else:
            self._is_open = False
            self.has_failed = True
            self._writing = self._writing_text = None

    def _on_text_written(self, written: "tuple[str, bytes]") -> None:
        key, text = written
        self._writing_text = None
        if self._texts.get(key) == text:
            del self._texts[key]
        if key == RECEIVED_KEY:
            self.received_number = int(text)

    def receive(self, data: bytes, now: int) -> None:
        """Handle the answer to a `get`."""
        if self.loaded:
            return
        _, separator, payload = data.partition(b"\0")
        self._replies.append(payload if separator else None)
        if len(self._replies) == len(RECORD_KEYS) + len(_TEXT_KEYS):
            self._place = _decode_text(self._replies.pop())
            number = _decode_text(self._replies.pop())
            if number.isdigit():
                self.received_number = self.initial_number = int(number)
            self._load()

    def store_number(self, number: int) -> None:
        """Request that a received number is stored; `received_number` shows when it is."""
        if number > max(self.received_number, int(self._texts.get(RECEIVED_KEY, b"-1"))):
            self._texts[RECEIVED_KEY] = b"%d" % number
            self._write()

    def keep_place(self, permit: "Permit") -> None:
        """Give `permit` the place of before the start, then store each change of it."""
        if not self.loaded:
            return
        if not self._place_restored:
            self._place_restored = True
            permit.restore(self._place)
        if permit.place != self._place:
            self._place = self._texts[PLACE_KEY] = permit.place
            self._write()

    def _load(self) -> None:
        payloads = [payload for payload in self._replies if payload is not None]
        records = [
            record for record in [decode(payload) for payload in payloads] if record is not None
        ]
        self.damaged_records = len(payloads) - len(records)
        self.is_empty = not payloads
        for record in records:
            if record.sequence >= self.durable.sequence:
                self.durable = record
        self.loaded = True

    def store_state(self, day: int, spent: int, numbers: int, offsets: "list[int]") -> None:
        """Request that values are stored; `durable` shows when they are."""
        latest = self._writing or self.durable
        record = LinkState(latest.sequence + 1, day, spent, numbers)
        record.offsets = list(offsets)
        self._requested = record
        self._write()

    def _write(self) -> None:
        record = self._requested
        is_busy = self._writing is not None or self._writing_text is not None
        if is_busy or not self._is_open or not self.loaded:
            return
        if record is None:
            self._write_text()
            return
        self._requested = None
        record.sequence = self.durable.sequence + 1
        self._writing = record
        self.writes += 1
        key = RECORD_KEYS[record.sequence % 2].encode()
        self._out.append((self.port, "write", key + b"\0" + record.encode()))

    def _write_text(self) -> None:
        for key, text in self._texts.items():
            self._writing_text = (key, text)
            self._out.append((self.port, "write", key.encode() + b"\0" + _encode_text(text)))
            return

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        out, self._out = self._out, []
        return out

    def status(self, now: int) -> JsonObject:
        """Return the number of writes, and of damaged records at the start."""
        return JsonObject([("writes", self.writes), ("broken", self.damaged_records)])
