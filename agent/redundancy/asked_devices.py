# SPDX-License-Identifier: Apache-2.0
"""Which device a controller of a pair asks apart from its polls: for a probe, and on an idle line.

Does not send; see `paired_agent`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.bus import Bus


class AskedDevices:
    """The devices in turn. `reads`: each unit with a short read (PDU)."""

    def __init__(self, reads: "list[tuple[int, bytes]]") -> None:
        self._reads = reads
        self._next = 0

    def next_unit(self) -> int:
        """Return the next unit to ask: one that does not reply must not stop the takeover."""
        self._next = (self._next + 1) % len(self._reads)
        return self._reads[self._next][0]

    def replying(self, bus: "Bus | None", last_unit: int) -> "tuple[int, bytes]":
        """Return unit and read of a device that replied to its last request; any if there is none.

        An active controller asks them in turn, because the guard against late replies can hold the
        reads of one unit. Without a `bus` their health is not known: `last_unit` was the last one.
        """
        for _ in self._reads if bus is not None else ():
            unit = self.next_unit()
            health = bus.unit_health(unit)  # type: ignore[union-attr]
            if health.response_us >= 0 and not health.consecutive_timeouts:
                return self._reads[self._next]
        for entry in self._reads:
            if entry[0] == last_unit:
                return entry
        self.next_unit()
        return self._reads[self._next]
