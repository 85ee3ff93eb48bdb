# SPDX-License-Identifier: Apache-2.0
"""Component `ntp`: compares UTC with an NTP server of the site, as an independent source.

Does not discipline the clock; see `agent.clock.cross_check` for the effect. It sends one request of
48 bytes each `every_s` (RFC 5905, client mode) and takes the reply with the same nonce.

The reply gives UTC at its arrival: the transmit time of the server plus half the delay. Its
uncertainty is half the delay, half the root delay and the root dispersion of the server, and
`error_ms`. A server that is not synchronized, or has an uncertainty above `_MAX_UNCERTAINTY`, is
not used. NTP has no authentication here: use a server in the network of the site.
"""

import struct

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.component.base import Actions

_PACKET = ">BBbbII4sIIIIIIII"
_SIZE = 48
_CLIENT = 0x23
"""Version 4, mode 3."""
_SERVER_MODE = 4
_UNSYNCHRONIZED = 3
_MAX_STRATUM = 15
_EPOCH_S = 2_208_988_800
"""From 1900 to 1970, s."""
_ERA_S = 1 << 32
_MAX_UNCERTAINTY = SECOND
_TIMEOUT = 5 * SECOND


def utc_of(seconds: int, fraction: int) -> int:
    """Return an NTP timestamp as UTC µs; before 1970 it is of the era from 2036 on."""
    if seconds < _EPOCH_S:
        seconds += _ERA_S
    return (seconds - _EPOCH_S) * SECOND + (fraction * SECOND >> 32)


class NtpPeer(Component):
    """The component; see the module. `replies` are usable, `refused` are not."""

    PORTS = ("ntp",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.sent = self.replies = self.refused = 0
        self._every: int = settings["every_s"] * SECOND
        self._error_us: int = settings["error_ms"] * MILLISECOND
        self._open = False
        self._due = 0
        self._sent_at: int | None = None
        self._nonce = 0
        self._difference_us: int | None = None
        self._uncertainty_us: int | None = None
        self._agrees: bool | None = None
        self._out: Actions = []

    def event(self, kind: str, now: int) -> None:
        """Handle `opened`, `closed`, `failed` or `drained`."""
        self._open = kind == "opened" or (self._open and kind == "drained")

    def tick(self, now: int) -> None:
        """Send a request if one is due."""
        if now < self._due or not self._open:
            return
        self._due = now + self._every
        self._sent_at = now
        # distinguishes late replies; the server returns it unchanged
        self._nonce = (self._nonce * 1_103_515_245 + now) & 0xFFFFFFFF
        self.sent += 1
        stamp = (self._nonce, now & 0xFFFFFFFF)
        request = struct.pack(_PACKET, _CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, 0, 0, 0, *stamp)
        self._out.append((self.port, "write", request))

    def outbox(self) -> "Actions":
        """Return the request for the port."""
        out, self._out = self._out, []
        return out

    def receive(self, data: bytes, now: int) -> None:
        """Handle a reply."""
        sent_at = self._sent_at
        if len(data) < _SIZE or sent_at is None or now - sent_at > _TIMEOUT:
            self.refused += 1
            return
        f = struct.unpack(_PACKET, data[:_SIZE])
        is_own = (f[9], f[10]) == (self._nonce, sent_at & 0xFFFFFFFF)
        is_synchronized = f[0] >> 6 != _UNSYNCHRONIZED and 0 < f[1] <= _MAX_STRATUM
        if not is_own or f[0] & 7 != _SERVER_MODE or not is_synchronized:
            self.refused += 1
            return
        self._sent_at = None
        received, transmitted = utc_of(f[11], f[12]), utc_of(f[13], f[14])
        delay = now - sent_at - (transmitted - received)
        root_us = (f[4] // 2 + f[5]) * SECOND >> 16
        uncertainty = delay // 2 + root_us + self._error_us
        if delay < 0 or not transmitted or uncertainty > _MAX_UNCERTAINTY:
            self.refused += 1
            return
        self.replies += 1
        utc = transmitted + delay // 2
        clock = self.agent.clock
        clock_utc = clock.utc(now)
        self._difference_us = None if clock_utc is None else utc - clock_utc
        self._uncertainty_us = uncertainty
        self._agrees = clock.cross_check(utc, uncertainty, now)

    def status(self, now: int) -> JsonObject:
        """Return the counters, and the last comparison: server minus clock."""
        return JsonObject(
            [
                ("sent", self.sent),
                ("replies", self.replies),
                ("refused", self.refused),
                ("difference_us", self._difference_us),
                ("uncertainty_us", self._uncertainty_us),
                ("agrees", self._agrees),
            ]
        )
