# SPDX-License-Identifier: Apache-2.0
"""The log of the unit as a source of datagrams, beside the queue of alarms.

Does not store records; see `agent.log.sender`.

Alarms are sent immediately from the queue, in a few bytes. The records of the log follow in its
order: alarm records and live blocks, events, backlog. They are sent as datagrams only while MQTT is
not connected, because MQTT costs nothing. Only the ground relay lets the log delete. Without a key
the acknowledgement of the gateway does not count, and the log waits for receipts
(`Sender.on_receipt`).
"""

from protocols.datagram import ALARM, BULK, EVENT, LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from agent.core.context import Context
    from agent.satcom.ram_queue import RamQueue

    class RecordSender(Protocol):
        """The service `sender`: records of the log; see `agent.log.sender`."""

        receipt_timeout_us: int

        def set_receipt_timeout(self, timeout_us: int) -> None:
            """Set the time-out of the next receipts."""
            ...

        def next(self, limit: int, groups: "tuple[int, ...]") -> "tuple[list[int], bytes]":
            """Return the next records of the classes `groups`, at most `limit` bytes."""
            ...

        def mark_accepted(self, numbers: "Sequence[int]") -> None:
            """Start the time-out of the receipt for delivered records."""
            ...

        def mark_acknowledged(self, numbers: "Sequence[int]") -> None:
            """Mark records as stored by the ground relay."""
            ...

        def on_receipt(self, data: bytes, now: int) -> None:
            """Handle a receipt of the ground relay."""
            ...


_LOG_CLASSES: "dict[int, tuple[int, ...]]" = {LIVE: (ALARM, LIVE), EVENT: (EVENT,), BULK: (BULK,)}
"""Class of a datagram -> classes of the log in it."""


class DatagramSource:
    """The source; see the module. Ids of the queue are negative here, ids of the log positive."""

    def __init__(
        self,
        agent: "Context",
        sender: "RecordSender",
        queue: "RamQueue",
        timeout_us: int,
        authenticated: bool,
    ) -> None:
        self._agent = agent
        self._sender = sender
        self._queue = queue
        self._satcom_timeout_us = timeout_us
        self._mqtt_timeout_us = sender.receipt_timeout_us
        self._authenticated = authenticated

    def _mqtt_is_down(self) -> bool:
        """Return whether MQTT is down. The receipt time-out depends on the link in use."""
        uplink = self._agent.uplink
        is_down = uplink is None or not uplink.connected
        self._sender.set_receipt_timeout(
            self._satcom_timeout_us if is_down else self._mqtt_timeout_us
        )
        return is_down

    def next(self, limit: int, classes: "tuple[int, ...]") -> "tuple[list[int], bytes] | None":
        """Return the next content of the first class that has one."""
        for datagram_class in classes:
            queued = self._queue.next(limit, (datagram_class,))
            if queued is not None:
                ids, content = queued
                return [-record_id for record_id in ids], content
            if datagram_class in _LOG_CLASSES and self._mqtt_is_down():
                ids, content = self._sender.next(limit, _LOG_CLASSES[datagram_class])
                if content:
                    return ids, content
        return None

    def oldest_queued_at(self, datagram_class: int) -> "int | None":
        """Return the time of the oldest content in the queue."""
        return self._queue.oldest_queued_at(datagram_class)

    def mark_accepted(self, ids: "list[int]") -> None:
        """The gateway has accepted the records: start the time-out of their receipt."""
        self._sender.mark_accepted([record_id for record_id in ids if record_id > 0])

    def mark_acknowledged(self, ids: "list[int]") -> None:
        """Drop acknowledged records. The log drops them only for the ground relay."""
        self._queue.mark_acknowledged([-record_id for record_id in ids if record_id < 0])
        if self._authenticated:
            self._sender.mark_acknowledged([record_id for record_id in ids if record_id > 0])
