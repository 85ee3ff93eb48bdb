# SPDX-License-Identifier: Apache-2.0
"""The gateway between the serial line of a board and the broker, as a state machine.

Does not know MQTT, and says nothing to the board: a raw serial line has no connections. It connects
at the first byte after `SILENCE_US`, and keeps the bytes until the connection is open. After the
end of a connection it drops bytes until the line was silent: they belong to what has ended.
"""

from agent.port_numbers import BROKER
from hil.kernel.dut import Actions

SILENCE_US = 100_000
_CLOSED, _OPENING, _OPEN = range(3)


class SerialGateway:
    """The gateway; its connection is the port `BROKER` of the bench. `address` is the broker's."""

    def __init__(self, address: str) -> None:
        self._address = address.encode()
        self._state = _CLOSED
        self._kept = b""
        self._last_us = -SILENCE_US

    def take(self, data: bytes, at_us: int) -> Actions:
        """Take bytes of the board; return the actions for the bench."""
        is_first = at_us - self._last_us >= SILENCE_US
        self._last_us = at_us
        if self._state == _OPEN:
            return [(BROKER, "write", data)]
        if self._state == _OPENING:
            self._kept += data
            return []
        if not is_first:
            return []
        self._state, self._kept = _OPENING, data
        return [(BROKER, "open", self._address)]

    def event(self, kind: str) -> Actions:
        """Take an event of the connection; return the actions for the bench."""
        kept, self._kept = self._kept, b""
        if kind == "opened":
            self._state = _OPEN
            return [(BROKER, "write", kept)] if kept else []
        self._state = _CLOSED
        return []
