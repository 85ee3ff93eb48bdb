# SPDX-License-Identifier: Apache-2.0
"""Link to a TLS port. It gives the port a UTC for the check of the certificate dates.

Does not check certificates; the port does (`drivers/ports/cpython/tcp.py`).

A controller without a battery starts in 1970. A check of the dates against that time would reject
every certificate. Without any check an expired certificate would be accepted. So the link gives the
port the UTC of the agent each time it opens (`utc=SECONDS`; 0: unknown). The port always checks the
chain and the host name, and the dates once UTC is trusted. A connection from before is then closed
once and opened again.
"""

from agent.clock.clock_state import TRUSTED
from agent.core.port_link import PortLink
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.utc_clock import UtcClock

_CHECK_PERIOD_US = 10 * SECOND


class TlsLink(PortLink):
    """A `PortLink` that passes UTC to the port."""

    has_connect_timeout = True

    def __init__(self, port: int, name: str, address: str, clock: "UtcClock") -> None:
        PortLink.__init__(self, port, name, address, needs_handshake=True)
        self.dates_checked = True
        self._clock = clock
        self._now = 0
        self._base_address = address + ("&" if "?" in address else "?")

    def request_open(self) -> None:
        """Request that the port opens, with the present UTC."""
        utc_s = self._utc_s(self._now)
        self.dates_checked = utc_s > 0
        self.address = self._base_address + "utc=%d" % utc_s
        PortLink.request_open(self)

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the port."""
        PortLink.event(self, kind, now)
        if kind == "opened" and not self.dates_checked:
            self.wake_at = now + _CHECK_PERIOD_US

    def wake(self, now: int) -> None:
        """Retry, or reopen the connection to have the dates checked with a trusted UTC."""
        self._now = now
        if now < self.wake_at:
            return
        if not self.is_open:
            PortLink.wake(self, now)
        elif not self.dates_checked and self._utc_s(now):
            self.close(now)
        else:
            self.wake_at = NEVER if self.dates_checked else now + _CHECK_PERIOD_US

    def _utc_s(self, now: int) -> int:
        """Return trusted UTC in s; 0: unknown."""
        utc = self._clock.utc(now)
        trusted = self._clock.state(now) in TRUSTED
        return utc // SECOND if utc is not None and trusted else 0
