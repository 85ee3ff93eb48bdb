# SPDX-License-Identifier: Apache-2.0
"""A small MQTT 3.1.1 broker as an emulated device: no I/O, many connections, faults.

It supports QoS 0 and 1 in both directions, retained messages, wills, persistent and clean sessions,
wildcards and keepalive. It accepts QoS 2 from publishers and grants at most QoS 1. Does not support
MQTT 5, `$SYS`, access lists or storage on disk. Sessions and retained messages survive `down`.

Each call returns the outputs in order: (connection, delay in µs, bytes). None instead of bytes
closes the connection. The broker immediately forgets a connection that it has closed; a later
`closed` is harmless.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from hil.devices.base import NEVER, SECOND, FaultTarget, TcpReplies
from hil.devices.mqtt import packets, topics
from hil.devices.mqtt.packets import PacketType
from hil.devices.mqtt.session import ClientSession, QueuedPublish

MAX_PACKET_BYTES = 256 * 1024
MAX_TOPICS = 1000
_CONNECT_TIMEOUT_US = 10 * SECOND
_PROTOCOL, _LEVEL = "MQTT", 4
_BAD_LEVEL, _BAD_CLIENT_ID = 1, 2
_REFUSED_FILTER = 0x80
_RETAIN = 1
_FIXED_FLAGS = {PacketType.SUBSCRIBE: 2, PacketType.UNSUBSCRIBE: 2, PacketType.PUBREL: 2}


@dataclass(slots=True)
class _Connection:
    number: int
    last_received: int  # the last complete packet, as in MQTT 3.1.1, 3.1.2.10
    timeout_us: int = _CONNECT_TIMEOUT_US
    buffer: bytes = b""
    session: ClientSession | None = None
    will: QueuedPublish | None = None

    def deadline(self) -> int:
        return self.last_received + self.timeout_us if self.timeout_us else NEVER


@dataclass(slots=True)
class BrokerCounters:
    """Counters since the start."""

    connects: int = 0
    published: int = 0  # messages accepted from clients
    acked: int = 0  # PUBACK (or PUBCOMP) sent to publishers
    acks_dropped: int = 0
    delivered: int = 0  # messages sent to subscribers
    confirmed: int = 0  # PUBACK received from subscribers
    wills: int = 0
    queue_dropped: int = 0
    protocol_errors: int = 0  # connections closed for invalid data
    timeouts: int = 0


class Broker(FaultTarget):
    """The broker. Faults:

    down            every connection is closed at the next wake (the deadline is then 0), new
                    connections immediately
    silent          accepts bytes and sends nothing, not even a close, as on a dead link
    connack_code    CONNACK code (1 to 5) for every CONNECT; 0 for none
    slow_acks_us    delay of every PUBACK
    drop_next_acks  number of next PUBACKs that are not sent; -1 for all
    lose_session    a CONNECT finds no earlier session
    Results: `counters`, `recent_messages` (topic -> last messages), `retained`, `client_ids`.
    """

    FAULTS: ClassVar = frozenset(
        ("down", "silent", "connack_code", "slow_acks_us", "drop_next_acks", "lose_session")
    )

    def __init__(self, max_recent: int = 16) -> None:
        """`max_recent` is the number of messages that `recent_messages` holds for a topic."""
        self.down = False
        self.silent = False
        self.connack_code = 0
        self.slow_acks_us = 0
        self.drop_next_acks = 0
        self.lose_session = False
        self.counters = BrokerCounters()
        self.retained: dict[str, QueuedPublish] = {}
        self.recent_messages: dict[str, deque[QueuedPublish]] = {}
        self._observers: list[Callable[[QueuedPublish], None]] = []
        self._max_recent = max_recent
        self._connections: dict[int, _Connection] = {}
        self._sessions: dict[str, ClientSession] = {}
        self._routes: dict[str, list[tuple[ClientSession, int]]] = {}
        self._out: TcpReplies = []
        self._assigned_ids = 0
        self._handlers: dict[int, Callable[[_Connection, int, bytes, int], bool]] = {
            PacketType.PUBLISH: self._publish,
            PacketType.PUBACK: self._puback,
            PacketType.PUBREL: self._pubrel,
            PacketType.SUBSCRIBE: self._subscribe,
            PacketType.UNSUBSCRIBE: self._unsubscribe,
            PacketType.PINGREQ: self._pingreq,
            PacketType.DISCONNECT: self._disconnect,
        }

    def observe_messages(self, observer: Callable[[QueuedPublish], None]) -> None:
        """Call `observer` with each accepted message, in the order of registration."""
        self._observers.append(observer)

    @property
    def client_ids(self) -> list[str]:
        """Ids of the connected clients, sorted."""
        return sorted(
            session.client_id for session in self._sessions.values() if session.conn is not None
        )

    # Connections.

    def opened(self, conn: int, now: int) -> TcpReplies:
        """A client has connected; `conn` is a new number."""
        if self.down:
            return [(conn, 0, None)]
        self._connections[conn] = _Connection(conn, now)
        return []

    def closed(self, conn: int, now: int) -> TcpReplies:
        """The client is gone without DISCONNECT, or the broker had closed the connection."""
        connection = self._connections.get(conn)
        if connection is not None:
            self._remove_connection(connection, now)
        return self._take_output()

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        """Process bytes of a client."""
        connection = self._connections.get(conn)
        if connection is None or self.down:
            self._go_down(now)
            return [*self._take_output(), *([] if connection else [(conn, 0, None)])]
        if self.silent:
            return []
        buffer = connection.buffer + data if connection.buffer else data
        end = 0
        try:
            for first, body, at in packets.split_packets(buffer, MAX_PACKET_BYTES):
                end = at
                connection.last_received = now
                if not self._handle_packet(connection, first, body, now):
                    self._close_connection(connection, now)
                if conn not in self._connections:
                    return self._take_output()
        except (packets.TooLongError, *packets.MALFORMED):
            self.counters.protocol_errors += 1
            self._close_connection(connection, now)
            return self._take_output()
        connection.buffer = buffer[end:]
        return self._take_output()

    def wake(self, now: int) -> TcpReplies:
        """Close connections without a packet for 1.5 keepalive times, or all when down."""
        if self.down:
            self._go_down(now)
            return self._take_output()
        for connection in list(self._connections.values()):
            if connection.deadline() <= now:
                self.counters.timeouts += 1
                self._close_connection(connection, now)
        return self._take_output()

    def deadline(self) -> int:
        """Return the earliest keepalive time-out; 0 if the broker is down with connections."""
        if self.down and self._connections:
            return 0
        return min(
            (connection.deadline() for connection in self._connections.values()), default=NEVER
        )

    def _take_output(self) -> TcpReplies:
        out, self._out = self._out, []
        return out

    def _send(self, connection: int, data: bytes, delay_us: int = 0) -> None:
        if not self.silent:
            self._out.append((connection, delay_us, data))

    def _go_down(self, now: int) -> None:
        """Stop like the broker's process: no wills are sent, sessions are kept."""
        if not self.down:
            return
        for connection in list(self._connections.values()):
            connection.will = None
            self._close_connection(connection, now)

    def _close_connection(self, connection: _Connection, now: int) -> None:
        """Close a connection from the broker's side."""
        if connection.number in self._connections:
            if not self.silent:
                self._out.append((connection.number, 0, None))
            self._remove_connection(connection, now)

    def _remove_connection(self, connection: _Connection, now: int) -> None:
        """Remove a connection; publish its will; delete a clean session."""
        del self._connections[connection.number]
        session = connection.session
        if session is not None and session.conn == connection.number:
            session.detach()
            if session.clean:
                del self._sessions[session.client_id]
                self._routes.clear()
        if connection.will is not None:
            self.counters.wills += 1
            self._accept_message(connection.will, now)

    # Packets. A handler returns false if the connection must be closed.

    def _handle_packet(self, connection: _Connection, first: int, body: bytes, now: int) -> bool:
        kind, flags = first >> 4, first & 0x0F
        if connection.session is None:
            is_connect = kind == PacketType.CONNECT and flags == 0
            return is_connect and self._connect(connection, body, now)
        handler = self._handlers.get(kind)
        expected = _FIXED_FLAGS.get(PacketType(kind), 0) if handler else 0
        if handler is None or (kind != PacketType.PUBLISH and flags != expected):
            self.counters.protocol_errors += 1
            return False
        return handler(connection, flags, body, now)

    def _connect(self, connection: _Connection, body: bytes, now: int) -> bool:
        request = packets.CONNECT.parse(body)
        code = self.connack_code
        if request.protocol != _PROTOCOL or request.level != _LEVEL:
            code = _BAD_LEVEL
        elif not request.client_id and not request.flags.clean:
            code = _BAD_CLIENT_ID
        if code:
            self._send(
                connection.number, packets.build_packet(PacketType.CONNACK, bytes((0, code)))
            )
            return False
        if request.flags.reserved or not self._store_will(connection, request):
            self.counters.protocol_errors += 1
            return False
        self.counters.connects += 1
        connection.timeout_us = request.keepalive_s * SECOND * 3 // 2
        session, present = self._open_session(request.client_id, request.flags.clean, now)
        session.attach(connection.number)
        connection.session = session
        self._send(connection.number, packets.build_packet(PacketType.CONNACK, bytes((present, 0))))
        self._send_publishes(session, session.resume())
        return True

    @staticmethod
    def _store_will(connection: _Connection, request: Any) -> bool:
        """Store the will; return false if it is invalid."""
        flags = request.flags
        if not flags.will:
            return not flags.will_qos and not flags.will_retain
        if flags.will_qos > 2 or not topics.is_topic_valid(request.will_topic):
            return False
        connection.will = QueuedPublish(
            request.will_topic, request.will_payload, flags.will_qos, flags.will_retain
        )
        return True

    def _open_session(self, client_id: str, clean: bool, now: int) -> tuple[ClientSession, bool]:
        """Return the client's session and whether it existed; an older connection is closed."""
        if not client_id:
            self._assigned_ids += 1
            client_id = f"auto-{self._assigned_ids}"
        existing = self._sessions.get(client_id)
        if existing is not None and existing.conn is not None:
            self._close_connection(self._connections[existing.conn], now)
            existing = self._sessions.get(client_id)
        if existing is not None and not existing.clean and not clean and not self.lose_session:
            return existing, True
        session = self._sessions[client_id] = ClientSession(client_id, clean)
        self._routes.clear()
        return session, False

    def _publish(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        qos = flags >> 1 & 3
        packet = (packets.PUBLISH_WITH_ID if qos else packets.PUBLISH).parse(body)
        if qos > 2 or not topics.is_topic_valid(packet.topic) or (qos and not packet.id):
            self.counters.protocol_errors += 1
            return False
        session = connection.session
        if session is None:
            return False
        if qos < 2 or packet.id not in session.qos2_received:
            self.counters.published += 1
            retain = bool(flags & _RETAIN)
            self._accept_message(QueuedPublish(packet.topic, packet.payload, qos, retain, now), now)
        if qos == 1:
            self._acknowledge(connection, PacketType.PUBACK, packet.id)
        elif qos:
            session.qos2_received.add(packet.id)
            self._send(connection.number, _id_packet(PacketType.PUBREC, packet.id))
        return True

    def _pubrel(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        number = packets.ID_ONLY.parse(body).id
        if connection.session is not None:
            connection.session.qos2_received.discard(number)
        self._acknowledge(connection, PacketType.PUBCOMP, number)
        return True

    def _acknowledge(self, connection: _Connection, kind: PacketType, number: int) -> None:
        """Send an acknowledgement to a publisher; faults delay or drop it."""
        if self.drop_next_acks:
            self.counters.acks_dropped += 1
            if self.drop_next_acks > 0:
                self.drop_next_acks -= 1
            return
        self.counters.acked += 1
        self._send(connection.number, _id_packet(kind, number), self.slow_acks_us)

    def _puback(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        session = connection.session
        number = packets.ID_ONLY.parse(body).id
        publishes = session.acknowledge(number) if session is not None else None
        if session is not None and publishes is not None:
            self.counters.confirmed += 1
            self._send_publishes(session, publishes)
        return True

    def _subscribe(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        packet, session = packets.SUBSCRIBE.parse(body), connection.session
        if session is None or not packet.wanted or not packet.id:
            return False
        codes, granted = [], []
        for subscription in packet.wanted:
            if subscription.qos > 2 or not topics.is_filter_valid(subscription.filter):
                codes.append(_REFUSED_FILTER)
                continue
            qos = min(subscription.qos, 1)
            session.subscriptions[subscription.filter] = qos
            codes.append(qos)
            granted.append((subscription.filter, qos))
        self._routes.clear()
        suback = packets.SUBACK.build({"id": packet.id, "codes": codes})
        self._send(connection.number, packets.build_packet(PacketType.SUBACK, suback))
        for pattern, qos in granted:
            for message in list(self.retained.values()):
                if topics.matches(pattern, message.topic):
                    self._deliver(session, message, qos, retained=True)
        return True

    def _unsubscribe(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        packet, session = packets.UNSUBSCRIBE.parse(body), connection.session
        if session is None or not packet.filters:
            return False
        for pattern in packet.filters:
            session.subscriptions.pop(pattern, None)
        self._routes.clear()
        self._send(connection.number, _id_packet(PacketType.UNSUBACK, packet.id))
        return True

    def _pingreq(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        self._send(connection.number, packets.build_packet(PacketType.PINGRESP))
        return not body

    def _disconnect(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        connection.will = None
        return False

    # Messages.

    def publish(
        self, topic: str, payload: bytes, now: int, qos: int = 1, retain: bool = False
    ) -> TcpReplies:
        """Publish a message of the bench itself; raises `ValueError` for an invalid topic."""
        if not topics.is_topic_valid(topic):
            raise ValueError(f"invalid topic: {topic!r}")
        self._accept_message(QueuedPublish(topic, payload, qos, retain, now), now)
        return self._take_output()

    def _accept_message(self, message: QueuedPublish, now: int) -> None:
        """Record a message, retain it if requested, send it to its subscribers."""
        topic = message.topic
        history = self.recent_messages.get(topic)
        if history is None:
            if len(self.recent_messages) >= MAX_TOPICS:
                self.recent_messages.pop(next(iter(self.recent_messages)))
            history = self.recent_messages[topic] = deque(maxlen=self._max_recent)
        history.append(message)
        for observer in self._observers:
            observer(message)
        if message.retain:
            self._retain(message)
        for session, qos in self._route(topic):
            self._deliver(session, message, qos)

    def _retain(self, message: QueuedPublish) -> None:
        if not message.payload:
            self.retained.pop(message.topic, None)
        elif message.topic in self.retained or len(self.retained) < MAX_TOPICS:
            self.retained[message.topic] = message

    def _route(self, topic: str) -> list[tuple[ClientSession, int]]:
        """Return the subscribers of a topic with the highest QoS granted to each."""
        route = self._routes.get(topic)
        if route is None:
            route = []
            for session in self._sessions.values():
                grants = [q for f, q in session.subscriptions.items() if topics.matches(f, topic)]
                if grants:
                    route.append((session, max(grants)))
            if len(self._routes) >= MAX_TOPICS:
                self._routes.clear()
            self._routes[topic] = route
        return route

    def _deliver(
        self, session: ClientSession, message: QueuedPublish, granted: int, retained: bool = False
    ) -> None:
        """Send one message to one subscriber, or queue it."""
        qos = min(message.qos, granted)
        out = QueuedPublish(message.topic, message.payload, qos, retained, message.accepted_at_us)
        dropped_before = session.dropped
        self._send_publishes(session, session.enqueue(out))
        self.counters.queue_dropped += session.dropped - dropped_before

    def _send_publishes(self, session: ClientSession, publishes: list[bytes]) -> None:
        """Send messages to a connected subscriber."""
        if session.conn is not None:
            for packet in publishes:
                self.counters.delivered += 1
                self._send(session.conn, packet)


def _id_packet(packet_type: PacketType, number: int) -> bytes:
    """Build a packet with a packet id and no other content."""
    flags = 2 if packet_type == PacketType.PUBREL else 0
    return packets.build_packet(packet_type, packets.PACKET_ID.build(number), flags)
