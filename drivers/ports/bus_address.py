# SPDX-License-Identifier: Apache-2.0
"""The bus that belongs to the address of a port: framing, wire time, unit range.

Does not open the port. The agent and the diagnostic commands use the same function, so that both
treat a line in the same way.
"""

from drivers.modbus.bus import Bus
from drivers.modbus.wire_time import WireTime
from drivers.ports.address import modbus_framing
from drivers.ports.address_text import LINE_KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.address import Address

STALE_US = 500_000
BUS_KINDS = ("serial", "uart", "tcp", "tls", "rtu+tcp", "rtu+udp", "ascii", "ascii+tcp")
"""Kinds of address that a bus can have."""


def wire_time(address: "Address", turnaround_us: int = 5_000) -> WireTime:
    """Return the times on the line of a serial address, or of the line behind a gateway."""
    framing = modbus_framing(address.kind)
    return WireTime(
        address.baud, address.bits_per_char, turnaround_us, framing != "tcp", framing == "ascii"
    )


def make_bus(port: int, address: "Address", timeout_us: int) -> Bus:
    """Return the bus for `address` on `port`; `timeout_us` limits the wait for a reply."""
    bus = Bus(
        port,
        modbus_framing(address.kind),
        baud=address.baud,
        bits_per_char=address.bits_per_char,
        timeout_us=timeout_us,
        stale_us=STALE_US,
    )
    bus.set_gateway(address.max_unit, address.kind not in LINE_KINDS)
    return bus
