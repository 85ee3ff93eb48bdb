# SPDX-License-Identifier: Apache-2.0
"""The state table of the writes of a device, explored with the write cycle itself.

The device of the model has one output. Sequences of requests, results, poll rounds and silences are
given to a write cycle. Every transition that it makes is in the table, because others raise an
exception. Every row is reached. "Verified" is true of the device, a newer value is never followed
by an older one, and from every state a good device ends verified.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from agent.fieldbus.poll_cycle import RequestTag
from agent.fieldbus.session_state import NONE, PENDING, VERIFIED, WRITE_TABLE, next_state
from agent.fieldbus.write_cycle import WriteCycle
from drivers.device.identity import MATCH, MISMATCH
from drivers.modbus.transaction import STOP

_ROUNDS = 8
"""Rounds within which a good device ends verified."""


class RecordingCycle(WriteCycle):
    """A write cycle that notes its transitions."""

    made: ClassVar[set[tuple[int, int]]] = set()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "state" and hasattr(self, "state"):
            self.made.add((self.state, value))
        super().__setattr__(name, value)


class WriteCase:
    """A write cycle, its bus and its device; each method is one input."""

    def __init__(self, cycle_class: type[WriteCycle] = RecordingCycle) -> None:
        self.unit = 5
        self.identity = MATCH
        self.output = self.shown = 0
        self.readings = [SimpleNamespace(raw=0, quality="good")]
        point = SimpleNamespace(verify="same", ramp=None)
        self.profile = SimpleNamespace(points=[point])
        self.on_bus: list[tuple[RequestTag, int]] = []
        self.sent: list[int] = []
        self.wanted = 0
        self.cycle = cycle_class(0, self, self, lambda: None)  # type: ignore[arg-type]

    # The device and the bus, as the write cycle sees them.

    def build_writes(self, outputs: Sequence[tuple[int, int]]) -> list[int]:
        return [-1, outputs[0][1]]  # a remote bit goes first

    def readback_matches(self, outputs: Sequence[tuple[int, int]]) -> bool:
        return bool(self.readings[0].raw == outputs[0][1])

    def submit(self, unit: int, request: int, tag: RequestTag, priority: int) -> bool:
        self.on_bus.append((tag, request))
        self.sent.append(request)
        return True

    # Inputs.

    def want(self) -> None:
        self.wanted += 1
        self.cycle.request([(0, self.wanted)], False)

    def stop(self) -> None:
        self.wanted += 1
        self.cycle.request([(0, self.wanted)], True)

    def _result(self, ok: bool, works: bool) -> None:
        if self.on_bus:
            tag, request = self.on_bus.pop(0)
            if works and request >= 0:
                self.output = request
            self.cycle.handle_result(tag, ok)

    def confirmed(self) -> None:
        self._result(True, True)

    def refused(self) -> None:
        self._result(False, False)

    def lost_reply(self) -> None:
        self._result(False, True)

    def poll_round(self) -> None:
        self.cycle.cycle_begins()
        self.cycle.round_begins()
        self.readings[0].raw = self.output
        self.cycle.verify()

    def foreign(self) -> None:
        self.output = 99

    def silent(self) -> None:
        self.cycle.device_silent()
        self.cycle.device_recovered()

    def replaced(self) -> None:
        self.identity = MISMATCH if self.identity == MATCH else MATCH
        if self.identity == MATCH:
            self.cycle.device_identified()

    def withhold(self) -> None:
        self.cycle.withhold()

    # Checks.

    def check(self) -> None:
        values = [value for value in self.sent if value >= 0]
        assert values == sorted(values), values
        assert (self.cycle.state == NONE) == (not self.cycle._requested)

    def recover(self) -> None:
        """A device without faults, and its right model."""
        if self.identity != MATCH:
            self.replaced()
        for _ in range(_ROUNDS):
            while self.on_bus:
                self.confirmed()
            self.poll_round()
        assert self.cycle.state in (NONE, VERIFIED), self.cycle.state
        if self.cycle.state == VERIFIED:
            assert self.output == self.wanted
        assert not self.cycle.unverified


INPUTS: tuple[Callable[[WriteCase], None], ...] = (
    WriteCase.want,
    WriteCase.stop,
    WriteCase.confirmed,
    WriteCase.refused,
    WriteCase.lost_reply,
    WriteCase.poll_round,
    WriteCase.foreign,
    WriteCase.silent,
    WriteCase.replaced,
    WriteCase.withhold,
)


def run_steps(steps: Sequence[Callable[[WriteCase], None]]) -> WriteCase:
    case = WriteCase()
    for step in steps:
        step(case)
        case.check()
    case.recover()
    return case


def test_all_short_sequences() -> None:
    RecordingCycle.made = set()
    for steps in itertools.product(INPUTS, repeat=4):
        run_steps(steps)
    rng = random.Random(1)
    for _ in range(1000):
        run_steps(rng.choices(INPUTS, k=30))
    rows = {(before, after) for before, _, after in WRITE_TABLE}
    assert RecordingCycle.made == rows, RecordingCycle.made ^ rows


@pytest.mark.soak
def test_many_random_sequences() -> None:
    rng = random.Random(2)
    for _ in range(200_000):
        run_steps(rng.choices(INPUTS, k=60))


def test_a_stop_does_not_wait_for_a_batch() -> None:
    case = WriteCase()
    case.want()
    case.stop()
    assert case.sent == [-1, -1]
    assert case.cycle._batch_priority == STOP


def test_a_pair_outside_the_table_raises() -> None:
    pairs = [(state, event) for state, event, _ in WRITE_TABLE]
    assert len(pairs) == len(set(pairs))
    assert next_state(NONE, WRITE_TABLE[0][1], WRITE_TABLE) == PENDING
    with pytest.raises(ValueError, match="no transition"):
        next_state(NONE, 3, WRITE_TABLE)
