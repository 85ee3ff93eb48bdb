# SPDX-License-Identifier: Apache-2.0
"""The link to an emulated TCP server: delivery times of its replies and its wake-up times.

Does not implement a port. In virtual time the port is `hil.io.endpoints.TcpEndpoint`; over real
sockets it is `hil.io.real_ports.TcpListener`. Both pass the clients' actions to the link and
receive the replies as (connection, bytes). None instead of bytes closes the connection.
"""

from collections.abc import Callable
from typing import Protocol

from hil.kernel.serial_line import NEVER
from hil.kernel.world import WORLD_RANK, World

TcpReplies = list[tuple[int, int, bytes | None]]
"""Connection, delay in microseconds, bytes. None instead of bytes closes the connection."""


class TcpDevice(Protocol):
    """Interface of an emulated TCP server."""

    def opened(self, conn: int, now: int) -> TcpReplies:
        """A client connects."""

    def closed(self, conn: int, now: int) -> TcpReplies:
        """A client has disconnected."""

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        """Process the bytes of a client."""

    def wake(self, now: int) -> TcpReplies:
        """Process the passed deadline."""

    def deadline(self) -> int:
        """Return the time of the next `wake` call, in microseconds."""


class TcpDeviceLink:
    """Link to `server` with `latency_us`; calls `deliver` at the delivery time with `rank`."""

    def __init__(
        self,
        world: World,
        server: TcpDevice,
        latency_us: int,
        deliver: Callable[[int, bytes | None], None],
        rank: int = WORLD_RANK,
    ) -> None:
        self.latency_us = latency_us
        self._world = world
        self._server = server
        self._deliver = deliver
        self._rank = rank
        self._busy_until: dict[int, int] = {}
        self._wake_due = NEVER

    def opened(self, conn: int) -> None:
        """A client has connected."""
        self._busy_until[conn] = 0
        self.send_replies(self._server.opened(conn, self._world.now))

    def closed(self, conn: int) -> None:
        """A client has disconnected."""
        self._busy_until.pop(conn, None)
        self.send_replies(self._server.closed(conn, self._world.now))

    def receive(self, conn: int, data: bytes) -> None:
        """The bytes of a client have arrived."""
        self.send_replies(self._server.receive(conn, data, self._world.now))

    def last_reply_at(self, conn: int) -> int:
        """Return the time at which the last reply so far to a client is delivered."""
        return self._busy_until.get(conn, 0)

    def send_replies(self, replies: TcpReplies) -> None:
        """Schedule the replies of the server, then its next deadline."""
        world = self._world
        for conn, delay, data in replies:
            at = world.now + delay + self.latency_us
            if conn in self._busy_until:
                # A stream keeps its order: a slow reply delays the replies behind it.
                at = self._busy_until[conn] = max(self._busy_until[conn], at)
            world.schedule(at, self._deliver, conn, data, rank=self._rank)
        due = self._server.deadline()
        if due < self._wake_due:
            self._wake_due = due
            world.schedule(due, self._wake, due)

    def _wake(self, due: int) -> None:
        if due == self._wake_due:
            self._wake_due = NEVER
            self.send_replies(self._server.wake(self._world.now))
