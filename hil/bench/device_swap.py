# SPDX-License-Identifier: Apache-2.0
"""Replace emulated devices by real ones, one at a time, while the bench runs.

Does not open the ports; see `hil.io.real_link`. While a device is real, its emulated server does
not answer. The bench passes each request for its unit to the real port, byte for byte. It puts the
reply on the line or the TCP connection, byte for byte. The real device must have the same unit id.
It must have the same baud rate, unless its address names another. The emulated device gets no
requests and behaves like a device with a silent master.

A device of a serial line takes a serial port, or a TCP connection that carries RTU frames (a serial
device server). A device of a TCP host takes a TCP connection. Several devices can share one real
port.
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
_MAX_FRAME_BYTES = 260  # Modbus messaging on TCP/IP V1.0b, section 4.1


class SwapHost(Protocol):
    """A serial line or a TCP host whose units can be real."""

    def attach_real(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Pass the requests for `unit` to `send`, and keep the emulated server silent."""

    def restore_emulated(self, unit: int) -> None:
        """Let the emulated server of `unit` answer again."""


@dataclass(frozen=True)
class SwapBus:
    """A bus with devices that can be real.

    port              name of the bus in the list of ports of the bench
    host              serves the emulated devices of the bus
    inject            puts the reply of a real device on the bus
    address_kinds     kinds of address that a real device can have
    default_options   options of an address that does not state them, such as the baud rate
    framed            True: `inject` takes whole Modbus TCP frames; False: bytes as they arrive
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
    """A real port: the bus that it serves, and its address."""

    port: str
    address: str


class DeviceSwap:
    """The devices of a bench, and the real ports that replace some of them."""

    def __init__(self, shell: RealTimeShell) -> None:
        self._shell = shell
        self._devices: dict[str, SwapDevice] = {}
        self._links: dict[_LinkKey, RealLink] = {}
        self._real_links: dict[str, RealLink] = {}

    def add(self, name: str, swap_bus: SwapBus, unit: int) -> None:
        """Register a device."""
        self._devices[name] = SwapDevice(swap_bus, unit)

    @property
    def names(self) -> list[str]:
        """Names of all devices, in the order of registration."""
        return list(self._devices)

    def attach_real(self, name: str, address_text: str) -> None:
        """Replace the device `name` by the real one at `address_text`.

        Raises BenchError for an unknown name, a wrong address, or a port that does not open. Then
        nothing changes.
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
        """Let the emulated device `name` answer. Raises BenchError for an unknown name."""
        swap_bus, unit = self._device(name)
        swap_bus.host.restore_emulated(unit)
        self._detach(name)

    def devices(self) -> list[dict[str, Any]]:
        """Return a record for each device: name, port, unit, real (address or None).

        A real device also has up (open or not) and its bytes: sent, received, lost.
        """
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
            raise BenchError(f"no device {name!r} on this bench; there are {known}")
        return self._devices[name]

    def _detach(self, name: str) -> None:
        """Remove a device from its link. Close the link if no other device uses it."""
        link = self._real_links.pop(name, None)
        if link is None or link in self._real_links.values():
            return
        link.close()
        self._links = {key: other for key, other in self._links.items() if other is not link}


def _parse_address(name: str, address_text: str, swap_bus: SwapBus) -> Address:
    """Parse an address; add the default options of the bus. Raises BenchError."""
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
    """Make the function that takes the bytes of a real device. It assembles frames if needed."""
    if not swap_bus.framed:
        return swap_bus.inject
    buffer = b""

    def receive(data: bytes) -> None:
        nonlocal buffer
        buffer += data
        while len(buffer) >= _MBAP_PREFIX_BYTES:
            end = _MBAP_PREFIX_BYTES + int.from_bytes(buffer[4:6], "big")
            if end > _MAX_FRAME_BYTES:  # not Modbus TCP: no later byte can begin a frame for sure
                buffer = b""
                return
            if len(buffer) < end:
                return
            swap_bus.inject(buffer[:end])
            buffer = buffer[end:]

    return receive
