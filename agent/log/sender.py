"""What of the log leaves next, and what becomes of it: messages for any carrier, and receipts.

Not a carrier. A carrier that has room asks `next` for a message of at most so many bytes, and says
what became of it:

    ids, message = sender.next(340)       nothing ready: no ids, and b""
    sender.accepted(ids)                  the carrier's other side has it: wait for a receipt
    sender.released(ids)                  it did not get through: send it again
    sender.acknowledged(ids)              the ground has it for good
    sender.receipt(data, now)             the same, as the ground says it (`protocols.telemetry`)

Order: alarms, then live, events, backlog; in a class the order of logging. What has no receipt
after `patience_us` (twice as long after each time in vain) is sent again, and the ground drops what
it has twice. Only a receipt, or `acknowledged`, lets the log delete.
"""

from agent.log.record_store import Keeper
from protocols.errors import DecodeError
from protocols.telemetry import message, receipt
from protocols.telemetry.message import ALARM, BULK, CLASSES, EVENT, LIVE
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.log.class_index import Shelf
    from agent.log.segment import Record

ORDER = (ALARM, LIVE, EVENT, BULK)
PIECE_HEAD = 18
"""More bytes than the head of a message with a piece takes."""
_NO_PIECE = (0, 0)
_PIECE = 1 << 48
"""What `next` gives for a piece: its record's number, and (of * 2048 + place) times this."""
_MOST_CUT = 32
"""Records in pieces of which it is remembered which ones the ground has."""
_MOST_DOUBLINGS = 6
OUTSTANDING = 512
"""Records of a class that may be on their way without a receipt."""


def _numbers(record: "Record", group: int) -> "list[int]":
    """Give the numbers that a record stands for."""
    return [ident * 4 + group for ident in range(record.ident, record.last + 1)]


class Sender:
    """Takes messages from `keeper`; `key` is the secret that receipts are signed with, or b""."""

    def __init__(self, keeper: Keeper, key: bytes) -> None:
        self.keeper = keeper
        self.patience_us = 60 * SECOND
        self.lacks_schema = False
        self.forged = self.foreign = self.unsent = self.idle = self.resent = 0
        self._key = key
        self._piece = _NO_PIECE
        self._place = 0
        self._cut: dict[int, list[int]] = {}
        """Record in pieces: how many there are, its last id, a bit for each that the ground has."""
        self._retry = [NEVER] * len(CLASSES)
        self._fruitless = [0] * len(CLASSES)

    def next(
        self, limit: int, groups: "Sequence[int]" = ORDER, longest: int = 0
    ) -> "tuple[list[int], bytes]":
        """Give the next message of at most `limit` bytes, with records of `groups` by priority.

        Nothing and b"" when nothing is there, or has to be read first: then the keeper's listeners
        are called when it is. One record alone may make it `longest` bytes. One that is too long
        comes in pieces, one a call.
        """
        ids: list[int] = []
        keeper = self.keeper
        parts = [bytes(message.begin(message.PACK, keeper.life))]
        size = len(parts[0])
        for group in groups if keeper.ready else ():
            shelf = keeper.shelves[group]
            while shelf.sent_to - shelf.acked_to < OUTSTANDING:
                ident = shelf.to_send()
                if not ident:
                    break
                record = self._look_up(shelf, ident)
                if record is None:
                    if not keeper.loading:
                        continue
                    keeper.pump(keeper.now)
                    return ids, b"".join(parts) if ids else b""
                room = limit if ids else max(limit, longest)
                if size + message.OVERHEAD + len(record.payload) > room:
                    if ids:
                        return ids, b"".join(parts)
                    return self._next_piece(shelf, record, room)
                # Joined once at the end: a board has no room for a message that grows.
                entry = bytearray()
                message.head(entry, (record.ident * 4 + group, record.kind, record.payload))
                parts.extend([bytes(entry), record.payload])
                size += len(entry) + len(record.payload)
                self._sent(shelf, record.last)
                ids.extend(_numbers(record, group))
        return ids, b"".join(parts) if ids else b""

    def _look_up(self, shelf: "Shelf", ident: int) -> "Record | None":
        """Find a record that is still worth sending."""
        record = self.keeper.find(shelf, ident)
        if record is not None and shelf.ttl_s and self.keeper.stamp() - record.stamp > shelf.ttl_s:
            shelf.expired += 1
            shelf.give_up(ident)
            return None
        return record

    def _sent(self, shelf: "Shelf", ident: int) -> None:
        shelf.sent(ident)
        if self._retry[shelf.group] == NEVER:
            self._retry[shelf.group] = self._due(shelf.group)

    def _due(self, group: int) -> int:
        """Give when a receipt is late: each time in vain allows it twice as long as before."""
        return self.keeper.now + (self.patience_us << self._fruitless[group])

    def _next_piece(
        self, shelf: "Shelf", record: "Record", limit: int
    ) -> "tuple[list[int], bytes]":
        size = limit - PIECE_HEAD
        of = len(record.payload) // size + 1 if size > 0 else 0
        if not 0 < of <= message.MOST_PIECES:
            return [], b""
        entry = (record.ident * 4 + shelf.group, record.kind, record.payload)
        name = message.name_of(entry)
        now = (name, size)
        place = self._place if self._piece == now else 0
        self._piece, self._place = now, place + 1
        if self._cut.get(name, (0,))[0] != of:
            if len(self._cut) >= _MOST_CUT:
                self._cut.clear()
            self._cut[name] = [of, record.last, 0]
        if place + 1 == of:
            self._sent(shelf, record.last)
            self._piece = _NO_PIECE
        return [name + (of << 11 | place) * _PIECE], message.piece(
            self.keeper.life, entry, place, of, size
        )

    def accepted(self, numbers: "Sequence[int]") -> None:
        """A carrier has delivered records: their receipt has `patience_us` from now on.

        What counts is the oldest of a class without one: younger ones must not put it off.
        """
        for number in numbers:
            group = number & 3
            ident = number % message.OF_MERGED >> 2
            if self._retry[group] != NEVER and ident <= self.keeper.shelves[group].acked_to:
                self._retry[group] = self._due(group)

    def released(self, numbers: "Sequence[int]") -> None:
        """A carrier gives records back: they are sent again."""
        for group in ORDER:
            if [number for number in numbers if number & 3 == group]:
                self._again(group)

    def again(self) -> None:
        """Send again all that has no receipt: a carrier has lost its connection."""
        for group in ORDER:
            self._again(group)

    def _again(self, group: int) -> None:
        self.resent += self.keeper.shelves[group].again()
        self._retry[group] = NEVER
        self._piece = _NO_PIECE

    def acknowledged(self, numbers: "Sequence[int]") -> None:
        """The ground has records for good, or pieces: then all of them must come to be had."""
        for number in numbers:
            piece, name = divmod(number, _PIECE)
            ident = last = name % message.OF_MERGED >> 2
            if piece:
                cut = self._cut.get(name)
                if cut is None or cut[0] != piece >> 11:
                    continue
                cut[2] |= 1 << (piece & 2047)
                last = cut[1]
                if cut[2] != (1 << cut[0]) - 1:
                    continue
                self._cut.pop(name)
            self._ack(name & 3, ident, last)
        self.keeper.pump(self.keeper.now)

    def receipt(self, data: bytes, now: int) -> None:
        """Take the ground's receipt; a forged or foreign one is counted and changes nothing."""
        self.keeper.now = now
        try:
            said = receipt.read(data, self.keeper.where, self._key)
        except DecodeError:
            self.forged += 1
            return
        if said.life != self.keeper.life:
            self.foreign += 1
            return
        self.lacks_schema = self.lacks_schema or bool(said.flags & receipt.LACKS_SCHEMA)
        news = [self._ack(group, first, last) for group, first, last in said.ranges]
        self.idle += not [new for new in news if new]
        self.keeper.pump(now)

    def _ack(self, group: int, first: int, last: int) -> int:
        shelf = self.keeper.shelves[group]
        new = shelf.ack(first, last)
        if new < 0:
            self.unsent += 1
            return 0
        if new:
            self._fruitless[group] = 0
        if shelf.sent_to <= shelf.acked_to:
            self._retry[group] = NEVER
        elif new:
            self._retry[group] = self._due(group)
        return new

    def wake(self, now: int) -> None:
        """Send again what has waited too long for its receipt."""
        self.keeper.now = now
        late = [group for group in ORDER if self._retry[group] <= now]
        for group in late:
            self._fruitless[group] = min(self._fruitless[group] + 1, _MOST_DOUBLINGS)
            self._again(group)
        if late:
            for listener in self.keeper.listeners:
                listener(now)

    def deadline(self) -> int:
        """Give when `wake` wants to be called."""
        return min(self._retry)
