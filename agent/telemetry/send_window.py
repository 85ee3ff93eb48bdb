# SPDX-License-Identifier: Apache-2.0
"""Number and size of the log messages in flight over MQTT.

Does not select records (see `agent.log.sender`) and does not hold the connection (see
`agent.telemetry.uplink`). The acknowledgements of the broker measure the link. While they arrive
soon, one more message can be in flight; this fills a link with a long round trip. When they are
slow, the window shrinks, so that urgent records do not wait behind others.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.log.sender import Sender
    from protocols.mqtt.client import MqttClient

MESSAGE_BYTES, MAX_RECORD_BYTES = 2800, 3800
"""Largest size of a message: two TCP segments. Largest size of a message with a single record: six
minutes of backlog in one block need more."""
_MIN_WINDOW, _MAX_WINDOW = 2, 14
_FAST_ACK_US, _SLOW_ACK_US = 2 * SECOND, 4 * SECOND


class SendWindow:
    """Publishes the messages of `sender` on `topic`, at most `window` in flight."""

    def __init__(self, sender: "Sender", client: "MqttClient", topic: str) -> None:
        self.window = _MIN_WINDOW
        self.in_flight = 0
        self._sender = sender
        self._client = client
        self._topic = topic

    def flush(self, now: int) -> int:
        """Publish while the window has room. Return the number of messages.

        A sender with small messages gives one; the acknowledgement of the broker asks for the next.
        """
        sent = 0
        while self.in_flight < self.window and self._client.can_publish:
            ids, message = self._sender.next(MESSAGE_BYTES, max_single=MAX_RECORD_BYTES)
            if not ids:
                break
            self._client.publish(self._topic, message, 1, False, ("log", ids, now))
            self.in_flight += 1
            sent += 1
            if self._sender.max_records:
                break
        return sent

    def acknowledged(self, tag: "tuple[object, ...]", now: int) -> None:
        """Handle the acknowledgement of the broker."""
        self.in_flight = max(0, self.in_flight - 1)
        self._sender.mark_accepted(tag[1])  # type: ignore[arg-type]
        ack_delay_us = now - int(str(tag[2]))
        if ack_delay_us < _FAST_ACK_US:
            self.window = min(self.window + 1, _MAX_WINDOW)
        elif ack_delay_us > _SLOW_ACK_US:
            self.window = max(self.window - 1, _MIN_WINDOW)

    def reset(self) -> None:
        """Start again with a small window: the next link can be slow."""
        self.window = _MIN_WINDOW
