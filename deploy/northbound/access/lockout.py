# SPDX-License-Identifier: Apache-2.0
"""Lock-out after failed logins: of a user at one address, of an address, of a user everywhere.

Does not check passwords. Times are monotonic seconds.

    a user at one address    after `threshold` failures within `reset_s`
    an address               after `_ADDRESS_FACTOR` times as many: many names cost no hashes
    a user at any address    after `USER_FAILURES` failures within `USER_RESET_S`

Each lock is for `duration_s`; the last one lasts until fewer than `USER_FAILURES` failures are
within its time, so there are at most `USER_FAILURES` guesses in each hour (NIST SP 800-63B, 5.2.2).
So failures at one address keep no user out at another one. From many addresses they can; then the
addresses at which this user has logged in before go on. The lists have a bound; the oldest entry is
dropped first.
"""

from collections import OrderedDict
from collections.abc import Callable

USER_FAILURES, USER_RESET_S = 100, 3600
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
        self._proven_pairs: OrderedDict[str, None] = OrderedDict()

    def remaining_s(self, user: str, address: str) -> int:
        """Return the time until an attempt is permitted, s; 0: now."""
        pair = _pair_key(user, address)
        everywhere = 0 if pair in self._proven_pairs else self._remaining(_user_key(user))
        return max(self._remaining(pair), self._remaining(f"address {address}"), everywhere)

    def user_remaining_s(self, user: str) -> int:
        """Return the longest time for which a user is locked, anywhere, s."""
        start = _pair_key(user, "")
        keys = [_user_key(user), *(key for key in list(self._locked) if key.startswith(start))]
        return max(self._remaining(key) for key in keys)

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
        self._count(_pair_key(user, address), self.threshold, self.reset_s)
        self._count(f"address {address}", self.threshold * _ADDRESS_FACTOR, self.reset_s)
        self._count_everywhere(_user_key(user))

    def _count_everywhere(self, key: str) -> None:
        """Count a failure from any address; the newest `USER_FAILURES` ones are kept."""
        now = self._clock()
        recent = [t for t in self._failures.pop(key, []) if now - t < USER_RESET_S] + [now]
        self._failures[key] = recent = recent[-USER_FAILURES:]
        _drop_oldest(self._failures)
        if len(recent) == USER_FAILURES:
            self._locked[key] = recent[0] + USER_RESET_S
            _drop_oldest(self._locked)

    def _count(self, key: str, threshold: int, reset_s: float) -> None:
        now = self._clock()
        recent = [t for t in self._failures.pop(key, []) if now - t < reset_s] + [now]
        if len(recent) >= threshold:
            self._locked[key] = now + self.duration_s
            _drop_oldest(self._locked)
        else:
            self._failures[key] = recent
            _drop_oldest(self._failures)

    def succeeded(self, user: str, address: str) -> None:
        """Forget the failures of a user at an address, and remember that this pair is right."""
        pair = _pair_key(user, address)
        self._failures.pop(pair, None)
        self._proven_pairs.pop(pair, None)
        self._proven_pairs[pair] = None
        _drop_oldest(self._proven_pairs)

    def unlock(self, user: str) -> None:
        """End all locks of a user."""
        start = _pair_key(user, "")
        for table in (self._locked, self._failures):
            for key in [k for k in list(table) if k == _user_key(user) or k.startswith(start)]:
                table.pop(key, None)

    def forget(self, user: str) -> None:
        """Forget the addresses of a user whose account has changed or ended."""
        start = _pair_key(user, "")
        for key in [key for key in list(self._proven_pairs) if key.startswith(start)]:
            self._proven_pairs.pop(key, None)


def _pair_key(user: str, address: str) -> str:
    return f"pair {user} {address}"


def _user_key(user: str) -> str:
    return f"user {user}"


def _drop_oldest(
    entries: "OrderedDict[str, list[float]] | OrderedDict[str, float] | OrderedDict[str, None]",
) -> None:
    while len(entries) > _MAX_ENTRIES:
        entries.popitem(last=False)
