"""The way to the ground: telemetry and state over MQTT, when the link is there.

Not a loop's business: nothing that cools waits for this room. The rows leave at QoS 1, oldest
first, a bounded number in flight; a row is forgotten when the broker has acknowledged it. The will
makes the broker say `online: false` for us when the link dies.
"""

from agent.core.json_writer import Object, write
from agent.core.port_link import Link
from protocols.mqtt.client import Client
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.core.config_records import Config
    from agent.log.sender import Sender
    from agent.telemetry.rows import Telemetry
    from agent.telemetry.send_window import Outflow

    Linked = Callable[[bool, int], None]
    Listener = Callable[[bytes, int], None]

TOPIC_ROOT = "coldloop/v1/"
_OPEN_LIMIT = 10 * SECOND
"""A broker that takes the connection but never answers is left after this time."""
_PACKET = 8192
"""The longest MQTT packet, in bytes, unless the unit has so many points that `birth` is longer."""
_HEAD = 128
"""More than the head of a PUBLISH takes: fixed header, topic, packet id."""


class Uplink:
    """MQTT over the port of `link`, fed from `telemetry`.

    `birth` is the retained message that is published at every connection; no row is longer.
    """

    def __init__(self, config: "Config", link: Link, telemetry: "Telemetry", birth: bytes) -> None:
        base = TOPIC_ROOT + config.site + "/" + config.unit + "/"
        self.link = link
        self.connected = False
        self.published = 0
        self.acknowledged = 0
        self.refused = ""
        self._telemetry = telemetry
        self._now = 0
        self._base = base
        self._listeners: list[tuple[str, Listener]] = []
        self._unheard: list[str] = []
        self._sayings: list[tuple[str, bytes, bool]] = []
        self._topic = base + "tele"
        self._state_topic = base + "state"
        offline = write(Object([("online", False)])).encode()
        kind: type[Client] = Client
        if config.mqtt == "5":
            from protocols.mqtt.client_v5 import Client5  # noqa: PLC0415 - only when asked for

            kind = Client5
        self._client = kind(
            config.site + "-" + config.unit,
            keepalive_s=config.keepalive_s,
            will=(self._state_topic, offline, 1, True),
            username=config.username,
            password=config.password,
            max_packet=max(_PACKET, len(birth) + _HEAD),
            response_timeout_us=_OPEN_LIMIT,
        )
        self._client.expiry_s = config.expiry_s
        self._birth = birth
        self._birth_due = False
        self._outflow: Outflow | None = None
        self._linked: Linked | None = None

    def send_from(self, sender: "Sender", linked: "Linked") -> None:
        """Take what is sent from the log instead of from `telemetry`; `linked(up, now)` is told.

        Nothing waits for CONNACK then: the first messages leave behind CONNECT.
        """
        from agent.telemetry.send_window import Outflow as Kind  # noqa: PLC0415 - only with a log

        self._client.eager = True
        self._outflow = Kind(sender, self._client, self._topic)
        self._linked = linked
        self.listen("ack", sender.receipt)
        sender.keeper.listeners.append(self._more)

    def _more(self, now: int) -> None:
        self._now = now
        if self.link.up:
            self.flush()

    def announce(self, birth: bytes) -> None:
        """Publish another `birth` from the next connection on."""
        self._birth = birth
        self._client.max_packet = max(self._client.max_packet, len(birth) + _HEAD)

    def event(self, kind: str, now: int) -> None:
        """Take an event of the port."""
        self.link.event(kind, now)
        if kind == "opened":
            self._client.opened(now)
            self._greet()
        elif kind in ("closed", "failed"):
            self.connected = False
            self._client.closed(now)
        self._tell(kind == "opened", now)
        self._react(now)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes from the broker."""
        self._client.receive(data, now)
        self._react(now)

    def wake(self, now: int) -> None:
        """Take a deadline: keep-alive, time-out or the next try to connect."""
        stood = self.link.up
        self.link.wake(now)
        if stood and not self.link.up:  # to have the broker's certificate looked at again
            self.connected = False
            self._client.closed(now)
        self._client.wake(now)
        self._react(now)

    def deadline(self) -> int:
        """Give the next deadline in monotonic microseconds."""
        return min(self.link.due, self._client.deadline())

    def listen(self, topic: str, listener: "Listener") -> None:
        """Have `listener(payload, now)` called for what comes on `topic` of this unit."""
        self._listeners.append((self._base + topic, listener))

    def say(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish on `topic` of this unit; the newest of each topic waits for a connection."""
        full = self._base + topic
        self._sayings = [entry for entry in self._sayings if entry[0] != full]
        self._sayings.append((full, payload, retain))
        if self.connected:
            self.flush()

    def unsaid(self, topic: str) -> bool:
        """Tell whether what was said on `topic` of this unit still waits to be sent."""
        return (self._base + topic) in [entry[0] for entry in self._sayings]

    def _greet(self) -> None:
        """Have what every connection begins with said, by the next `flush`."""
        self._birth_due = True
        self._unheard = [topic for topic, _ in self._listeners]

    def _tell(self, up: bool, now: int) -> None:
        if self._linked is not None and self._outflow is not None:
            if not up:
                self._outflow.cut()
            self._linked(up, now)

    def _heard(self, topic: str, payload: bytes, now: int) -> None:
        for known, listener in self._listeners:
            if known == topic:
                listener(payload, now)

    def _react(self, now: int) -> None:
        self._now = now
        for event in self._client.events():
            kind = event[0]
            if kind == "acknowledged":
                self.acknowledged += event[1] == "row"
                if self._outflow is not None and type(event[1]) is tuple:
                    self.acknowledged += 1
                    self._outflow.acknowledged(event[1], now)
            elif kind == "connected":
                self.connected = True
                self.refused = ""
                self.link.proven()
                if self._outflow is None:
                    self._greet()
            elif kind == "message":
                self._heard(str(event[1]), bytes(event[2]), now)  # type: ignore[call-overload]
            elif kind in ("refused", "broken"):
                self.refused = "%s: %s" % (kind, event[1])
                self.connected = False
                self._client.closed(now)
                self.link.close(now)
                self._tell(False, now)
        if self.connected or (self._outflow is not None and self.link.up):
            self.flush()

    def flush(self) -> None:
        """Publish what waits, while the broker and the bound in flight allow it."""
        if self._birth_due:
            self._birth_due = not self._client.publish(
                self._state_topic, self._birth, 1, True, "state"
            )
        while self._unheard and self._client.subscribe(self._unheard[0], 1):
            self._unheard.pop(0)
        while self._sayings and self._client.publish(*self._saying()):
            self._sayings.pop(0)
        if self._outflow is not None:
            self.published += self._outflow.flush(self._now)
            return
        queue = self._telemetry.queue
        sent = 0
        while sent < len(queue) and self._client.publish(self._topic, queue[sent], 1, False, "row"):
            sent += 1
        if sent:
            self.published += sent
            self._telemetry.queue = queue[sent:]

    def _saying(self) -> "tuple[str, bytes, int, bool, str]":
        topic, payload, retain = self._sayings[0]
        return topic, payload, 1, retain, "say"

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Hand over what the port is asked to do, in order."""
        out = self.link.outbox()
        if self.link.up:
            out.extend([(self.link.port, "write", data) for data in self._client.out()])
        return out
