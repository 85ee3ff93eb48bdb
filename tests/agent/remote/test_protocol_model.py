# SPDX-License-Identifier: Apache-2.0
"""The remote protocol for small numbers, all interleavings: no lock-out, no replay, no mix.

See `protocol_model`. The number of states is a part of the result: a change of the protocol that
loses states must be seen.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from agent.remote.message.counter import epoch_of, first_of, seconds_of
from agent.remote.message.header import EPOCH_S, MAX_AHEAD_S
from deploy.errors import OpsError
from deploy.ops.messages import next_counter
from deploy.ops.report.unit_report import UnitReport
from protocols.signed_message import COMMAND, MANIFEST, PATCH
from tests.agent.remote import protocol_model as model
from tests.agent.remote.protocol_model import DAY, EPOCH_1, LAST, NOW, QUORUM, Message, ModelUnit

CHANGES = (
    Message(PATCH, "a", NOW, (1,)),  # operator 1
    Message(PATCH, "b", NOW + 1, (2,)),  # operator 2
    Message(PATCH, "keys", NOW + 2 + EPOCH_1, QUORUM),  # both: replaces the stolen key
)
UPDATE = Message(MANIFEST, "release", NOW + 1, QUORUM)
FORGED = (
    Message(PATCH, "x", LAST, (1,)),  # uses the counters up
    Message(PATCH, "y", NOW + DAY, (1,)),  # as far ahead as permitted
    Message(PATCH, "z", NOW + 3 + EPOCH_1, (1,)),  # another epoch
    Message(COMMAND, "rollback", NOW + DAY, (1,), about=NOW + 1),
    Message(MANIFEST, "release", LAST - 1, (1,)),
    Message(COMMAND, "epoch", NOW + EPOCH_1, (1,)),
)


class State(NamedTuple):
    """A unit, the commands that were signed for it, and how many crashes and commands are left.

    All other messages are signed from the beginning: the attacker holds back each of them for as
    long as it wants, so this includes every time of signing.
    """

    unit: ModelUnit
    signed: frozenset[Message]
    crashes: int
    commands: int


def report_of(unit: ModelUnit) -> UnitReport:
    slots = model.slots_of(unit)
    counters = tuple(slots.counters)
    last = ("", "")
    return UnitReport(0, b"", counters, None, None, (0, "", ""), last, 0)


@functools.cache
def command_for(unit: ModelUnit, number: int, name: str) -> Message | None:
    """Return the command of operator 2 about the trial that the unit reports."""
    about = model.trial_counter(unit)
    if not about or (name == "confirm" and not unit.is_healthy):
        return None
    try:
        counter = next_counter(COMMAND, [report_of(unit)], EPOCH_S + NOW)
    except OpsError:
        return None  # a person must open an epoch
    return Message(COMMAND, name, counter, (2,), number, about)


def next_states(state: State, utc_s: int) -> Iterator[State]:
    unit = state.unit
    for message in (*CHANGES, UPDATE, *FORGED, *state.signed):
        yield state._replace(unit=model.deliver(unit, message, utc_s))
    if model.trial_counter(unit):
        yield state._replace(unit=unit._replace(is_healthy=True))
        yield state._replace(unit=model.end_trial(unit))
    if state.crashes:
        yield state._replace(unit=model.crash(unit), crashes=state.crashes - 1)
    if state.commands:
        for name in ("confirm", "rollback"):
            command = command_for(unit, 0, name)
            if command is not None:
                signed = state.signed | {command}
                yield state._replace(signed=signed, commands=state.commands - 1)


@functools.cache
def check_unit(unit: ModelUnit, has_utc: bool) -> None:
    """Check the promises of one unit."""
    slots, releases = model.slots_of(unit), model.releases_of(unit)
    assert slots.trial is None or releases.trial is None, "two trials"
    used = [slots.slot] + ([] if slots.trial is None else [slots.trial.slot])
    assert len(set(used)) == len(used), "a trial in the confirmed slot"
    names = {m.name for m in unit.accepted if m.kind == PATCH}
    assert {name for _, name in unit.configs} <= names, "a mix"
    for message in unit.accepted:
        assert len(message.signers) > 1 or epoch_of(message.counter) in (
            0,
            *{epoch_of(m.counter) for m in unit.accepted if len(m.signers) > 1},
        )
        if has_utc:
            assert seconds_of(message.counter) <= NOW + MAX_AHEAD_S
    per_kind = [(m.kind, m.counter) for m in unit.accepted]
    assert len(per_kind) == len(set(per_kind)), "a counter was accepted twice"
    for kind, counter in per_kind:
        assert slots.counters[kind - 1] >= counter, "a counter went back"
    _check_way_back(unit, EPOCH_S + NOW if has_utc else 0)


def _check_way_back(unit: ModelUnit, utc_s: int) -> None:
    """Two keys suspend the stolen one, end its trial and change the unit, whatever happened."""
    base = first_of(epoch_of(max(model.slots_of(unit).counters)) + 1) + NOW
    unit = model.deliver(unit, Message(COMMAND, "suspend", base, QUORUM, 0, model.STOLEN), utc_s)
    assert model.suspended_of(unit).numbers == [model.STOLEN], "locked"
    about = model.trial_counter(unit)
    if about:
        back = Message(COMMAND, "rollback", base + 1, QUORUM, 0, about)
        unit = model.deliver(unit, back, utc_s)
    stolen = Message(PATCH, "x", base + 2, (model.STOLEN,))
    assert model.deliver(unit, stolen, utc_s) == unit
    unit = model.deliver(unit, Message(PATCH, "new", base + 3, QUORUM), utc_s)
    assert model.trial_counter(unit) == base + 3, "locked"


def explore(crashes: int, commands: int, utc_s: int) -> int:
    """Visit all states of a unit; return their number."""
    start = State(model.new_unit(), frozenset(), crashes, commands)
    seen, waiting = {start}, [start]
    while waiting:
        state = waiting.pop()
        check_unit(state.unit, bool(utc_s))
        for following in next_states(state, utc_s):
            if following not in seen:
                assert state.unit.accepted <= following.unit.accepted
                seen.add(following)
                waiting.append(following)
    return len(seen)


@pytest.mark.parametrize(
    ("crashes", "commands", "has_utc", "states"),
    [
        (0, 1, True, 22_462),
        (1, 0, True, 5_540),
        (1, 0, False, 13_852),
        pytest.param(1, 1, True, 62_573, marks=pytest.mark.soak),
        pytest.param(0, 1, False, 62_038, marks=pytest.mark.soak),
    ],
)
def test_every_interleaving_keeps_the_promises(
    crashes: int, commands: int, has_utc: bool, states: int
) -> None:
    """Two units share no state, so a pair has `states` squared states, and none more to check."""
    assert explore(crashes, commands, EPOCH_S + NOW if has_utc else 0) == states
