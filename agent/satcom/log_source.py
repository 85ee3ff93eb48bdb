"""The unit's log as the source of the datagram carrier, beside the queue of alarms.

Not the log (agent.log.sender). Alarms leave at once by the queue, in a few bytes; the log's own
records follow in its order: the alarm's record and live blocks, then events, then the backlog. They
leave by datagrams only while MQTT is not connected: what costs nothing there is not paid for here.
Only the ground's word lets the log delete: without a key the gateway's word is not that, and the
relay's receipts (`Sender.receipt`) are waited for.
"""

from protocols.datagram import ALARM, BULK, EVENT, LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.agent import Agent
    from agent.log.sender import Sender
    from agent.satcom.ram_queue import MemQueue

_GROUPS: "dict[int, tuple[int, ...]]" = {LIVE: (ALARM, LIVE), EVENT: (EVENT,), BULK: (BULK,)}
"""Class of a datagram -> classes of the log that go in it."""


class LogSource:
    """See the module. Ids of the queue are negative here, those of the log as they are."""

    def __init__(
        self, agent: "Agent", sender: "Sender", queue: "MemQueue", patience_us: int, proven: bool
    ) -> None:
        self._agent = agent
        self._sender = sender
        self._queue = queue
        self._patience_us = patience_us
        self._usual_us = sender.patience_us
        self._proven = proven

    def _away(self) -> bool:
        """Say whether MQTT is away; the log's patience goes with the carrier in use."""
        uplink = self._agent.uplink
        away = uplink is None or not uplink.connected
        self._sender.patience_us = self._patience_us if away else self._usual_us
        return away

    def next(self, limit: int, classes: "tuple[int, ...]") -> "tuple[list[int], bytes] | None":
        """Give the next content of the first class that has any."""
        for kind in classes:
            found = self._queue.next(limit, (kind,))
            if found is not None:
                return [-each for each in found[0]], found[1]
            if kind in _GROUPS and self._away():
                ids, content = self._sender.next(limit, _GROUPS[kind])
                if content:
                    return ids, content
        return None

    def since(self, kind: int) -> "int | None":
        """Give the time at which the oldest content of the queue came."""
        return self._queue.since(kind)

    def accepted(self, ids: "list[int]") -> None:
        """The gateway has them: the receipt has time from now on."""
        self._sender.accepted([each for each in ids if each > 0])

    def acknowledged(self, ids: "list[int]") -> None:
        """Forget them; of the log, only on the ground's word."""
        self._queue.acknowledged([-each for each in ids if each < 0])
        if self._proven:
            self._sender.acknowledged([each for each in ids if each > 0])
