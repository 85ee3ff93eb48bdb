# SPDX-License-Identifier: Apache-2.0
"""One port that must be open: opens it and retries with back-off.

Does not read the bytes of the port. The runtime answers an `open` with the event `opened` or
`failed`. The event `closed` ends an open port. The link retries after 1, 2, 4 … 30 s, without an
end, because the agent continues to cool without the port.

A path that loses all packets gives no event for 10 s, and its system repeats a lost SYN after 1, 3
and 7 s. So an attempt of a link with `has_connect_timeout` ends after 1.9 s, or twice the time of
the last successful one, and the next begins immediately. Thus at most a second passes from the end
of an outage to the next SYN. Each 512th attempt lasts 10 s, for a path that has become slower. Only
an address in numbers has the timeout: a board waits while it looks up a name.

A broker can accept the connection and then reject the client. For such a port `needs_handshake` is
True: the pause returns to 1 s only after `confirm_handshake`, not after `opened`.

A full or damaged disk opens too, and fails at the first write. So a store that failed while it was
open is on trial for 15 s when it opens again. Only after that does the pause return to 1 s, and
only then is the port sound. An owner of a store writes soon after it opens, because it repeats the
write that failed.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from protocols.time_units import NEVER, SECOND

PORT = AlarmRecord("port", NORMAL, "cannot use port", "port", False)

_MIN_BACKOFF_US = SECOND
_MAX_BACKOFF_US = 30 * SECOND
_CONNECT_TIMEOUT = 1_900_000
_LONG_ATTEMPT_EVERY = 512
_TRIAL_US = 15 * SECOND


class PortLink:
    """Keeps `port` open at `address`. Times are monotonic microseconds.

    `needs_handshake`: the owner calls `confirm_handshake` after the handshake. `requests`: waiting
    for `outbox`. `wake_at`: the next retry, the end of the trial, or NEVER. `has_connect_timeout`:
    attempts without an answer are renewed; see the module. `is_sound`: open, and not on trial.
    """

    has_connect_timeout = False

    def __init__(self, port: int, name: str, address: str, needs_handshake: bool = False) -> None:
        self.port = port
        self.name = name
        self.is_open = self.is_sound = False
        self.wake_at = NEVER
        self.address = address
        self._needs_trial = False
        self._needs_handshake = needs_handshake
        self._backoff_us = _MIN_BACKOFF_US
        self._started_at = self._connect_time_us = self._attempts = 0
        self.requests: list[tuple[int, str, bytes]] = []

    def connect(self, now: int) -> None:
        """Request to open the port, and renew an attempt without an answer."""
        self._started_at = now
        self.request_open()
        if self.has_connect_timeout and self._connect_time_us and _is_number(self.address):
            self._attempts += 1
            if self._attempts % _LONG_ATTEMPT_EVERY:
                self.wake_at = now + max(_CONNECT_TIMEOUT, 2 * self._connect_time_us)

    def request_open(self) -> None:
        """Request to open the port."""
        self.wake_at = NEVER
        self.requests.append((self.port, "open", self.address.encode()))

    def event(self, kind: str, now: int) -> None:
        """Handle the event `opened`, `failed` or `closed` of the port."""
        if kind == "opened":
            self.is_open = True
            self._attempts = 0
            connect_time_us = max(1, now - self._started_at)
            if self._connect_time_us:  # it can contain the second before a repeated SYN
                connect_time_us = min(connect_time_us, self._connect_time_us * 17 // 16 + 1)
            self._connect_time_us = connect_time_us
            self.is_sound = not self._needs_trial
            self.wake_at = now + _TRIAL_US if self._needs_trial else NEVER
            if not (self._needs_handshake or self._needs_trial):
                self.confirm_handshake()
        elif kind in ("failed", "closed"):
            if self.is_open and self.address.startswith("store:"):
                self._needs_trial = True
            self.is_open = self.is_sound = False
            self.wake_at = now + self._backoff_us
            self._backoff_us = min(2 * self._backoff_us, _MAX_BACKOFF_US)

    def confirm_handshake(self) -> None:
        """Record a successful handshake: the next pause is 1 s again."""
        self._backoff_us = _MIN_BACKOFF_US

    def retry_now(self, now: int) -> None:
        """Retry now and start again with a pause of 1 s."""
        self._backoff_us = _MIN_BACKOFF_US
        if not self.is_open:
            self.wake_at = now

    def suspend(self) -> None:
        """Stop the retries until `retry_now` is called."""
        self.wake_at = NEVER

    def close(self, now: int) -> None:
        """Close the port and open it again after the pause."""
        self.requests.append((self.port, "close", b""))
        self.event("closed", now)

    def reopen(self) -> None:
        """Close the connection and open a new one, for a server of one request each."""
        self.is_open = self.is_sound = False
        self.requests.append((self.port, "close", b""))
        self.request_open()

    def wake(self, now: int) -> None:
        """Retry if the pause has ended; end the trial of a store."""
        if now < self.wake_at:
            return
        if self.is_open:
            self.wake_at, self.is_sound, self._needs_trial = NEVER, True, False
            self.confirm_handshake()
        else:
            self.connect(now)

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Return the requests for the port."""
        out, self.requests = self.requests, []
        return out


def _is_number(address: str) -> bool:
    """Return whether the host of `KIND:HOST:PORT?…` is an IPv4 or IPv6 address."""
    host = address.partition(":")[2].partition("?")[0].rpartition(":")[0]
    if not host or not (":" in host or host[len(host) - 1].isdigit()):
        return False
    return not host.strip("0123456789.[]:abcdef")
