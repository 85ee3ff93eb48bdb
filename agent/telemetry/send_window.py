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
    from protocols.mqtt.client import Client

MESSAGE, LONGEST = 2800, 3800
"""Bytes of a message: two segments of TCP; of one with a single record: six minutes of a backlog in
one block need more."""
_LEAST, _MOST = 2, 14
_SOON, _SLOW = 2 * SECOND, 4 * SECOND


class Outflow:
    """Publishes what `sender` gives on `topic`, at most `window` messages at a time."""

    def __init__(self, sender: "Sender", client: "Client", topic: str) -> None:
        self.window = _LEAST
        self.waiting = 0
        self._sender = sender
        self._client = client
        self._topic = topic

    def flush(self, now: int) -> int:
        """Publish while there is room; count the messages."""
        sent = 0
        while self.waiting < self.window and self._client.room:
            ids, message = self._sender.next(MESSAGE, longest=LONGEST)
            if not ids:
                break
            self._client.publish(self._topic, message, 1, False, ("log", ids, now))
            self.waiting += 1
            sent += 1
        return sent

    def acknowledged(self, tag: "tuple[object, ...]", now: int) -> None:
        """Take that the broker has a message."""
        self.waiting = max(0, self.waiting - 1)
        self._sender.accepted(tag[1])  # type: ignore[arg-type]
        took = now - int(str(tag[2]))
        if took < _SOON:
            self.window = min(self.window + 1, _MOST)
        elif took > _SLOW:
            self.window = max(self.window - 1, _LEAST)

    def cut(self) -> None:
        """The connection is gone: the next link may be a thin one."""
        self.window = _LEAST
