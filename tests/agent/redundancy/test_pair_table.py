# SPDX-License-Identifier: Apache-2.0
"""The table of the pair: properties in all states of the model, and rules taken out one by one."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from agent.redundancy import pair_table
from agent.redundancy.pair_table import ACTIVE, LISTEN, OFFER, PROBE, QUIET, READ, STANDBY
from tests.agent.redundancy.pair_model import KINDS, PairModel

LONGEST_GAP_MS = 1900
"""Longest time without a writer after one fault."""
LONGEST_GAP_2_MS = 6100
"""The same after two faults. It needs ports that fail and recover in the worst moments."""

NO_LINK = KINDS - {"link", "swap"}
"""Kinds of faults of a pair without a link: a planned swap needs one."""


def changed_table(*changes: tuple[str, str]) -> ModuleType:
    """Return a copy of the table with changed source text. Each text must occur exactly once."""
    source = inspect.getsource(pair_table)
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    module = ModuleType("changed_pair_table")
    exec(compile(source, "changed_pair_table", "exec"), module.__dict__)
    return module


def test_one_fault() -> None:
    result = PairModel(1).run()
    assert result.violation is None
    assert result.gap_ms <= LONGEST_GAP_MS
    assert result.roles == {LISTEN, STANDBY, PROBE, READ, ACTIVE, OFFER, QUIET}


def test_both_start_at_the_same_moment() -> None:
    model = PairModel(0)
    result = model.run(model.starting())
    assert result.violation is None
    assert result.gap_ms <= 2300


@pytest.mark.soak
def test_two_faults_without_a_link() -> None:
    model = PairModel(2, NO_LINK, counts_gap=False)
    result = model.run(model.steady(has_link=False))
    assert result.violation is None
    assert result.states > 100_000


def test_one_fault_during_the_start() -> None:
    model = PairModel(1)
    result = model.run(model.starting())
    assert result.violation is None
    assert result.gap_ms <= LONGEST_GAP_2_MS


def test_two_faults() -> None:
    result = PairModel(2).run()
    assert result.violation is None
    assert result.gap_ms <= LONGEST_GAP_2_MS
    assert result.states > 100_000


def test_a_third_master_at_any_time() -> None:
    assert PairModel(0, frozenset({"third"})).run().violation is None


@pytest.mark.soak
def test_a_fault_beside_a_third_master() -> None:
    kinds = frozenset({"pause", "power", "port", "third"})
    assert PairModel(1, kinds).run(limit=60_000_000).violation is None


@pytest.mark.soak
def test_three_faults() -> None:
    result = PairModel(3, counts_gap=False).run(limit=60_000_000)
    assert result.violation is None


RESIGN = (
    "if is_late or (reply_ms >= timers.resign_ms and silence_ms >= timers.resign_ms):",
    "if False:",
)
READ_TIME = ("if role_ms >= timers.read_ms:", "if role_ms >= 0:")
READ_LINE = (
    "if events.request or events.garbage or events.word == WORD_ACTIVE:",
    "if False:",
)
SILENCE = ("silence_ms >= needed_ms and", "silence_ms >= 100 and")
ISOLATED = (" and state.word != WORD_ACTIVE:", ":")
COLLISION = ("collision_ms=0 if node", "collision_ms=200 if node")

PAUSE_IN_READ = ("if elapsed_ms >= timers.pause_step_ms:", "if False:")
WAIT_AFTER_LAPSE = ("timers.lapse_ms if has_lapsed", "0 if has_lapsed")
LONG_WAIT = ("lapse_ms=1900", "lapse_ms=900")
WAIT_AFTER_GARBAGE = ("if state.role_ms > 0 and events.garbage:", "if False:")
LATE = (
    "is_late = is_paused and state.reply_ms + elapsed_ms >= timers.resign_ms",
    "is_late = elapsed_ms >= timers.resign_ms",
)

Changes = tuple[tuple[str, str], ...]


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        pytest.param((RESIGN, WAIT_AFTER_LAPSE), 2, id="never_resigns_nor_waits"),
        pytest.param((RESIGN,), 2, id="never_resigns", marks=pytest.mark.soak),
        pytest.param((READ_LINE,), 2, id="read_ignores_the_line"),
        pytest.param((READ_TIME,), 2, id="no_read_time"),
        pytest.param((SILENCE, READ_TIME), 1, id="no_silence_no_read_time"),
    ],
)
def test_two_writers_without_a_rule(changes: Changes, faults: int) -> None:
    kinds = frozenset({"pause", "port"})
    model = PairModel(faults, kinds, changed_table(*changes), counts_gap=False)
    assert model.run().violation is not None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(PAUSE_IN_READ, id="read_counts_a_pause"),
        pytest.param(WAIT_AFTER_LAPSE, id="no_wait"),
        pytest.param(LONG_WAIT, id="short_wait"),
        pytest.param(WAIT_AFTER_GARBAGE, id="no_wait_after_garbage"),
    ],
)
def test_two_writers_without_a_rule_and_without_a_link(change: tuple[str, str]) -> None:
    model = PairModel(2, frozenset({"pause", "port"}), changed_table(change), counts_gap=False)
    assert model.run(model.steady(has_link=False)).violation is not None


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        pytest.param(SILENCE, {"pause"}, id="short_silence"),
        pytest.param(RESIGN, {"port"}, id="never_resigns"),
        pytest.param(LATE, {"pause"}, id="late_reply_counts"),
        pytest.param(ISOLATED, {"port"}, id="isolated_standby_probes"),
        pytest.param(COLLISION, {"pause", "power", "port"}, id="probes_collide_again"),
    ],
)
def test_longer_gap_without_a_rule(change: tuple[str, str], kinds: set[str]) -> None:
    model = PairModel(1, frozenset(kinds), changed_table(change))
    gaps = [model.run(first).gap_ms for first in (model.starting(), model.steady())]
    assert gaps[0] > LONGEST_GAP_2_MS or gaps[1] > LONGEST_GAP_MS


def run_steps(
    state: pair_table.PairState, steps: list[tuple[int, bool, bool]]
) -> list[pair_table.PairState]:
    """Return the states after steps (time in ms, reply, request of another master)."""
    found = []
    for elapsed_ms, reply, request in steps:
        events = pair_table.SILENCE._replace(reply=reply, request=request)
        state = pair_table.step(state, events, elapsed_ms, TIMERS)
        found.append(state)
    return found


TIMERS = pair_table.timers_of("b")
REPLY, REQUEST, NOTHING = (100, True, False), (100, False, True), (100, False, False)


@pytest.mark.parametrize("pause_ms", [200, 300, 2000])
@pytest.mark.parametrize("reply", [False, True])
def test_read_begins_again_after_a_pause_also_if_a_reply_waited(pause_ms: int, reply: bool) -> None:
    read = pair_table.start()._replace(role=READ, role_ms=800)
    after = run_steps(read, [(pause_ms, reply, False), *[REPLY] * 8])
    assert all(state.role != ACTIVE for state in after)
    if reply:
        assert run_steps(after[-1], [REPLY])[0].role == ACTIVE


def test_an_active_controller_without_replies_beside_requests_waits_before_it_writes() -> None:
    """The requests can be those of a peer in READ, which received nothing of this controller."""
    active = pair_table.start()._replace(role=ACTIVE)
    after = run_steps(active, [REQUEST] * 4 + [REPLY] * 20)
    assert {state.role for state in after} == {ACTIVE}
    may = [pair_table.may_write(state, TIMERS) for state in after]
    assert may == [True] * 3 + [False] * 20 + [True]


def test_garbage_in_this_wait_makes_it_longer() -> None:
    """It can be the collision of a request with one of a peer in ACTIVE."""
    waiting = pair_table.start()._replace(role=ACTIVE, role_ms=100)
    waiting = pair_table.step(waiting, pair_table.SILENCE._replace(garbage=True), 100, TIMERS)
    after = run_steps(waiting, [REPLY] * 9)
    may = [pair_table.may_write(state, TIMERS) for state in [waiting, *after]]
    assert may == [False] * 9 + [True]


@pytest.mark.parametrize("reply", [False, True])
def test_a_pause_over_the_limit_ends_the_role_also_if_a_reply_waited(reply: bool) -> None:
    active = pair_table.start()._replace(role=ACTIVE)
    after = run_steps(active, [NOTHING, (300, reply, False)])
    assert [state.role for state in after] == [ACTIVE, QUIET]


def test_a_reply_after_300_ms_is_no_reason_to_wait() -> None:
    active = pair_table.start()._replace(role=ACTIVE)
    after = run_steps(active, [NOTHING] * 3 + [REPLY])
    assert all(pair_table.may_write(state, TIMERS) for state in after)
