# SPDX-License-Identifier: Apache-2.0
"""The state tables of a device session, explored with the session itself.

The device of the model has one output and an identity register. It can be silent, refuse requests,
be replaced by another model, and have its output changed by another master. All orders of these
inputs and of the cycles of the session are tried, breadth first, up to a number of inputs. States
that differ only in absolute times are one. In each state:
- the communication is "online" exactly if a good reply came within the last three cycles;
- a write goes out only to a device whose identity was read and was right;
- a lost device is identified again before it is written to.
From each state a device without faults is online, identified and verified within some cycles.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from agent.core.config_records import DeviceConfig
from agent.fieldbus.capacity import make_poll_plans
from agent.fieldbus.device_session import DeviceSession
from agent.fieldbus.session_state import (
    COMM_TABLE,
    LOST,
    MISSED,
    NONE,
    ONLINE,
    UNKNOWN,
    VERIFIED,
    next_state,
)
from drivers.device.identity import MATCH
from drivers.device.identity import UNKNOWN as UNIDENTIFIED
from drivers.device.profile import DeviceProfile
from drivers.modbus.transaction import TransactionResult
from drivers.modbus.wire_time import WireTime
from protocols.time_units import SECOND

_LOST_AFTER = 3
_GOOD_CYCLES = 24
"""Cycles within which a good device is online and verified; 10 s until it is identified again."""
_MODEL, _OTHER_MODEL = 7, 8
PROFILE = DeviceProfile(
    {
        "model": "toy",
        "title": "one output",
        "source": "this test",
        "met_hardware": False,
        "identity": [{"address": 5, "words": [_MODEL]}],
        "points": [
            {
                "name": "SpeedControlPercent",
                "address": 0,
                "type": "u16",
                "unit": "%",
                "write": True,
                "limits": [0, 100],
            }
        ],
    }
)
PLANS = make_poll_plans(PROFILE, WireTime(19200, 11), True)
SHARED = (PROFILE, DeviceConfig("pump", "bus", 9, PROFILE))
"""What no session changes; its copies share it."""


def _find_shared(name: str) -> Any:
    return next(thing for thing in SHARED if type(thing).__name__ == name)


def _shared(thing: Any) -> tuple[Any, tuple[str]]:
    return _find_shared, (type(thing).__name__,)


class SessionCase:
    """A session, its bus and its device; each method of `INPUTS` is one input."""

    def __init__(self) -> None:
        self.now = 0
        self.registers = {0: 0, 5: _MODEL}
        self.on_bus: list[tuple[bytes, Any]] = []
        self.wanted = 0
        self.silent_cycles = _LOST_AFTER
        self.answered = False
        self.was_identified = False
        self.session = DeviceSession(0, SHARED[1], self, copy.deepcopy(PLANS))  # type: ignore[arg-type]
        self.made: set[tuple[int, int]] = set()

    def submit(self, unit: int, request: bytes, tag: Any, priority: int = 0) -> bool:
        """As `Bus.submit`."""
        if request[0] != 3:
            assert self.session.device.identity == MATCH
            assert self.was_identified
        self.on_bus.append((request, tag))
        return True

    # Inputs.

    def cycle(self) -> None:
        self.now += SECOND
        before = self.session.comm_state
        self.silent_cycles = 0 if self.answered else min(self.silent_cycles + 1, _LOST_AFTER)
        self.answered = False
        self.session.poll(self.now, SECOND)
        if before == ONLINE and self.session.comm_state == LOST:
            self.was_identified = False
        self.made.add((before, self.session.comm_state))

    def _finish(self, status: str, code: int = 0) -> None:
        if not self.on_bus:
            return
        request, tag = self.on_bus.pop(0)
        address, count = request[1] << 8 | request[2], request[3] << 8 | request[4]
        values: tuple[int, ...] = ()
        if status == "ok":
            self.answered, self.silent_cycles = True, 0
            if request[0] == 3:
                values = tuple(self.registers.get(address + i, 0) for i in range(count))
            else:
                self.registers[address] = count if request[0] == 6 else request[-1]
            if address == 5:
                self.was_identified = values[0] == _MODEL
        before = self.session.comm_state
        result = TransactionResult(tag, 9, status, code, values, self.now)
        self.session.handle_result(result)
        self.made.add((before, self.session.comm_state))

    def reply(self) -> None:
        self._finish("ok")

    def silence(self) -> None:
        self._finish("timeout")

    def refusal(self) -> None:
        """The identity register does not exist (2), or the device has a failure (4).

        A refused poll with code 2 changes the plan; see the tests of `poll_plan`.
        """
        is_probe = bool(self.on_bus) and self.on_bus[0][0][:3] == b"\x03\x00\x05"
        self._finish("exception", 2 if is_probe else 4)

    def want(self) -> None:
        self.wanted = 3 - self.wanted if self.wanted else 1
        self.session.request_outputs([(0, self.wanted)])

    def withhold(self) -> None:
        self.wanted = 0
        self.session.withhold_outputs()

    def foreign(self) -> None:
        self.registers[0] = 99

    def replaced(self) -> None:
        self.registers[5] = _OTHER_MODEL if self.registers[5] == _MODEL else _MODEL
        self.registers[0] = 0

    # Checks.

    def check(self) -> None:
        session = self.session
        assert session.lost == (self.silent_cycles >= _LOST_AFTER)
        assert session.comm_state != LOST or session.silent_cycles >= _LOST_AFTER

    def recover(self) -> None:
        """A device without faults, and its right model."""
        self.registers[5] = _MODEL
        for _ in range(_GOOD_CYCLES):
            self.cycle()
            while self.on_bus:
                self.reply()
            self.check()
        session = self.session
        assert session.comm_state == ONLINE
        assert session.device.identity == MATCH
        assert session._write_cycle.state == (VERIFIED if self.wanted else NONE)
        assert not self.wanted or self.registers[0] == self.wanted
        assert not session.write_unverified
        assert session.polls_complete()

    def dump(self) -> bytes:
        """Return the state; to load it takes a third of the time of `copy.deepcopy`."""
        data = io.BytesIO()
        pickler = pickle.Pickler(data, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = {type(thing): _shared for thing in SHARED}  # type: ignore[misc]
        pickler.dump(self)
        return data.getvalue()

    def key(self) -> Any:
        """The state without absolute times and numbers of batches."""
        session = self.session
        write = session._write_cycle
        pending = tuple((request, tag.block) for request, tag in self.on_bus)
        current = tuple(tag.number == write._batch_number for _, tag in self.on_bus)
        return (
            session.comm_state,
            session.silent_cycles,
            session._has_answered,
            session._probes_pending,
            session.device.identity,
            session.device.readings[0].raw,
            session.device.readings[0].quality,
            max(0, session._reidentify_at - self.now),
            write.state,
            write._write_active,
            write._acknowledged,
            write._verifying,
            write._awaiting_decision,
            write._unverified_rounds,
            write._rounds_since_write,
            write._foreign_cycles,
            write._before,
            tuple(write._batch_pdus),
            tuple(session._poll_cycle._pending),
            session._poll_cycle._fast.version,
            pending,
            current,
            tuple(sorted(self.registers.items())),
            self.wanted,
            self.answered,
            self.was_identified,
        )


INPUTS: tuple[Callable[[SessionCase], None], ...] = (
    SessionCase.cycle,
    SessionCase.reply,
    SessionCase.silence,
    SessionCase.refusal,
    SessionCase.want,
    SessionCase.withhold,
    SessionCase.foreign,
    SessionCase.replaced,
)


def explore(depth: int) -> tuple[int, int, set[tuple[int, int]]]:
    """Try all orders of `depth` inputs; return (states, transitions, changes of communication)."""
    start = SessionCase()
    seen = {start.key()}
    queue = deque([(start.dump(), 0)])
    transitions = 0
    made: set[tuple[int, int]] = set()
    while queue:
        case, length = queue.popleft()
        last = pickle.loads(case)
        last.recover()
        made |= last.made
        if length == depth:
            continue
        for step in INPUTS:
            after = pickle.loads(case)
            step(after)
            after.check()
            made |= after.made
            transitions += 1
            key = after.key()
            if key not in seen:
                seen.add(key)
                queue.append((after.dump(), length + 1))
    return len(seen), transitions, made


def test_all_short_sequences() -> None:
    states, transitions, made = explore(7)
    assert (states, transitions) == (3195, 11_672)
    changes = {(before, after) for before, after in made if before != after}
    assert changes == {(before, after) for before, _, after in COMM_TABLE}


@pytest.mark.soak
def test_all_long_sequences() -> None:
    print(explore(10)[:2])


def test_a_lost_device_is_identified_again() -> None:
    case = SessionCase()
    case.recover()
    for _ in range(_LOST_AFTER + 1):
        case.cycle()
        while case.on_bus:
            case.silence()
    assert case.session.comm_state == LOST
    assert case.session.device.identity == UNIDENTIFIED
    case.recover()
    assert {(b, a) for b, _, a in COMM_TABLE} <= case.made


def test_a_pair_outside_the_table_raises() -> None:
    pairs = [(state, event) for state, event, _ in COMM_TABLE]
    assert len(pairs) == len(set(pairs))
    with pytest.raises(ValueError, match="no transition"):
        next_state(UNKNOWN, MISSED, COMM_TABLE)
