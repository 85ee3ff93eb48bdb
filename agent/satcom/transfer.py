"""Messages on their way: cut into datagrams, numbered, sent part by part, acknowledged or again.

Not the queue (agent.satcom.ram_queue, or the log) and not the radio. At most one message of a class
is on its way, so that an alarm overtakes a long one between two of its parts. Numbers come from a
range that has been made durable; none is used twice, so that the ground can tell a repetition from
news. A message is kept until the ground has acknowledged it; what is not acknowledged in time goes
once more under its old number.
"""

from protocols import datagram
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Source(Protocol):
        """Where contents come from."""

        def next(  # noqa: D102
            self, limit: int, classes: "tuple[int, ...]"
        ) -> "tuple[list[int], bytes] | None": ...
        def accepted(self, ids: "list[int]") -> None: ...  # noqa: D102
        def acknowledged(self, ids: "list[int]") -> None: ...  # noqa: D102
        def since(self, kind: int) -> "int | None": ...  # noqa: D102


MOST_WAITING = 16
"""Messages that may wait for an acknowledgement of the ground."""


class Message:
    """One message. `since`: when its content came; `out_at`: when its last part was accepted."""

    def __init__(self, kind: int, number: int, ids: "list[int]", parts: "list[bytes]") -> None:
        self.kind = kind
        self.number = number
        self.ids = ids
        self.parts = parts
        self.index = 0
        self.tries = 0
        self.out_at: int | None = None
        self.since: int | None = None


class Messages:
    """What is on its way and what waits for the ground. `largest`: bytes of a datagram."""

    def __init__(self, source: "Source", largest: int, key: bytes, unit: str) -> None:
        self.source = source
        self.number = 0
        self.forged = 0
        self.replayed = 0
        self.acknowledged = 0
        self.repeated = 0
        self._largest = largest
        self._key = key
        self._unit = unit
        self._now: list[Message | None] = [None, None, None, None]
        self.waiting: list[Message] = []
        self.floor = self.newest = -1
        """Numbers from the ground up to `floor` are refused; the last one that was taken."""
        self._heard: list[int] = []

    def pick(self, classes: "tuple[int, ...]", numbers: int, longest: int) -> "Message | None":
        """Give the message whose next part is to go; `numbers`: those below may be used."""
        for kind in classes:
            if self._now[kind] is not None:
                return self._now[kind]
            if self.number >= numbers or len(self.waiting) >= MOST_WAITING:
                continue
            since = self.source.since(kind)
            found = self.source.next(longest, (kind,))
            if found is not None:
                ids, content = found
                number = self.number % datagram.NUMBERS
                parts = datagram.split(kind, number, content, self._largest)
                self._now[kind] = message = Message(kind, number, ids, parts)
                message.since = since
                self.number += 1
                return message
        return None

    def on_its_way(self, kind: int) -> bool:
        """Say whether a message of `kind` is half sent."""
        return self._now[kind] is not None

    def waits_since(self, kind: int) -> "int | None":
        """Give the time at which the oldest content of `kind` that is not sent came."""
        message = self._now[kind]
        return self.source.since(kind) if message is None else message.since

    def part_sent(self, message: Message, now: int) -> bool:
        """The gateway has a part; True when it was the last."""
        message.index += 1
        if message.index < len(message.parts):
            return False
        self._now[message.kind] = None
        message.out_at = now
        self.source.accepted(message.ids)
        if self._key:
            self.waiting.append(message)
        else:
            self._forget(message)
        return True

    def _forget(self, message: Message) -> None:
        self.acknowledged += 1
        self.source.acknowledged(message.ids)

    def overdue(self, now: int, patience: int) -> None:
        """Send once more what the ground has not acknowledged in time."""
        for message in self.waiting:
            free = self._now[message.kind] is None
            if message.out_at is not None and now - message.out_at >= patience and free:
                self.waiting.remove(message)
                self.repeated += 1
                message.index = 0
                message.out_at = None
                self._now[message.kind] = message
                return

    def heard(self, data: bytes) -> bytes:
        """Take a datagram from the ground; give its content if it is a message for this unit."""
        try:
            body = datagram.proven(self._key, self._unit, data) if self._key else b""
        except DecodeError:
            body = b""
        if not body:
            self.forged += 1
            return b""
        if body[0] == datagram.MESSAGE:
            number = int.from_bytes(body[1:4], "big")
            old = number <= self.floor or number < (self._heard or [0])[0]
            if len(body) < 5 or old or number in self._heard:
                self.replayed += 1
                return b""
            self._heard = sorted(self._heard + [number])[-16:]
            self.newest = number
            return body[4:]
        try:
            ranges = datagram.acknowledged(body)
        except DecodeError:
            self.forged += 1
            return b""
        known = False
        for message in list(self.waiting):
            for first, more in ranges:
                if (message.number - first) % datagram.NUMBERS <= more:
                    known = True
                    self.waiting.remove(message)
                    self._forget(message)
                    break
        self.replayed += not known
        return b""
