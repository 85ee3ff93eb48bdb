# SPDX-License-Identifier: Apache-2.0
"""Lock-out after failed logins: of a user at one address, of an address, of a user everywhere.

Does not check passwords. Times are monotonic seconds.

    a user at one address    after `threshold` failures within `reset_s`
    an address               after `_ADDRESS_FACTOR` times as many: many names cost no hashes
    a user in one network    after `NETWORK_FAILURES` failures within `USER_RESET_S`
    a user at any address    after `USER_FAILURES` failures within `USER_RESET_S`

The first two locks are for `duration_s`. The others last until fewer failures are within the time,
so there are at most `USER_FAILURES` guesses in each hour (NIST SP 800-63B, 5.2.2). A network is one
IPv4 address, or the /64 of an IPv6 address: a client owns all addresses of it. So failures of one
client keep no user out elsewhere. Those of five networks can; then the addresses at which this user
has logged in before go on.

The lists have a bound; the oldest entry is dropped first. The failures of accounts have a list of
their own, so names that are no accounts end no count of an account.
"""

from collections import OrderedDict
from collections.abc import Callable

from deploy.northbound.access.networks import client_network

USER_FAILURES, NETWORK_FAILURES, USER_RESET_S = 100, 20, 3600
_ADDRESS_FACTOR = 4
_MAX_ENTRIES = 256
_Tables = dict[bool, OrderedDict[str, list[float]]]
"""Times of failures: of accounts, and of names that are none."""
_Entries = OrderedDict[str, list[float]] | OrderedDict[str, float] | OrderedDict[str, None]


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
        self._by_user: _Tables = {is_account: OrderedDict() for is_account in (True, False)}
        self._by_network: _Tables = {is_account: OrderedDict() for is_account in (True, False)}

    def remaining_s(self, user: str, address: str) -> int:
        """Return the time until an attempt is permitted, s; 0: now."""
        pair, lasting = _pair_key(user, address), 0
        if pair not in self._proven_pairs:
            in_network = self._rest(self._by_network, _network_key(user, address), NETWORK_FAILURES)
            lasting = max(in_network, self._rest(self._by_user, user, USER_FAILURES))
        return max(self._remaining(pair), self._remaining(f"address {address}"), lasting)

    def user_remaining_s(self, user: str) -> int:
        """Return the longest time for which a user is locked, anywhere, s."""
        pairs, networks = _pair_key(user, ""), _network_key(user, "")
        found = [self._remaining(key) for key in list(self._locked) if key.startswith(pairs)]
        for table in self._by_network.values():
            keys = [key for key in list(table) if key.startswith(networks)]
            found += [self._rest(self._by_network, key, NETWORK_FAILURES) for key in keys]
        return max([self._rest(self._by_user, user, USER_FAILURES), *found])

    def _rest(self, tables: _Tables, key: str, most: int) -> int:
        """Return the time until fewer than `most` failures are within `USER_RESET_S`, s."""
        times = tables[True].get(key) or tables[False].get(key, [])
        rest = times[-most] + USER_RESET_S - self._clock() if len(times) >= most else 0
        return int(rest) + 1 if rest > 0 else 0

    def _remaining(self, key: str) -> int:
        until = self._locked.get(key)
        if until is None:
            return 0
        rest = until - self._clock()
        if rest <= 0:
            self._locked.pop(key, None)  # another thread can be first
            return 0
        return int(rest) + 1

    def failed(self, user: str, address: str, *, is_account: bool = True) -> None:
        """Count a failed login. `is_account`: there is an account with this name."""
        self._count(_pair_key(user, address), self.threshold, self.reset_s)
        self._count(f"address {address}", self.threshold * _ADDRESS_FACTOR, self.reset_s)
        self._count_lasting(self._by_network[is_account], _network_key(user, address))
        self._count_lasting(self._by_user[is_account], user)

    def _count_lasting(self, table: "OrderedDict[str, list[float]]", key: str) -> None:
        """Count a failure for `USER_RESET_S`; the newest `USER_FAILURES` ones are kept."""
        now = self._clock()
        recent = [t for t in table.pop(key, []) if now - t < USER_RESET_S] + [now]
        table[key] = recent[-USER_FAILURES:]
        _drop_oldest(table)

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
        pairs, networks = _pair_key(user, ""), _network_key(user, "")
        for table in (self._locked, self._failures):
            _drop(table, lambda key: key.startswith(pairs))
        for by_network, by_user in zip(
            self._by_network.values(), self._by_user.values(), strict=True
        ):
            _drop(by_network, lambda key: key.startswith(networks))
            by_user.pop(user, None)

    def forget(self, user: str) -> None:
        """Forget the addresses of a user whose account has changed or ended."""
        start = _pair_key(user, "")
        for key in [key for key in list(self._proven_pairs) if key.startswith(start)]:
            self._proven_pairs.pop(key, None)


def _pair_key(user: str, address: str) -> str:
    return f"pair {user} {address}"


def _network_key(user: str, address: str) -> str:
    return f"{user} {client_network(address)}"


def _drop(entries: _Entries, is_meant: Callable[[str], bool]) -> None:
    for key in [key for key in list(entries) if is_meant(key)]:
        entries.pop(key, None)


def _drop_oldest(entries: _Entries) -> None:
    while len(entries) > _MAX_ENTRIES:
        entries.popitem(last=False)
