# SPDX-License-Identifier: Apache-2.0
"""Search of all states of two units, two operators, an attacker and a crash.

The units are those of `protocol_model`; they have no history here. What concerns the past is
checked at each step of a unit instead: its counters only grow, an accepted message was above the
last one, one signature opens no epoch. So no history can break these promises.

The two units share the crash, the commands of the operators, and one change of a group. The tool of
the second operator signs it from both reports, at any time (`plausible_members`, `next_counter`).
The attacker shows each of them the report of any moment: the tool signs in each state.

The state is (shared, first unit, second unit). Between two events that concern both (a crash, a
signature), a step of one unit neither changes nor prevents a step of the other. So the states with
one `Shared` are kept as rows: for each first unit a mask of bits, one for each second unit. All
steps of the second units are done on a mask, those of the first units on whole rows. The result is
exactly the set that a search of single pairs finds (`test_pair_model` compares them).
"""

import functools
import operator
from collections.abc import Iterator
from typing import NamedTuple

from agent.remote.message.counter import epoch_of
from agent.remote.message.header import EPOCH_S, MAX_AHEAD_S
from agent.remote.message.reject import Rejection
from agent.remote.storage.config_slots import ConfigSlots
from deploy.errors import OpsError
from deploy.ops.messages import EPOCH_COMMAND, next_counter, plausible_members
from deploy.ops.report.unit_report import UnitReport
from protocols.signed_message import COMMAND, MANIFEST, PATCH
from tests.agent.remote import protocol_model as model
from tests.agent.remote.protocol_model import DAY, EPOCH_1, LAST, NOW, QUORUM, Message, ModelUnit

ALWAYS = (
    Message(PATCH, "a", NOW, (1,)),  # the change of operator 1, whose key is stolen
    Message(PATCH, "keys", NOW + 2 + EPOCH_1, QUORUM),  # of both: replaces the stolen key
    Message(MANIFEST, "release", NOW + 1, QUORUM),
    Message(PATCH, "x", LAST, (1,)),  # forged: uses the counters up
    Message(PATCH, "y", NOW + DAY, (1,)),  # as far ahead as permitted
    Message(PATCH, "z", NOW + 3 + EPOCH_1, (1,)),  # another epoch
    Message(COMMAND, "rollback", NOW + DAY, (1,), about=NOW + 1),
    Message(MANIFEST, "release", LAST - 1, (1,)),
    Message(COMMAND, "epoch", NOW + EPOCH_1, (1,)),
)
"""Signed from the beginning: the attacker holds each message back for as long as it wants."""
GROUP_CHANGE = "b"
COPY = "copy"
"""A change of the stolen key with the counter of the change of the group."""
_NEW = "new"

Counters = tuple[int, ...]
Mode = tuple[int, frozenset[Message]]
"""What can be delivered to a unit beside `ALWAYS`: change of the group, commands for it."""
Rows = dict[int, int]
"""States with one `Shared`: number of the first unit, mask of the second ones."""


class Shared(NamedTuple):
    """What both units share: crashes and commands left, the change of the group, the commands.

    `change`: counter of the change of the group, 0 before it is signed. `signed`: a unit (0 or 1)
    and the command for it.
    """

    crashes: int
    commands: int
    change: int = 0
    signed: frozenset[tuple[int, Message]] = frozenset()

    def mode(self, at: int) -> Mode:
        """Return what can be delivered to the unit `at` (0 or 1)."""
        return self.change, frozenset(message for unit, message in self.signed if unit == at)

    def order(self) -> tuple[int, int, bool]:
        """Return a key to sort by: no state follows one with a greater key."""
        return -self.crashes, -self.commands, bool(self.change)


class Found(NamedTuple):
    """The result: states of the pair, states of one unit, counters of the change of the group."""

    states: int
    units: int
    changes: int


class PairSearch:
    """Visits all states. Raises AssertionError at the first broken promise."""

    def __init__(self, crashes: int, commands: int, has_utc: bool) -> None:
        self._utc_s = EPOCH_S + NOW if has_utc else 0
        self._units: list[ModelUnit] = []
        self._unit_numbers: dict[ModelUnit, int] = {}
        self._moves: dict[tuple[Mode, int], tuple[int, ...]] = {}
        self._changes: dict[tuple[Counters, Counters], int] = {}
        self._crashed: list[int] = []
        self._by_counters: dict[Counters, int] = {}
        self._recovered: list[ModelUnit] = []
        self._by_recovered: dict[ModelUnit, int] = {}
        self._changed: set[tuple[ModelUnit, int]] = set()
        self._checked: set[tuple[ModelUnit, ModelUnit]] = set()
        self._waiting: dict[Shared, Rows] = {}
        unit = self._unit(model.new_unit())
        self._waiting[Shared(crashes, commands)] = {unit: 1 << unit}

    def run(self) -> Found:
        """Visit all states; return their numbers."""
        states, changes = 0, set()
        while self._waiting:
            shared = min(self._waiting, key=Shared.order)
            rows = self._close(shared, self._waiting.pop(shared))
            states += sum(mask.bit_count() for mask in rows.values())
            changes.add(shared.change)
            self._check_pairs(rows)
            self._follow(shared, rows)
        return Found(states, len(self._units), len(changes - {0}))

    def pairs_of(self, shared: Shared, first: int, second: int) -> "set[tuple[Shared, int, int]]":
        """Return the states after one step of a state, one by one."""
        after = {(shared, unit, second) for unit in self._steps(shared.mode(0), first)}
        after |= {(shared, first, unit) for unit in self._steps(shared.mode(1), second)}
        kept, self._waiting = self._waiting, {}
        self._follow(shared, {first: 1 << second})
        for other, rows in self._waiting.items():
            after |= {(other, unit, at) for unit, mask in rows.items() for at in bits_of(mask)}
        self._waiting = kept
        return after

    # Steps of one unit, on rows.

    def _close(self, shared: Shared, rows: Rows) -> Rows:
        """Add all states after steps of the second unit, then of the first one."""
        closed: dict[int, int] = {}
        for mask in set(rows.values()):
            closed[mask] = self._close_mask(shared.mode(1), mask)
        rows = {unit: closed[mask] for unit, mask in rows.items()}
        mode, waiting = shared.mode(0), list(rows)
        while waiting:
            unit = waiting.pop()
            mask = rows[unit]
            for after in self._steps(mode, unit):
                known = rows.get(after, 0)
                if mask | known != known:
                    rows[after] = mask | known
                    waiting.append(after)
        return rows

    def _close_mask(self, mode: Mode, mask: int) -> int:
        waiting = list(bits_of(mask))
        while waiting:
            for after in self._steps(mode, waiting.pop()):
                if not mask >> after & 1:
                    mask |= 1 << after
                    waiting.append(after)
        return mask

    # Events that concern both units.

    def _follow(self, shared: Shared, rows: Rows) -> None:
        """Add the states after a crash, and after a signature of an operator."""
        if shared.crashes:
            crashed = shared._replace(crashes=shared.crashes - 1)
            for unit, mask in rows.items():
                self._add(crashed, self._crashed[unit], mask)
                for second in bits_of(mask):
                    self._add(crashed, unit, 1 << self._crashed[second])
        if not shared.change:
            self._follow_change(shared, rows)
        if shared.commands:
            self._follow_commands(shared, rows)

    def _follow_change(self, shared: Shared, rows: Rows) -> None:
        for unit, mask in rows.items():
            own = counters_of(self._units[unit])
            for others, members in self._by_counters.items():
                if mask & members:
                    counter = self._sign_change(own, others)
                    if counter:
                        self._add(shared._replace(change=counter), unit, mask & members)

    def _follow_commands(self, shared: Shared, rows: Rows) -> None:
        left = shared.commands - 1
        signers: dict[Message, int] = {}
        for second in bits_of(functools.reduce(operator.or_, rows.values(), 0)):
            for command in self._sign_commands(1, second):
                signers[command] = signers.get(command, 0) | 1 << second
        for unit, mask in rows.items():
            for command in self._sign_commands(0, unit):
                signed = shared.signed | {(0, command)}
                self._add(shared._replace(signed=signed, commands=left), unit, mask)
            for command, members in signers.items():
                if mask & members:
                    signed = shared.signed | {(1, command)}
                    after = shared._replace(signed=signed, commands=left)
                    self._add(after, unit, mask & members)

    def _add(self, shared: Shared, unit: int, mask: int) -> None:
        rows = self._waiting.setdefault(shared, {})
        rows[unit] = rows.get(unit, 0) | mask

    # Steps of one unit.

    def _steps(self, mode: Mode, unit: int) -> tuple[int, ...]:
        """Return the units after each step of one unit alone."""
        known = self._moves.get((mode, unit))
        if known is None:
            found = {self._unit(after) for after in self._next_units(mode, self._units[unit])}
            known = self._moves[mode, unit] = tuple(sorted(found - {unit}))
        return known

    def _next_units(self, mode: Mode, unit: ModelUnit) -> Iterator[ModelUnit]:
        change, commands = mode
        messages = [*ALWAYS, *commands]
        if change:
            messages.append(Message(PATCH, GROUP_CHANGE, change, (2,)))
            messages.append(Message(PATCH, COPY, change, (1,)))
        for message in messages:
            yield self._deliver(unit, message)
        if model.trial_counter(unit):
            yield unit._replace(is_healthy=True)
            yield model.end_trial(unit)

    def _deliver(self, unit: ModelUnit, message: Message) -> ModelUnit:
        """Deliver a message, and check the promises of this step."""
        after = model.deliver(unit, message, self._utc_s)
        if after == unit:
            return unit
        after = after._replace(accepted=frozenset())
        old, new = model.slots_of(unit), model.slots_of(after)
        assert message.counter > old.counters[message.kind - 1], "a counter was accepted twice"
        assert all(n >= o for n, o in zip(new.counters, old.counters, strict=True)), "went back"
        assert new.counters[message.kind - 1] == message.counter
        epochs = epoch_of(message.counter), epoch_of(max(old.counters))
        assert epochs[0] == epochs[1] or len(message.signers) > 1, "one key opened an epoch"
        if self._utc_s:
            assert message.counter - (epochs[0] << 32) <= NOW + MAX_AHEAD_S
        if message.kind == COMMAND and message.name == "confirm" and old.trial is not None:
            is_confirmed = new.trial is None
            meant = dict(unit.configs)[old.trial.slot]
            assert not is_confirmed or message.about == old.trial.counter, "confirmed another"
            assert not is_confirmed or dict(after.configs)[new.slot] == meant, "a mix"
        if message.kind == PATCH and new.trial is not None and old.trial is None:
            assert dict(after.configs)[new.trial.slot] == message.name, "a mix"
            assert new.trial.slot != new.slot, "a trial in the confirmed slot"
        return after

    def _unit(self, unit: ModelUnit) -> int:
        """Return the number of a unit; a new one is checked."""
        number = self._unit_numbers.get(unit)
        if number is None:
            number = self._unit_numbers[unit] = len(self._units)
            self._units.append(unit)
            slots, releases = model.slots_of(unit), model.releases_of(unit)
            assert slots.trial is None or releases.trial is None, "two trials"
            bit = 1 << number
            counters = counters_of(unit)
            self._by_counters[counters] = self._by_counters.get(counters, 0) | bit
            recovered = self._recover(unit)
            self._recovered.append(recovered)
            self._by_recovered[recovered] = self._by_recovered.get(recovered, 0) | bit
            self._crashed.append(number)
            self._crashed[number] = self._unit(model.crash(unit))
        return number

    # The operators.

    def _sign_commands(self, at: int, unit: int) -> Iterator[Message]:
        """Yield the commands that operator 2 can sign for the trial that a unit reports."""
        value = self._units[unit]
        about = model.trial_counter(value)
        for name in ("confirm", "rollback") if about else ():
            if name == "confirm" and not value.is_healthy:
                continue
            try:
                counter = next_counter(COMMAND, [report_of(counters_of(value))], EPOCH_S + NOW)
            except OpsError:
                continue  # two persons must open an epoch
            yield Message(COMMAND, name, counter, (2,), at, about)

    def _sign_change(self, own: Counters, others: Counters) -> int:
        """Return the counter of the change of the group from both reports, 0: the tool refuses."""
        if (own, others) not in self._changes:
            self._changes[own, others] = sign_group_change({"s/a": own, "s/b": others})
        return self._changes[own, others]

    # The way back.

    def _recover(self, unit: ModelUnit) -> ModelUnit:
        """Return the unit after two operators suspended the stolen key and ended its trial.

        The counters are those of the tools: an epoch is opened first, from the report.
        """
        for _ in range(2 - epoch_of(max(model.slots_of(unit).counters))):
            epoch = epoch_of(max(model.slots_of(unit).counters)) + 1
            opened = Message(COMMAND, EPOCH_COMMAND, (epoch << 32) + NOW, QUORUM)
            unit = self._deliver(unit, opened)
        for name, about in (("suspend", model.STOLEN), ("rollback", model.trial_counter(unit))):
            counter = next_counter(COMMAND, [report_of(counters_of(unit))], EPOCH_S + NOW)
            if about:
                unit = self._deliver(unit, Message(COMMAND, name, counter, QUORUM, 0, about))
        assert model.suspended_of(unit).numbers == [model.STOLEN], "locked"
        assert not model.is_on_trial(unit), "a trial without an end"
        return unit

    def _check_pairs(self, rows: Rows) -> None:
        for first, members in self._by_recovered.items():
            mask = 0
            for unit in bits_of(members):
                mask |= rows.get(unit, 0)
            for second, others in self._by_recovered.items():
                if mask & others and (first, second) not in self._checked:
                    self._checked.add((first, second))
                    self._check_pair((first, second))

    def _check_pair(self, pair: tuple[ModelUnit, ModelUnit]) -> None:
        """Bring both units to one configuration by one message of the group, and confirm it."""
        counter = self._sign_change(counters_of(pair[0]), counters_of(pair[1]))
        assert counter, "the tools cannot sign"
        for unit in pair:
            if (unit, counter) not in self._changed:
                self._changed.add((unit, counter))
                self._change(unit, counter)

    def _change(self, unit: ModelUnit, counter: int) -> None:
        """Deliver the last change and confirm it. The counter is that of the tools."""
        stolen = Message(PATCH, "x", counter + 1, (model.STOLEN,))
        assert self._deliver(unit, stolen) == unit, "a suspended key was accepted"
        unit = self._deliver(unit, Message(PATCH, _NEW, counter, QUORUM))
        assert model.trial_counter(unit) == counter, "locked"
        unit = unit._replace(is_healthy=True)
        after = next_counter(COMMAND, [report_of(counters_of(unit))], EPOCH_S + NOW)
        unit = self._deliver(unit, Message(COMMAND, "confirm", after, QUORUM, 0, counter))
        slots = model.slots_of(unit)
        assert slots.trial is None, "locked"
        assert dict(unit.configs)[slots.slot] == _NEW, "locked"


def bits_of(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits of a mask."""
    while mask:
        bit = mask & -mask
        yield bit.bit_length() - 1
        mask ^= bit


def counters_of(unit: ModelUnit) -> Counters:
    """Return the last accepted counters of a unit."""
    return tuple(model.slots_of(unit).counters)


def report_of(counters: Counters) -> UnitReport:
    """Return the report of a unit as the tools read it."""
    return UnitReport(0, b"", counters, None, None, (0, "", ""), ("", ""), 0)


def sign_group_change(units: dict[str, Counters]) -> int:
    """Return the counter that the tool takes for a group, 0 if it refuses.

    Each unit that the tool does not leave out must take it: its age is checked.
    """
    reports = {name: report_of(counters) for name, counters in units.items()}
    try:
        members, refused = plausible_members(reports, EPOCH_S + NOW)
    except OpsError:
        return 0
    counter = next_counter(PATCH, members, EPOCH_S + NOW)
    for name in units.keys() - refused.keys():
        slots = ConfigSlots(model.ORIGIN)
        slots.counters = list(units[name])
        unit = ModelUnit(slots.record_write()[1])
        try:
            model.check(unit, Message(PATCH, _NEW, counter, QUORUM), EPOCH_S + NOW)
        except Rejection as rejection:
            raise AssertionError(f"the group refuses its change: {rejection}") from None
    return counter
