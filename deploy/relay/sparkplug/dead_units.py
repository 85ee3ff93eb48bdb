# SPDX-License-Identifier: Apache-2.0
"""Units whose connection at the broker has ended: their late data leave them dead.

Rows of a unit can come to Sparkplug long after its end, for example after an outage of the host.
They need a DBIRTH, so a DDEATH follows them again. A unit without a broker can still send by
satellite: data from after its end make it alive. The clock of a unit can be ahead, so rows count as
later only beyond that error. An alarm by datagram has no record of a log, and its time is enough.
"""

from collections.abc import Callable, Iterable

from deploy.relay.decode.dating import MAX_AHEAD_MS
from deploy.relay.decode.row_format import Item, Rows

_MOST = 100_000


class DeadUnits:
    """The units; `clock_ms` returns UTC. States come from another thread than the items."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._since: dict[str, int] = {}

    def on_state(self, unit: str) -> None:
        """Handle a state of a unit; `on_offline` follows if it is that of its end."""
        self._since.pop(unit, None)

    def on_offline(self, unit: str) -> None:
        """Handle the end of the connection of a unit."""
        if len(self._since) < _MOST:
            self._since[unit] = self._clock_ms()

    def follow(self, items: Iterable[Item]) -> list[str]:
        """Return the dead units of delivered items. One with later data is dead no more."""
        dead: dict[str, bool] = {}
        for item in items:
            since = self._since.get(item.unit)
            if since is not None:
                dead[item.unit] = dead.get(item.unit, True) and not _is_later(item, since)
        for unit, is_dead in dead.items():
            if not is_dead:
                self._since.pop(unit, None)
        return [unit for unit, is_dead in dead.items() if is_dead]


def _is_later(item: Item, since_ms: int) -> bool:
    if isinstance(item, Rows):
        newest = max((at for at, _ in item.values), default=0) if item.is_dated else 0
        return newest > since_ms + MAX_AHEAD_MS
    if not item.number:  # by datagram
        return not item.time_ms or item.time_ms > since_ms
    return item.time_ms > since_ms + MAX_AHEAD_MS
