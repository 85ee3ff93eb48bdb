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

    class ContentSource(Protocol):
        """Where contents come from."""

        def next(  # noqa: D102
            self, limit: int, classes: "tuple[int, ...]"
        ) -> "tuple[list[int], bytes] | None": ...
        def mark_accepted(self, ids: "list[int]") -> None: ...  # noqa: D102
        def mark_acknowledged(self, ids: "list[int]") -> None: ...  # noqa: D102
        def oldest_queued_at(self, kind: int) -> "int | None": ...  # noqa: D102


MAX_UNACKED = 16
"""Messages that may wait for an acknowledgement of the ground."""


class OutgoingMessage:
    """One message. `since`: when its content came; `sent_at`: when its last part was accepted."""

    def __init__(self, kind: int, number: int, ids: "list[int]", parts: "list[bytes]") -> None:
        self.kind = kind
        self.number = number
        self.ids = ids
        self.parts = parts
        self.part_index = 0
        self.tries = 0
        self.sent_at: int | None = None
        self.queued_at: int | None = None


class MessageTransfer:
    """What is on its way and what waits for the ground. `largest`: bytes of a datagram."""

    def __init__(self, source: "ContentSource", largest: int, key: bytes, unit: str) -> None:
        self._source = source
        self.next_number = 0
        self.forged = 0
        self.replayed = 0
        self.acknowledged = 0
        self.repeated = 0
        self._largest = largest
        self._key = key
        self._unit = unit
        self._in_progress: list[OutgoingMessage | None] = [None, None, None, None]
        self.unacknowledged: list[OutgoingMessage] = []
        self.min_number = self.newest_number = -1
        """Numbers from the ground up to `min_number` are refused; the last one that was taken."""
        self._received_numbers: list[int] = []

    def set_source(self, source: "ContentSource") -> None:
        """Take contents from `source` from now on."""
        self._source = source

    def next_message(
        self, classes: "tuple[int, ...]", number_limit: int, max_bytes: int
    ) -> "OutgoingMessage | None":
        """Give the message whose next part is to go; `number_limit`: those below may be used."""
        for kind in classes:
            if self._in_progress[kind] is not None:
                return self._in_progress[kind]
            if self.next_number >= number_limit or len(self.unacknowledged) >= MAX_UNACKED:
                continue
            queued_at = self._source.oldest_queued_at(kind)
            content_and_ids = self._source.next(max_bytes, (kind,))
            if content_and_ids is not None:
                ids, content = content_and_ids
                number = self.next_number % datagram.SEQUENCE_MODULUS
                parts = datagram.split(kind, number, content, self._largest)
                self._in_progress[kind] = message = OutgoingMessage(kind, number, ids, parts)
                message.queued_at = queued_at
                self.next_number += 1
                return message
        return None

    def is_in_progress(self, kind: int) -> bool:
        """Say whether a message of `kind` is half sent."""
        return self._in_progress[kind] is not None

    def oldest_waiting_at(self, kind: int) -> "int | None":
        """Give the time at which the oldest content of `kind` that is not sent came."""
        message = self._in_progress[kind]
        return self._source.oldest_queued_at(kind) if message is None else message.queued_at

    def on_part_sent(self, message: OutgoingMessage, now: int) -> bool:
        """The gateway has a part; True when it was the last."""
        message.part_index += 1
        if message.part_index < len(message.parts):
            return False
        self._in_progress[message.kind] = None
        message.sent_at = now
        self._source.mark_accepted(message.ids)
        if self._key:
            self.unacknowledged.append(message)
        else:
            self._complete(message)
        return True

    def _complete(self, message: OutgoingMessage) -> None:
        self.acknowledged += 1
        self._source.mark_acknowledged(message.ids)

    def repeat_overdue(self, now: int, timeout_us: int) -> None:
        """Send once more what the ground has not acknowledged in time."""
        for message in self.unacknowledged:
            class_is_free = self._in_progress[message.kind] is None
            if (
                message.sent_at is not None
                and now - message.sent_at >= timeout_us
                and class_is_free
            ):
                self.unacknowledged.remove(message)
                self.repeated += 1
                message.part_index = 0
                message.sent_at = None
                self._in_progress[message.kind] = message
                return

    def raise_min_number(self, number: int) -> None:
        """Reject numbers from the ground up to `number`."""
        self.min_number = max(self.min_number, number)

    def on_datagram(self, data: bytes) -> bytes:
        """Take a datagram from the ground; give its content if it is a message for this unit."""
        try:
            body = datagram.verify_body(self._key, self._unit, data) if self._key else b""
        except DecodeError:
            body = b""
        if not body:
            self.forged += 1
            return b""
        if body[0] == datagram.MESSAGE:
            number = int.from_bytes(body[1:4], "big")
            is_old = number <= self.min_number or number < (self._received_numbers or [0])[0]
            if len(body) < 5 or is_old or number in self._received_numbers:
                self.replayed += 1
                return b""
            self._received_numbers = sorted(self._received_numbers + [number])[-16:]
            self.newest_number = number
            return body[4:]
        try:
            ranges = datagram.parse_ack(body)
        except DecodeError:
            self.forged += 1
            return b""
        known = False
        for message in list(self.unacknowledged):
            for first, count in ranges:
                if (message.number - first) % datagram.SEQUENCE_MODULUS <= count:
                    known = True
                    self.unacknowledged.remove(message)
                    self._complete(message)
                    break
        self.replayed += not known
        return b""
