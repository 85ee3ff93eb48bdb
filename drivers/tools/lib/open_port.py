# SPDX-License-Identifier: Apache-2.0
"""An open port with blocking waits for its bytes; the basis of the diagnostic commands.

Not an I/O loop (see `agent.runtime.io_loop`) and without knowledge of a protocol. It blocks, so
the agent cannot use it.
"""

import select
import time

from drivers.ports.address import Address
from drivers.ports.base import CONNECT_TIMEOUT, make_error
from drivers.ports.cpython import serial, tcp
from drivers.ports.cpython.clock import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Opener, Port

_OPENERS: "dict[str, Opener]" = {
    "serial": serial.open_port,
    "ascii": serial.open_port,
    "tcp": tcp.open_port,
    "rtu+tcp": tcp.open_port,
    "rtu+udp": tcp.open_port,
    "ascii+tcp": tcp.open_port,
    "tls": tcp.open_port,
}
_LOOK_UP_PAUSE_S = 0.01  # between polls of a name look-up
_MAX_WAIT_S = 0.25
HUNG_UP = "hung up: unplugged, or the other end was closed"


def monotonic_us() -> int:
    """Return the time of the ports and of the runtime, µs: a time service does not slew it."""
    return monotonic()


class OpenPort:
    """An open port with blocking waits."""

    def __init__(self, address: Address) -> None:
        """Open the port within 10 s. Raises `PortError`."""
        self.address = address
        opener = _OPENERS.get(address.kind)
        if opener is None:
            raise make_error(
                address, "a %s gives no bytes; name a serial or tcp port" % address.kind
            )
        self.port: Port = opener(address, _ignore_wake)
        due = monotonic_us() + CONNECT_TIMEOUT
        try:
            while not self.port.continue_open():
                if monotonic_us() > due:
                    raise make_error(address, self._describe_timeout())
                self._wait_opening()
        except BaseException:
            self.port.close()
            raise

    def _describe_timeout(self) -> str:
        if tcp.waits_for_handshake(self.port):
            return "connected, but no TLS handshake within 10 s: does this port speak TLS?"
        return "no connection within 10 s: check host and firewall"

    def _wait_opening(self) -> None:
        if self.port.pollable is None:
            time.sleep(_LOOK_UP_PAUSE_S)
        else:
            self._wait_writable()

    def _descriptor(self) -> int:
        return int(str(self.port.pollable))  # all ports of this platform have one

    def _wait_writable(self) -> None:
        select.select([], [self._descriptor()], [], _MAX_WAIT_S)

    def wait(self, until: int) -> None:
        """Wait for bytes, at most until `until` (us) and at most 0.25 s."""
        seconds = min(max(until - monotonic_us(), 0) / 1e6, _MAX_WAIT_S)
        select.select([self._descriptor()], [], [], seconds)

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises `PortError`."""
        due = monotonic_us() + CONNECT_TIMEOUT
        while data:
            count = self.port.write(data)
            data = data[count:]
            if data and not count:
                if monotonic_us() > due:
                    raise make_error(self.address, "takes no bytes: is the cable or peer stuck?")
                self._wait_writable()


def _ignore_wake() -> None:
    """Do nothing: each wait has a limit."""
