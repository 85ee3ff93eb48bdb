# SPDX-License-Identifier: Apache-2.0
"""One port that should be open: opened, retried with back-off, reported.

Not a driver: it does not read the bytes of the port. The bench and the shells answer an
`open` with the event `opened` or `failed`; the event `closed` ends an open port. A port that will
not open is asked for again after 1, 2, 4 … 30 s, for ever, since the agent cools on meanwhile. A
port that is good only after an exchange over it (a broker may take a connection and refuse the
client) starts again at 1 s not when it opens but when `mark_good` is called.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from protocols.time_units import NEVER, SECOND

PORT = AlarmRecord("port", NORMAL, "cannot use port", "port", False)

_FIRST_RETRY = SECOND
_LONGEST_RETRY = 30 * SECOND


class PortLink:
    """Keeps `port` open at `address`. Times are monotonic microseconds.

    `needs_handshake`: its user calls `mark_good`. `requests`: what `outbox` will hand over.
    """

    def __init__(self, port: int, name: str, address: str, needs_handshake: bool = False) -> None:
        self.port = port
        self.name = name
        self.up = False
        self.opens = 0
        self.failures = 0
        self.due = NEVER
        self._address = address.encode()
        self._needs_handshake = needs_handshake
        self._pause = _FIRST_RETRY
        self.requests: list[tuple[int, str, bytes]] = []

    def start(self) -> None:
        """Ask for the port to be opened."""
        self.due = NEVER
        self.requests.append((self.port, "open", self._address))

    def event(self, kind: str, now: int) -> None:
        """Take `opened`, `failed` or `closed` from the port."""
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
        """The port does what it is for: the next pause is a short one again."""
        self._pause = _FIRST_RETRY

    def retry_now(self, now: int) -> None:
        """The way is free: try now, and begin with short pauses again."""
        self._pause = _FIRST_RETRY
        if not self.up:
            self.due = now

    def suspend(self) -> None:
        """There is no way at present: do not try until `retry_now` is called."""
        self.due = NEVER

    def close(self, now: int) -> None:
        """Close the port ourselves and try again later."""
        self.requests.append((self.port, "close", b""))
        self.event("closed", now)

    def reopen(self) -> None:
        """Close the connection and open another; the server serves one request on each."""
        self.up = False
        self.requests.append((self.port, "close", b""))
        self.start()

    def wake(self, now: int) -> None:
        """Retry when the pause is over."""
        if now >= self.due:
            self.start()

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Hand over what the port is asked to do."""
        out, self.requests = self.requests, []
        return out
