# SPDX-License-Identifier: Apache-2.0
"""Second masters on the line: one reads another device, one writes to an emulated unit.

Every `period_us` it sends a request to one unit, which replies after a turnaround time. All devices
on the line receive both frames. The second master does not listen and does not wait for an idle
line. So with a short period its frames collide with other frames.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteSingleRegisterRequest,
)

from hil.devices.base import MILLISECOND, NEVER, SECOND, FaultTarget, Replies


class LineServer(Protocol):
    """The emulated part of a line, as the second master sees it."""

    def receive(self, data: bytes, now: int) -> Replies:
        """Serve a request."""


_FRAMER = FramerRTU(DecodePDU(True))


class OtherMaster(FaultTarget):
    """A device that sends on its own; faults: `silent` (sends nothing), `unanswered` (no reply)."""

    FAULTS: ClassVar = frozenset(("silent", "unanswered"))

    def __init__(
        self,
        unit: int,
        address: int = 0,
        count: int = 10,
        period_us: int = SECOND,
        turnaround_us: int = 8 * MILLISECOND,
        start_us: int = 0,
    ) -> None:
        """`unit` must not be an emulated unit or a unit of the agent.

        The first request is sent one period after `start_us`.
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
        """Ignore the bytes: this master does not listen."""
        return []

    def wake(self, now: int) -> Replies:
        """Send a request and the reply of the other device."""
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
        """Return the time of the next request."""
        return self._due


class ForeignWriter:
    """A second master that writes one register of an emulated unit each second.

    Its request and the reply of the unit are on the line. The client of the line receives both.
    """

    def __init__(self, line: LineServer, unit: int, address: int, value: int) -> None:
        self._line = line
        self._due = NEVER
        self._request = _FRAMER.buildFrame(
            WriteSingleRegisterRequest(dev_id=unit, address=address, registers=[value])
        )

    def start(self, now: int) -> None:
        """Send the first request now."""
        self._due = now

    def receive(self, data: bytes, now: int) -> Replies:
        """Ignore the bytes: this master does not listen."""
        return []

    def wake(self, now: int) -> Replies:
        """Send the request; give it and the reply of the unit."""
        self._due = now + SECOND
        return [(0, self._request), *self._line.receive(self._request, now)]

    def deadline(self) -> int:
        """Return the time of the next request."""
        return self._due
