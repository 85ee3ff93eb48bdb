# SPDX-License-Identifier: Apache-2.0
"""Several controllers in one virtual world: their shells, their common loop, links of messages.

Does not emulate a field bus or a network; see `hil.kernel.shared_line`, and `pair_wire` and
`group_lan` in `hil.campaign`. The loop takes what is due first: an event of the world, or the
deadline of a controller. At the same time the event comes first, then the first controller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from hil.kernel.world import World
from hil.shells.virtual import VirtualShell


class PausableShell(VirtualShell):
    """A shell whose controller can stand still; bytes and events of its ports wait for it."""

    def __init__(self, world: World, dut: Any) -> None:
        super().__init__(world, dut)
        self.paused = False
        self._waiting: list[tuple[int, bytes | str]] = []

    @property
    def due(self) -> int:
        """Deadline of the controller; far away while it stands still."""
        return 1 << 62 if self.paused or not self.is_on else self._deadline

    def deliver(self, port: int, data: bytes) -> None:
        """Deliver bytes to the controller, or keep them while it stands still."""
        if self.paused:
            self._waiting.append((port, data))
        else:
            super().deliver(port, data)

    def event(self, port: int, kind: str) -> None:
        """Deliver an event to the controller, or keep it while it stands still."""
        if self.paused:
            self._waiting.append((port, kind))
        else:
            super().event(port, kind)

    def pause(self) -> None:
        """Let the controller stand still."""
        self.paused = True

    def switch_off(self) -> None:
        """Switch off the controller; what waited for it is lost."""
        super().switch_off()
        self.paused = False
        self._waiting.clear()

    def resume(self) -> None:
        """End the pause: the controller gets what waited."""
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for port, item in waiting:
            if isinstance(item, str):
                super().event(port, item)
            else:
                super().deliver(port, item)

    def wake(self) -> None:
        """Tell the controller that its deadline has passed."""
        if self._dut is not None:
            self._carry_out(self._dut.wake(self.world.now))


class MessageEnd:
    """A port that carries whole messages, with the interface of an endpoint.

    `send` takes the messages of the controller while the port is open.
    """

    def __init__(self, shell: VirtualShell, port: int, send: Callable[[bytes], None]) -> None:
        self.shell = shell
        self._port = port
        self._send = send
        self._is_open = False

    def open(self, _address: bytes) -> None:
        """Open immediately; the event comes after it."""
        self._is_open = True
        self.shell.world.schedule(self.shell.world.now, self.shell.event, self._port, "opened")

    def write(self, data: bytes) -> None:
        """Send a message."""
        if self._is_open:
            self._send(data)

    def close(self) -> None:
        """Close: messages are lost."""
        self._is_open = False

    def deliver(self, data: bytes) -> None:
        """Give a message to the controller."""
        if self._is_open and self.shell.is_on:
            self.shell.deliver(self._port, data)


def run_shells(world: World, shells: Sequence[PausableShell], until: int) -> None:
    """Run all controllers of a world to the time `until`, µs."""
    heap = world.heap
    queue: list[tuple[int, int]] = []
    dues = [-1] * len(shells)
    while True:
        for number, shell in enumerate(shells):
            if shell.due != dues[number]:
                dues[number] = shell.due
                heappush(queue, (shell.due, number))
        while queue[0][0] != dues[queue[0][1]]:
            heappop(queue)
        due, number = queue[0]
        if heap and heap[0][0] <= due:
            if heap[0][0] > until:
                break
            call, args = world.pop_event()
            call(*args)
        elif due <= until:
            world.advance_to(due)
            shells[number].wake()
        else:
            break
    world.advance_to(until)
