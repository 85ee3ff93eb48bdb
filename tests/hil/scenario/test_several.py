# SPDX-License-Identifier: Apache-2.0
"""Scenarios with several controllers: settings, words, measures, records, and what is refused."""

import json
from pathlib import Path

import pytest

from agent.redundancy.pair_table import timers_of
from hil.commands import hil
from hil.errors import BenchError, ScenarioError
from hil.fault.base import FaultType
from hil.fault.registry import EVENTS
from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS
from hil.measure.base import Measure
from hil.measure.several import GROUP_MEASURES, PAIR_MEASURES, REASONS, ROLES
from hil.run.several.open_run import open_run
from hil.run.several.pair_run import PairRun
from hil.run.several.pair_scenario import PairScenario
from hil.run.virtual import VirtualRun
from hil.scenario.fault_parts import find_limits, find_refusal
from hil.scenario.loader import find, parse, shipped_names
from hil.scenario.suite import resolve
from hil.shells.lockstep import LockStepDut
from tests.support.cli_tools import SHORT, scenario_file

PAIR_ROW = "[row]\ncontrollers = 2\npair_link = true\npair_uplink = true\n"
GROUP_ROW = "[row]\nunits = 3\n"
ARGUMENTS = {"node": ":1", "unit": ":1", "alarm": ":group_link", "": ""}


def event_table(**values: object) -> str:
    lines = [f"{key} = {value}" for key, value in values.items() if value is not None]
    return "\n".join(["[[event]]", *lines, ""])


def make(row: str, seconds: int, events: str = "") -> str:
    return SHORT.replace("= 3", f"= {seconds}") + row + events


def words_of(row: str) -> list[str]:
    """Return the faults that a row has."""
    settings = parse(make(row, 10), "x").settings
    return [name for name in EVENTS if not find_refusal(name, settings, in_real_time=False)]


@pytest.mark.parametrize(
    ("row", "measures", "own"),
    [(PAIR_ROW, PAIR_MEASURES, PAIR_EVENTS), (GROUP_ROW, GROUP_MEASURES, GROUP_EVENTS)],
    ids=["pair", "group"],
)
def test_every_fault_of_the_row_runs_and_every_measure_has_a_value(
    row: str, measures: dict[str, Measure], own: dict[str, FaultType]
) -> None:
    settings, events, words = parse(make(row, 10), "x").settings, "", words_of(row)
    assert set(own) <= set(words)
    for number, name in enumerate(words):
        limits, text = find_limits(name, settings), {"raw_frame": '"0703000000c8443a"'}.get(name)
        value = None if limits is None else limits[0]
        for_s = None if EVENTS[name].undo is None else 2
        events += event_table(
            at_s=10 + 3 * number, do=f'"{name}"', value=value, for_s=for_s, text=text
        )
    run = open_run(parse(make(row, 14 + 3 * len(words), events), "x"), 1)
    known = set()

    def on_second(_: int) -> None:
        for name, measure in measures.items():
            if run.sample(name + ARGUMENTS[measure.argument]) is not None:
                known.add(name)

    run.run(on_second)
    assert known == set(measures)
    assert not [line for line in run.console if " fault " in line]


def test_the_end_of_a_fault_restores_the_controller_that_had_it() -> None:
    events = event_table(at_s=20, do='"port_deaf"', value=1, for_s=30)
    events += event_table(at_s=25, do='"port_deaf"', value=2, for_s=5)
    run = PairScenario(parse(make(PAIR_ROW, 32, events), "x"), 1)
    run.run()
    assert [master.receiver_failed for master in run.pair.line.masters] == [True, False]


def test_measures_of_a_pair_see_a_short_gap() -> None:
    events = event_table(at_s=20.31, do='"node_power"', value=1)
    run = PairScenario(parse(make(PAIR_ROW, 30, events), "x"), 1)
    gaps: list[float] = []
    roles: list[list[float | None]] = []

    def on_second(_: int) -> None:
        gaps.append(run.sample("writer_gap_s") or 0.0)
        roles.append([run.sample("role:1"), run.sample("role:2")])

    run.run(on_second)
    assert 1.0 < max(gaps[20:23]) < 2.0
    assert max(gaps[24:]) == 0.0
    assert roles[15] == [ROLES.index("active"), ROLES.index("standby")]
    assert roles[-1] == [ROLES.index("off"), ROLES.index("active")]
    assert run.sample("takeover_reason") == REASONS.index("silence")


def test_two_writers_count_within_one_cycle_over_the_end_of_a_second() -> None:
    meter = PairRun(find("redundant-power").settings).meter
    seen: list[int] = []
    for node, at_us in ((0, 10_900_000), (1, 11_800_000), (1, 12_500_000)):
        meter.add_write(node, at_us)
        meter.roll()
        seen.append(meter.writers)
    assert seen == [1, 2, 1]


def test_two_writers_in_one_cycle_fail_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule that an active controller without replies gives up."""
    timers = "agent.redundancy.paired_agent.timers_of"
    monkeypatch.setattr(timers, lambda node: timers_of(node)._replace(resign_ms=60_000))
    run = open_run(find("redundant-pause-wake"), 1)
    result = run.make_result("cpython", run.run())
    assert any(failure.startswith("writers: not <= 1") for failure in result.failures)


def test_a_late_takeover_fails_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = "agent.redundancy.paired_agent.timers_of"
    monkeypatch.setattr(timers, lambda node: timers_of(node)._replace(read_ms=1500))
    run = open_run(find("redundant-power"), 1)
    result = run.make_result("cpython", run.run())
    assert any(failure.startswith("writer_gap_s: not <= 2") for failure in result.failures)


def test_a_group_that_replaces_nothing_fails_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.control.group.staging.Staging._join", lambda *_: None)
    run = open_run(find("group-split"), 1)
    result = run.make_result("cpython", run.run())
    assert any(failure.startswith("units_running: not 4") for failure in result.failures)


@pytest.mark.parametrize(
    ("name", "value", "failure"),
    [
        ("actuator.arbiter.Arbiter.follow", lambda *_: None, "speed_spread_pct: not <= 1;"),
        ("group.component._DROOP_KPA_PCT", 0.0, "speed_spread_pct: not <= 1.2;"),
        ("group.component.GroupComponent._is_joining", lambda _: False, "speed_spread_pct: not <="),
        (
            "group.approach.HeaderApproach.ceiling",
            lambda *_: None,
            "header_kpa: not >= 62 and <= 88",
        ),
    ],
    ids=["all integrate", "no droop", "all follow the start of the lead", "a start at full speed"],
)
def test_a_header_without_a_rule_fails_its_scenario(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, failure: str
) -> None:
    monkeypatch.setattr("agent.control." + name, value)
    run = open_run(find("group-header"), 1)
    result = run.make_result("cpython", run.run())
    assert any(found.startswith(failure) for found in result.failures), result.failures


def test_one_seed_gives_one_digest() -> None:
    text = make(PAIR_ROW, 30, event_table(at_s=10, do='"node_pause"', value=1, for_s=2))
    results = []
    for seed in (1, 1, 2):
        run = open_run(parse(text, "x"), seed)
        results.append(run.make_result("cpython", run.run()).digest)
    assert results[0] == results[1]
    assert results[0] != results[2]


@pytest.mark.parametrize(
    ("row", "rest", "message"),
    [
        ("controllers = 2\nunits = 3", "", "row.units: is not available in a row with controllers"),
        ("controllers = 3", "", "row.controllers: 3 is outside 1 to 2"),
        ("units = 17", "", "row.units: 17 is outside 1 to 16"),
        ("pair_link = true", "", "row.pair_link: needs controllers = 2"),
        ("shared_header = true", "", "row.shared_header: needs units = 2 to 16"),
        ('controllers = 2\nparts = "log"', "", "row.parts: 'log' needs row.pair_uplink = true"),
        ('controllers = 2\nparts = "remote"', "", "row.parts: 'remote' is not available in a row"),
        ("pair_uplink = true", "", "row.pair_uplink: needs controllers = 2"),
        ("controllers = 2\nreceivers = 2", "", "row.receivers: is not available in a row with"),
        ("units = 2\npumps = 1", "", "row.pumps: is not available in a row with units = 2"),
        ("", event_table(at_s=1, do='"node_power"', value=1), "node_power needs row.controllers"),
        (
            "controllers = 2",
            event_table(at_s=1, do='"pair_swap"', value=1),
            "pair_swap needs row.pair_link = true",
        ),
        (
            "controllers = 2",
            event_table(at_s=1, do='"node_power"', value=3),
            "3 is outside 1 to 2",
        ),
        (
            "controllers = 2",
            event_table(at_s=1, do='"node_power"', value=1.5),
            "1.5 is not a whole number from 1 to 2",
        ),
        (
            "controllers = 2",
            event_table(at_s=1, do='"broker_down"'),
            "broker_down is not available in a row with controllers = 2",
        ),
        ("units = 2", event_table(at_s=1, do='"it_load"', value=5), "it_load is not available"),
        ("units = 2", event_table(at_s=1, do='"unit_power"', value=3), "3 is outside 1 to 2"),
        ("", '[[expect]]\nmeasure = "writers"\nmax = 1\n', "writers needs row.controllers = 2"),
        ("", '[[expect]]\nmeasure = "unit_leads"\nmax = 1\n', "unit_leads needs row.units"),
        (
            "units = 2",
            '[[expect]]\nmeasure = "alarms"\nmax = 1\n',
            "alarms is of one unit; not in a row with units = 2",
        ),
        (
            "controllers = 2",
            '[[expect]]\nmeasure = "role:3"\nmax = 1\n',
            "role:3 is not like role:1; up to 2",
        ),
    ],
)
def test_what_a_row_does_not_have_is_refused(row: str, rest: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(make(f"[row]\n{row}\n", 10, rest), "x")
    assert message in str(error.value)


def test_other_runs_refuse_such_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = find("redundant-power")
    with pytest.raises(BenchError, match="controllers = 2 runs with `coldloop hil run`"):
        VirtualRun(scenario, 1)
    with pytest.raises(BenchError, match="it runs with --dut cpython and without --capture"):
        open_run(scenario, 1, LockStepDut)
    capture = str(tmp_path / "x.jsonl")
    for arguments in (
        ["run", "redundant-power", "--dut", "micropython"],
        ["run", "redundant-power", "--capture", capture],
        ["run", "redundant-power", "--real-time"],
        ["shrink", "redundant-power"],
        ["shrink", "group-power"],
    ):
        assert hil(arguments) == 2, arguments
        error = capsys.readouterr().err
        assert "a row with" in error, arguments
        assert error.count("\n") == 1, arguments
    assert not Path(capture).exists()
    text = make(PAIR_ROW, 10).replace("[row]", "realtime = true\n[row]")
    path = scenario_file(tmp_path, text)
    assert hil(["check", path]) == 2
    assert "row.controllers is available in virtual time only" in capsys.readouterr().out


def test_a_pattern_runs_all_that_match() -> None:
    names = [name for name in shipped_names() if name.startswith("redundant-")]
    suite = resolve("redundant-*")
    assert [scenario.name for scenario in suite.scenarios] == names
    assert [scenario.name for scenario in resolve("redundant").scenarios] == names
    with pytest.raises(ScenarioError, match="no such scenario or suite"):
        resolve("nothing-*")
    groups = [name for name in shipped_names() if name.startswith("group-")]
    assert [scenario.name for scenario in resolve("groups").scenarios] == groups


def test_the_record_shows_roles_gaps_and_writers(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert hil(["run", "redundant-pause", "--report", str(folder)]) == 0
    record = json.loads((folder / "record.json").read_text())
    run = record["runs"][0]
    assert {"role:1", "role:2", "writers", "writer_gap_s"} <= set(run["series"])
    assert any("pair b: active" in line for line in run["console"])
    page = (folder / "report.html").read_text()
    for text in ("roles", "controller a", "writers in a bus cycle", "time without a writer"):
        assert text in page


def test_a_held_line_destroys_all_frames() -> None:
    run = PairRun(find("redundant-power").settings, is_linked=True)
    run.start()
    run.run(20)
    before = len(run.writes)
    run.begin_fault("stuck", 0)
    collisions = run.line.collisions
    run.run(24)
    assert len(run.writes) == before
    assert run.line.collisions > collisions
    assert not any(agent.can_write for agent in run.agents)
    run.end_fault("stuck", 0)
    run.run(32)
    assert [agent.role for agent in run.agents].count("active") == 1
