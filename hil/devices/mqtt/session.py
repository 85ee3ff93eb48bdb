# SPDX-License-Identifier: Apache-2.0
"""The session of one MQTT client in the emulated broker: subscriptions and pending messages.

A session has packet ids, a window and a queue. Does not send; it returns packets. After a reconnect
it sends unconfirmed QoS 1 messages again, with the DUP flag.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hil.devices.mqtt import packets
from hil.devices.mqtt.packets import PacketType

MAX_QUEUED = 1000
MAX_INFLIGHT = 20
_RETAIN, _QOS1, _DUP = 1, 2, 8


@dataclass(frozen=True, slots=True)
class QueuedPublish:
    """A published message; `accepted_at_us` is the time at which the broker accepted it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    accepted_at_us: int = 0


@dataclass(slots=True)
class ClientSession:
    """One client's session; `conn` is its present connection, if any."""

    client_id: str
    clean: bool
    conn: int | None = None
    subscriptions: dict[str, int] = field(default_factory=dict)
    qos2_received: set[int] = field(default_factory=set)  # QoS 2 ids between PUBLISH and PUBREL
    dropped: int = 0
    _queue: deque[QueuedPublish] = field(default_factory=deque)
    _inflight: dict[int, QueuedPublish] = field(default_factory=dict)
    _last_id: int = 0

    def attach(self, conn: int) -> None:
        """Bind the session to connection `conn`."""
        self.conn = conn

    def detach(self) -> None:
        """Unbind the session from its connection."""
        self.conn = None

    def resume(self) -> list[bytes]:
        """Return the packets for a client that has reconnected."""
        resent = [_encode_publish(m, number, _DUP) for number, m in self._inflight.items()]
        return resent + self._fill_window()

    def enqueue(self, message: QueuedPublish) -> list[bytes]:
        """Return the packets to send now; a QoS 1 message can be queued or, if full, dropped."""
        if message.qos == 0:
            return [_encode_publish(message, 0)] if self.conn is not None else []
        if len(self._queue) >= MAX_QUEUED:
            self.dropped += 1
            return []
        self._queue.append(message)
        return self._fill_window()

    def acknowledge(self, number: int) -> list[bytes] | None:
        """Return the packets to send after confirmation of `number`; None for an unknown number."""
        if self._inflight.pop(number, None) is None:
            return None
        return self._fill_window()

    def _fill_window(self) -> list[bytes]:
        """Send queued messages up to the window size."""
        publishes = []
        while self._queue and self.conn is not None and len(self._inflight) < MAX_INFLIGHT:
            number = self._last_id % 0xFFFF + 1
            while number in self._inflight:
                number = number % 0xFFFF + 1
            self._last_id = number
            message = self._inflight[number] = self._queue.popleft()
            publishes.append(_encode_publish(message, number))
        return publishes


def _encode_publish(message: QueuedPublish, number: int, flags: int = 0) -> bytes:
    """Build the PUBLISH packet of a message; `number` 0 is QoS 0."""
    if message.retain:
        flags |= _RETAIN
    if number:
        fields = {"topic": message.topic, "id": number, "payload": message.payload}
        return packets.build_packet(
            PacketType.PUBLISH, packets.PUBLISH_WITH_ID.build(fields), flags | _QOS1
        )
    body = packets.PUBLISH.build({"topic": message.topic, "payload": message.payload})
    return packets.build_packet(PacketType.PUBLISH, body, flags)
