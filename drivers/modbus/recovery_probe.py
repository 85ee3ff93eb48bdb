"""The dead units of one bus: what probes them, and when, at no cost to the healthy ones.

Not a judge: `drivers.modbus.unit_health` says who is dead. A dead unit is asked by the shortest of
its polls, when nothing else waits, no cycle is about to begin, and probes together take no more
than one part in `_TIME_SHARE` of the time. A good probe is a poll's result like any other.
"""

from drivers.modbus.transaction import POLL, Transaction
from protocols.modbus.pdu import reply_length
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.unit_health import UnitHealth
    from drivers.modbus.wire_time import WireTime

_TIME_SHARE = 25
_OVERDUE_US = 7 * SECOND


def store_probe(health: "UnitHealth", pdu: bytes, tag: "Any") -> None:
    """Remember the shortest poll of a dead unit."""
    if tag is None:
        return
    if health.probe is None or reply_length(pdu) <= reply_length(health.probe[0]):
        health.probe = (pdu, tag)


class RecoveryProbe:
    """`offline` are the units, in the order in which they died; `allowed_at`: when the share
    allows.
    """

    def __init__(self, wire_time: "WireTime", flush_us: int) -> None:
        self.offline: list[int] = []
        self.allowed_at = 0
        self._wire_time = wire_time
        self._flush_us = flush_us

    def next_probe(
        self, health: "dict[int, UnitHealth]", now: int, next_cycle_at: int
    ) -> "tuple[Transaction | None, int]":
        """(a probe for the unit whose turn it is, 0) or (None, when to look again)."""
        selected: UnitHealth | None = None
        unit = 0
        for candidate in self.offline:
            unit_health = health[candidate]
            if unit_health.probe is not None and (
                selected is None or unit_health.probe_at < selected.probe_at
            ):
                selected, unit = unit_health, candidate
        if selected is None or selected.probe is None:
            return None, NEVER
        due = max(selected.probe_at, self.allowed_at)
        exchange_us = self._wire_time.exchange_us(8, 2 * reply_length(selected.probe[0]))
        cost_us = exchange_us + selected.probe_timeout_us() + self._flush_us
        delays_cycle = now <= next_cycle_at < now + cost_us and now < due + _OVERDUE_US
        if now < due or delays_cycle:
            return None, max(due, next_cycle_at + MILLISECOND) if delays_cycle else due
        transaction = Transaction(unit, selected.probe[0], selected.probe[1], POLL, 0, selected)
        transaction.is_probe = True
        return transaction, 0

    def probe_done(self, until: int, duration_us: int) -> None:
        """A probe was over at `until`; the next must pause for its share."""
        self.allowed_at = until + duration_us * (_TIME_SHARE - 1)

    def next_at(self) -> int:
        """When the bus should look after the dead ones; NEVER if there are none."""
        return self.allowed_at if self.offline else NEVER
