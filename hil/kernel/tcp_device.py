"""An emulated TCP server behind a port: when what it says arrives, and when it wants to be woken.

Not a port: in virtual time that is `hil.io.endpoints.TcpEnd`, over real sockets `hil.io.real_ports.TcpPort`;
both give it what clients do, and take what is to be delivered: (connection, bytes; None closes).
"""

from collections.abc import Callable
from typing import Protocol

from hil.kernel.serial_line import NEVER
from hil.kernel.world import WORLD_RANK, World

Replies = list[tuple[int, int, bytes | None]]
"""Connection, delay in microseconds, bytes; None closes."""


class TcpDevice(Protocol):
    """What an emulated TCP server looks like."""

    def opened(self, conn: int, now: int) -> Replies:
        """A client connects."""

    def closed(self, conn: int, now: int) -> Replies:
        """A client is gone."""

    def receive(self, conn: int, data: bytes, now: int) -> Replies:
        """Take a client's bytes."""

    def wake(self, now: int) -> Replies:
        """Take the passing of the deadline."""

    def deadline(self) -> int:
        """Give the time at which it wants to be woken."""


class Serving:
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
        self.say(self._server.opened(conn, self._world.now))

    def closed(self, conn: int) -> None:
        """A client is gone."""
        self._busy_until.pop(conn, None)
        self.say(self._server.closed(conn, self._world.now))

    def receive(self, conn: int, data: bytes) -> None:
        """A client's bytes have arrived."""
        self.say(self._server.receive(conn, data, self._world.now))

    def say(self, replies: Replies) -> None:
        """Send what the server says; look at its deadline."""
        world = self._world
        for conn, delay, data in replies:
            at = world.now + delay + self.latency_us
            if conn in self._busy_until:
                # A stream keeps its order: a slow answer holds up what comes after it.
                at = self._busy_until[conn] = max(self._busy_until[conn], at)
            world.at(at, self._deliver, conn, data, rank=self._rank)
        due = self._server.deadline()
        if due < self._wake_due:
            self._wake_due = due
            world.at(due, self._wake, due)

    def _wake(self, due: int) -> None:
        if due == self._wake_due:
            self._wake_due = NEVER
            self.say(self._server.wake(self._world.now))
