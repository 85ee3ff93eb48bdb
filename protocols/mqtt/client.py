# SPDX-License-Identifier: Apache-2.0
"""An MQTT 3.1.1 client as a state machine: no socket, no clock, no thread.

The caller owns the transport. It reports open, closed and received bytes. After every call it sends
`take_output` and handles `take_events`. After "refused" or "broken" it closes the transport. No
bytes of the server raise an exception.

The client keeps QoS 1 publishes until the server acknowledges them. After a reconnect it sends them
again before new ones, in their order, with DUP and their old packet ids. It does so also if the
server lost the session: QoS 1 means at least once, and the ids stay valid if the session exists.
The client keeps them in memory only and bounds their number. The caller owns the power-cut-safe log
and deletes from it on ("acknowledged", tag).

A message of the server above `max_packet` is acknowledged and dropped. Otherwise the server would
send it again after each connection, and the client would never stay connected.

The client detects a dead link by silence in either direction. If nothing was sent, or nothing was
received, for the keep-alive time, it sends PINGREQ. The reply must arrive in
`response_timeout_us`.
"""

from protocols.errors import DecodeError, EncodeError
from protocols.mqtt import packets
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CLOSED = 0
_CONNECTING = 1
_CONNECTED = 2
_ENDED = 3  # refused, broken or disconnected; waits for connection_closed()

_NOT_RECEIVING = (_CLOSED, _ENDED)

_MAX_TOPICS = 32
_MAX_SUBSCRIPTIONS = 16
_MAX_UNSENT = 64


class MqttClient:
    """One session with one server. Raises `EncodeError` for invalid strings, QoS or times.

    will            (topic, payload, QoS 0 or 1, retain); the server publishes it if the client is
    lost
    max_inflight    QoS 1 publishes that can wait for their acknowledgement
    max_packet      longest sent or received packet, in bytes
    response_timeout_us   for CONNACK and PINGRESP
    message_expiry_s        MQTT 5 only: message expiry in seconds, 0 for none
    """

    codec: "Any" = packets
    """The packet module; of MQTT 5 in `client_v5`."""

    def __init__(  # noqa: PLR0913 - a session has that many properties
        self,
        client_id: str,
        *,
        keepalive_s: int = 30,
        will: "packets.Will | None" = None,
        username: "str | None" = None,
        password: "str | bytes | None" = None,
        clean_session: bool = False,
        max_inflight: int = 16,
        max_packet: int = 8192,
        response_timeout_us: int = 20 * SECOND,
        message_expiry_s: int = 0,
    ) -> None:
        if max_inflight < 1:
            raise EncodeError("max_inflight %d is less than 1" % max_inflight)
        from protocols.mqtt.connect_packet import connect  # noqa: PLC0415 - so that it can be unloaded

        self._connect = connect(client_id, keepalive_s, clean_session, will, username, password)
        self.publish_early = False
        self.message_expiry_s = message_expiry_s
        self._clean_session = clean_session
        self._keepalive_us = keepalive_s * SECOND
        self._timeout_us = response_timeout_us
        self._max_inflight = max_inflight
        self.max_packet = max_packet
        self._reader = packets.PacketReader(max_packet)
        self._state = _CLOSED
        self._now = 0
        self._sent_at = 0
        self._received_at = 0
        self._response_due = NEVER
        self.output: list[bytes] = []
        """Packets that `take_output` returns."""
        self.wake_at = NEVER
        """Time of the next `wake`, or NEVER; as `deadline`, without a call."""
        self._events: list[tuple[object, ...]] = []
        self._last_packet_id = 0
        # (packet id, packet, tag) in publish order; a dict has no order on MicroPython
        self._inflight: list[tuple[int, bytes, object]] = []
        self._subscriptions: list[tuple[int, str]] = []
        self._topic_cache: dict[str, bytes] = {}
        self.unexpected_acks = 0
        self.resent = 0
        self.skipped = 0
        """Messages of the server that were longer than `max_packet`: acknowledged, not used."""
        self._handlers: dict[int, Callable[[int, bytes], None]] = {
            packets.PUBLISH: self._on_publish,
            packets.PUBACK: self._on_puback,
            packets.SUBACK: self._on_suback,
            packets.PINGRESP: self._on_pingresp,
        }

    @property
    def connected(self) -> bool:
        """True after CONNACK until an error or the end of the connection."""
        return self._state == _CONNECTED

    @property
    def can_publish(self) -> bool:
        """True if `publish` accepts a QoS 1 message now."""
        has_space = len(self._inflight) < self._max_inflight and len(self.output) < _MAX_UNSENT
        return has_space and self._accepts()

    def _accepts(self) -> bool:
        return self._state == _CONNECTED or (self.publish_early and self._state == _CONNECTING)

    @property
    def inflight(self) -> int:
        """Number of QoS 1 publishes without an acknowledgement."""
        return len(self._inflight)

    def set_publish_early(self, enabled: bool) -> None:
        """Accept messages and subscriptions before CONNACK, from the next connection on.

        They follow directly after CONNECT (MQTT 3.1.1, 3.1.4, allows this). Saves a round trip.
        """
        self.publish_early = enabled

    def raise_max_packet(self, size: int) -> None:
        """Allow packets of `size` bytes; never lowers the limit."""
        self.max_packet = max(self.max_packet, size)

    # -- the transport

    def connection_opened(self, now: int) -> None:
        """Handle an open transport: send CONNECT."""
        self._reset(now)
        self._state = _CONNECTING
        self._response_due = now + self._timeout_us
        self._send(self._connect)
        if self.publish_early:
            self._resend()

    def _resend(self) -> None:
        """Send the in-flight publishes of an earlier connection again."""
        for _, packet, _ in self._inflight:
            self._send(packets.duplicate(packet))
            self.resent += 1

    def connection_closed(self, now: int) -> None:
        """Handle a closed transport. Keeps only unacknowledged QoS 1 publishes."""
        self._reset(now)
        self._state = _CLOSED
        self.wake_at = NEVER

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes."""
        self._now = now
        if self._state in _NOT_RECEIVING or not data:
            return
        self._received_at = now
        try:
            for first, body in self._reader.feed(data):
                self._on_packet(first, body)
                if self._state == _ENDED:
                    return
        except DecodeError as error:
            self._fail(str(error))
            return
        if self._reader.error:
            self._fail(self._reader.error)
        self.wake_at = self.deadline()

    def wake(self, now: int) -> None:
        """Handle a deadline."""
        self._now = now
        if now < self.deadline():
            return
        if self._state == _CONNECTING:
            self._fail("no CONNACK")
        elif self._response_due != NEVER:
            self._fail("no PINGRESP")
        else:
            self._send(packets.PINGREQ_PACKET)
            self.wake_at = self._response_due = now + self._timeout_us

    def deadline(self) -> int:
        """Compute `wake_at`, the time of the next `wake`, or NEVER."""
        if self._state == _CONNECTING or self._response_due != NEVER:
            return self._response_due
        if self._state != _CONNECTED or not self._keepalive_us:
            return NEVER
        idle_since = self._sent_at if self._sent_at < self._received_at else self._received_at
        return idle_since + self._keepalive_us

    def take_output(self) -> "list[bytes]":
        """Return and clear the packets to send."""
        if not self.output:
            return []
        packets = self.output
        self.output = []
        return packets

    def take_events(self) -> "list[tuple[object, ...]]":
        """Return and clear the events, in order.

        ("connected", session_present) ("refused", code)                  the server rejects the
        connection: 1 version, 2 client id,
                                           3 unavailable, 4 bad user or password, 5 not authorized
        ("acknowledged", tag)              the server has a QoS 1 publish
        ("message", topic, payload, qos, retain)
        ("subscribed", topic, granted)     0, 1, or 128 for refused
        ("broken", reason)                 close the transport
        """
        if not self._events:
            return []
        events = self._events
        self._events = []
        return events

    # -- requests of the caller

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        tag: object = None,
    ) -> bool:
        """Send a message. Returns False if it was not accepted; the caller must then keep it.

        Reasons: not connected (with `publish_early`: not open), too many in flight, or 64 packets
        waiting in the output. `tag` comes back with the acknowledgement of a QoS 1 message.
        `EncodeError` for a bad topic or QoS, or a packet longer than `max_packet`.
        """
        if not self._accepts() or len(self.output) >= _MAX_UNSENT:
            return False
        head = self._topic_cache.get(topic) or self._cache_topic(topic)
        if packets.check_qos(qos) == 0:
            self._send(self._check_size(self._build_publish(head, payload, retain, 0)))
            return True
        if len(self._inflight) >= self._max_inflight:
            return False
        packet_id = self._next_packet_id()
        packet = self._check_size(self._build_publish(head, payload, retain, packet_id))
        self._inflight.append((packet_id, packet, tag))
        self._send(packet)
        return True

    def subscribe(self, topic: str, qos: int = 1) -> bool:
        """Subscribe to a topic; the event ("subscribed", ...) is the reply.

        Returns False if not connected or if 16 requests are pending. `EncodeError` for a bad topic
        filter or QoS.
        """
        if not self._accepts() or len(self._subscriptions) >= _MAX_SUBSCRIPTIONS:
            return False
        packet_id = self._next_packet_id()
        packet = self._check_size(self.codec.subscribe(packet_id, topic, qos))
        self._subscriptions.append((packet_id, topic))
        self._send(packet)
        return True

    def disconnect(self) -> None:
        """Disconnect: the server discards the will. Send the output, then close the transport."""
        if self._state == _CONNECTED:
            self._send(packets.DISCONNECT_PACKET)
            self._finish()

    # -- internal

    def _build_publish(self, head: bytes, payload: bytes, retain: bool, packet_id: int) -> bytes:
        return packets.publish(head, payload, retain, packet_id)

    def _reset(self, now: int) -> None:
        self._now = self._sent_at = self._received_at = now
        self._response_due = NEVER
        self._reader.reset()
        self.output = []
        self._subscriptions = []

    def _send(self, packet: bytes) -> None:
        # publish() has no time argument: the last known time is early, which is the safe side
        self._sent_at = self._now
        self.wake_at = self.deadline()
        self.output.append(packet)

    def _check_size(self, packet: bytes) -> bytes:
        if len(packet) > self.max_packet:
            raise EncodeError("packet of %d bytes, limit %d" % (len(packet), self.max_packet))
        return packet

    def _cache_topic(self, topic: str) -> bytes:
        head = packets.encode_topic(topic)
        if len(self._topic_cache) < _MAX_TOPICS:
            self._topic_cache[topic] = head
        return head

    def _next_packet_id(self) -> int:
        """Return the next unused packet id, 1 to 65,535."""
        used = [entry[0] for entry in self._inflight] + [entry[0] for entry in self._subscriptions]
        packet_id = self._last_packet_id
        while True:
            packet_id = packet_id % 65_535 + 1
            if packet_id not in used:
                self._last_packet_id = packet_id
                return packet_id

    def _finish(self) -> None:
        self._state = _ENDED
        self._response_due = self.wake_at = NEVER

    def _fail(self, reason: str) -> None:
        self._finish()
        self._events.append(("broken", reason))

    def _on_packet(self, first: int, body: bytes) -> None:
        if self._state == _CONNECTING:
            self._on_connack(first, body)
            return
        if first == packets.SKIPPED:
            self.skipped += 1
            packet_id = body[0] << 8 | body[1] if body else 1
            if not packet_id:
                raise DecodeError("packet id 0")
            if body:
                self._send(packets.puback(packet_id))
            return
        kind = first & 0xF0
        handler = self._handlers.get(kind)
        if handler is None or (first & 0x0F and kind != packets.PUBLISH):
            raise DecodeError("unexpected packet %02x" % first)
        handler(first, body)

    def _on_connack(self, first: int, body: bytes) -> None:
        if first != packets.CONNACK:
            raise DecodeError("packet %02x before CONNACK" % first)
        session_present, code = self.codec.decode_connack(body)[:2]
        if code:
            self._finish()
            self._events.append(("refused", code))
            return
        if session_present and self._clean_session:
            raise DecodeError("CONNACK with a session that is to be clean")  # [3.2.2-1]
        self._state = _CONNECTED
        self._response_due = NEVER
        if not self.publish_early:
            self._resend()
        self._events.append(("connected", session_present))

    def _on_publish(self, first: int, body: bytes) -> None:
        topic, payload, qos, retain, packet_id = self.codec.decode_publish(first, body)
        self._events.append(("message", topic, payload, qos, retain))
        if qos:
            self._send(packets.puback(packet_id))

    def _on_puback(self, first: int, body: bytes) -> None:
        packet_id = self.codec.decode_puback(body)
        for index, entry in enumerate(self._inflight):
            if entry[0] == packet_id:
                self._events.append(("acknowledged", entry[2]))
                self._inflight.pop(index)
                return
        self.unexpected_acks += 1

    def _on_suback(self, first: int, body: bytes) -> None:
        packet_id, granted = self.codec.decode_suback(body)
        for index, entry in enumerate(self._subscriptions):
            if entry[0] == packet_id:
                self._events.append(("subscribed", entry[1], granted))
                self._subscriptions.pop(index)
                return
        self.unexpected_acks += 1

    def _on_pingresp(self, first: int, body: bytes) -> None:
        if body:
            raise DecodeError("PINGRESP of %d bytes" % len(body))
        self._response_due = NEVER
