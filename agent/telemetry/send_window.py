"""How much of the log is on its way over MQTT at a time, and how large the messages are.

Not the log (`agent.log.sender`) and not the connection (`agent.telemetry.uplink`). The broker's
acknowledgements measure the link: while they come soon, one more message may be on its way, so that
a link with a long round trip is filled; when they are slow, fewer, so that what is urgent does not
stand behind what is not.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.log.sender import Sender
    from protocols.mqtt.client import MqttClient

MESSAGE_BYTES, MAX_RECORD_BYTES = 2800, 3800
"""Bytes of a message: two segments of TCP; of one with a single record: six minutes of a backlog in
one block need more."""
_MIN_WINDOW, _MAX_WINDOW = 2, 14
_FAST_ACK, _SLOW_ACK = 2 * SECOND, 4 * SECOND


class SendWindow:
    """Publishes what `sender` gives on `topic`, at most `window` messages at a time."""

    def __init__(self, sender: "Sender", client: "MqttClient", topic: str) -> None:
        self.window = _MIN_WINDOW
        self.in_flight = 0
        self._sender = sender
        self._client = client
        self._topic = topic

    def flush(self, now: int) -> int:
        """Publish while there is room; count the messages."""
        sent = 0
        while self.in_flight < self.window and self._client.can_publish:
            ids, message = self._sender.next(MESSAGE_BYTES, max_single=MAX_RECORD_BYTES)
            if not ids:
                break
            self._client.publish(self._topic, message, 1, False, ("log", ids, now))
            self.in_flight += 1
            sent += 1
        return sent

    def acknowledged(self, tag: "tuple[object, ...]", now: int) -> None:
        """Take that the broker has a message."""
        self.in_flight = max(0, self.in_flight - 1)
        self._sender.mark_accepted(tag[1])  # type: ignore[arg-type]
        ack_time = now - int(str(tag[2]))
        if ack_time < _FAST_ACK:
            self.window = min(self.window + 1, _MAX_WINDOW)
        elif ack_time > _SLOW_ACK:
            self.window = max(self.window - 1, _MIN_WINDOW)

    def reset(self) -> None:
        """The connection is gone: the next link may be a thin one."""
        self.window = _MIN_WINDOW
