"""A small MQTT 3.1.1 broker as an emulated device: sans-IO, many connections, with faults.

QoS 0 and 1 both ways (QoS 2 is taken from publishers and granted to nobody), retained messages,
wills, kept and clean sessions, wildcards, keepalive. It does not do MQTT 5, `$SYS`, access lists or
a store on disk; sessions and retained messages outlive `down`.

Every call returns what to do, in order: (connection, delay in µs, bytes), where None instead of
bytes closes that connection. A connection that the broker closed is forgotten at once; `closed` for
it does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.devices.base import NEVER, SECOND
from hil.devices.mqtt import packets as mqtt
from hil.devices.mqtt import topics
from hil.devices.mqtt.packets import Kind
from hil.devices.mqtt.session import Message, Session

Output = list[tuple[int, int, bytes | None]]

PACKET_MOST = 256 * 1024
TOPICS_MOST = 1000
_CONNECT_WITHIN_US = 10 * SECOND
_PROTOCOL, _LEVEL = "MQTT", 4
_BAD_LEVEL, _BAD_CLIENT_ID = 1, 2
_REFUSED_FILTER = 0x80
_RETAIN = 1
_FIXED_FLAGS = {Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2, Kind.PUBREL: 2}


@dataclass(slots=True)
class _Connection:
    number: int
    last: int
    patience_us: int = _CONNECT_WITHIN_US
    buffer: bytes = b""
    session: Session | None = None
    will: Message | None = None

    def deadline(self) -> int:
        return self.last + self.patience_us if self.patience_us else NEVER


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    connects: int = 0
    published: int = 0  # messages taken from clients
    acked: int = 0  # PUBACK (or PUBCOMP) sent to publishers
    acks_dropped: int = 0
    delivered: int = 0  # messages sent to subscribers
    confirmed: int = 0  # PUBACK received from subscribers
    wills: int = 0
    queue_dropped: int = 0
    bad: int = 0  # connections closed for what they sent
    timeouts: int = 0


class Broker:
    """The broker. Faults, plain attributes that may change at any time:

    down            every connection is closed at the next wake (the deadline is then 0), new ones
                    at once
    deaf            takes bytes and answers nothing, not even with a close, as if the link had died
    refuse          CONNACK code (1 to 5) for every CONNECT; 0 for none
    slow_acks_us    delay of every PUBACK
    drop_next_acks  how many of the next PUBACKs are not sent; -1 for all
    lose_session    a CONNECT finds no earlier session
    For judging: `counters`, `last` (topic -> last messages), `retained`, `on_message` (called with
    each message taken), `clients` (ids connected now).
    """

    def __init__(self, keep: int = 16) -> None:
        """`keep`: how many messages of a topic `last` holds."""
        self.down = False
        self.deaf = False
        self.refuse = 0
        self.slow_acks_us = 0
        self.drop_next_acks = 0
        self.lose_session = False
        self.counters = Counters()
        self.retained: dict[str, Message] = {}
        self.last: dict[str, deque[Message]] = {}
        self.on_message: Callable[[Message], None] | None = None
        self._keep = keep
        self._connections: dict[int, _Connection] = {}
        self._sessions: dict[str, Session] = {}
        self._routes: dict[str, list[tuple[Session, int]]] = {}
        self._out: Output = []
        self._named = 0
        self._handlers: dict[int, Callable[[_Connection, int, bytes, int], bool]] = {
            Kind.PUBLISH: self._publish,
            Kind.PUBACK: self._puback,
            Kind.PUBREL: self._pubrel,
            Kind.SUBSCRIBE: self._subscribe,
            Kind.UNSUBSCRIBE: self._unsubscribe,
            Kind.PINGREQ: self._pingreq,
            Kind.DISCONNECT: self._disconnect,
        }

    @property
    def clients(self) -> list[str]:
        """Ids of the clients that are connected, in order."""
        return sorted(s.client_id for s in self._sessions.values() if s.conn is not None)

    # Connections.

    def opened(self, conn: int, now: int) -> Output:
        """A client's connection was accepted; `conn` is its number, not used before."""
        if self.down:
            return [(conn, 0, None)]
        self._connections[conn] = _Connection(conn, now)
        return []

    def closed(self, conn: int, now: int) -> Output:
        """The client is gone without a DISCONNECT, or its connection was already forgotten."""
        connection = self._connections.get(conn)
        if connection is not None:
            self._forget(connection, now)
        return self._taken()

    def receive(self, conn: int, data: bytes, now: int) -> Output:
        """Bytes of a client."""
        connection = self._connections.get(conn)
        if connection is None or self.down:
            self._fall(now)
            return [*self._taken(), *([] if connection else [(conn, 0, None)])]
        if self.deaf:
            return []
        connection.last = now
        buffer = connection.buffer + data if connection.buffer else data
        end = 0
        try:
            for first, body, at in mqtt.split(buffer, PACKET_MOST):
                end = at
                if not self._packet(connection, first, body, now):
                    self._kick(connection, now)
                if conn not in self._connections:
                    return self._taken()
        except (mqtt.TooLongError, *mqtt.MALFORMED):
            self.counters.bad += 1
            self._kick(connection, now)
            return self._taken()
        connection.buffer = buffer[end:]
        return self._taken()

    def wake(self, now: int) -> Output:
        """Close what was silent for one and a half keepalives, or all when down."""
        if self.down:
            self._fall(now)
            return self._taken()
        for connection in list(self._connections.values()):
            if connection.deadline() <= now:
                self.counters.timeouts += 1
                self._kick(connection, now)
        return self._taken()

    def deadline(self) -> int:
        """The earliest end of a client's patience; 0 when going down has work left."""
        if self.down and self._connections:
            return 0
        return min((c.deadline() for c in self._connections.values()), default=NEVER)

    def _taken(self) -> Output:
        out, self._out = self._out, []
        return out

    def _send(self, connection: int, data: bytes, delay_us: int = 0) -> None:
        if not self.deaf:
            self._out.append((connection, delay_us, data))

    def _fall(self, now: int) -> None:
        """The broker's process ends: no wills, sessions are kept."""
        if not self.down:
            return
        for connection in list(self._connections.values()):
            connection.will = None
            self._kick(connection, now)

    def _kick(self, connection: _Connection, now: int) -> None:
        """Close a connection from this side."""
        if connection.number in self._connections:
            if not self.deaf:
                self._out.append((connection.number, 0, None))
            self._forget(connection, now)

    def _forget(self, connection: _Connection, now: int) -> None:
        """Take a connection off; publish its will; drop a clean session."""
        del self._connections[connection.number]
        session = connection.session
        if session is not None and session.conn == connection.number:
            session.conn = None
            if session.clean:
                del self._sessions[session.client_id]
                self._routes.clear()
        if connection.will is not None:
            self.counters.wills += 1
            self._take(connection.will, now)

    # Packets. A handler returns false when the connection must be closed.

    def _packet(self, connection: _Connection, first: int, body: bytes, now: int) -> bool:
        kind, flags = first >> 4, first & 0x0F
        if connection.session is None:
            right = kind == Kind.CONNECT and flags == 0
            return right and self._connect(connection, body, now)
        handler = self._handlers.get(kind)
        expected = _FIXED_FLAGS.get(Kind(kind), 0) if handler else 0
        if handler is None or (kind != Kind.PUBLISH and flags != expected):
            self.counters.bad += 1
            return False
        return handler(connection, flags, body, now)

    def _connect(self, connection: _Connection, body: bytes, now: int) -> bool:
        wanted = mqtt.CONNECT.parse(body)
        code = self.refuse
        if wanted.protocol != _PROTOCOL or wanted.level != _LEVEL:
            code = _BAD_LEVEL
        elif not wanted.client_id and not wanted.flags.clean:
            code = _BAD_CLIENT_ID
        if code:
            self._send(connection.number, mqtt.packet(Kind.CONNACK, bytes((0, code))))
            return False
        if wanted.flags.reserved or not self._will(connection, wanted):
            self.counters.bad += 1
            return False
        self.counters.connects += 1
        connection.patience_us = wanted.keepalive_s * SECOND * 3 // 2
        session, present = self._session(wanted.client_id, wanted.flags.clean, now)
        session.conn, connection.session = connection.number, session
        self._send(connection.number, mqtt.packet(Kind.CONNACK, bytes((present, 0))))
        self._hand(session, session.resume())
        return True

    @staticmethod
    def _will(connection: _Connection, wanted: Any) -> bool:
        """Remember the will; false when it is not well formed."""
        flags = wanted.flags
        if not flags.will:
            return not flags.will_qos and not flags.will_retain
        if flags.will_qos > 2 or not topics.topic_valid(wanted.will_topic):
            return False
        connection.will = Message(
            wanted.will_topic, wanted.will_payload, flags.will_qos, flags.will_retain
        )
        return True

    def _session(self, client_id: str, clean: bool, now: int) -> tuple[Session, bool]:
        """The client's session and whether it was there before; an older connection gives way."""
        if not client_id:
            self._named += 1
            client_id = f"auto-{self._named}"
        old = self._sessions.get(client_id)
        if old is not None and old.conn is not None:
            self._kick(self._connections[old.conn], now)
            old = self._sessions.get(client_id)
        if old is not None and not old.clean and not clean and not self.lose_session:
            return old, True
        session = self._sessions[client_id] = Session(client_id, clean)
        self._routes.clear()
        return session, False

    def _publish(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        qos = flags >> 1 & 3
        packet = (mqtt.PUBLISH_WITH_ID if qos else mqtt.PUBLISH).parse(body)
        if qos > 2 or not topics.topic_valid(packet.topic) or (qos and not packet.id):
            self.counters.bad += 1
            return False
        session = connection.session
        if session is None:
            return False
        if qos < 2 or packet.id not in session.received:
            self.counters.published += 1
            retain = bool(flags & _RETAIN)
            self._take(Message(packet.topic, packet.payload, qos, retain, now), now)
        if qos == 1:
            self._acknowledge(connection, Kind.PUBACK, packet.id)
        elif qos:
            session.received.add(packet.id)
            self._send(connection.number, _with_id(Kind.PUBREC, packet.id))
        return True

    def _pubrel(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        number = mqtt.ID_ONLY.parse(body).id
        if connection.session is not None:
            connection.session.received.discard(number)
        self._acknowledge(connection, Kind.PUBCOMP, number)
        return True

    def _acknowledge(self, connection: _Connection, kind: Kind, number: int) -> None:
        """Send a publisher's acknowledgement, late or not at all if a fault says so."""
        if self.drop_next_acks:
            self.counters.acks_dropped += 1
            if self.drop_next_acks > 0:
                self.drop_next_acks -= 1
            return
        self.counters.acked += 1
        self._send(connection.number, _with_id(kind, number), self.slow_acks_us)

    def _puback(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        session = connection.session
        number = mqtt.ID_ONLY.parse(body).id
        packets = session.confirmed(number) if session is not None else None
        if session is not None and packets is not None:
            self.counters.confirmed += 1
            self._hand(session, packets)
        return True

    def _subscribe(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        packet, session = mqtt.SUBSCRIBE.parse(body), connection.session
        if session is None or not packet.wanted or not packet.id:
            return False
        codes, granted = [], []
        for wish in packet.wanted:
            if wish.qos > 2 or not topics.filter_valid(wish.filter):
                codes.append(_REFUSED_FILTER)
                continue
            qos = min(wish.qos, 1)
            session.subscriptions[wish.filter] = qos
            codes.append(qos)
            granted.append((wish.filter, qos))
        self._routes.clear()
        suback = mqtt.SUBACK.build({"id": packet.id, "codes": codes})
        self._send(connection.number, mqtt.packet(Kind.SUBACK, suback))
        for pattern, qos in granted:
            for message in list(self.retained.values()):
                if topics.matches(pattern, message.topic):
                    self._deliver(session, message, qos, retained=True)
        return True

    def _unsubscribe(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        packet, session = mqtt.UNSUBSCRIBE.parse(body), connection.session
        if session is None or not packet.filters:
            return False
        for pattern in packet.filters:
            session.subscriptions.pop(pattern, None)
        self._routes.clear()
        self._send(connection.number, _with_id(Kind.UNSUBACK, packet.id))
        return True

    def _pingreq(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        self._send(connection.number, mqtt.packet(Kind.PINGRESP))
        return not body

    def _disconnect(self, connection: _Connection, flags: int, body: bytes, now: int) -> bool:
        connection.will = None
        return False

    # Messages.

    def publish(
        self, topic: str, payload: bytes, now: int, qos: int = 1, retain: bool = False
    ) -> Output:
        """Publish from the bench itself (a configuration, a command)."""
        if not topics.topic_valid(topic):
            raise ValueError(f"not a topic: {topic!r}")
        self._take(Message(topic, payload, qos, retain, now), now)
        return self._taken()

    def _take(self, message: Message, now: int) -> None:
        """Record a message, retain it if asked, send it to its subscribers."""
        topic = message.topic
        history = self.last.get(topic)
        if history is None:
            if len(self.last) >= TOPICS_MOST:
                self.last.pop(next(iter(self.last)))
            history = self.last[topic] = deque(maxlen=self._keep)
        history.append(message)
        if self.on_message is not None:
            self.on_message(message)
        if message.retain:
            self._retain(message)
        for session, qos in self._route(topic):
            self._deliver(session, message, qos)

    def _retain(self, message: Message) -> None:
        if not message.payload:
            self.retained.pop(message.topic, None)
        elif message.topic in self.retained or len(self.retained) < TOPICS_MOST:
            self.retained[message.topic] = message

    def _route(self, topic: str) -> list[tuple[Session, int]]:
        """Subscribers of a topic with the highest QoS granted to each."""
        route = self._routes.get(topic)
        if route is None:
            route = []
            for session in self._sessions.values():
                grants = [q for f, q in session.subscriptions.items() if topics.matches(f, topic)]
                if grants:
                    route.append((session, max(grants)))
            if len(self._routes) >= TOPICS_MOST:
                self._routes.clear()
            self._routes[topic] = route
        return route

    def _deliver(
        self, session: Session, message: Message, granted: int, retained: bool = False
    ) -> None:
        """Send, or keep for later, one message to one subscriber."""
        qos = min(message.qos, granted)
        out = Message(message.topic, message.payload, qos, retained, message.at)
        lost = session.dropped
        self._hand(session, session.offer(out))
        self.counters.queue_dropped += session.dropped - lost

    def _hand(self, session: Session, packets: list[bytes]) -> None:
        """Send messages to a subscriber that is connected."""
        if session.conn is not None:
            for packet in packets:
                self.counters.delivered += 1
                self._send(session.conn, packet)


def _with_id(kind: Kind, number: int) -> bytes:
    """A packet that holds a packet id and nothing else."""
    flags = 2 if kind == Kind.PUBREL else 0
    return mqtt.packet(kind, bytes(mqtt.ID_ONLY.build({"id": number})), flags)
