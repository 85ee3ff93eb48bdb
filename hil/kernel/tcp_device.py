"""An emulated TCP server behind a port: when what it says arrives, and when it wants to be woken.

Not a port: in virtual time that is `hil.io.endpoints.TcpEnd`, over real sockets
`hil.io.real_ports.TcpPort`; both give it what clients do, and take what is to be delivered:
(connection, bytes; None closes).
"""

from collections.abc import Callable
from typing import Protocol

from hil.kernel.serial_line import NEVER
from hil.kernel.world import WORLD_RANK, World

TcpReplies = list[tuple[int, int, bytes | None]]
"""Connection, delay in microseconds, bytes; None closes."""


class TcpDevice(Protocol):
    """What an emulated TCP server looks like."""

    def opened(self, conn: int, now: int) -> TcpReplies:
        """A client connects."""

    def closed(self, conn: int, now: int) -> TcpReplies:
        """A client is gone."""

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        """Take a client's bytes."""

    def wake(self, now: int) -> TcpReplies:
        """Take the passing of the deadline."""

    def deadline(self) -> int:
        """Give the time at which it wants to be woken."""


class TcpDeviceLink:
    """`server` at `latency_us` from its clients; `deliver` is called at its time, with `rank`."""

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
        """A client is connected."""
        self._busy_until[conn] = 0
        self.send_replies(self._server.opened(conn, self._world.now))

    def closed(self, conn: int) -> None:
        """A client is gone."""
        self._busy_until.pop(conn, None)
        self.send_replies(self._server.closed(conn, self._world.now))

    def receive(self, conn: int, data: bytes) -> None:
        """A client's bytes have arrived."""
        self.send_replies(self._server.receive(conn, data, self._world.now))

    def send_replies(self, replies: TcpReplies) -> None:
        """Send what the server says; look at its deadline."""
        world = self._world
        for conn, delay, data in replies:
            at = world.now + delay + self.latency_us
            if conn in self._busy_until:
                # A stream keeps its order: a slow answer holds up what comes after it.
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
