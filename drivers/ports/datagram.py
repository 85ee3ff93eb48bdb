# SPDX-License-Identifier: Apache-2.0
"""Datagrams (UDP) to and from one host, on CPython and MicroPython.

Does not resolve names: the host is an IP address, because a look-up would wait. A datagram that the
network refuses is lost without an error, as one that is lost on its way; the owner of the port sees
that no reply comes. Several ports can share a local number, each with its own peer.
"""

import socket

from drivers.ports.address import local_end
from drivers.ports.base import CHUNK, SOCKET_REASONS, StreamPort, make_error, translate_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

_SOL_SOCKET, _SO_REUSEADDR = 1, 2
_IS_NUMBER = "0123456789.:abcdefABCDEF"
_ANY = {True: "::", False: "0.0.0.0"}  # noqa: S104 - datagrams are signed by the application


class DatagramPort(StreamPort):
    """One socket; it is open immediately."""

    def __init__(self, address: "Address") -> None:
        """Bind and connect. Raises PortError."""
        StreamPort.__init__(self, address)
        host, number = local_end(address)
        for name in (host, address.host):
            if name.strip(_IS_NUMBER):
                raise make_error(address, "needs IP addresses, not names")
        family, _, _, _, peer = _target(address.host, address.port)
        own = _target(host or _ANY[":" in address.host], number)[4]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.setsockopt(_SOL_SOCKET, _SO_REUSEADDR, 1)
            self._socket.bind(own)
            self._socket.connect(peer)
        except OSError as error:
            self._socket.close()
            raise translate_error(address, error, SOCKET_REASONS)
        self.pollable = self._socket.fileno()

    def read(self) -> bytes:
        """Return one datagram, cut to CHUNK bytes; empty if there is none."""
        try:
            return self._socket.recv(CHUNK)
        except OSError:  # none, or the report that an earlier one was refused
            return b""

    def write(self, data: bytes) -> int:
        """Send one datagram; it is lost if the network does not take it."""
        try:
            self._socket.send(data)
        except OSError:
            pass
        return len(data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def open_port(address: "Address", _wake: "Wake") -> DatagramPort:
    """Open `udp:HOST:PORT`."""
    return DatagramPort(address)


def _target(host: str, port: int) -> "Any":
    return socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0]
