# SPDX-License-Identifier: Apache-2.0
"""Keeps a second program of this machine away from the field devices behind a port.

Does not open the port, and does not see other machines or other masters. The lock is an abstract
socket of Linux: it has no file, is valid for all users, and ends with the program. It is that of a
TCP endpoint (address and port after the look-up of the name) or of a serial device (the file behind
its links). The agent in operation takes no such lock.
"""

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
        name = f"\0coldloop-commission-{endpoint(port)}"
        if sys.platform != "linux" or name in self._held:
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


def endpoint(port: str) -> str:
    """Return the endpoint of a port: equal for all addresses of the same device."""
    address = port_address(port)
    if not address.host:
        return os.path.realpath(address.path)
    try:
        host = socket.gethostbyname(address.host)
    except OSError:
        host = address.host
    return f"{host}-{address.port}"
