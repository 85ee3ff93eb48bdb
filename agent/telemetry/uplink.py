# SPDX-License-Identifier: Apache-2.0
"""Uplink: telemetry and state over MQTT while the link is up.

Does not block control: no loop waits for the uplink. Rows are published at QoS 1, oldest first,
with a limited number in flight. A row is dropped when the broker has acknowledged it. If the link
fails, the MQTT will makes the broker publish `online: false`.
"""

from agent.core.json_writer import JsonObject, write
from agent.core.module_unload import drop_modules
from agent.core.port_link import PortLink
from protocols.mqtt.client import MqttClient
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock.utc_clock import UtcClock
    from agent.core.config_records import Config
    from agent.log.sender import Sender
    from agent.telemetry.rows import Telemetry
    from agent.telemetry.send_window import SendWindow
    from drivers.ports.address import Address

    LinkListener = Callable[[bool, int], None]
    Listener = Callable[[bytes, int], None]

TOPIC_ROOT = "coldloop/v1/"
_RESPONSE_TIMEOUT_US = 10 * SECOND
"""Time after which the agent leaves a broker that accepts the connection but does not reply."""
_MAX_PACKET = 8192
"""Longest MQTT packet in bytes, unless `birth` of a unit with many points is longer."""
_PUBLISH_OVERHEAD = 128
"""Upper limit for the head of a PUBLISH: fixed header, topic, packet id."""


class BrokerLink(PortLink):
    """The link to a broker without TLS."""

    has_connect_timeout = True


def make_broker_link(port: int, address: "Address", clock: "UtcClock") -> PortLink:
    """Return the link to the broker; TLS needs the date of `clock`."""
    if address.kind != "tls":
        return BrokerLink(port, "broker", str(address), needs_handshake=True)
    from agent.telemetry.tls_link import TlsLink  # noqa: PLC0415 - only a unit with TLS has it

    return TlsLink(port, "broker", str(address), clock)


class Uplink:
    """MQTT over the port of `link`, with the rows of `telemetry`.

    `birth` is the retained message that each connection publishes. No row is longer.
    """

    def __init__(
        self, config: "Config", link: PortLink, telemetry: "Telemetry", birth: bytes
    ) -> None:
        base = TOPIC_ROOT + config.site + "/" + config.unit + "/"
        self.link = link
        self.connected = False
        self.published = 0
        self.acknowledged = 0
        self.last_error = ""
        self._telemetry = telemetry
        self._now = 0
        self._base = base
        self._listeners: list[tuple[str, Listener]] = []
        self._unsubscribed: list[str] = []
        self._pending_messages: list[tuple[str, bytes, bool]] = []
        self._topic = base + "tele"
        self._state_topic = base + "state"
        offline = write(JsonObject([("online", False)])).encode()
        client_class: type[MqttClient] = MqttClient
        if config.mqtt_version == "5":
            from protocols.mqtt.client_v5 import MqttClientV5  # noqa: PLC0415 - only if configured

            client_class = MqttClientV5
        self._client = client_class(
            config.site + "-" + config.unit,
            keepalive_s=config.keepalive_s,
            will=(self._state_topic, offline, 1, True),
            username=config.username,
            password=config.password,
            max_packet=max(_MAX_PACKET, len(birth) + _PUBLISH_OVERHEAD),
            response_timeout_us=_RESPONSE_TIMEOUT_US,
            message_expiry_s=config.message_expiry_s,
        )
        drop_modules(("protocols.mqtt.connect_packet",))
        self._birth = birth
        self._birth_due = False
        self._send_window: SendWindow | None = None
        self._on_link: LinkListener | None = None

    def send_from_log(self, sender: "Sender", on_link: "LinkListener") -> None:
        """Send the messages of the log instead of `telemetry`. `on_link(up, now)` reports the link.

        The uplink then does not wait for CONNACK: the first messages follow CONNECT.
        """
        from agent.telemetry import send_window  # noqa: PLC0415 - only with a log

        self._client.set_publish_early(True)
        self._send_window = send_window.SendWindow(sender, self._client, self._topic)
        self._on_link = on_link
        self.listen("ack", sender.on_receipt)
        sender.record_store.listeners.append(self._on_log_record)

    def _on_log_record(self, now: int) -> None:
        self._now = now
        if self.link.is_open:
            self.flush()

    def set_birth(self, birth: bytes) -> None:
        """Publish another `birth` from the next connection on."""
        self._birth = birth
        self._client.raise_max_packet(len(birth) + _PUBLISH_OVERHEAD)

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the port."""
        self.link.event(kind, now)
        if kind == "opened":
            self._client.connection_opened(now)
            self._queue_connect_msgs()
        elif kind in ("closed", "failed"):
            self.connected = False
            self._client.connection_closed(now)
        self._notify_link(kind == "opened", now)
        self._handle_events(now)

    def receive(self, data: bytes, now: int) -> None:
        """Handle bytes of the broker."""
        self._client.receive(data, now)
        self._handle_events(now)

    def wake(self, now: int) -> None:
        """Handle a deadline: keep-alive, time-out or the next connection attempt."""
        was_open = self.link.is_open
        self.link.wake(now)
        if was_open and not self.link.is_open:  # the link reopens to check the certificate again
            self.connected = False
            self._client.connection_closed(now)
        self._client.wake(now)
        self._handle_events(now)

    def deadline(self) -> int:
        """Return the next deadline, monotonic µs."""
        due, link_wake_at = self._client.wake_at, self.link.wake_at
        return due if due < link_wake_at else link_wake_at

    def listen(self, topic: str, listener: "Listener") -> None:
        """Call `listener(payload, now)` for messages on `topic` of this unit."""
        self._listeners.append((self._base + topic, listener))

    def publish_latest(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish on `topic` of this unit. Only the newest message of a topic waits."""
        full = self._base + topic
        self._pending_messages = [entry for entry in self._pending_messages if entry[0] != full]
        self._pending_messages.append((full, payload, retain))
        if self.connected:
            self.flush()

    def is_pending(self, topic: str) -> bool:
        """Return whether the last message on `topic` of this unit still waits."""
        return (self._base + topic) in [entry[0] for entry in self._pending_messages]

    def _queue_connect_msgs(self) -> None:
        """Queue the messages of a new connection for the next `flush`."""
        self._birth_due = True
        self._unsubscribed = [topic for topic, _ in self._listeners]

    def _notify_link(self, up: bool, now: int) -> None:
        if self._on_link is not None and self._send_window is not None:
            if not up:
                self._send_window.reset()
            self._on_link(up, now)

    def _on_message(self, topic: str, payload: bytes, now: int) -> None:
        for subscribed, listener in self._listeners:
            if subscribed == topic:
                listener(payload, now)

    def _handle_events(self, now: int) -> None:
        self._now = now
        for event in self._client.take_events():
            kind = event[0]
            if kind == "acknowledged":
                self.acknowledged += event[1] == "row"
                if self._send_window is not None and type(event[1]) is tuple:
                    self.acknowledged += 1
                    self._send_window.acknowledged(event[1], now)
            elif kind == "connected":
                self.connected = True
                self.last_error = ""
                self.link.confirm_handshake()
                if self._send_window is None:
                    self._queue_connect_msgs()
            elif kind == "message":
                self._on_message(str(event[1]), bytes(event[2]), now)  # type: ignore[call-overload]
            elif kind in ("refused", "broken"):
                self.last_error = "%s: %s" % (kind, event[1])
                self.connected = False
                self._client.connection_closed(now)
                self.link.close(now)
                self._notify_link(False, now)
        if self.connected or (self._send_window is not None and self.link.is_open):
            self.flush()

    def flush(self) -> None:
        """Publish waiting messages while the broker and the limit in flight allow it."""
        if self._birth_due:
            self._birth_due = not self._client.publish(
                self._state_topic, self._birth, 1, True, "state"
            )
        while self._unsubscribed and self._client.subscribe(self._unsubscribed[0], 1):
            self._unsubscribed.pop(0)
        while self._pending_messages and self._client.publish(*self._next_message()):
            self._pending_messages.pop(0)
        if self._send_window is not None:
            self.published += self._send_window.flush(self._now)
            return
        queue = self._telemetry.queue
        while len(queue) and self._client.publish(self._topic, queue.first, 1, False, "row"):
            queue.drop_first()
            self.published += 1

    def _next_message(self) -> "tuple[str, bytes, int, bool, str]":
        topic, payload, retain = self._pending_messages[0]
        return topic, payload, 1, retain, "latest"

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Return the requests for the port, in order."""
        link = self.link
        out = link.outbox() if link.requests else []
        if link.is_open and self._client.output:
            out.extend([(link.port, "write", packet) for packet in self._client.take_output()])
        return out
