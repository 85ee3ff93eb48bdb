# SPDX-License-Identifier: Apache-2.0
"""The state table of the bus, explored with the bus itself.

Each sequence of a few inputs is given to a bus: requests, bytes of every kind, the deadline, events
of the port. Every transition that the bus makes is in the table, because others raise an exception.
Every row of the table is reached. In each state the bus agrees with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from drivers.modbus.bus import Bus
from drivers.modbus.bus_state import CLOSED, DEFERRED, TABLE, WAIT_REPLY, next_state
from drivers.modbus.transaction import STOP
from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.time_units import NEVER

READ = pdu.read_holding(16, 2)
REPLY = with_crc(b"\x05\x03\x04\x00\x01\x00\x02")


class RecordingBus(Bus):
    """A bus that notes its transitions."""

    def __init__(self, framing: str) -> None:
        self.made: set[tuple[int, int]] = set()
        self._state = CLOSED
        super().__init__(4, framing, timeout_us=100_000)

    @property
    def state(self) -> int:
        return self._state

    @state.setter
    def state(self, value: int) -> None:
        self.made.add((self._state, value))
        self._state = value


class BusCase:
    """A bus and the time; each method is one input."""

    def __init__(self, framing: str) -> None:
        self.bus = RecordingBus(framing)
        self.now = 0
        self.results = 0
        self.submitted = 0

    def submit(self) -> None:
        self.submitted += self.bus.submit(5, READ, self.now, retries=0)

    def stop(self) -> None:
        request = pdu.write_single(3, self.submitted)
        self.submitted += self.bus.submit(5, request, self.now, STOP, retries=1)

    def wake(self) -> None:
        due = self.bus.deadline()
        if due != NEVER:
            self.now = max(self.now, due)
            self.bus.wake(self.now)

    def reply(self) -> None:
        self.bus.receive(REPLY, self.now)

    def busy(self) -> None:
        self.bus.receive(with_crc(b"\x05\x83\x06"), self.now)

    def enclosed(self) -> None:
        """The start of a frame of unit 9 that contains a reply."""
        self.bus.receive(b"\x09\x03\x20" + REPLY, self.now)

    def interrupted(self) -> None:
        self.bus.drop_input(self.now)

    def opened(self) -> None:
        self.bus.event("opened", self.now)

    def closed(self) -> None:
        self.bus.event("failed", self.now)

    def check(self) -> None:
        """The state agrees with what the bus holds."""
        bus = self.bus
        bus.outbox()
        self.results += len(bus.take_results())
        assert (bus.state >= WAIT_REPLY) == (bus._transaction is not None)
        assert (bus.state == DEFERRED) == bus.client.is_deferred
        assert bus.state != CLOSED or not bus.pending_count
        assert self.submitted == self.results + bus.pending_count  # no request is forgotten


INPUTS: tuple[Callable[[BusCase], None], ...] = (
    BusCase.submit,
    BusCase.stop,
    BusCase.wake,
    BusCase.reply,
    BusCase.busy,
    BusCase.enclosed,
    BusCase.interrupted,
    BusCase.opened,
    BusCase.closed,
)


def explore(framing: str, depth: int) -> tuple[int, set[tuple[int, int]]]:
    """Give all sequences of `depth` inputs to an open bus; return (count, transitions)."""
    made: set[tuple[int, int]] = set()
    count = 0
    for steps in itertools.product(INPUTS, repeat=depth):
        case = BusCase(framing)
        case.opened()
        for step in steps:
            step(case)
            case.now += 500
            case.check()
        made |= case.bus.made
        count += 1
    return count, made


@pytest.mark.parametrize("framing", ["rtu", "tcp", "ascii"])
def test_all_short_sequences(framing: str) -> None:
    count, made = explore(framing, 4)
    assert count == len(INPUTS) ** 4
    rows = {(before, after) for before, _, after in TABLE}
    interrupted = {(state, WAIT_REPLY) for state in (WAIT_REPLY, DEFERRED)}
    assert made - interrupted <= rows | {(CLOSED, CLOSED)}
    if framing == "rtu":
        assert rows <= made, rows - made


@pytest.mark.soak
@pytest.mark.parametrize("framing", ["rtu", "tcp", "ascii"])
def test_all_long_sequences(framing: str) -> None:
    print(framing, explore(framing, 6)[0])


def test_a_pair_outside_the_table_raises() -> None:
    pairs = [(state, event) for state, event, _ in TABLE]
    assert len(pairs) == len(set(pairs))
    for state, event, after in TABLE:
        assert next_state(state, event) == after
    for state, event in itertools.product(range(5), range(7)):
        if (state, event) not in pairs:
            with pytest.raises(ValueError, match="no transition"):
                next_state(state, event)
