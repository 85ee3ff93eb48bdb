# SPDX-License-Identifier: Apache-2.0
"""Transfer of messages: split into datagrams, number, send part by part, repeat until acknowledged.

Does not queue contents (see `agent.satcom.ram_queue` and `agent.satcom.datagram_source`) and does
not control the radio. At most one message of a class is in progress, so an alarm can be sent
between two parts of a long message. The numbers come from a stored range and none is used twice. So
the ground relay can detect a repetition. A message stays until the ground relay acknowledges it. If
that takes too long, the message is sent again under the same number.
"""

from protocols import datagram
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class ContentSource(Protocol):
        """The source of the contents."""

        def next(  # noqa: D102
            self, limit: int, classes: "tuple[int, ...]"
        ) -> "tuple[list[int], bytes] | None": ...
        def mark_accepted(self, ids: "list[int]") -> None: ...  # noqa: D102
        def mark_acknowledged(self, ids: "list[int]") -> None: ...  # noqa: D102
        def oldest_queued_at(self, kind: int) -> "int | None": ...  # noqa: D102


_MAX_REJECTIONS = 3
"""Of a message that the gateway or the modem rejects for what it is."""
MAX_UNACKED = 16
"""Largest number of alarm messages without an acknowledgement, and of all others together."""


class OutgoingMessage:
    """A message. `queued_at`: time of its content; `sent_at`: when its last part was accepted."""

    def __init__(self, kind: int, number: int, ids: "list[int]", parts: "list[bytes]") -> None:
        self.kind = kind
        self.number = number
        self.ids = ids
        self.parts = parts
        self.part_index = 0
        self.tries = self.rejections = self.repeats = 0
        self.sent_at: int | None = None
        self.queued_at: int | None = None


class MessageTransfer:
    """Messages in progress and without an acknowledgement. `largest`: bytes of a datagram."""

    def __init__(self, source: "ContentSource", largest: int, key: bytes, unit: str) -> None:
        self._source = source
        self.next_number = 0
        self.forged = 0
        self.replayed = 0
        self.acknowledged = 0
        self.repeated = self.rejected = 0
        self._largest = largest
        self._key = key
        self._unit = unit
        self._in_progress: list[OutgoingMessage | None] = [None, None, None, None]
        self.unacknowledged: list[OutgoingMessage] = []
        self.min_number = self.newest_number = -1
        """Highest rejected number of a message from the ground relay; last accepted number."""
        self._received_numbers: list[int] = []

    def set_source(self, source: "ContentSource") -> None:
        """Take the contents from `source`."""
        self._source = source

    def start_numbers(self, first: int) -> None:
        """Start with the number `first`, unless messages have a number already."""
        if not self.next_number and first:
            self.next_number = first

    def reject_up_to(self, number: int) -> None:
        """Reject messages from the ground relay up to `number`."""
        self.min_number = max(self.min_number, number)

    def next_message(
        self, classes: "tuple[int, ...]", number_limit: int, max_bytes: int
    ) -> "OutgoingMessage | None":
        """Return the message with the next part to send. Numbers from `number_limit` on are not
        used.
        """
        for kind in classes:
            self._put_back_repeat(kind)
            if self._in_progress[kind] is not None:
                return self._in_progress[kind]
            if self.next_number >= number_limit or not self._has_room(kind):
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

    def _put_back_repeat(self, kind: int) -> None:
        """A new alarm comes before one that is repeated and not begun again."""
        message = self._in_progress[kind]
        if kind != datagram.ALARM or message is None or not message.repeats:
            return
        if not message.part_index and self._source.oldest_queued_at(kind) is not None:
            self._in_progress[kind] = None
            message.sent_at = 0
            self.unacknowledged.insert(0, message)

    def _unacknowledged_like(self, kind: int) -> "list[OutgoingMessage]":
        """Return the alarm messages without an acknowledgement, or all others."""
        is_alarm = kind == datagram.ALARM
        return [one for one in self.unacknowledged if (one.kind == datagram.ALARM) == is_alarm]

    def _has_room(self, kind: int) -> bool:
        """Return whether a new message can be sent. An alarm always can: no acknowledgement comes
        from a ground relay that is down, or that has no way to this unit.
        """
        return kind == datagram.ALARM or len(self._unacknowledged_like(kind)) < MAX_UNACKED

    def is_in_progress(self, kind: int) -> bool:
        """Return whether a message of `kind` is partly sent."""
        return self._in_progress[kind] is not None

    def oldest_waiting_at(self, kind: int) -> "int | None":
        """Return the time of the oldest content of `kind` that is not sent."""
        message = self._in_progress[kind]
        return self._source.oldest_queued_at(kind) if message is None else message.queued_at

    def on_part_sent(self, message: OutgoingMessage, now: int) -> bool:
        """Handle a part that the gateway has accepted. Return True if it was the last one."""
        message.part_index += 1
        if message.part_index < len(message.parts):
            return False
        self._in_progress[message.kind] = None
        message.sent_at = now
        self._source.mark_accepted(message.ids)
        if self._key:
            self.unacknowledged.append(message)
            same = self._unacknowledged_like(message.kind)
            if len(same) > MAX_UNACKED:
                self._give_up(same[0])
        else:
            self._complete(message)
        return True

    def on_part_rejected(self, message: OutgoingMessage, now: int) -> None:
        """Handle a part that is rejected for what it is: the next messages do not wait for ever.

        With a key the message is repeated later, as one without an acknowledgement. Without a key
        it is lost; the records of the log stay there.
        """
        message.rejections += 1
        if message.rejections < _MAX_REJECTIONS:
            return
        self.rejected += 1
        message.rejections = 0
        self._in_progress[message.kind] = None
        message.sent_at = now
        self._source.mark_accepted(message.ids)
        if self._key:
            self.unacknowledged.append(message)
        else:
            self._source.mark_acknowledged(message.ids)

    def _give_up(self, message: OutgoingMessage) -> None:
        """Repeat an alarm message no more. The gateway has it; a new alarm needs its place."""
        self.unacknowledged.remove(message)
        self._source.mark_acknowledged(message.ids)

    def _complete(self, message: OutgoingMessage) -> None:
        self.acknowledged += 1
        self._source.mark_acknowledged(message.ids)

    def repeat_overdue(self, now: int, timeout_us: int, may_repeat_alarms: bool = True) -> None:
        """Send a message again that was not acknowledged in time; an alarm only if no new waits."""
        waits = self._source.oldest_queued_at(datagram.ALARM) is not None
        for message in self.unacknowledged:
            if message.kind == datagram.ALARM and (waits or not may_repeat_alarms):
                continue
            class_is_free = self._in_progress[message.kind] is None
            if (
                message.sent_at is not None
                and now - message.sent_at >= timeout_us
                and class_is_free
            ):
                self.unacknowledged.remove(message)
                self.repeated += 1
                message.repeats += 1
                message.part_index = 0
                message.sent_at = None
                self._in_progress[message.kind] = message
                return

    def raise_min_number(self, number: int) -> None:
        """Reject messages from the ground relay up to `number`."""
        self.min_number = max(self.min_number, number)

    def on_datagram(self, data: bytes) -> bytes:
        """Handle a datagram of the ground relay. Return the content of a message for this unit."""
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
