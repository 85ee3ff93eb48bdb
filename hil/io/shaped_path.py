# SPDX-License-Identifier: Apache-2.0
"""A TCP path with the properties of a satellite link, in user space: delay, rate, outages.

Does not model packets: the kernel's TCP ends on both sides, so there are no lost segments and no
retransmissions (see `hil.io.tun_link`, which needs root). The path accepts a connection and
connects it to `target`. Each byte arrives after the delay and its transmission time.
`set_link_up(False)` is an outage: no data passes and no event is sent, as on a link without a
satellite. Bytes under way are held. With `lossy` they are lost, and the connection stays open but
dead (half-open).
"""

import socket
from dataclasses import dataclass, field
from functools import partial

from hil.io.real_ports import send_some
from hil.shells.realtime import RealTimeShell

_READ = 4096
_RETRY_US = 20_000


@dataclass(eq=False)
class _Side:
    sock: socket.socket
    rate_bps: int
    busy_until: int = 0
    unsent: bytes = b""
    closed: bool = False
    dead: bool = False
    peer: "_Side | None" = None
    held_chunks: list[bytes] = field(default_factory=list)


class ShapedPath:
    """A listening socket; its connections lead to `target` over a shaped link.

    `delay_us` is one way, rates are bit/s of payload. `cut_after` begins an outage after this
    number of bytes upwards (an outage at any byte).
    """

    def __init__(
        self,
        shell: RealTimeShell,
        target: tuple[str, int],
        delay_us: int = 300_000,
        up_bps: int = 22_000,
        down_bps: int = 88_000,
    ) -> None:
        self.delay_us = delay_us
        self.up_bps = up_bps
        self.down_bps = down_bps
        self.is_up = True
        self.lossy = False
        self.cut_after: int | None = None
        self.up_bytes = 0
        self.down_bytes = 0
        self.connections = 0
        self._shell = shell
        self._target = target
        self._sides: list[_Side] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()
        shell.watch(self._listener.fileno(), self._accept)

    def set_lossy(self, is_lossy: bool) -> None:
        """Choose whether an outage loses the bytes under way."""
        self.lossy = is_lossy

    def set_cut_after(self, count: int | None) -> None:
        """Begin an outage after `count` more bytes upwards; None cancels this."""
        self.cut_after = count

    def set_link_up(self, up: bool) -> None:
        """Begin or end an outage."""
        if up and not self.is_up:
            self.is_up = True
            for side in list(self._sides):
                held, side.held_chunks = side.held_chunks, []
                for data in held:
                    self._transmit(side, data)
        self.is_up = up

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        try:
            target = socket.create_connection(self._target, timeout=5)
        except OSError:
            sock.close()
            return
        self.connections += 1
        client, server = _Side(sock, self.up_bps), _Side(target, self.down_bps)
        client.peer, server.peer = server, client
        # A TCP handshake takes one round trip before the first byte.
        client.busy_until = self._shell.world.now + 2 * self.delay_us
        for side in (client, server):
            side.sock.setblocking(False)
            side.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sides.append(side)
            self._shell.watch(side.sock.fileno(), partial(self._readable, side))

    def _readable(self, side: _Side) -> None:
        try:
            data = side.sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._shell.unwatch(side.sock.fileno())
            side.closed = True
        self._transmit(side, data)

    def _transmit(self, side: _Side, data: bytes) -> None:
        """Put bytes, or the end of the stream, on the link."""
        if not self.is_up:
            self._hold_chunk(side, data)
            return
        if side.dead and data:
            return
        upward = side.rate_bps == self.up_bps
        if upward and self.cut_after is not None and data:
            rest, data = data[self.cut_after :], data[: self.cut_after]
            self.cut_after -= len(data)
            if not self.cut_after:
                self.cut_after = None
                self.is_up = False
                if rest:
                    self._hold_chunk(side, rest)
        if upward:
            self.up_bytes += len(data)
        else:
            self.down_bytes += len(data)
        world = self._shell.world
        start = max(world.now, side.busy_until)
        side.busy_until = start + len(data) * 8_000_000 // side.rate_bps
        world.schedule(side.busy_until + self.delay_us, self._arrive, side, data)

    def _hold_chunk(self, side: _Side, data: bytes) -> None:
        """Hold data during an outage; after lost bytes no later byte passes."""
        if not self.lossy or not data:
            side.held_chunks.append(data)
            return
        for each in (side, side.peer):
            if each is not None:
                each.dead = True

    def _arrive(self, side: _Side, data: bytes) -> None:
        peer = side.peer
        if peer is None or peer not in self._sides:
            return
        if not data and side.closed:
            self._close_pair(side)
            return
        peer.unsent += data
        self._push(peer)

    def _push(self, side: _Side) -> None:
        if not side.unsent or side not in self._sides:
            return
        unsent = send_some(side.sock, side.unsent)
        if unsent is None:
            self._close_pair(side)
            return
        side.unsent = unsent
        if unsent:
            world = self._shell.world
            world.schedule(world.now + _RETRY_US, self._push, side)

    def _close_pair(self, side: _Side) -> None:
        for each in (side, side.peer):
            if each is not None and each in self._sides:
                self._sides.remove(each)
                if not each.closed:
                    self._shell.unwatch(each.sock.fileno())
                each.sock.close()

    def close(self) -> None:
        """Close all sockets."""
        for side in list(self._sides):
            self._close_pair(side)
        self._shell.unwatch(self._listener.fileno())
        self._listener.close()
