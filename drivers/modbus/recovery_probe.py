"""The dead units of one bus: what probes them, and when, at no cost to the healthy ones.

Not a judge: `drivers.modbus.unit_health` says who is dead. A dead unit is asked by the shortest of its polls,
when nothing else waits, no cycle is about to begin, and probes together take no more than one part
in `_SHARE` of the time. A good probe is a poll's result like any other.
"""

from drivers.modbus.transaction import POLL, Job
from protocols.modbus.pdu import reply_length
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.unit_health import Health
    from drivers.modbus.wire_time import Wire

_SHARE = 25
_OVERDUE_US = 7 * SECOND


def keep(health: "Health", pdu: bytes, tag: "Any") -> None:
    """Remember the shortest poll of a dead unit."""
    if tag is None:
        return
    if health.probe is None or reply_length(pdu) <= reply_length(health.probe[0]):
        health.probe = (pdu, tag)


class Probing:
    """`dead` are the units, in the order in which they died; `free_from`: when the share allows."""

    def __init__(self, wire: "Wire", drain_us: int) -> None:
        self.dead: list[int] = []
        self.free_from = 0
        self._wire = wire
        self._drain = drain_us

    def next(
        self, health: "dict[int, Health]", now: int, idle_until: int
    ) -> "tuple[Job | None, int]":
        """(a probe for the unit whose turn it is, 0) or (None, when to look again)."""
        best: Health | None = None
        unit = 0
        for candidate in self.dead:
            one = health[candidate]
            if one.probe is not None and (best is None or one.probe_at < best.probe_at):
                best, unit = one, candidate
        if best is None or best.probe is None:
            return None, NEVER
        due = max(best.probe_at, self.free_from)
        length = self._wire.exchange_us(8, 2 * reply_length(best.probe[0]))
        cost = length + best.probe_timeout_us() + self._drain
        in_the_way = now <= idle_until < now + cost and now < due + _OVERDUE_US
        if now < due or in_the_way:
            return None, max(due, idle_until + MILLISECOND) if in_the_way else due
        job = Job(unit, best.probe[0], best.probe[1], POLL, 0, best)
        job.probe = True
        return job, 0

    def took(self, until: int, took_us: int) -> None:
        """A probe was over at `until`; the next must pause for its share."""
        self.free_from = until + took_us * (_SHARE - 1)

    def due(self) -> int:
        """When the bus should look after the dead ones; NEVER if there are none."""
        return self.free_from if self.dead else NEVER
