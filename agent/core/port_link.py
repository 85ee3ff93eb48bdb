# SPDX-License-Identifier: Apache-2.0
"""One port that must be open: opens it, retries with back-off, counts failures.

Does not read the bytes of the port. The runtime answers an `open` with the event `opened` or
`failed`. The event `closed` ends an open port. The link retries after 1, 2, 4 … 30 s, without an
end, because the agent continues to cool without the port.

A broker can accept the connection and then reject the client. For such a port `needs_handshake` is
True: the pause returns to 1 s only after `mark_good`, not after `opened`.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from protocols.time_units import NEVER, SECOND

PORT = AlarmRecord("port", NORMAL, "cannot use port", "port", False)

_FIRST_RETRY = SECOND
_LONGEST_RETRY = 30 * SECOND


class PortLink:
    """Keeps `port` open at `address`. Times are monotonic microseconds.

    `needs_handshake`: the owner calls `mark_good` after the handshake. `requests`: waiting for
    `outbox`.
    """

    def __init__(self, port: int, name: str, address: str, needs_handshake: bool = False) -> None:
        self.port = port
        self.name = name
        self.up = False
        self.opens = 0
        self.failures = 0
        self.due = NEVER
        self.address = address
        self._needs_handshake = needs_handshake
        self._pause = _FIRST_RETRY
        self.requests: list[tuple[int, str, bytes]] = []

    def start(self) -> None:
        """Request to open the port."""
        self.due = NEVER
        self.requests.append((self.port, "open", self.address.encode()))

    def event(self, kind: str, now: int) -> None:
        """Handle the event `opened`, `failed` or `closed` of the port."""
        if kind == "opened":
            self.up = True
            self.opens += 1
            if not self._needs_handshake:
                self.mark_good()
        elif kind in ("failed", "closed"):
            self.up = False
            self.failures += 1
            self.due = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_RETRY)

    def mark_good(self) -> None:
        """Record a successful handshake: the next pause is 1 s again."""
        self._pause = _FIRST_RETRY

    def retry_now(self, now: int) -> None:
        """Retry now and start again with a pause of 1 s."""
        self._pause = _FIRST_RETRY
        if not self.up:
            self.due = now

    def suspend(self) -> None:
        """Stop the retries until `retry_now` is called."""
        self.due = NEVER

    def close(self, now: int) -> None:
        """Close the port and open it again after the pause."""
        self.requests.append((self.port, "close", b""))
        self.event("closed", now)

    def reopen(self) -> None:
        """Close the connection and open a new one, for a server of one request each."""
        self.up = False
        self.requests.append((self.port, "close", b""))
        self.start()

    def wake(self, now: int) -> None:
        """Retry if the pause has ended."""
        if now >= self.due:
            self.start()

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Return the requests for the port."""
        out, self.requests = self.requests, []
        return out
