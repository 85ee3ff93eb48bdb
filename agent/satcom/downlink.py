# SPDX-License-Identifier: Apache-2.0
"""Messages from the ground relay: passed on when their number is stored.

Does not authenticate messages; see `protocols.datagram` and `agent.satcom.transfer`.

A replayed message must have no effect, also after a restart. So the highest received number is
written to the store first. Then the message is passed to the service `message`. A power cut in
between loses the message; it never delivers it twice.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.satcom.persistence import SatcomStore
    from agent.satcom.transfer import MessageTransfer

_MAX_PENDING = 4


class DownlinkReceiver:
    """Holds messages until `store` has their number. Without a store it holds none."""

    def __init__(self, messages: "MessageTransfer") -> None:
        self.store: SatcomStore | None = None
        self.dropped = 0
        self._handler: Callable[[bytes, int], None] | None = None
        self._messages = messages
        self._pending: list[tuple[int, bytes]] = []

    def connect(
        self, store: "SatcomStore | None", handler: "Callable[[bytes, int], None] | None"
    ) -> None:
        """Hold messages until `store` has their number; then call `handler(content, now)`."""
        self.store, self._handler = store, handler

    def add(self, content: bytes) -> None:
        """Add a message with a new number."""
        self._pending.append((self._messages.newest_number, content))
        if self.store is not None:
            self.store.store_number(self._messages.newest_number)
        if len(self._pending) > _MAX_PENDING:
            self._pending.pop(0)
            self.dropped += 1

    def step(self, now: int) -> None:
        """Reject numbers from before the start; pass on messages with a stored number."""
        if self.store is not None and self.store.loaded:
            self._messages.reject_up_to(self.store.initial_number)
        while self._pending and self._is_durable(self._pending[0][0]):
            content = self._pending.pop(0)[1]
            if self._handler is not None:
                self._handler(content, now)

    def _is_durable(self, number: int) -> bool:
        return self.store is None or self.store.received_number >= number
