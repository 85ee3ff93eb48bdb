"""Real devices in place of emulated ones, one by one, while the rest of the bench goes on.

The emulated slave of that name falls silent; requests to its unit are passed to the real port byte
for byte, and what comes back is put on the line (or the connection) byte for byte. So the real
device has the same unit id, and the same baud rate unless its address says another. Its emulated
twin is not asked any more and does what a device does whose master is silent.

A line takes a serial port, or a TCP connection that carries RTU frames (a serial device server); a
TCP host takes a TCP connection. Several names may share one real port.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.errors import AddressError
from drivers.ports import address as addresses
from hil.errors import BenchError
from hil.io.real_link import Link
from hil.shells.realtime import RealTimeShell

_MBAP = 6


class Host(Protocol):
    """What units can be taken from: a line or a TCP host."""

    def hand(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Give a unit to a real port."""

    def take_back(self, unit: int) -> None:
        """Let the emulated slave answer again."""


@dataclass(frozen=True)
class Carrier:
    """Where devices are: the bench's port, who serves it, and how a real reply gets out of it.

    `defaults` are an address' options where it does not say, such as the line's baud rate;
    `framed` asks for whole Modbus TCP frames instead of bytes as they come.
    """

    port: str
    host: Host
    say: Callable[[bytes], None]
    kinds: tuple[str, ...]
    defaults: str = ""
    framed: bool = False


class Swaps:
    """Which device is emulated and which is real."""

    def __init__(self, shell: RealTimeShell) -> None:
        self._shell = shell
        self._places: dict[str, tuple[Carrier, int]] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._real: dict[str, Link] = {}

    def add(self, name: str, carrier: Carrier, unit: int) -> None:
        """Make a device known."""
        self._places[name] = (carrier, unit)

    @property
    def names(self) -> list[str]:
        """All devices, in the order in which they were added."""
        return list(self._places)

    def swap(self, name: str, text: str) -> None:
        """Put the real device at address `text` in the place of `name`; raises BenchError.

        When the port cannot be opened, all stays as it was.
        """
        carrier, unit = self._place(name)
        address = _address(name, text, carrier)
        key = (carrier.port, str(address))
        link = self._links.get(key)
        if link is None:
            try:
                link = Link(self._shell, address, _taker(carrier))
            except BenchError as error:
                raise BenchError(f"{name}={text}: {error}") from None
        if self._real.get(name) is not link:
            self._leave(name)
        self._links[key] = link
        self._real[name] = link
        carrier.host.hand(unit, link.send)

    def restore(self, name: str) -> None:
        """Let the emulated device answer again; does nothing when it does. Raises BenchError."""
        carrier, unit = self._place(name)
        carrier.host.take_back(unit)
        self._leave(name)

    def devices(self) -> list[dict[str, Any]]:
        """Every device as a record: name, port, unit, real (address or None), up, bytes."""
        rows = []
        for name, (carrier, unit) in self._places.items():
            link = self._real.get(name)
            row: dict[str, Any] = {"name": name, "port": carrier.port, "unit": unit, "real": None}
            if link is not None:
                row |= {
                    "real": str(link.address),
                    "up": link.up,
                    "sent": link.sent,
                    "received": link.received,
                    "lost": link.lost,
                }
            rows.append(row)
        return rows

    def close(self) -> None:
        """Close all real ports."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._real.clear()

    def _place(self, name: str) -> tuple[Carrier, int]:
        if name not in self._places:
            known = ", ".join(self._places)
            raise BenchError(f"no device {name!r} on this bench: one of {known}")
        return self._places[name]

    def _leave(self, name: str) -> None:
        """Take a device off its link; close a link that nobody uses."""
        link = self._real.pop(name, None)
        if link is None or link in self._real.values():
            return
        link.close()
        self._links = {key: other for key, other in self._links.items() if other is not link}


def _address(name: str, text: str, carrier: Carrier) -> addresses.Address:
    """Read an address; what it leaves open is as on the carrier."""
    try:
        address = addresses.parse(text)
        if address.kind not in carrier.kinds:
            kinds = " or ".join(f"{kind}:" for kind in carrier.kinds)
            raise AddressError(f"{name} is on {carrier.port}, which takes {kinds}")
        if address.kind == "serial":
            given = [item.partition("=")[0] for item in text.partition("?")[2].split("&")]
            for item in carrier.defaults.split("&"):
                if item.partition("=")[0] not in given:
                    address = address.changed(item)
    except AddressError as error:
        raise BenchError(f"{name}={text}: {error}") from None
    return address


def _taker(carrier: Carrier) -> Callable[[bytes], None]:
    """What a link does with bytes that come in."""
    if not carrier.framed:
        return carrier.say
    buffer = b""

    def take(data: bytes) -> None:
        nonlocal buffer
        buffer += data
        while len(buffer) >= _MBAP:
            end = _MBAP + int.from_bytes(buffer[4:6], "big")
            if len(buffer) < end:
                return
            carrier.say(buffer[:end])
            buffer = buffer[end:]

    return take
