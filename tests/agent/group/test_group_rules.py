# SPDX-License-Identifier: Apache-2.0
"""Rules of a group of CDUs without bytes: stages, rotation, losses, all cuts of the network."""

import itertools
import random

import pytest

from agent.control.group import rules, schema
from agent.control.group.recent_load import RecentLoad
from agent.control.group.report import (
    HEALTHY,
    LOAD_KNOWN,
    RUNNING,
    UTC_KNOWN,
    GroupReport,
    build_report,
    load_of,
    parse_report,
)
from agent.control.group.staging import Staging

CAPACITY_W = 100_000


class RuleGroup:
    """Units that exchange reports once a second. `cuts`: pairs (from, to) that are lost.

    `unmeasured`: units whose heat is not known. `apart`: periods by which clocks are wrong. `sick`:
    units that report that they cannot cool; their sensors give no value.
    """

    def __init__(self, count: int, load_w: int) -> None:
        self.count = count
        self.load_w = load_w
        self.units = {unit: Staging(count) for unit in range(1, count + 1)}
        self.healthy = set(self.units)
        self.cuts: set[tuple[int, int]] = set()
        self.unmeasured: set[int] = set()
        self.sick: set[int] = set()
        self.apart: dict[int, int] = {}
        self.period_s = 10**9
        self.now_s = 0
        self.running: set[int] = set(self.units)
        self.history: list[tuple[int, frozenset[int]]] = []

    def received_by(self, unit: int) -> list[int]:
        return [
            other
            for other in self.units
            if other == unit or (other in self.healthy and (other, unit) not in self.cuts)
        ]

    def step(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self._step()

    def _step(self) -> None:
        carrying = sorted((self.running & self.healthy) - self.sick)
        unmeasured = self.unmeasured | self.sick
        reports = {
            unit: GroupReport(
                HEALTHY * (unit in self.healthy - self.sick)
                | RUNNING * (unit in self.running)
                | UTC_KNOWN
                | LOAD_KNOWN * (unit not in unmeasured),
                rules.mask_of(staging.selected),
                rules.mask_of(self.received_by(unit)),
                CAPACITY_W,
                self.load_w // len(carrying) if unit in carrying and unit not in unmeasured else 0,
                0,
                60_000,
                1,
                max(0, self.now_s // self.period_s + self.apart.get(unit, 0)),
            )
            for unit, staging in self.units.items()
        }
        running = set()
        for unit in self.healthy:
            view = {other: reports[other] for other in self.received_by(unit)}
            self.units[unit].step(view, self.now_s)
            if rules.must_run(view, unit, self.units[unit].selected):
                running.add(unit)
        if running != self.running:
            self.history.append((self.now_s, frozenset(running)))
        self.running = running
        self.now_s += 1

    def capacity_w(self) -> int:
        return CAPACITY_W * len(self.running & self.healthy)


def test_reports_survive_their_bytes() -> None:
    source = random.Random(1)
    for _ in range(200):
        report = GroupReport(
            source.randrange(32),
            source.randrange(1 << 16),
            source.randrange(1 << 16),
            source.randrange(10**8),
            source.randrange(10**8),
            source.randrange(100_000_001),
            source.randrange(100_001),
            source.randrange(1 << 32),
            source.randrange(1 << 32),
        )
        assert parse_report(build_report(report)) == report
    assert parse_report(b"") is None
    assert parse_report(b"\xff" * 29) is None


def report_of(load_w: int | None, selected: int = 0b1111, received: int = 0b1111) -> GroupReport:
    """Return a report of a healthy unit; None: its heat is not known."""
    flags = HEALTHY | RUNNING | UTC_KNOWN | (0 if load_w is None else LOAD_KNOWN)
    return GroupReport(flags, selected, received, CAPACITY_W, load_w or 0, 0, 60_000, 1, 0)


def test_a_report_has_a_flag_for_a_heat_that_is_not_known() -> None:
    for load_w in (None, 0, 30_000):
        data = build_report(report_of(load_w))
        report = parse_report(data)
        assert report is not None
        assert len(data) == 29
        assert load_of(report) == load_w


def test_an_unknown_heat_is_not_zero_in_any_rule() -> None:
    known = {unit: report_of(20_000) for unit in range(1, 5)}
    reports = {**known, 3: report_of(None)}
    assert rules.load_w(known) == 80_000
    assert rules.load_w(reports) is None
    assert rules.load_w({}) is None
    assert rules.without_load(reports) == [3]
    assert rules.most_load_w(reports) == 60_000 + CAPACITY_W
    for unit in known:
        assert rules.can_remove(known, [1, 2, 3, 4], unit)
        assert not rules.can_remove(reports, [1, 2, 3, 4], unit)
    assert rules.can_carry(known, [1, 2])
    assert not rules.can_carry(known, [1])
    assert not rules.can_carry(reports, [1, 2])
    assert rules.can_carry(reports, [1, 2, 3])
    assert not rules.is_overloaded(known, [1, 2])
    assert rules.is_overloaded(reports, [1, 2])


@pytest.mark.parametrize("unmeasured", [1, 4])
def test_no_unit_stops_while_a_heat_is_not_known(unmeasured: int) -> None:
    group = RuleGroup(4, 70_000)
    group.unmeasured = {unmeasured}
    group.step(4000)
    assert group.running == {1, 2, 3, 4}
    group.unmeasured = set()
    group.step(4000)
    assert len(group.running) == 2


def test_a_unit_starts_while_the_heat_of_a_running_one_is_not_known() -> None:
    group = RuleGroup(4, 70_000)
    group.step(4000)
    assert len(group.running) == 2
    group.unmeasured = {min(group.running)}
    group.step(100)
    assert len(group.running) == 3


def test_a_rotation_stops_no_unit_while_a_heat_is_not_known() -> None:
    group = RuleGroup(4, 70_000)
    group.step(4000)
    before = set(group.running)
    group.unmeasured = {min(before)}
    group.period_s = group.now_s
    for _ in range(6000):
        group.step()
        assert group.running >= before
        before = set(group.running)


def test_the_selection_of_the_lead_removes_no_unit_while_a_heat_is_not_known() -> None:
    for load_w, selected in ((None, [1, 2, 3, 4]), (20_000, [1, 2])):
        staging = Staging(4)
        reports = {unit: report_of(20_000, 0b0011) for unit in range(1, 5)}
        reports[3] = report_of(load_w, 0b0011)
        for now_s in range(40):
            staging.step(reports, now_s)
        assert staging.lead == 1
        assert staging.selected == selected


def test_a_lost_unit_is_replaced_by_all_that_an_unknown_heat_can_need() -> None:
    for load_w, count in ((None, 3), (15_000, 2)):
        staging = Staging(5)
        staging.step({unit: report_of(15_000) for unit in range(1, 6)}, 0)
        staging.selected = [1, 5]
        reports = {unit: report_of(15_000, 0b10001, 0b01111) for unit in range(1, 5)}
        reports[2] = report_of(load_w, 0b10001, 0b01111)
        staging.step(reports, 1)
        assert len(staging.selected) == count


def test_the_heat_of_a_failed_unit_counts_until_the_others_have_it() -> None:
    staging = Staging(3)
    for now_s in range(10):
        staging.step({unit: report_of(40_000) for unit in (1, 2, 3)}, now_s)
    reports = {unit: report_of(43_000) for unit in (1, 2)}
    failed = report_of(0)
    reports[3] = failed._replace(flags=failed.flags & ~HEALTHY)
    assert rules.can_carry(reports, [1, 2])
    assert not rules.can_carry(reports, [1, 2], 120_000)
    staging.step(reports, 10)
    assert staging.selected == [1, 2, 3]  # the failed one does what it can


def test_no_unit_is_removed_for_a_heat_that_was_higher_a_minute_ago() -> None:
    reports = {unit: report_of(20_000) for unit in (1, 2, 3)}
    assert rules.can_remove(reports, [1, 2, 3], 3)
    assert not rules.can_remove(reports, [1, 2, 3], 3, 70_000)


def test_the_recent_load_is_the_largest_of_one_to_two_minutes() -> None:
    recent = RecentLoad()
    found = []
    for now_s, load_w in ((7, 50), (8, 90), (66, 40), (67, 40), (126, None), (127, 30), (187, 20)):
        recent.step(load_w, now_s)
        found.append(recent.most_w)
    assert found == [50, 90, 90, 90, 90, 40, 30]


@pytest.mark.parametrize("apart", [{2: 1}, {2: 9_000}, {3: -1}, {1: -5, 3: 7}], ids=str)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_wrong_clock_gives_all_units_the_same_lead(count: int, apart: dict[int, int]) -> None:
    group = RuleGroup(count, 20_000 * count)
    group.now_s, group.period_s = 40_000, 4000
    group.apart = apart
    for _ in range(3):
        group.step(20)
        assert len({staging.lead for staging in group.units.values()}) == 1
        group.step(3980)
    if count > 2:
        assert group.units[1]._slot == group.now_s // group.period_s - 1


@pytest.mark.parametrize("load_w", [30_000, 100_000, 170_000, 250_000, 290_000])
def test_a_steady_load_ends_in_one_selection(load_w: int) -> None:
    group = RuleGroup(4, load_w)
    group.step(4000)
    before = len(group.history)
    group.step(6000)
    assert len(group.history) == before
    assert len({tuple(staging.selected) for staging in group.units.values()}) == 1
    selected = group.units[1].selected
    assert len(selected) == 4 or CAPACITY_W * (len(selected) - 1) >= load_w


def test_a_changing_load_gives_at_most_one_change_in_300_s() -> None:
    source = random.Random(2)
    group = RuleGroup(8, 300_000)
    for _ in range(40):
        group.load_w = source.randrange(50_000, 650_000)
        group.step(source.randrange(100, 900))
    times = [at for at, _ in group.history]
    assert len(times) >= 5
    assert all(after - before >= 300 for before, after in itertools.pairwise(times))


def test_a_lost_unit_is_replaced_in_the_next_second() -> None:
    group = RuleGroup(4, 70_000)
    group.step(4000)
    assert len(group.running) == 2
    lost = max(group.running)
    group.healthy.discard(lost)
    group.step(2)
    assert len(group.running & group.healthy) == 2


@pytest.mark.parametrize(("count", "load_w", "runs"), [(2, 150_000, True), (4, 60_000, False)])
def test_a_failed_unit_goes_on_while_the_others_cannot_carry_the_load(
    count: int, load_w: int, runs: bool
) -> None:
    """It can have lost a sensor only, and alone it would go on too."""
    group = RuleGroup(count, load_w)
    group.step(20)
    group.sick = {count}
    group.step(5)
    assert (count in group.running) == runs
    history = list(group.history)
    group.step(2000)
    assert group.history == history
    assert {1, 2} <= group.running


@pytest.mark.parametrize("apart_s", [0, 1, 40])
@pytest.mark.parametrize("count", [2, 4])
def test_units_that_failed_all_at_once_cool_again(count: int, apart_s: int) -> None:
    """Their devices have one supply, and return in turn."""
    load_w = 80_000
    group = RuleGroup(count, load_w)
    group.step(20)
    group.sick = set(group.units)
    group.step(30)
    for unit in group.units:
        group.sick.discard(unit)
        group.step(apart_s)
    group.step(5)
    assert group.capacity_w() - CAPACITY_W >= load_w
    assert all(len(staging.selected) >= 2 for staging in group.units.values())


def test_the_lead_moves_around_the_ring_and_makes_before_it_breaks() -> None:
    group = RuleGroup(4, 70_000)
    group.step(4000)
    group.period_s = 3000
    leads: list[int] = []
    for _ in range(16_000):
        group.step()
        assert group.capacity_w() >= 2 * CAPACITY_W
        lead = group.units[1].lead or 0
        if not leads or leads[-1] != lead:
            leads.append(lead)
    assert set(leads) == {1, 2, 3, 4}
    assert all(len(units) >= 2 for _, units in group.history)


def test_two_halves_cool_with_more_units_and_agree_again() -> None:
    group = RuleGroup(8, 250_000)
    group.step(6000)
    few = len(group.running)
    assert few < 8
    half = {1, 2, 3, 4}
    group.cuts = {(a, b) for a in group.units for b in group.units if (a in half) != (b in half)}
    group.step(600)
    assert len(group.running) >= few
    group.cuts = set()
    group.step(8000)
    assert len({tuple(staging.selected) for staging in group.units.values()}) == 1
    assert group.capacity_w() - CAPACITY_W >= 250_000
    assert len(group.running) <= few


@pytest.mark.parametrize("load_w", [150_000, 200_000, 250_000])
def test_a_healed_network_stops_no_unit_before_its_time(load_w: int) -> None:
    """Each half had lost the other one; together they select what runs, and no unit is too many."""
    group = RuleGroup(4, load_w)
    group.step(100)
    half = {1, 2}
    group.cuts = {(a, b) for a in group.units for b in group.units if (a in half) != (b in half)}
    group.step(90)
    group.cuts = set()
    for _ in range(800):
        group.step()
        assert group.running == {1, 2, 3, 4}
    assert [staging.selected for staging in group.units.values()] == [[1, 2, 3, 4]] * 4
    assert [staging.changes for staging in group.units.values()] == [0] * 4


def test_a_lead_that_received_nothing_takes_the_units_that_ran() -> None:
    group = RuleGroup(5, 150_000)
    group.step(20)
    group.cuts = {(other, 1) for other in range(2, 6)}
    group.step(75)
    group.cuts = set()
    for _ in range(200):
        group.step()
        assert group.running == {1, 2, 3, 4, 5}


def test_a_unit_that_has_started_again_is_not_taken_for_a_part_that_ran() -> None:
    group = RuleGroup(4, 70_000)
    group.step(4000)
    idle = ({1, 2, 3, 4} - group.running).pop()
    group.healthy.discard(idle)
    group.step(20)
    group.healthy.add(idle)
    group.units[idle] = Staging(4)
    group.step(60)
    assert len(group.running) == 2


def all_cuts(count: int) -> list[tuple[int, int]]:
    return list(itertools.permutations(range(1, count + 1), 2))


def check_cuts(count: int, masks: range, load_w: int) -> None:
    """With any cut of the network, what runs carries the load, and a healed network agrees."""
    links = all_cuts(count)
    warm = RuleGroup(count, load_w)
    warm.step(4000)
    for mask in masks:
        group = RuleGroup(count, load_w)
        for unit, staging in group.units.items():
            staging.selected = list(warm.units[unit].selected)
            staging.lead = warm.units[unit].lead
        group.running = set(warm.running)
        group.now_s = warm.now_s
        group.cuts = {link for bit, link in enumerate(links) if mask >> bit & 1}
        for _ in range(90):
            group.step()
            assert group.capacity_w() >= load_w, (mask, group.running)
        group.cuts = set()
        group.step(40)
        assert len({tuple(staging.selected) for staging in group.units.values()}) == 1, mask


def test_all_cuts_of_three_units() -> None:
    check_cuts(3, range(1 << 6), 90_000)


@pytest.mark.soak
def test_all_cuts_of_four_units() -> None:
    check_cuts(4, range(1 << 12), 140_000)


def test_a_group_needs_the_return_temperature_for_its_heat() -> None:
    profile = {"PowerWatts", "FlowLitersPerMinute", "SupplyTemperatureCelsius"}

    class FakeUnitProfile:
        def has_point(self, name: str) -> bool:
            return name in profile

    config = {
        "unit": "cdu01",
        "control": {"supply": {"sensor": "rpu"}},
        "group": {"ports": {"cdu01": "", "cdu02": ""}, "flow": "rpu.FlowLitersPerMinute"},
    }
    errors: list[str] = []
    schema.check(config, {"rpu": FakeUnitProfile()}, errors)
    assert errors == [
        "group: control.supply.sensor must read ReturnTemperatureCelsius, for the heat"
    ]
    profile.add("ReturnTemperatureCelsius")
    schema.check(config, {"rpu": FakeUnitProfile()}, errors)
    assert len(errors) == 1
