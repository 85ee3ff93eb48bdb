"""Messages from the ground, handed on only after it is durable that their number was used.

Not the proof of a message (`protocols.datagram`, agent.satcom.transfer). A message that is played
to the unit again must do nothing, after a restart too: the highest number that came is written to
the store first, then the message is handed to the service `message`. A power cut in between loses
the message, and never lets it come twice.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.satcom.persistence import SatcomStore
    from agent.satcom.transfer import MessageTransfer

_MAX_PENDING = 4


class DownlinkReceiver:
    """Holds messages until `store` has their number; without a memory none is held back."""

    def __init__(self, messages: "MessageTransfer") -> None:
        self.store: SatcomStore | None = None
        self.dropped = 0
        self._handler: Callable[[bytes, int], None] | None = None
        self._messages = messages
        self._pending: list[tuple[int, bytes]] = []

    def connect(
        self, store: "SatcomStore | None", handler: "Callable[[bytes, int], None] | None"
    ) -> None:
        """Take the store, and the handler of messages: `handler(content, now)`."""
        self.store, self._handler = store, handler

    def add(self, content: bytes) -> None:
        """Take a message whose number was not heard before."""
        self._pending.append((self._messages.newest_number, content))
        if self.store is not None:
            self.store.request_number(self._messages.newest_number)
        if len(self._pending) > _MAX_PENDING:
            self._pending.pop(0)
            self.dropped += 1

    def step(self, now: int) -> None:
        """Refuse what came before the start; hand on what is safe now."""
        if self.store is not None and self.store.loaded:
            self._messages.raise_min_number(self.store.initial_number)
        while self._pending and self._is_durable(self._pending[0][0]):
            content = self._pending.pop(0)[1]
            if self._handler is not None:
                self._handler(content, now)

    def _is_durable(self, number: int) -> bool:
        return self.store is None or self.store.received_number >= number
