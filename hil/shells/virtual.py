# SPDX-License-Identifier: Apache-2.0
"""The virtual shell: steps the agent from a queue of events, as fast as the processor allows.

Does not wait for a clock: time jumps from one event to the next. The shell takes the events in
order and delivers inputs to the controller under test. It executes the actions of the controller
immediately. At equal times the ports come in the order of their numbers, then the controller's
deadline.
"""

from typing import Protocol

from drivers.ports.store_request import OPERATIONS
from hil.kernel.digest import Digest
from hil.kernel.dut import Dut, StepResult
from hil.kernel.serial_line import NEVER
from hil.kernel.world import World


class Endpoint(Protocol):
    """The endpoint of one port of the controller."""

    def open(self, address: bytes) -> None:
        """The controller opens the port; the endpoint answers with an event, now or later."""

    def write(self, data: bytes) -> None:
        """Take the controller's bytes."""

    def close(self) -> None:
        """The controller closes the port."""


class VirtualShell:
    """Steps `dut` in the time of `world`; `endpoints` maps a port number to its endpoint."""

    def __init__(self, world: World, dut: Dut) -> None:
        self.world = world
        self.endpoints: dict[int, Endpoint] = {}
        self.digest = Digest()
        self._dut: Dut | None = dut
        self._deadline = 0

    @property
    def is_on(self) -> bool:
        """Whether the controller has power."""
        return self._dut is not None

    def switch_off(self) -> None:
        """Switch off the controller: it gets no more inputs and gives no more actions."""
        self._dut = None
        self._deadline = NEVER

    def switch_on(self, dut: Dut) -> None:
        """Replace the controller with `dut` and start it."""
        self._dut = dut
        self.start()

    def start(self) -> None:
        """Start the controller at the present time."""
        if self._dut is not None:
            self._carry_out(self._dut.start(self.world.now))

    def deliver(self, port: int, data: bytes) -> None:
        """Deliver bytes to the controller now."""
        if self._dut is None:
            return
        now = self.world.now
        self.digest.add(now, port, "receive", data)
        self._carry_out(self._dut.receive(port, data, now))

    def event(self, port: int, kind: str) -> None:
        """Deliver an event of a port to the controller now."""
        if self._dut is None:
            return
        now = self.world.now
        self.digest.add(now, port, "event", kind.encode())
        self._carry_out(self._dut.event(port, kind, now))

    def _carry_out(self, result: StepResult) -> None:
        self._deadline, actions = result
        if not actions:
            return
        now, add, endpoints = self.world.now, self.digest.add, self.endpoints
        for port, op, data in actions:
            add(now, port, op, data)
            endpoint = endpoints[port]
            if op == "write":
                endpoint.write(data)
            elif op == "open":
                endpoint.open(data)
            elif op == "close":
                endpoint.close()
            elif op == "set" and hasattr(endpoint, "set"):
                endpoint.set(data)
            elif op in OPERATIONS:
                endpoint.request(op, data)  # type: ignore[attr-defined]  # only a store's end is asked

    def run(self, until: int) -> None:
        """Run all events up to and including the time `until`."""
        world, heap, pop_event = self.world, self.world.heap, self.world.pop_event
        while True:
            due = self._deadline
            if heap and heap[0][0] <= due:
                if heap[0][0] > until:
                    break
                call, args = pop_event()
                call(*args)
            elif due <= until and self._dut is not None:
                world.advance_to(due)
                self._carry_out(self._dut.wake(world.now))
            else:
                break
        world.advance_to(until)
