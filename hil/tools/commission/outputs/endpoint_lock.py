# SPDX-License-Identifier: Apache-2.0
"""Keeps a second program of this machine away from the field devices behind a port.

Does not open the port, and does not see other machines or other masters. The lock is an abstract
socket of Linux: it has no file, is valid for all users, and ends with the program. It is that of a
TCP endpoint (address and port after the look-up of the name) or of a serial device (the file behind
its links). The agent in operation takes no such lock.
"""

import ipaddress
import os
import socket
import sys
from typing import Self

from drivers.tools.lib.modbus_client import port_address
from hil.errors import BenchError


class PortLocks:
    """The locks of one program."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        for held in self._held.values():
            held.close()
        self._held.clear()

    def lock(self, port: str) -> None:
        """Lock the endpoint of a port. Raises BenchError if another program has it."""
        if sys.platform != "linux":
            return
        for endpoint in endpoints(port):
            self._lock(port, f"\0coldloop-commission-{endpoint}")

    def _lock(self, port: str, name: str) -> None:
        if name in self._held:
            return
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(name)
        except OSError:
            held.close()
            raise BenchError(
                f"{port}: another `coldloop commission` or `coldloop hil run --unit` works with "
                "this port; wait for its end"
            ) from None
        self._held[name] = held


def endpoints(port: str) -> set[str]:
    """Return the endpoints of a port, one for each address of its host.

    Two ports with a common endpoint are the same device. A device with two addresses is seen as
    one only by a name that has both.
    """
    address = port_address(port)
    if not address.host:
        return {os.path.realpath(address.path)}
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        hosts = {_plain_address(str(entry[4][0])) for entry in found}
    except (OSError, UnicodeError):
        hosts = {address.host}
    return {f"{host}-{address.port}" for host in hosts}


def _plain_address(text: str) -> str:
    """Return one form of the addresses that are the same: of this machine, and IPv4 in IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    is_own = address.is_unspecified or address == ipaddress.IPv6Address("::1")
    return "127.0.0.1" if is_own else str(address)
