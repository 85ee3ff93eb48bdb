# SPDX-License-Identifier: Apache-2.0
"""Pairs of hazards: a seed determines the case; each invariant finds its violation."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent.port_numbers import FIRST_BUS
from hil.annual.site import AnnualSite
from hil.bench.testbed import Testbed
from hil.campaign.hazard import exemption_review, plant_only
from hil.campaign.hazard.case_generator import CaseOptions, HazardCase, generate_case
from hil.campaign.hazard.coverage import HazardTally
from hil.campaign.hazard.exemption_review import Review
from hil.campaign.hazard.exemptions import find_exemption, load_exemptions
from hil.campaign.hazard.injected_faults import (
    FALSE_VALUE,
    InjectedFault,
    excluded_words,
    faults_by_word,
    load_table,
)
from hil.campaign.hazard.invariants import INVARIANTS, NAMES, Invariant
from hil.campaign.hazard.run import CaseResult, Violation, digest_writes, judge
from hil.campaign.hazard.truth import SECOND, take_truth
from hil.commands import hil
from hil.devices.modbus.requests import WRITE_FUNCTIONS
from hil.fault.registry import EVENTS
from hil.kernel.dut import InProcessDut, StepResult
from hil.kernel.world import World
from hil.plant.air.weather import load_weather
from hil.scenario.loader import find
from hil.scenario.model import ScenarioEvent
from hil.scenario.semantic_check import find_problem
from hil.tools import hazard as hazard_tool
from protocols.modbus import pdu
from tests.hil.campaign.fixed_cases import FAILED_ONCE, make_fixed_case

ANY = CaseOptions()
_END_US = 1 << 62


class OneRequestDut:
    """A controller that only sends one request on the field bus, to no device."""

    def __init__(self, pdu_bytes: bytes) -> None:
        self._frame = b"\xf7" + pdu_bytes + b"\0\0"

    def start(self, _now: int) -> StepResult:
        return _END_US, [(FIRST_BUS, "open", b"serial:/virtual/bus")]

    def receive(self, _port: int, _data: bytes, _now: int) -> StepResult:
        return _END_US, []

    def event(self, port: int, kind: str, _now: int) -> StepResult:
        is_open = (port, kind) == (FIRST_BUS, "opened")
        return _END_US, [(FIRST_BUS, "write", self._frame)] if is_open else []

    def wake(self, _now: int) -> StepResult:
        return _END_US, []

    def inject(self, piece: str, call: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing."""


def digest_request(function: int, value: int) -> str:
    """Return the digest of the writes of a run whose only request has this function and value."""
    scenario = replace(make_case().scenario, events=(), expectations=(), seconds=1.0)
    body = bytes((function, 0, 1, 0, value, 2, 0, value))
    return digest_writes(scenario, 1, lambda *_: OneRequestDut(body))


@pytest.mark.parametrize("function", pdu.WRITES)
def test_i4_sees_a_write_by_each_function(function: int) -> None:
    assert digest_request(function, 1) != digest_request(function, 2)


def test_i4_sees_no_read() -> None:
    assert digest_request(pdu.READ_HOLDING, 1) == digest_request(pdu.READ_HOLDING, 2)


def test_bench_and_product_know_the_same_functions_that_write() -> None:
    assert frozenset(pdu.WRITES) == WRITE_FUNCTIONS


def make_case(*faults: InjectedFault) -> HazardCase:
    case = generate_case(1, 2, CaseOptions(90.0, "warm", ("facility_flow_lost", "valve_stuck")))
    return replace(case, faults=faults, end_s=None, restart_s=None)


def make_invariant(name: str, case: HazardCase) -> Invariant:
    return next(invariant for invariant in INVARIANTS if invariant.name == name)(case)


def test_seed_determines_the_case() -> None:
    assert generate_case(7, 2, ANY) == generate_case(7, 2, ANY)
    assert len({generate_case(seed, 2, ANY).scenario.title for seed in range(50)}) > 45
    assert len(generate_case(7, 3, ANY).faults) == 3


def test_a_varied_case_has_the_same_faults_in_another_row() -> None:
    varied = [generate_case(seed, 2, CaseOptions(is_varied=True)) for seed in range(60)]
    plain = [generate_case(seed, 2, ANY) for seed in range(60)]
    assert [case.faults[:2] for case in varied] == [case.faults for case in plain]
    assert {fault.word for case in varied for fault in case.faults[2:]} == {"it_load"}
    assert {case.scenario.settings.valve_size for case in varied} == {0.7, 1.0, 2.0, 2.5}
    assert {case.scenario.settings.it_kw for case in varied} == {8.0, 15.0, 30.0, 60.0, 90.0}
    words = [[event.do for event in case.scenario.events] for case in varied]
    assert 20 < sum("it_load" in events for events in words) < 50
    restarts = [events.count("board_restart") for events in words]
    assert max(restarts) == 1
    assert 10 < sum(restarts) < 30
    assert all(find_problem(case.scenario) is None for case in varied)
    fixed = generate_case(3, 2, CaseOptions(load_kw=60.0, is_varied=True))
    assert fixed.scenario.settings.it_kw == 60.0
    assert fixed == generate_case(3, 2, CaseOptions(load_kw=60.0, is_varied=True))


def test_drawn_cases_are_valid() -> None:
    for seed in range(150):
        for count in (2, 3):
            case = generate_case(seed, count, ANY)
            assert find_problem(case.scenario) is None, case.scenario.title


def test_every_event_is_a_fault_or_has_a_reason() -> None:
    groups, table = faults_by_word(), load_table("injected_faults")
    assert set(groups) | set(excluded_words()) == set(EVENTS)
    assert not set(groups) & set(excluded_words())
    assert set(table["values"]) <= set(EVENTS)
    assert all(EVENTS[word].undo is None and why for word, why in table["permanent"].items())
    for group in groups.values():
        for fault in group:
            limits = EVENTS[fault.word].limits
            assert (fault.value is None) == (limits is None), fault
            assert limits is None or limits[0] <= (fault.value or 0.0) <= limits[1], fault
    assert all("do" in cell or cell["why"] for cell in table["cell"])


def test_lies_change_no_plant() -> None:
    assert InjectedFault("supply_register", 0.0).kind == FALSE_VALUE
    assert InjectedFault("pump_seized", 1.0).kind != FALSE_VALUE


def test_rows_of_the_fmea_have_words_or_a_reason() -> None:
    rows = load_table("fmea")["row"]
    assert [row["number"] for row in rows] == list(range(1, 105))
    others = {"raw_frame", "raise_in"}
    for row in rows:
        assert set(row["words"]) <= set(EVENTS) | others, row
        assert bool(row["words"]) != bool(row.get("why")), row


def test_exemptions_have_reasons_and_known_words() -> None:
    for entry in load_exemptions():
        assert entry.invariant in NAMES
        assert entry.words
        assert {*entry.words, *entry.one_of} <= set(EVENTS)
        assert len(entry.reason) > 20


def test_each_exemption_covers_cases_that_are_drawn() -> None:
    for entry in exemption_review.list_combinations():
        case = next(exemption_review.draw_covered(entry), None)
        assert case is not None, entry.label
        assert len(case.faults) == max(2, len(entry.words) + len(entry.one_of))


def test_a_review_ends_with_the_first_case_that_needs_the_exemption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second case of each combination shows the supply below the dew point for 120 s."""
    runs: list[HazardCase] = []

    def judge(case: HazardCase, _: object) -> tuple[list[tuple[str, float, str]], tuple[str, ...]]:
        runs.append(case)
        is_wet = len(runs) % 2 == 0
        return [("I2", 9.0, "below the dew point for 120 s, -0.2 K")] * is_wet, ("dew",)

    monkeypatch.setattr(exemption_review, "judge", judge)
    entries = exemption_review.list_combinations()
    dry, wet = (next(e for e in entries if e.invariant == name) for name in ("I1", "I2"))
    assert exemption_review.review(dry, 4, "cpython") == Review(dry.label, 4, "")
    assert exemption_review.review(wet, 4, "cpython") == Review(
        wet.label, 2, runs[-1].scenario.title
    )
    monkeypatch.setattr(hazard_tool, "list_combinations", lambda: [dry])
    assert hil(["hazard", "--exemptions", "2", "--workers", "1"]) == 1
    assert f"{dry.label}: NOT SEEN (2 cases)" in capsys.readouterr().out
    assert hil(["hazard", "--exemptions", "0"]) == 2


def test_exemption_needs_all_its_words() -> None:
    words = "bmc_silent", "outlet_ignores", "pumps_seized"
    case = make_case(*(InjectedFault(word) for word in words))
    codes = ("shed_failed",)
    assert find_exemption("I1", case, codes) is not None
    assert find_exemption("I2", case, codes) is None
    for i in range(3):  # with two of them, a controller can meet I1, or another entry is valid
        two = make_case(*(InjectedFault(word) for word in (words[:i] + words[i + 1 :])))
        assert find_exemption("I1", two, codes) is not find_exemption("I1", case, codes)


def test_exemption_of_a_wet_supply_asks_for_its_alarm() -> None:
    case = find_case(lead_s=0, words=("valve_dead", "valve_reversed"), load_kw=90.0)
    long = "below the dew point for 120 s, -4.0 K"
    assert find_exemption("I2", case, ("dew",), long) is not None
    assert find_exemption("I2", case, (), long) is None
    text = "below the dew point without an alarm, -0.5 K"
    assert find_exemption("I2", case, ("dew",), text) is None


def find_case(
    lead_s: float, words: tuple[str, str], load_kw: float, value: float | None = None
) -> HazardCase:
    """Give a case of the cold site: the first word starts `lead_s` after the other one."""
    for seed in range(500):
        case = generate_case(seed, 2, CaseOptions(load_kw, "cold", words[::-1]))
        start = {event.do: event.at_s for event in reversed(case.scenario.events)}
        values = {fault.word: fault.value for fault in case.faults}
        is_wanted = value is None or values[words[1]] == value
        if start[words[0]] - start[words[1]] == lead_s and is_wanted:
            return case
    raise AssertionError(words)


def test_a_wet_supply_is_exempt_only_while_no_controller_had_the_time() -> None:
    long = "below the dew point for 120 s, -1.6 K"
    for words, load_kw, value, lead_s, is_exempt in (
        (("valve_stuck", "valve_reversed"), 30.0, None, 3, False),
        (("valve_dead", "valve_reversed"), 30.0, None, 3, True),
        (("valve_dead", "valve_reversed"), 30.0, None, 20, False),
        (("valve_dead", "it_load"), 60.0, 10.0, 20, True),
        (("valve_dead", "it_load"), 60.0, 10.0, 60, False),
        (("bus_silent", "it_load"), 60.0, 10.0, 60, False),
        (("bus_silent", "room_humidity"), 60.0, 85.0, 0, True),
        (("bus_silent", "room_humidity"), 60.0, 85.0, 3, False),
        (("bus_silent", "weather_step"), 60.0, -10.0, 20, True),
        (("bus_silent", "weather_step"), 60.0, -10.0, 60, False),
        (("bus_silent", "outdoor_temperature"), 60.0, 0.0, 20, True),
        (("bus_silent", "outdoor_temperature"), 60.0, 30.0, 20, False),
        (("valve_stuck", "room_humidity"), 60.0, 85.0, 3, True),
        (("valve_stuck", "room_humidity"), 90.0, 85.0, 3, False),
        (("valve_reversed", "valve_clamps"), 30.0, 4500.0, 0, True),
        (("valve_reversed", "valve_clamps"), 30.0, 8000.0, 0, False),
        (("leak_detector", "room_temperature"), 30.0, 36.0, 20, True),
        (("leak_detector", "room_temperature"), 30.0, 30.0, 20, False),
        (("leak_detector", "room_temperature"), 30.0, 36.0, 60, False),
        (("emergency_stop", "room_temperature"), 60.0, 36.0, 20, False),
        (("emergency_stop", "room_temperature"), 60.0, 36.0, 3, True),
        (("isolating_valve", "room_temperature"), 60.0, 36.0, 20, True),
        (("isolating_valve", "room_temperature"), 60.0, 36.0, 60, False),
        (("grid_outage", "room_humidity"), 90.0, 85.0, 20, False),
        (("pumps_seized", "room_humidity"), 90.0, 85.0, 3, True),
    ):
        case = find_case(lead_s, words, load_kw, value)
        found = find_exemption("I2", case, ("bus_lost", "dew"), long)
        assert (words, lead_s, found is not None) == (words, lead_s, is_exempt)


def test_each_small_load_of_a_varied_row_is_exempt_with_a_valve_that_stays() -> None:
    case = find_case(20, ("valve_dead", "it_load"), 60.0, 10.0)
    for left_kw, is_exempt in ((5.0, True), (15.0, True), (30.0, True), (60.0, False)):
        faults = (InjectedFault("valve_dead"), InjectedFault("it_load", left_kw))
        text = "below the dew point for 120 s, -1.1 K"
        found = find_exemption("I2", replace(case, faults=faults), ("dew",), text)
        assert (left_kw, found is not None) == (left_kw, is_exempt)


def test_exemption_with_an_alarm_needs_that_alarm() -> None:
    case = make_case(InjectedFault("isolating_valve"), InjectedFault("outlet_ignores"))
    assert find_exemption("I1", case, ("flow_low",)) is None
    assert find_exemption("I1", case, ("shed_failed",)) is not None
    other = make_case(InjectedFault("broker_down"), InjectedFault("outlet_ignores"))
    assert find_exemption("I1", other, ("shed_failed",)) is None


def test_pumps_that_a_generator_stops_while_the_controller_has_no_power_are_exempt() -> None:
    power_cut, generator = (
        ScenarioEvent(120.0, "power_cut"),
        ScenarioEvent(180.0, "grid_generator", 15.0),
    )
    case = make_fixed_case(501_268, 60.0, "warm", power_cut, generator)
    assert find_exemption("I1", case) is not None


@pytest.mark.parametrize(
    ("word", "load_kw", "most_s"),
    [
        ("pumps_seized", 90.0, 5.0),
        ("rack_blocked", 60.0, 5.0),
        ("rack_blocked", 30.0, -1.0),
        ("facility_flow_lost", 90.0, 2.0),
    ],
)
def test_exemption_ends_where_the_controller_had_time(
    word: str, load_kw: float, most_s: float
) -> None:
    options = CaseOptions(load_kw, "warm", (word, "power_cut"))
    cases = [generate_case(seed, 2, options) for seed in range(30)]
    starts = [{event.do: event.at_s for event in reversed(case.scenario.events)} for case in cases]
    leads = [start["power_cut"] - start[word] for start in starts]
    exempt = [find_exemption("I1", case) is not None for case in cases]
    assert exempt == [lead <= most_s for lead in leads]
    assert {0.0, 3.0, 20.0, 60.0} <= set(leads)


def test_standing_coolant_is_exempt_only_if_the_room_changes_with_the_leak() -> None:
    """The room 20 s before the leak: 60 kW warm the supply above the dew point in time."""
    long = "below the dew point for 120 s, -1.6 K"
    rooms = "room_humidity", "room_temperature"
    for words in [
        pair for room in rooms for pair in ((room, "leak_detector"), ("leak_detector", room))
    ]:
        options = CaseOptions(60.0, "cold", words)
        for case in (generate_case(seed, 2, options) for seed in range(30)):
            start = {event.do: event.at_s for event in case.scenario.events}
            is_late = (
                start["leak_detector"] - min(start[room] for room in rooms if room in start) <= 5.0
            )
            assert (find_exemption("I2", case, ("dew",), long) is not None) == is_late
            assert find_exemption("I2", case, (), long) is None
            text = "below the dew point without an alarm, -1.6 K"
            assert find_exemption("I2", case, ("dew",), text) is None
            assert find_exemption("I2", replace(case, site="warm"), ("dew",), long) is None


def _truth(case: HazardCase, **changes: Any) -> Any:
    testbed = Testbed(World(1, 0), case.scenario.settings)
    return replace(take_truth(testbed, None, True), **changes)


def test_hot_case_without_a_limit_violates_i1() -> None:
    case = make_case(InjectedFault("pumps_seized"))
    invariant = make_invariant("I1", case)
    invariant.step(_truth(case, now=120 * SECOND, flow_fraction=0.0, case_c=70.0))
    assert invariant.violation is None
    invariant.step(_truth(case, now=130 * SECOND, flow_fraction=0.0, case_c=86.0))
    assert invariant.violation == (130.0, "case 86.0 C, first limit never")


def test_loads_that_no_order_reaches_get_a_cold_supply() -> None:
    """With the set-point of the loop the case reaches 86 °C."""
    scenario = find("h6-no-order-reaches-loads").expand_cases()[0]
    case = replace(make_case(), scenario=scenario)
    assert judge(case, InProcessDut)[0] == []


@pytest.mark.parametrize("case", FAILED_ONCE, ids=lambda case: str(case.seed))
def test_cases_that_once_failed(case: HazardCase) -> None:
    assert judge(case, InProcessDut)[0] == []


def test_dew_without_an_alarm_violates_i2() -> None:
    case = make_case(InjectedFault("room_humidity", 85.0))
    silent, alarmed = make_invariant("I2", case), make_invariant("I2", case)
    for second in range(120, 135):
        wet = {"now": second * SECOND, "supply_c": 20.0, "dew_c": 22.0}
        silent.step(_truth(case, **wet))
        alarmed.step(_truth(case, **wet, alarms={"dew": 1}))
    assert silent.violation is not None
    assert alarmed.violation is None
    alarmed.step(_truth(case, now=260 * SECOND, supply_c=20.0, dew_c=22.0, alarms={"dew": 1}))
    assert alarmed.violation is not None


def test_time_without_power_does_not_count_for_i2() -> None:
    case = make_case(InjectedFault("power_cut"))
    for end_s, violation_s in ((189.0, None), (192.0, 190.5)):
        invariant = make_invariant("I2", case)
        for quarter in range(120 * 4, int(end_s * 4)):
            now = quarter * SECOND // 4
            wet = {"supply_c": 20.0, "dew_c": 22.0, "is_powered": now > 180 * SECOND}
            invariant.step(_truth(case, now=now, **wet))
        found = None if invariant.violation is None else invariant.violation[0]
        assert found == violation_s


def test_untrue_report_violates_i5() -> None:
    case = make_case(InjectedFault("loads_stay_on"))
    invariant = make_invariant("I5", case)
    alarms = [{"code": "load_shed:gpu1", "text": "is switched off"}]
    status = {"alarms": alarms, "throttle": {"loads": []}}
    for second in (130, 134, 139):
        invariant.step(_truth(case, now=second * SECOND, status=status))
    assert invariant.violation is not None
    assert invariant.violation[0] == 139.0


def test_a_limit_that_falls_in_steps_is_no_untrue_report() -> None:
    case = make_case(InjectedFault("loads_stay_on"))
    for lag_s, violates in ((3, False), (9, True)):
        invariant = make_invariant("I5", case)
        for second in range(130, 160):
            limit_w = 30_000 - 1_000 * (second - 130)
            report = {"name": "gpu1", "on": True, "limit_w": limit_w}
            truth = _truth(
                case, now=second * SECOND, status={"alarms": [], "throttle": {"loads": [report]}}
            )
            watts = limit_w + 1_000 * lag_s
            truth.loads[0].demand_fraction, truth.loads[0].lag_s = watts / 35_000, 0.001
            invariant.step(truth)
        assert (invariant.violation is not None) is violates


def test_shed_on_one_lie_violates_i6() -> None:
    case = generate_case(1, 2, CaseOptions(90.0, "warm", ("supply_register", "sky_blocked")))
    invariant = make_invariant("I6", case)
    truth = _truth(case, now=200 * SECOND)
    truth.loads[0].is_on = False
    invariant.step(truth)
    assert invariant.violation is not None


@pytest.mark.parametrize(
    ("raised_s", "violates"), [(140.0, True), (131.5, True), (131.25, False), (130.5, False)]
)
def test_raised_limit_after_a_restart_violates_i9(raised_s: float, violates: bool) -> None:
    """A service still carries out an order of before the restart."""
    case = replace(make_case(InjectedFault("facility_flow_lost")), restart_s=130.5)
    invariant = make_invariant("I9", case)
    truth = _truth(case, now=130 * SECOND)
    truth.loads[0].limit_w = 10_500.0
    invariant.step(truth)
    truth.loads[0].limit_w, truth.now = 35_000.0, int(raised_s * SECOND)
    invariant.step(truth)
    assert (invariant.violation is not None) is violates


def test_case_runs_the_same_twice() -> None:
    case = generate_case(3, 2, CaseOptions(90.0, "warm", ("sky_blocked", "grid_frequency")))
    last_s = max(event.at_s for event in case.scenario.events)
    short = replace(case, scenario=replace(case.scenario, seconds=int(last_s) + 30))
    first, second = (judge(short, InProcessDut) for _ in range(2))
    assert first == second
    assert first[1]


def test_tally_counts_pairs_codes_and_rows() -> None:
    tally = HazardTally()
    tally.add(CaseResult(1, 2, ("leak", "pumps_seized"), "", codes=("leak_critical",)))
    tally.add(CaseResult(2, 2, ("bmc_busy", "fan_dead"), ""))
    record = tally.record()
    assert (record["runs"], record["pairs_seen"], record["failed"]) == (2, 2, 0)
    assert record["silent_words"] == ["bmc_busy", "fan_dead"]
    assert "leak_critical" not in record["codes_never_raised"]
    assert 1 not in record["fmea_never_hit"]
    assert 2 in record["fmea_never_hit"]


def test_list_and_wrong_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["hazard", "--list"]) == 0
    assert "supply_register" in capsys.readouterr().out
    assert hil(["hazard", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) > 200
    assert hil(["hazard", "--word", "pump_seised"]) == 2
    assert "pump_seized" in capsys.readouterr().err


def test_hazard_scenarios_name_three_sites() -> None:
    scenario = find("h1-pumps-seized")
    assert [case.name.split("/")[1] for case in scenario.expand_cases()] == ["90kw", "30kw", "cold"]


@pytest.mark.soak
def test_five_thousand_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    """5,000 pairs and 500 triples; at most 2 % are exempt."""
    assert hil(["hazard", "--pairs", "5000", "--triples", "500", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["exempt"] <= 0.02 * record["runs"]
    assert record["fmea_never_hit"] == []


def test_too_many_exempt_runs_are_found() -> None:
    tally = HazardTally()
    exempt = Violation("I3", 1.0, "no status", "a controller without power has no status")
    for seed in range(100):
        result = CaseResult(seed, 2, ("leak", "power_cut"), "", cpu_s=1.0)
        result.violations = [exempt] if seed < 3 else []
        tally.add(result)
    record = tally.record()
    assert tally.has_too_many_exempt
    assert (record["failed"], record["exempt"], record["max_exempt"]) == (0, 3, 2)
    assert record["exempt_reasons"] == {exempt.exempt_reason: 3}
    assert record["exempt_unused"] == [entry.label for entry in load_exemptions()]
    used = load_exemptions()[0]
    result = CaseResult(1, 2, ("leak", "power_cut"), "", cpu_s=1.0)
    result.violations = [replace(exempt, exempt_reason=used.reason)]
    tally.add(result)
    assert used.label not in tally.record()["exempt_unused"]
    assert record["runs_per_cpu_min"] == 60.0


def test_pairs_on_the_plant_only_have_an_end_and_no_bus() -> None:
    for word in plant_only.WORDS:
        assert EVENTS[word].undo is not None
        assert any(fault.for_s is None for fault in faults_by_word()[word])


def test_pairs_on_the_plant_only_run() -> None:
    assert plant_only.run_plant_pairs(3, 6) == []


def test_a_hot_row_is_limited_and_released_in_steps() -> None:
    limit = plant_only.HotRowLimit(100.0)
    assert limit.step(60.0, 30.0, 100.0, 1_000_000) is None
    for at_s in range(2, 90):
        assert limit.step(60.0, 30.0, 100.0, at_s * 1_000_000) is None
    assert limit.step(86.0, 30.0, 100.0, 95_000_000) == 10.0
    cooled = [limit.step(33.0, 30.0, 10.0, at_s * 1_000_000) for at_s in range(100, 400)]
    assert cooled[0] == 10.0
    assert 20.0 in cooled
    assert cooled[-1] is None


def test_wet_and_hot_hours_are_found() -> None:
    account = plant_only.HazardAccount(AnnualSite(load_weather("dubai"), "dry", 100.0, 1))
    account.begin_hour("hour 1, no fault")
    for _ in range(130):
        account.add_extremes(1.0, -2.5, 80.0)
    account.add_extremes(1.0, 1.0, 96.0)
    assert [failure[:2] for failure in account.failures] == ["I2", "I1"]
