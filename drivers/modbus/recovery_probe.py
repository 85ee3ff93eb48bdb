# SPDX-License-Identifier: Apache-2.0
"""Probes for the offline units of one bus, within a limited share of the wire time.

Does not decide which unit is offline; see `unit_health`. The probe is the shortest of the unit's
polls. The bus sends a probe only if no other request waits and no control cycle is about to begin.
After `OVERDUE_US` it goes out before polls: on a line that is never free, no unit would come back.
Probes take at most one part in `_TIME_SHARE` of the time, and one in `_TIME_SHARE_ALONE` while no
unit of the bus is online. A good probe is a poll result like any other.
"""

from drivers.modbus.transaction import POLL, Transaction
from protocols.modbus.pdu import reply_length
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.unit_health import UnitHealth
    from drivers.modbus.wire_time import WireTime

_TIME_SHARE = 25
_TIME_SHARE_ALONE = 2  # nothing else waits for the bus, and the cooling needs its devices back
OVERDUE_US = 7 * SECOND


class RecoveryProbe:
    """Probes of one bus.

    `offline` are the offline units, the first to go offline first. The next probe must not go out
    before `allowed_at`.
    """

    def __init__(self, wire_time: "WireTime", flush_us: int) -> None:
        self.offline: list[int] = []
        self.allowed_at = 0
        self._late_unit = self._good_count = 0
        self._wire_time = wire_time
        self._flush_us = flush_us

    def next_probe(
        self, health: "dict[int, UnitHealth]", now: int, next_cycle_at: int
    ) -> "tuple[Transaction | None, int]":
        """Return (probe, 0), or (None, time of the next call) if no probe is due.

        The next control cycle begins at `next_cycle_at`. A probe that would delay it waits, but
        not longer than `OVERDUE_US`.
        """
        selected: UnitHealth | None = None
        unit = 0
        for candidate in self.offline:
            unit_health = health[candidate]
            if unit_health.probe_pdu and (
                selected is None or unit_health.probe_at < selected.probe_at
            ):
                selected, unit = unit_health, candidate
        if selected is None:
            return None, NEVER
        due = max(selected.probe_at, self.allowed_at)
        exchange_us = self._wire_time.exchange_us(8, 2 * reply_length(selected.probe_pdu))
        cost_us = exchange_us + selected.probe_timeout_us() + self._flush_us
        delays_cycle = now <= next_cycle_at < now + cost_us and now < due + OVERDUE_US
        if now < due or delays_cycle:
            return None, max(due, next_cycle_at + MILLISECOND) if delays_cycle else due
        transaction = Transaction(unit, selected.probe_pdu, selected.probe_tag, POLL, 0, selected)
        transaction.is_probe = True
        return transaction, 0

    def unit_lost(self, unit: int) -> None:
        """Add a unit that went offline."""
        self.offline.append(unit)

    def unit_answered(self, unit: int) -> None:
        """Remove a unit that replied."""
        self.offline.remove(unit)

    def late_reply(self, unit: int, good_count: int) -> bool:
        """Record a late reply; return whether `unit` is the first one since the last good reply.

        Only the first one can have held the replies of the others back. `good_count`: the good
        transactions of the bus.
        """
        if good_count != self._good_count:
            self._late_unit, self._good_count = unit, good_count
        return unit == self._late_unit

    def probe_done(self, until: int, duration_us: int, unit_count: int) -> None:
        """Record a probe that ended at `until`; the next one waits for its share of the time.

        `unit_count`: the units of the bus, online or not.
        """
        share = _TIME_SHARE if len(self.offline) < unit_count else _TIME_SHARE_ALONE
        self.allowed_at = until + duration_us * (share - 1)

    def next_at(self) -> int:
        """Return when the next probe can go out; NEVER if no unit is offline."""
        return self.allowed_at if self.offline else NEVER
