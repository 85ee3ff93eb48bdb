"""Another master on the same line, with a real device that answers it: traffic of others.

Every `period_us` it asks one unit, which replies after a turnaround; both frames are heard by
everybody. It neither listens nor waits for the line to be free, as a second master would not know
better: with a short period its frames run into those of others.
"""

from __future__ import annotations

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

from hil.devices.base import MILLISECOND, SECOND, FaultTarget, Replies

_FRAMER = FramerRTU(DecodePDU(True))


class OtherMaster(FaultTarget):
    """A device that sends on its own; faults: `silent` (sends nothing), `unanswered` (no reply)."""

    FAULTS = frozenset(("silent", "unanswered"))

    def __init__(
        self,
        unit: int,
        address: int = 0,
        count: int = 10,
        period_us: int = SECOND,
        turnaround_us: int = 8 * MILLISECOND,
        start_us: int = 0,
    ) -> None:
        """`unit` is somebody who is neither emulated nor asked by the agent.

        It asks for the first time one period after `start_us`.
        """
        self.silent = self.unanswered = False
        self.request_count = 0
        self._period = period_us
        self._turnaround = turnaround_us
        self._due = start_us + period_us
        self._count = count
        self._unit = unit
        self._request = _FRAMER.buildFrame(
            ReadHoldingRegistersRequest(dev_id=unit, address=address, count=count)
        )

    def receive(self, data: bytes, now: int) -> Replies:
        """It does not listen."""
        return []

    def wake(self, now: int) -> Replies:
        """Ask, and let the other device answer."""
        self._due = now + self._period
        if self.silent:
            return []
        self.request_count += 1
        if self.unanswered:
            return [(0, self._request)]
        values = [(self.request_count * 7 + i) & 0xFFFF for i in range(self._count)]
        reply = ReadHoldingRegistersResponse(dev_id=self._unit, registers=values)
        return [(0, self._request), (self._turnaround, _FRAMER.buildFrame(reply))]

    def deadline(self) -> int:
        """When it asks again."""
        return self._due
