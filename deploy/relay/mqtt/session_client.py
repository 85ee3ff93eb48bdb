# SPDX-License-Identifier: Apache-2.0
"""MQTT client of the relay: the version, the session, and how it reads a PUBLISH.

Does not decide what happens to a message; see `relay`. The library parses all properties of a
PUBLISH and ends the connection if it cannot. The broker then sends the same message again, for
ever: one unit would stop all others with one property that the broker accepts, such as a text with
U+FEFF. So this client skips the properties; the relay uses none. It also makes no object of the
library for a message, since most messages of a unit over its limits are only discarded. It reads
the socket in large pieces; the library reads it several times for each message.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.relay.mqtt.broker_client import BrokerClient, BrokerSettings, set_up
from deploy.relay.mqtt.publish_properties import find_subscriptions

SHORT_S = 60
"""How long the broker keeps the session of a relay that sends receipts. A unit repeats a message
after the same time, and the share of a dead relay must not wait longer for the others."""
RESTART_S = 20
"""The same after a stop, so that a relay that is started again has what came meanwhile."""
LONG_S = 86_400
"""The same for a relay without receipts: units do not repeat what another group has receipted."""
OTHER_VERSION = (0x01, 0x84)
"""Reasons of a broker that has not the version of MQTT: of MQTT 3.1.1, of MQTT 5."""
_MOST_PACKET_BYTES = 1 << 20
"""A broker with MQTT 5 drops larger ones; by default a message can have 256 MiB."""
_PIECE_BYTES = 1 << 16
_FIRST_FAILURE = 0x80
_WITH_WILL = 0x04
_ROUNDS = 2
"""A broker that only ends connections with MQTT 5 is asked for it so many times more."""
_IDENT_BITS = 16
NO_SUBSCRIBER = 0x10
"""Reason of MQTT 5: the broker has a message, and no session that gets it."""
_LENGTH_BYTES = 4
"""Most bytes of a variable byte integer."""


class Publication(NamedTuple):
    """A PUBLISH of the broker; `ident`: for `SessionClient.ack`.

    `subscriptions`: their identifiers, see `SessionClient.own_ident`.
    """

    topic: bytes
    ident: int
    qos: int
    payload: bytes
    subscriptions: tuple[int, ...] = ()


def read_publication(
    head: int, packet: bytes | bytearray, has_properties: bool
) -> Publication | None:
    """Read what follows the fixed header `head`; None: the packet is cut off."""
    qos = head >> 1 & 3
    at = 2 + int.from_bytes(packet[:2], "big")
    topic = bytes(packet[2:at])
    ident = 0
    subscriptions: tuple[int, ...] = ()
    if qos:
        ident = int.from_bytes(packet[at : at + 2], "big")
        at += 2
    if has_properties:
        size = shift = 0
        for byte in packet[at : at + _LENGTH_BYTES]:
            at += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        else:
            return None
        if size:
            subscriptions = find_subscriptions(bytes(packet[at : at + size]))
        at += size
    if at > len(packet):
        return None
    return Publication(topic, ident, qos, bytes(packet[at:]), subscriptions)


class SessionClient(BrokerClient):
    """A client with MQTT 5; 3.1.1 if the broker has no other.

    MQTT 5, because the client then sets how many messages it can have without an acknowledgement.
    With 3.1.1 the broker decides; it is 20 with mosquitto, and a few messages of one unit would
    block those of all others.
    """

    on_publication: Callable[[Publication], None] | None = None
    """Called for each message, in the thread of the client; it acknowledges it with `ack`."""
    before_connect: Callable[[], None] | None = None
    """Called before each CONNECT, in the thread of the client: it can set the will."""
    on_foreign_session: Callable[[], None] | None = None
    """Called when the session turns out to have a subscription of another program."""
    own_ident = 0
    """Identifier of the subscriptions that this client makes (MQTT 5); 0: they have none."""
    keeps_session = True
    """A broker with MQTT 3.1.1 keeps the session while the client is away, for ever."""
    most_packet_bytes = 1 << 28
    """Largest packet that the broker takes."""
    least_reason = _FIRST_FAILURE
    """Lowest reason of an acknowledgement that `refusals` has."""
    refusals: dict[int, int]
    """Reasons of MQTT 5 by packet identifier; who publishes takes them out."""
    _has_idents = True
    """The broker takes identifiers of subscriptions."""
    _drops_session = False
    _is_version_known = False
    _is_version_refused = False
    """The broker reports that it has no MQTT 5."""
    _rounds = 0
    _asks_again = False
    _connection = 0
    _piece = b""
    _piece_at = 0

    def __init__(self, ident: str) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, ident, protocol=mqtt.MQTTv5)
        self.ident = ident
        self.refusals = {}
        self.manual_ack_set(True)

    def reconnect(self) -> MQTTErrorCode:
        """Connect. Raises OSError. What was read of the last connection is dropped."""
        self._piece, self._piece_at = b"", 0
        self._connection += 1
        return super().reconnect()

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledge a publication of this connection.

        One of an earlier connection comes again, or its session has ended: then another message can
        have its number.
        """
        if mid >> _IDENT_BITS != self._connection:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super().ack(mid & ((1 << _IDENT_BITS) - 1), qos)

    def _send_connect(self, keepalive: int) -> MQTTErrorCode:
        if self.before_connect is not None:
            self.before_connect()
        return super()._send_connect(keepalive)

    def leave(self) -> None:
        """End the connection as the protocol has it, and connect again after 1 s.

        The library connects again, because its state is not that of `disconnect`.
        """
        self._send_disconnect(self._farewell())

    def _farewell(self) -> ReasonCode | None:
        """Return the reason of a DISCONNECT: with the will, if there is one (MQTT 5)."""
        if self._protocol != mqtt.MQTTv5 or not self._will:
            return None
        return ReasonCode(PacketTypes.DISCONNECT, identifier=_WITH_WILL)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle all packets of a piece; `select` does not see those that are read already."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._piece_at < len(self._piece):
            code = super().loop_read(max_packets)
        return code

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._piece_at >= len(self._piece):
            self._piece, self._piece_at = super()._sock_recv(_PIECE_BYTES), 0
        at = self._piece_at
        self._piece_at = at + bufsize
        return self._piece[at : at + bufsize]

    def refuses_version(self, reason: ReasonCode) -> bool:
        """Return whether a broker says that it has another version only; it is noted."""
        is_refused = reason.value in OTHER_VERSION
        self._is_version_refused |= is_refused
        return is_refused

    def keep_version(self, properties: object = None) -> bool:
        """The broker has accepted the version; `properties`: the limits in its answer (MQTT 5).

        False: this connection ends, and the next one asks for MQTT 5 again. A port in front of a
        broker that is starting ends connections too, and with MQTT 3.1.1 records can be lost.
        The library has no use for the limits. A strict broker ends a connection that exceeds one.
        """
        is_old = self._protocol == mqtt.MQTTv311
        if is_old and not self._is_version_refused and self._rounds < _ROUNDS:
            self._rounds += 1
            self._asks_again = True
            self.leave()
            return False
        self._is_version_known = True
        self._clean_start, self._clean_session = False, not self.keeps_session
        self._drops_session = False
        self._has_idents = bool(getattr(properties, "SubscriptionIdentifierAvailable", True))
        limit = getattr(properties, "ReceiveMaximum", None)
        if limit:
            self._max_inflight_messages = min(self._max_inflight_messages, limit)
        self.most_packet_bytes = getattr(properties, "MaximumPacketSize", None) or 1 << 28
        return True

    def try_other_version(self) -> bool:
        """Use the other version for the next connection; True: its end says nothing.

        They take turns until the broker accepts one, since some brokers only end the connection.
        """
        if self._is_version_known:
            return self._drops_session
        asks_again, self._asks_again = self._asks_again, False
        is_old = self._protocol == mqtt.MQTTv311
        self._protocol = mqtt.MQTTv5 if is_old else mqtt.MQTTv311
        self._clean_session = self.starts_clean or not self.keeps_session
        return asks_again or not is_old

    def has_expiry(self) -> bool:
        """Return whether the broker can end a session after a time (MQTT 5)."""
        return self._protocol == mqtt.MQTTv5

    def end_session(self, kept_s: int) -> None:
        """Disconnect; the broker keeps the session for `kept_s` seconds. MQTT 3.1.1: see above."""
        properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = kept_s
        self.end(properties if self._protocol == mqtt.MQTTv5 else None)

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        """Note why the broker refuses a message; the library gets the acknowledgement without it.

        mosquitto has a reason that MQTT 5 does not have here (packet too large). The library would
        end the connection, and send the same message again, for ever.
        """
        packet = self._in_packet["packet"]
        if cmd == "PUBACK" and len(packet) > 2:
            if packet[2] >= self.least_reason:
                self.refusals[int.from_bytes(packet[:2], "big")] = packet[2]
            self._in_packet["packet"] = packet[:2]
            self._in_packet["remaining_length"] = 2
        return super()._handle_pubackcomp(cmd)

    def _handle_publish(self) -> MQTTErrorCode:
        """Read a PUBLISH; the library calls this for each. A subscription has QoS 1 at most."""
        head, packet = self._in_packet["command"], self._in_packet["packet"]
        publication = read_publication(head, packet, self._protocol == mqtt.MQTTv5)
        if publication is None or publication.qos > 1:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        idents = publication.subscriptions
        if self.own_ident and idents and self.own_ident not in idents:
            self._drop_session()
        elif self.on_publication is not None:
            ident = self._connection << _IDENT_BITS | publication.ident
            self.on_publication(publication._replace(ident=ident))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def subscribe_all(self, topics: list[str]) -> None:
        """Subscribe to topics with QoS 1 and `own_ident`."""
        properties = None
        if self.own_ident and self._has_idents and self._protocol == mqtt.MQTTv5:
            properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
            properties.SubscriptionIdentifier = self.own_ident
        self.subscribe([(topic, 1) for topic in topics], properties=properties)

    def _drop_session(self) -> None:
        """Connect again with a new session: another program has subscribed in this one.

        It had the same identifier. No client can list such a subscription to end it.
        """
        if self._drops_session:
            return  # what the broker had sent before it got the DISCONNECT
        self._drops_session = self._clean_start = True
        if self.on_foreign_session is not None:
            self.on_foreign_session()
        self.leave()


def session_properties(is_long: bool) -> Properties:
    """Return for a CONNECT how long the broker keeps the session; see `make_session_client`."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = LONG_S if is_long else SHORT_S
    return properties


def make_session_client(
    settings: BrokerSettings, ident: str, window: int, is_long: bool = False
) -> SessionClient:
    """Return a client that is not connected; `window`: messages without an acknowledgement.

    `is_long`: the broker keeps the session for `LONG_S` after the connection, else for `SHORT_S`.
    Raises DeployError if a file for TLS cannot be read.
    """
    client = SessionClient(ident)
    client.keeps_session = is_long
    client.session = session_properties(is_long)
    client.session.ReceiveMaximum = window
    client.session.MaximumPacketSize = _MOST_PACKET_BYTES
    set_up(client, settings)
    return client


def make_output_client(settings: BrokerSettings, ident: str) -> SessionClient:
    """Return a client that is not connected; the broker keeps no session for it.

    Raises DeployError if a file for TLS cannot be read.
    """
    client = SessionClient(ident)
    client.keeps_session = False
    client.least_reason = NO_SUBSCRIBER
    set_up(client, settings)
    return client
