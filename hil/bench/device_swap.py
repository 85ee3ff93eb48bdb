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
from typing import Any, NamedTuple, Protocol

from drivers.errors import AddressError
from drivers.ports.address import Address, parse_address
from hil.errors import BenchError
from hil.io.real_link import RealLink
from hil.shells.realtime import RealTimeShell

_MBAP_PREFIX_BYTES = 6


class SwapHost(Protocol):
    """What units can be taken from: a line or a TCP host."""

    def attach_real(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Give a unit to a real port."""

    def restore_emulated(self, unit: int) -> None:
        """Let the emulated slave answer again."""


@dataclass(frozen=True)
class SwapBus:
    """Where devices are: the bench's port, who serves it, and how a real reply gets out of it.

    `default_options` are an address' options where it does not say, such as the line's baud rate;
    `framed` asks for whole Modbus TCP frames instead of bytes as they come.
    """

    port: str
    host: SwapHost
    inject: Callable[[bytes], None]
    address_kinds: tuple[str, ...]
    default_options: str = ""
    framed: bool = False


class SwapDevice(NamedTuple):
    """A device that can be real or emulated: its bus and its unit id."""

    swap_bus: SwapBus
    unit: int


class _LinkKey(NamedTuple):
    """A real port: the port of the bench that it serves, and its address."""

    port: str
    address: str


class DeviceSwap:
    """Which device is emulated and which is real."""

    def __init__(self, shell: RealTimeShell) -> None:
        self._shell = shell
        self._devices: dict[str, SwapDevice] = {}
        self._links: dict[_LinkKey, RealLink] = {}
        self._real_links: dict[str, RealLink] = {}

    def add(self, name: str, swap_bus: SwapBus, unit: int) -> None:
        """Make a device known."""
        self._devices[name] = SwapDevice(swap_bus, unit)

    @property
    def names(self) -> list[str]:
        """All devices, in the order in which they were added."""
        return list(self._devices)

    def attach_real(self, name: str, address_text: str) -> None:
        """Put the real device at address `address_text` in the place of `name`; raises BenchError.

        When the port cannot be opened, all stays as it was.
        """
        swap_bus, unit = self._device(name)
        address = _parse_address(name, address_text, swap_bus)
        key = _LinkKey(swap_bus.port, str(address))
        link = self._links.get(key)
        if link is None:
            try:
                link = RealLink(self._shell, address, _make_receive_handler(swap_bus))
            except BenchError as error:
                raise BenchError(f"{name}={address_text}: {error}") from None
        if self._real_links.get(name) is not link:
            self._detach(name)
        self._links[key] = link
        self._real_links[name] = link
        swap_bus.host.attach_real(unit, link.send)

    def restore_emulated(self, name: str) -> None:
        """Let the emulated device answer again; does nothing when it does. Raises BenchError."""
        swap_bus, unit = self._device(name)
        swap_bus.host.restore_emulated(unit)
        self._detach(name)

    def devices(self) -> list[dict[str, Any]]:
        """Every device as a record: name, port, unit, real (address or None), up, bytes."""
        records = []
        for name, (swap_bus, unit) in self._devices.items():
            link = self._real_links.get(name)
            record: dict[str, Any] = {
                "name": name,
                "port": swap_bus.port,
                "unit": unit,
                "real": None,
            }
            if link is not None:
                record |= {
                    "real": str(link.address),
                    "up": link.is_open,
                    "sent": link.sent,
                    "received": link.received,
                    "lost": link.lost_bytes,
                }
            records.append(record)
        return records

    def close(self) -> None:
        """Close all real ports."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._real_links.clear()

    def _device(self, name: str) -> SwapDevice:
        if name not in self._devices:
            known = ", ".join(self._devices)
            raise BenchError(f"no device {name!r} on this bench: one of {known}")
        return self._devices[name]

    def _detach(self, name: str) -> None:
        """Take a device off its link; close a link that nobody uses."""
        link = self._real_links.pop(name, None)
        if link is None or link in self._real_links.values():
            return
        link.close()
        self._links = {key: other for key, other in self._links.items() if other is not link}


def _parse_address(name: str, address_text: str, swap_bus: SwapBus) -> Address:
    """Read an address; what it leaves open is as on the carrier."""
    try:
        address = parse_address(address_text)
        if address.kind not in swap_bus.address_kinds:
            kinds = " or ".join(f"{kind}:" for kind in swap_bus.address_kinds)
            raise AddressError(f"{name} is on {swap_bus.port}, which takes {kinds}")
        if address.kind == "serial":
            given_options = [
                item.partition("=")[0] for item in address_text.partition("?")[2].split("&")
            ]
            for item in swap_bus.default_options.split("&"):
                if item.partition("=")[0] not in given_options:
                    address = address.with_options(item)
    except AddressError as error:
        raise BenchError(f"{name}={address_text}: {error}") from None
    return address


def _make_receive_handler(swap_bus: SwapBus) -> Callable[[bytes], None]:
    """What a link does with bytes that come in."""
    if not swap_bus.framed:
        return swap_bus.inject
    buffer = b""

    def receive(data: bytes) -> None:
        nonlocal buffer
        buffer += data
        while len(buffer) >= _MBAP_PREFIX_BYTES:
            end = _MBAP_PREFIX_BYTES + int.from_bytes(buffer[4:6], "big")
            if len(buffer) < end:
                return
            swap_bus.inject(buffer[:end])
            buffer = buffer[end:]

    return receive
