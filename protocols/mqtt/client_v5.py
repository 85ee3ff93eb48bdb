# SPDX-License-Identifier: Apache-2.0
"""MQTT 5 client: extends `client` by topic aliases, message expiry and the limits of the server.

Advantages on a slow link: a topic is sent once per connection and then as its alias (saves some 25
bytes a message). A message can expire at the broker, so that a repeated message is not queued there
twice. A server gives a reason when it rejects a request. The client respects the receive
maximum (unacknowledged QoS 1 publishes), packet limit and keep-alive of the server.

Before CONNACK the limits of the server are unknown. The receive maximum is then the last one, or 1.
The client rejects a server that accepts only QoS 0, or only packets shorter than `max_packet`.
"""

from protocols.errors import DecodeError
from protocols.mqtt import packets, packets_v5
from protocols.mqtt.client import MqttClient
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_ALIASES = 8
"""Maximum number of topics with an alias."""


class MqttClientV5(MqttClient):
    """See `MqttClient`. `message_expiry_s` applies to QoS 1 messages that are not retained."""

    codec: "Any" = packets_v5

    def __init__(self, client_id: str, **settings: "Any") -> None:
        MqttClient.__init__(self, client_id, **settings)
        self._connect = packets_v5.connect(self._connect, self.max_packet)
        self._own_max_inflight = self._max_inflight
        self._max_inflight = 1
        self._resend_pending = 0
        self._aliases: dict[str, int] = {}
        self._alias_limit = 0
        self._handlers[packets_v5.DISCONNECT] = self._on_disconnect

    def connection_opened(self, now: int) -> None:
        """Handle an open transport: send CONNECT."""
        self._aliases = {}
        self._alias_limit = 0
        self._resend_pending = 0
        MqttClient.connection_opened(self, now)

    def _resend(self) -> None:
        """Send the in-flight publishes again, within the receive maximum of the server.

        Until all are sent, the number in flight exceeds this maximum; `publish` then accepts
        nothing new.
        """
        self._resend_pending = len(self._inflight)
        self._resend_next()

    def _resend_next(self) -> None:
        while (
            self._resend_pending and len(self._inflight) - self._resend_pending < self._max_inflight
        ):
            self._send(packets.duplicate(self._inflight[-self._resend_pending][1]))
            self._resend_pending -= 1
            self.resent += 1

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        tag: object = None,
    ) -> bool:
        """See `MqttClient.publish`. The kept packet has no alias: an alias ends with its
        connection.
        """
        count_before = len(self.output)
        if not MqttClient.publish(self, topic, payload, qos, retain, tag):
            return False
        if self._alias_limit and len(self.output) == count_before + 1:
            packet_id = self._inflight[-1][0] if qos else 0
            self.output[-1] = self._build_aliased(topic, payload, retain, packet_id)
        return True

    def _build_publish(self, head: bytes, payload: bytes, retain: bool, packet_id: int) -> bytes:
        return packets_v5.publish(
            head, payload, retain, packet_id, self._expiry_property(retain, packet_id)
        )

    def _expiry_property(self, retain: bool, packet_id: int) -> bytes:
        if not self.message_expiry_s or retain or not packet_id:
            return b""
        return packets_v5.encode_property(packets_v5.MESSAGE_EXPIRY, self.message_expiry_s)

    def _build_aliased(self, topic: str, payload: bytes, retain: bool, packet_id: int) -> bytes:
        head, alias = b"\x00\x00", self._aliases.get(topic, 0)
        if not alias:
            head = packets.encode_topic(topic)
            if len(self._aliases) < self._alias_limit:
                alias = self._aliases[topic] = len(self._aliases) + 1
        properties = self._expiry_property(retain, packet_id)
        if alias:
            properties += packets_v5.encode_property(packets_v5.ALIAS, alias)
        return packets_v5.publish(head, payload, retain, packet_id, properties)

    def _on_connack(self, first: int, body: bytes) -> None:
        if first == packets.CONNACK:
            self._apply_limits(packets_v5.decode_connack(body)[2])
        super()._on_connack(first, body)
        self._resend_next()

    def _apply_limits(self, properties: "packets_v5.Properties") -> None:
        """Apply the limits of the server; `DecodeError` if they are too small."""
        limit = properties.get(packets_v5.MAXIMUM_PACKET, self.max_packet)
        if limit < self.max_packet:
            raise DecodeError("the server takes packets of %d bytes" % limit)
        if not properties.get(packets_v5.MAXIMUM_QOS, 1):
            raise DecodeError("the server takes QoS 0 only")
        receive_maximum = properties.get(packets_v5.RECEIVE_MAXIMUM, 65_535)
        self._max_inflight = min(receive_maximum, self._own_max_inflight)
        self._alias_limit = min(properties.get(packets_v5.ALIAS_MAXIMUM, 0), _MAX_ALIASES)
        if packets_v5.KEEP_ALIVE in properties:
            self._keepalive_us = properties[packets_v5.KEEP_ALIVE] * SECOND

    def _on_puback(self, first: int, body: bytes) -> None:
        super()._on_puback(first, body)
        self._resend_next()

    def _on_disconnect(self, _: int, body: bytes) -> None:
        raise DecodeError(
            "the server says goodbye with reason %d" % packets_v5.decode_reason(body, 0)
        )
