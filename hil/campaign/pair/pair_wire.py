# SPDX-License-Identifier: Apache-2.0
"""The link between two controllers of a pair in virtual time: whole messages, with a delay.

Does not emulate a network. Each direction can be cut.
"""

from __future__ import annotations

from hil.shells.virtual import VirtualShell

_DELAY_US = 1_000


class PairWire:
    """Both ends; `is_cut[n]`: messages of controller n are lost."""

    def __init__(self) -> None:
        self.is_cut = [False, False]
        self.ends: list[PairWireEnd] = []

    def add_end(self, shell: VirtualShell, port: int) -> PairWireEnd:
        """Return the end of the next controller."""
        end = PairWireEnd(self, len(self.ends), shell, port)
        self.ends.append(end)
        return end

    def send(self, node: int, data: bytes) -> None:
        """Carry a message of controller `node` to the other one."""
        if not self.is_cut[node]:
            world = self.ends[node].shell.world
            world.schedule(world.now + _DELAY_US, self.ends[1 - node].deliver, data)


class PairWireEnd:
    """The port of one controller; has the interface of an endpoint."""

    def __init__(self, wire: PairWire, node: int, shell: VirtualShell, port: int) -> None:
        self.shell = shell
        self._wire = wire
        self._node = node
        self._port = port
        self._is_open = False

    def open(self, _address: bytes) -> None:
        """Open immediately; the event comes after it."""
        self._is_open = True
        self.shell.world.schedule(self.shell.world.now, self.shell.event, self._port, "opened")

    def write(self, data: bytes) -> None:
        """Send a message."""
        if self._is_open:
            self._wire.send(self._node, data)

    def close(self) -> None:
        """Close: messages are lost."""
        self._is_open = False

    def deliver(self, data: bytes) -> None:
        """Give a message to the controller."""
        if self._is_open and self.shell.is_on:
            self.shell.deliver(self._port, data)
