# SPDX-License-Identifier: Apache-2.0
"""The keep-alive of each Modbus client that writes.

All clients write the same register, but each one is alive for itself: a second master, or a
watchdog of another system, does not keep the set-points of a client that has ended. A client is
its certificate's name, or its address.

Does not know set-points; see `deploy.northbound.modbus.set_points`.
"""

from collections.abc import Callable
from dataclasses import dataclass

_MOST_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class _KeepAlive:
    """The last number of a client, and the time on `clock` at which it ends, s."""

    number: int
    until: float


class KeepAlives:
    """The clients that are alive. `seconds`: time after a new number; `clock`: monotonic s."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._by_client: dict[str, _KeepAlive] = {}
        self._last = ""
        self.number = 0

    def write(self, client: str, number: int) -> bool:
        """Take a number of a client; return whether it is new.

        The same number again is a client that hangs: its time goes on.
        """
        now = self._clock()
        self.number, self._last = number, client
        before = self._by_client.get(client)
        if before is not None and before.number == number:
            return False
        if before is None and number == 0:  # the value of the register before the first write
            return False
        if before is None and len(self._by_client) >= _MOST_CLIENTS:
            ended = min(self._by_client, key=lambda name: self._by_client[name].until)
            del self._by_client[ended]
        self._by_client[client] = _KeepAlive(number, now + self._seconds)
        return True

    def is_alive(self, client: str) -> bool:
        """Return whether the time of a client has not ended; "": of any client."""
        now = self._clock()
        names = [client] if client else list(self._by_client)
        return any(name in self._by_client and now < self._by_client[name].until for name in names)

    def left_s(self) -> int:
        """Return the rest of the time of the client that wrote the register last, s."""
        entry = self._by_client.get(self._last)
        return max(0, int(entry.until - self._clock())) if entry else 0
