"""The virtual shell: the agent's crank turned by a heap of events, as fast as the processor allows.

Not a clock: time jumps from one event to the next. The shell pops the world's events in order,
hands what arrives to the controller under test, and carries out at once what the controller then
asks of its ports. At equal times ports come in the order of their numbers, then the controller's
own deadline.
"""

import heapq
from typing import Protocol

from hil.kernel.digest import Digest
from hil.kernel.dut import Dut, StepResult
from hil.kernel.serial_line import NEVER
from hil.kernel.world import World

STORE_OPERATIONS = ("append", "delete", "get", "list")


class Endpoint(Protocol):
    """The far end of one of the controller's ports."""

    def open(self, address: bytes) -> None:
        """The controller wants the port open; answer with an event, now or later."""

    def write(self, data: bytes) -> None:
        """Take the controller's bytes."""

    def close(self) -> None:
        """The controller closes the port."""


class VirtualShell:
    """Turns `dut` in the time of `world`; `endpoints` are the far ends by port number."""

    def __init__(self, world: World, dut: Dut) -> None:
        self.world = world
        self.endpoints: dict[int, Endpoint] = {}
        self.digest = Digest()
        self._dut: Dut | None = dut
        self._deadline = 0

    def switch_off(self) -> None:
        """Take the power from the controller: it asks for nothing and hears nothing."""
        self._dut = None
        self._deadline = NEVER

    def switch_on(self, dut: Dut) -> None:
        """Start another controller in the old one's place."""
        self._dut = dut
        self.start()

    def start(self) -> None:
        """Start the controller at the world's present time."""
        if self._dut is not None:
            self._carry_out(self._dut.start(self.world.now))

    def deliver(self, port: int, data: bytes) -> None:
        """Hand bytes to the controller now."""
        if self._dut is None:
            return
        now = self.world.now
        self.digest.add(now, port, "receive", data)
        self._carry_out(self._dut.receive(port, data, now))

    def event(self, port: int, kind: str) -> None:
        """Hand an event of a port to the controller now."""
        if self._dut is None:
            return
        now = self.world.now
        self.digest.add(now, port, "event", kind.encode())
        self._carry_out(self._dut.event(port, kind, now))

    def _carry_out(self, result: StepResult) -> None:
        self._deadline, actions = result
        if not actions:
            return
        now, add = self.world.now, self.digest.add
        for port, op, data in actions:
            add(now, port, op, data)
            endpoint = self.endpoints[port]
            if op == "write":
                endpoint.write(data)
            elif op == "open":
                endpoint.open(data)
            elif op == "close":
                endpoint.close()
            elif op == "set" and hasattr(endpoint, "set"):
                endpoint.set(data)
            elif op in STORE_OPERATIONS:
                endpoint.request(op, data)  # type: ignore[attr-defined]  # only a store's end is asked

    def run(self, until: int) -> None:
        """Let the world go on up to and including the time `until`."""
        world, heap = self.world, self.world.heap
        while True:
            due = self._deadline
            if heap and heap[0][0] <= due:
                if heap[0][0] > until:
                    break
                world.now, _, _, call, args = heapq.heappop(heap)
                call(*args)
            elif due <= until and self._dut is not None:
                if due > world.now:
                    world.now = due
                self._carry_out(self._dut.wake(world.now))
            else:
                break
        world.now = max(world.now, until)
