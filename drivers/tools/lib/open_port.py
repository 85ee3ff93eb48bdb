"""An open port and the wait for its bytes: what every probe stands on.

Not a shell: it blocks, which no part of the agent may. It knows no protocol.
"""

import select
import time

from drivers.ports.address import Address
from drivers.ports.base import CONNECT_TIMEOUT, make_error
from drivers.ports.cpython import serial, tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Opener, Port

_OPENERS: "dict[str, Opener]" = {
    "serial": serial.open_port,
    "tcp": tcp.open_port,
    "tls": tcp.open_port,
}
_LOOK_UP_PAUSE_S = 0.01  # between looks at a name that is being looked up
_MAX_WAIT_S = 0.25


def monotonic_us() -> int:
    """Monotonic microseconds."""
    return time.monotonic_ns() // 1000


class OpenPort:
    """An open port and the wait for its bytes."""

    def __init__(self, address: Address) -> None:
        """Open the port, however long that takes (at most 10 s). Raises `PortError`."""
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
                    raise make_error(address, "no connection within 10 s: check host and firewall")
                self._wait_opening()
        except BaseException:
            self.port.close()
            raise

    def _wait_opening(self) -> None:
        if self.port.pollable is None:
            time.sleep(_LOOK_UP_PAUSE_S)
        else:
            self._wait_writable()

    def _descriptor(self) -> int:
        return int(str(self.port.pollable))  # every port of this platform has a descriptor

    def _wait_writable(self) -> None:
        select.select([], [self._descriptor()], [], _MAX_WAIT_S)

    def wait(self, until: int) -> None:
        """Wait for bytes, at most until `until` (us) or a quarter of a second."""
        seconds = min(max(until - monotonic_us(), 0) / 1e6, _MAX_WAIT_S)
        select.select([self._descriptor()], [], [], seconds)

    def write(self, data: bytes) -> None:
        """Hand over all of `data`. Raises `PortError`."""
        due = monotonic_us() + CONNECT_TIMEOUT
        while data:
            count = self.port.write(data)
            data = data[count:]
            if data and not count:
                if monotonic_us() > due:
                    raise make_error(self.address, "takes no bytes: is the cable or peer stuck?")
                self._wait_writable()


def _ignore_wake() -> None:
    """Nothing sleeps here without a limit, so nothing has to be woken."""
