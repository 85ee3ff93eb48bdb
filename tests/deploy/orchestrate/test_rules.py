# SPDX-License-Identifier: Apache-2.0
"""Levels of a row: hysteresis, lost signal; licences; the configuration file."""

import random

import pytest

from deploy.errors import DeployError
from deploy.orchestrate.reading import AgeTracker, RowReading
from deploy.orchestrate.rules import DOWN, DRAIN, FREE, SUSPEND, RowDecision, RowRules
from deploy.orchestrate.settings import RowSettings, RuleSettings, expand_nodes, parse
from deploy.orchestrate.slurm.client import parse_licences
from deploy.orchestrate.slurm.licences import free_kw

ROW = RowSettings("row1", ("n1",), 100.0, status="-")


def reading(headroom_kw: float | None, state: str = "free", age_s: float = 1.0) -> RowReading:
    watts = None if headroom_kw is None else 1000 * headroom_kw
    return RowReading(watts, 50e3, state, "normal", age_s, "status")


def run(rules: RowRules, start: int, end: int, found: RowReading | None) -> list[int]:
    return [rules.step(float(second), found).level for second in range(start, end)]


def test_a_low_headroom_acts_after_3_s_and_is_released_after_60_s() -> None:
    rules = RowRules(ROW, RuleSettings())
    assert run(rules, 0, 5, reading(4.9)) == [FREE, FREE, FREE, DRAIN, DRAIN]
    assert run(rules, 5, 200, reading(14.9)) == [DRAIN] * 195
    levels = run(rules, 200, 262, reading(15.1))
    assert levels.index(FREE) == 60


def test_one_good_second_does_not_release_and_one_bad_second_does_not_act() -> None:
    rules = RowRules(ROW, RuleSettings())
    for second in range(100):
        assert rules.step(second, reading(4.0 if second % 3 else 6.0)).level == FREE
    rules = RowRules(ROW, RuleSettings(), DRAIN)
    for second in range(300):
        assert rules.step(second, reading(50.0 if second % 50 else 10.0)).level == DRAIN


def test_lost_heat_acts_at_once_then_suspends_then_closes() -> None:
    rules = RowRules(ROW, RuleSettings())
    levels = run(rules, 0, 70, reading(-50.0, "lost"))
    assert [levels.index(level) for level in (DRAIN, SUSPEND, DOWN)] == [0, 10, 60]
    levels = run(rules, 70, 200, reading(90.0))
    assert [levels.index(level) for level in (SUSPEND, DRAIN, FREE)] == [60, 70, 80]


def test_unit_state_alone_is_enough() -> None:
    stopped = RowReading(None, None, "", "stopped", 1.0, "status")
    assert RowRules(ROW, RuleSettings()).step(0.0, stopped).level == DRAIN
    normal = RowReading(None, None, "", "normal", 1.0, "status")
    assert RowRules(ROW, RuleSettings()).step(0.0, normal).level == FREE


@pytest.mark.parametrize("found", [None, reading(90.0, age_s=10.1), reading(None)])
def test_a_lost_signal_holds_for_60_s_then_is_no_headroom(found: RowReading | None) -> None:
    rules = RowRules(ROW, RuleSettings())
    assert rules.step(0.0, reading(90.0)).capacity_w == 100e3  # not above the rating
    levels = run(rules, 1, 200, found)
    assert levels.index(DRAIN) == 60
    assert SUSPEND not in levels
    assert rules.step(200.0, found).capacity_w == 0.0
    assert run(rules, 201, 262, reading(90.0)).index(FREE) == 60


def test_an_old_reading_of_lost_heat_is_a_lost_signal() -> None:
    rules = RowRules(ROW, RuleSettings())
    assert run(rules, 0, 60, reading(-9.0, "lost", age_s=30.0)) == [FREE] * 60


def test_levels_change_at_most_once_in_10_s_downwards_for_any_readings() -> None:
    chance = random.Random(1)
    rules, before, changed = RowRules(ROW, RuleSettings(release_s=5.0)), FREE, -1e9
    for second in range(20_000):
        state = chance.choice(("free", "free", "limited", "lost"))
        found = None if chance.random() < 0.1 else reading(chance.uniform(-10, 110), state)
        if second % 1000 < 500:
            found = reading(60.0)
        level = rules.step(float(second), found).level
        if level < before:
            assert level == before - 1
            assert second - changed >= 10
        changed = second if level != before else changed
        before = level


def test_free_licences_are_the_lower_of_capacity_and_headroom() -> None:
    row = RowSettings("row1", ("n1",), 100.0, base_kw=10.0, status="-")

    def free(level: int, headroom_kw: float, heat_kw: float, used_kw: int) -> int:
        capacity_w = 1000 * (headroom_kw + heat_kw)
        decision = RowDecision(row, level, 1000 * headroom_kw, capacity_w, "", None)
        return free_kw([decision], used_kw, 7.0)

    assert free(FREE, 50, 40, 30) == 43  # the headroom less the reserve
    assert free(FREE, 50, 40, 60) == 13  # jobs whose heat does not show yet
    assert free(FREE, 5, 40, 0) == 0
    assert free(DRAIN, 50, 40, 0) == 0
    assert free(FREE, -50, 40, 0) == 0
    decision = RowDecision(row, FREE, 50e3, 90e3, "", None)
    assert free_kw([decision], 30, 7.0, 20) == 23  # a suspended job of 20 kW is resumed first


def test_licence_lists() -> None:
    assert parse_licences("coolkw:20,matlab") == {"coolkw": 20, "matlab": 1}
    assert parse_licences("coolkw@db:3|x:1") == {"coolkw@db": 3, "x": 1}
    assert parse_licences("") == {}


def test_the_age_of_a_record_counts_by_the_monotonic_clock() -> None:
    now = [100.0]
    tracker = AgeTracker(lambda: now[0])
    assert tracker.age_s(1, 30.0) == 30.0
    now[0] += 5
    assert tracker.age_s(1, -1000.0) == 35.0  # the wall clock was set
    assert tracker.age_s(2, 9999.0) == 0.0


def test_node_lists() -> None:
    assert expand_nodes(("n[1-3,7]", "gpu")) == ("n1", "n2", "n3", "n7", "gpu")
    assert expand_nodes(("r1-n[08-10]-x",)) == ("r1-n08-x", "r1-n09-x", "r1-n10-x")
    for text in ("n[1-", "n[3-1]", "n[1-99999]", "a b", "", "n[a]", "$(x)"):
        with pytest.raises(DeployError, match="nodes"):
            expand_nodes((text,))


GOOD = '[[row]]\nname="a"\nnodes=["n1"]\nrated_kw=100\nstatus="s"\n'


def test_a_file() -> None:
    settings = parse(GOOD + "[slurm]\nsuspend=['x']\n[rules]\nact_pct=4\n")
    assert settings.rows[0].rated_kw == 100.0
    assert settings.slurm is not None
    assert settings.slurm.suspend == ("x",)
    assert settings.rules.act_pct == 4.0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "row"),
        ("[[row]", "TOML"),
        (GOOD + "typo=1\n", "typo"),
        (GOOD + GOOD, "same name"),
        (GOOD + GOOD.replace('"a"', '"b"'), "two rows"),
        (GOOD.replace("100", '"100"'), "rated_kw"),
        (GOOD.replace("100", "true"), "rated_kw"),
        (GOOD.replace("100", "nan"), "rated_kw"),
        (GOOD.replace("100", "0"), "rated_kw"),
        (GOOD.replace('["n1"]', "[]"), "nodes"),
        (GOOD.replace('status="s"', ""), "needs metrics"),
        (GOOD.replace('name="a"', ""), "name"),
        (GOOD + "[rules]\nrelease_pct=2\n", "release_pct"),
        (GOOD + "[rules]\npoll_s=0\n", "poll_s"),
        (GOOD + "[slurm]\n[kubernetes]\nserver='x'\n", "one process"),
        (GOOD + "[kubernetes]\n", "server"),
        ("hours=100\n" + GOOD, "hours"),
        ("rows=1\n" + GOOD, "rows"),
        ("slurm=1\n" + GOOD, "slurm"),
    ],
)
def test_a_wrong_file_is_refused(text: str, error: str) -> None:
    with pytest.raises(DeployError, match=error):
        parse(text)
