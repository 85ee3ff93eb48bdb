# SPDX-License-Identifier: Apache-2.0
"""One emulated TCP server with clients at several controllers, in virtual time.

Does not emulate a server; see `hil.devices`. Each controller has a side of it, which numbers the
connections apart. A reply goes to the controller of its connection, whichever of them caused it: a
broker closes the connection of the first controller when the second one comes with the same client
id.
"""

from __future__ import annotations

from hil.io.endpoints import TcpEndpoint
from hil.kernel.tcp_device import TcpDevice, TcpReplies
from hil.shells.virtual import VirtualShell

_MOST = 16
"""Highest number of sides: a connection is its number at the server, divided by this."""


class SharedServer:
    """`server` for several controllers. `endpoints`: their ports, in the order of `connect`."""

    def __init__(self, server: TcpDevice, latency_us: int) -> None:
        self.server = server
        self.endpoints: list[TcpEndpoint] = []
        self._latency_us = latency_us

    def connect(self, shell: VirtualShell, port: int) -> TcpEndpoint:
        """Connect the next controller: return the endpoint of its port."""
        side = _ServerSide(self, len(self.endpoints))
        endpoint = TcpEndpoint(shell, port, side, self._latency_us)
        self.endpoints.append(endpoint)
        return endpoint

    def route(self, replies: TcpReplies, own: int = -1) -> TcpReplies:
        """Give the replies to the sides of their connections; return those of side `own`."""
        kept: TcpReplies = []
        for number, delay, data in replies:
            conn, side = divmod(number, _MOST)
            if side == own:
                kept.append((conn, delay, data))
            else:
                self.endpoints[side].device_link.send_replies([(conn, delay, data)])
        return kept


class _ServerSide:
    """The server as one controller has it; it is a `TcpDevice`."""

    def __init__(self, shared: SharedServer, number: int) -> None:
        self._shared = shared
        self._server = shared.server
        self._number = number

    def _at_server(self, conn: int) -> int:
        return conn * _MOST + self._number

    def opened(self, conn: int, now: int) -> TcpReplies:
        """A client connects."""
        return self._shared.route(self._server.opened(self._at_server(conn), now), self._number)

    def closed(self, conn: int, now: int) -> TcpReplies:
        """A client has disconnected."""
        return self._shared.route(self._server.closed(self._at_server(conn), now), self._number)

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        """Process the bytes of a client."""
        replies = self._server.receive(self._at_server(conn), data, now)
        return self._shared.route(replies, self._number)

    def wake(self, now: int) -> TcpReplies:
        """Process the passed deadline of the server."""
        return self._shared.route(self._server.wake(now), self._number)

    def deadline(self) -> int:
        """Return the deadline of the server."""
        return self._server.deadline()
