# SPDX-License-Identifier: Apache-2.0
"""Lock-out after failed logins, by user and by address of the client.

Does not check passwords. Times are monotonic seconds. A user is locked after `threshold` failures
within `reset_s`, for `duration_s`. An address is locked after `_ADDRESS_FACTOR` times as many, so
that a client that tries many names costs no hashes. The lists have a bound; the oldest entry is
dropped first.
"""

from collections import OrderedDict
from collections.abc import Callable

_ADDRESS_FACTOR = 4
_MAX_ENTRIES = 256


class Lockout:
    """Failures of users and addresses. `clock`: monotonic seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        threshold: int = 5,
        reset_s: int = 60,
        duration_s: int = 60,
    ) -> None:
        self.threshold = threshold
        self.reset_s = reset_s
        self.duration_s = duration_s
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._locked: OrderedDict[str, float] = OrderedDict()

    def remaining_s(self, user: str, address: str) -> int:
        """Return the time until an attempt is permitted, s; 0: now."""
        return max(self._remaining(f"user {user}"), self._remaining(f"address {address}"))

    def user_remaining_s(self, user: str) -> int:
        """Return the time for which a user is locked, s."""
        return self._remaining(f"user {user}")

    def _remaining(self, key: str) -> int:
        until = self._locked.get(key)
        if until is None:
            return 0
        rest = until - self._clock()
        if rest <= 0:
            self._locked.pop(key, None)  # another thread can be first
            return 0
        return int(rest) + 1

    def failed(self, user: str, address: str) -> None:
        """Count a failed login."""
        self._count(f"user {user}", self.threshold)
        self._count(f"address {address}", self.threshold * _ADDRESS_FACTOR)

    def _count(self, key: str, threshold: int) -> None:
        now = self._clock()
        recent = [t for t in self._failures.pop(key, []) if now - t < self.reset_s] + [now]
        if len(recent) >= threshold:
            self._locked[key] = now + self.duration_s
            _bound(self._locked)
        else:
            self._failures[key] = recent
            _bound(self._failures)

    def succeeded(self, user: str) -> None:
        """Forget the failures of a user."""
        self._failures.pop(f"user {user}", None)

    def unlock(self, user: str) -> None:
        """End the lock of a user."""
        self._locked.pop(f"user {user}", None)
        self.succeeded(user)


def _bound(entries: "OrderedDict[str, list[float]] | OrderedDict[str, float]") -> None:
    while len(entries) > _MAX_ENTRIES:
        entries.popitem(last=False)
