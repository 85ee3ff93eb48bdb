# SPDX-License-Identifier: Apache-2.0
"""Scenario files: what is read; each mistake gives one error line and exit code 2."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from hil.bench.testbed_settings import LIMITS, TestbedSettings
from hil.commands import hil
from hil.errors import ScenarioError
from hil.fault.registry import EVENTS
from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS
from hil.measure.registry import MEASURES
from hil.measure.several import GROUP_MEASURES, PAIR_MEASURES
from hil.run.virtual import VirtualRun
from hil.scenario.authoring.file_check import check_file
from hil.scenario.loader import find, parse, shipped_names
from hil.scenario.model import Expectation, ScenarioEvent
from hil.scenario.suite import resolve, suite_names
from tests.support.cli_tools import SHORT, check_one_line, run_coldloop, scenario_file

LONGER = SHORT.replace("seconds = 3", "seconds = 60")


def event_table(**values: object) -> str:
    return toml_table("event", **{"at_s": 1, "do": '"bus_silent"', **values})


def expect_table(**values: object) -> str:
    return toml_table("expect", **{"measure": '"ticks"', "min": 1, **values})


def toml_table(name: str, **values: object) -> str:
    lines = [f"{key} = {value}" for key, value in values.items() if value is not None]
    return "\n".join([f"[[{name}]]", *lines, ""])


MISTAKES: dict[str, tuple[str, str]] = {
    "not TOML": ("a = = 3", "Invalid value (at line 1, column 5)"),
    "key twice": (LONGER + 'name = "b"', "Cannot overwrite a value"),
    "no name": (LONGER.replace("name", "#"), "name: missing"),
    "no seconds": (LONGER.replace("seconds", "#"), "seconds: missing"),
    "seconds 0": (LONGER.replace("60", "0"), "seconds: 0 is outside 1 to 10000000"),
    "seconds inf": (LONGER.replace("60", "inf"), "seconds: inf is not a number"),
    "seconds text": (LONGER.replace("60", '"60"'), "seconds: '60' is not a number"),
    "title number": (LONGER.replace('"as', "7 # "), "title: 7 is not a text"),
    "unknown key": ("secnds = 3\n" + LONGER, "secnds: unknown key (did you mean seconds?)"),
    "unknown table": (LONGER + "[[events]]", "events: unknown key (did you mean event?)"),
    "row a number": ("row = 3\n" + LONGER, "row: a table is needed"),
    "event a number": ("event = 3\n" + LONGER, "event: tables are needed: write [[event]]"),
    "event a table": (LONGER + "[event]\nat_s = 1", "event: tables are needed: write [[event]]"),
    "event of numbers": ("event = [3]\n" + LONGER, "event[0]: a table is needed"),
    "expect a text": ('expect = "x"\n' + LONGER, "expect: tables are needed"),
    "row: unknown key": (LONGER + "[row]\nit_kv = 3", "row.it_kv: unknown key (did you mean it"),
    "row: type": (LONGER + "[row]\npumps = 1.5", "row.pumps: 1.5 is not a whole number"),
    "row: true": (LONGER + "[row]\npumps = true", "row.pumps: True is not a whole number"),
    "row: range": (LONGER + "[row]\npumps = 3", "row.pumps: 3 is outside 1 to 2"),
    "row: nan": (LONGER + "[row]\nfws_c = nan", "row.fws_c: nan is not a number"),
    "event: word": (
        LONGER + event_table(do='"bus_silnt"'),
        "event[0].do: unknown 'bus_silnt' (did you mean bus_silent?)",
    ),
    "event: key": (
        LONGER + event_table(fro_s=3),
        "event[0].fro_s: unknown key (did you mean for_s?)",
    ),
    "event: no time": (LONGER + event_table(at_s=None), "event[0].at_s: missing"),
    "event: no word": (LONGER + event_table(do=None), "event[0].do: missing"),
    "event: time": (LONGER + event_table(at_s=61), "event[0].at_s: 61 is outside the scenario"),
    "event: before": (LONGER + event_table(at_s=-1), "event[0].at_s: -1 is outside the scenario"),
    "event: type": (LONGER + event_table(at_s='"1"'), "event[0].at_s: '1' is not a number"),
    "event: no value": (
        LONGER + event_table(do='"it_load"'),
        "event[0].value: it_load needs a value",
    ),
    "event: a value": (LONGER + event_table(value=3), "event[0].value: bus_silent takes no value"),
    "event: range": (
        LONGER + event_table(do='"it_load"', value=-1),
        "event[0].value: -1 is outside 0 to 200",
    ),
    "event: pump": (
        LONGER + "[row]\npumps = 1\n" + event_table(do='"pump_trip"', value=2),
        "event[0].value: 2 is not the number of a pump, 1 to 1",
    ),
    "event: half pump": (
        LONGER + event_table(do='"pump_trip"', value=1.5),
        "event[0].value: 1.5 is not the number of a pump, 1 to 2",
    ),
    "event: for 0": (LONGER + event_table(for_s=0), "event[0].for_s: 0 is not above 0"),
    "event: for 1e308": (LONGER + event_table(for_s=1e308), "event[0].for_s: 1e+308 is not above"),
    "event: for ever": (
        LONGER + event_table(do='"it_load"', value=3, for_s=9),
        "event[0].for_s: it_load has no end",
    ),
    "second event": (LONGER + event_table() + event_table(at_s=99), "event[1].at_s: 99 is outside"),
    "expect: measure": (
        LONGER + expect_table(measure='"suply_c"'),
        "expect[0].measure: unknown 'suply_c' (did you mean supply_c?)",
    ),
    "expect: no measure": (LONGER + expect_table(measure=None), "expect[0].measure: missing"),
    "expect: unit": (
        LONGER + expect_table(measure='"supply_c"', unit='"K"'),
        "expect[0].unit: supply_c is in 'Cel', not 'K'",
    ),
    "expect: no unit": (
        LONGER + expect_table(measure='"supply_c"'),
        "expect[0].unit: supply_c is in 'Cel', not ''",
    ),
    "expect: no limit": (LONGER + expect_table(min=None), "expect[0]: min, max or both are needed"),
    "expect: band of nothing": (
        LONGER + expect_table(marginal=0),
        "expect[0].marginal: 0 is not above 0",
    ),
    "expect: band too wide": (
        LONGER + expect_table(max=5, marginal=2),
        "expect[0].marginal: 2 leaves nothing between min and max",
    ),
    "expect: min above max": (LONGER + expect_table(max=0), "expect[0].min: 1 is above max, 0"),
    "expect: nan": (LONGER + expect_table(min="nan"), "expect[0].min: nan is not a number"),
    "expect: ever": (LONGER + expect_table(ever=1), "expect[0].ever: 1 is not true or false"),
    "expect: empty window": (
        LONGER + expect_table(from_s=30, until_s=20),
        "expect[0].from_s: the window is empty or outside the scenario",
    ),
    "expect: window of 0": (LONGER + expect_table(until_s=0), "no whole second lies in the window"),
    "expect: late window": (LONGER + expect_table(until_s=61), "the window is empty or outside"),
    "expect: no sample": (
        LONGER + expect_table(from_s=3.2, until_s=3.8),
        "expect[0].from_s: no whole second lies in the window",
    ),
    "expect: no pump": (
        LONGER + expect_table(measure='"pump_pct"', unit='"%"'),
        "expect[0].measure: pump_pct: names no pump; there are 1, 2",
    ),
    "expect: pump 3": (
        LONGER + expect_table(measure='"pump_pct:3"', unit='"%"'),
        "expect[0].measure: pump_pct:3 names no pump; there are 1, 2",
    ),
    "expect: alarm": (
        LONGER + expect_table(measure='"alarm:bus_lots"'),
        "expect[0].measure: alarm:bus_lots names no alarm (did you mean bus_lost?)",
    ),
    "expect: argument": (
        LONGER + expect_table(measure='"ticks:1"'),
        "expect[0].measure: ticks takes nothing after a colon",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_prints_one_line_that_names_it(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = MISTAKES[mistake]
    path = scenario_file(tmp_path, text)
    assert hil(["run", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    line = check_one_line(err)
    assert line.startswith(f"coldloop hil run: {path}: ")
    assert message in line


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "mark.toml"
    path.write_bytes(f'\ufeff{SHORT}[[expect]]\nmeasure = "ticks"\nmin = 0\n'.encode())
    assert find(str(path)).name == "short"
    assert check_file(path) == []


def test_unreadable_file_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\0")
    (tmp_path / "folder.toml").mkdir()
    for name, message in (
        ("none.toml", "No such file or directory"),
        ("bytes.toml", "not UTF-8 text; save it as UTF-8"),
        ("folder.toml", "Is a directory"),
    ):
        process = run_coldloop("hil", "run", str(tmp_path / name))
        assert process.returncode == 2
        assert check_one_line(process.stderr) == f"coldloop hil run: {tmp_path / name}: {message}"
        assert process.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "the following arguments are required: NAME|FILE.toml"),
        (("run", "smoke", "--seed", "x"), "invalid int value: 'x'"),
        (("run", "smoke", "--dut", "jython"), "invalid choice: 'jython'"),
        (("run", "smok"), "no such scenario or suite (did you mean smoke?); `coldloop hil list`"),
        (("walk",), "no subcommand 'walk'; there are list, run, "),
        (("lsit",), "no subcommand 'lsit' (did you mean list?)"),
        ((), "no subcommand; there are list, run, "),
    ],
)
def test_wrong_arguments_print_one_line_and_exit_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = hil(list(arguments))
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in check_one_line(capsys.readouterr().err)


def test_scenario_is_parsed_as_written() -> None:
    text = (
        LONGER
        + "[row]\nit_kw = 70\n"
        + event_table(for_s=5.5)
        + expect_table(from_s=2, ever="true", max=9)
    )
    scenario = parse(text, "x")
    assert (scenario.name, scenario.seconds) == ("short", 60)
    assert scenario.settings == TestbedSettings(it_kw=70)
    assert scenario.events == (ScenarioEvent(1, "bus_silent", None, 5.5),)
    assert scenario.expectations == (Expectation("ticks", "", 1, 9, 2, None, True),)


def test_shipped_scenarios_have_expectations() -> None:
    assert {"broker-loss", "bus-loss", "load-step", "receiver-loss", "smoke"} <= set(
        shipped_names()
    )
    assert {"bus-late", "bus-noise", "pump-lost", "rpu-busy", "writes-refused"} <= set(
        shipped_names()
    )
    for name in shipped_names():
        scenario = find(name)
        assert scenario.name == name
        assert scenario.expectations
    with pytest.raises(ScenarioError):
        find("nothing")


def test_list_shows_scenarios_and_suites(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["list"]) == 0
    listed, rest = capsys.readouterr().out.split("\n\n")
    assert [line.split()[0] for line in listed.splitlines()] == shipped_names()
    assert [line.split()[0] for line in rest.splitlines()] == suite_names()


def test_testbed_runs_at_the_limits_of_its_settings() -> None:
    """All settings at one of their limits; each pair of settings has its four combinations.

    A setting is at its high limit in five of ten runs, always in the first one. Two different
    choices of these runs have every combination in some run (Kleitman and Spencer, 1973).
    """
    chosen = [{0, *others} for others in itertools.combinations(range(1, 10), 4)]
    names = [name for name in LIMITS if name not in ("controllers", "units", "rotate_h")]
    seen = set()
    for number in range(10):
        sides = {name: int(number in runs) for name, runs in zip(names, chosen, strict=False)}
        lines = [f"{name} = {LIMITS[name][side]}" for name, side in sides.items()]
        run = VirtualRun(parse(SHORT + "\n".join(["[row]", *lines]), "x"), 1)
        run.run()
        assert run.status is not None, lines
        seen |= set(itertools.combinations(sides.items(), 2))
    assert len(seen) == 4 * math.comb(len(names), 2)


def test_every_setting_has_limits_around_its_default() -> None:
    defaults = TestbedSettings()
    for name, (low, high) in LIMITS.items():
        assert low <= getattr(defaults, name) <= high
    numbers = {name for name, value in vars(defaults).items() if type(value) in (int, float)}
    assert set(LIMITS) == numbers


def test_every_fault_runs_and_every_measure_has_a_value() -> None:
    """One run with all faults: no exception, and each measure is known at some time.

    Those of a pair and of a group: see `test_several.py`.
    """
    events = ""
    words = [word for word in EVENTS if word not in {**PAIR_EVENTS, **GROUP_EVENTS}]
    for i, fault in enumerate(words):
        fault_type = EVENTS[fault]
        value = None if fault_type.limits is None else sum(fault_type.limits) / 2
        value = 1 if fault_type.is_pump else value
        for_s = None if fault_type.undo is None else 3
        text = {"raise_in": '"supply"', "raw_frame": '"0703000000c8443a"'}.get(fault)
        events += event_table(at_s=20 + 4 * i, do=f'"{fault}"', value=value, for_s=for_s, text=text)
    seconds = f"= {30 + 4 * len(EVENTS)}"
    parts = "remote, throttle, ledger, log, modem, modem_store"
    row = f'[row]\nreceiver_dialect = "casic"\nparts = "{parts}"\nmeters = 2\n'
    row += "humidity_sensors = 3\nfans = 3\noutdoor_sensors = 1\n"
    run = VirtualRun(parse(SHORT.replace("= 3", seconds) + row + events, "x"), 1)
    suffixes = {"pump": ":1", "alarm": ":bus_lost", "event": "", "": ""}
    suffixes["alarm_event"] = ":bus_lost"
    known: set[str] = set()
    trips: set[float | None] = set()

    def on_second(_second: int) -> None:
        trips.add(run.sample("alarm:pump_trip"))
        for name, measure in MEASURES.items():
            if measure.argument not in suffixes:
                continue
            if run.sample(name + suffixes[measure.argument]) is not None:
                known.add(name)

    run.run(on_second)
    assert known == set(MEASURES) - {*PAIR_MEASURES, *GROUP_MEASURES}
    assert 1 in trips


@pytest.mark.parametrize(
    ("fault", "value", "measure", "low", "high"),
    [
        ("it_load", 100.0, "case_c", 5.0, 100.0),
        ("fws_temperature", 30.0, "valve_pct", 3.0, 100.0),
        ("pump_trip", 1.0, "pump_pct:1", -100.0, -30.0),
        ("bus_silent", None, "modbus_errors", 5.0, 1e6),
        ("rpu_dead", None, "alarm:device_lost:rpu", 1.0, 1.0),
        ("valve_dead", None, "alarm:device_lost:valve", 1.0, 1.0),
        ("receiver_outage", None, "clock", 1.0, 1.0),
        ("receiver_no_fix", None, "clock", 1.0, 1.0),
        ("broker_down", None, "rows_waiting", 5.0, 1e6),
    ],
)
def test_event_moves_its_measure(
    fault: str, value: "float | None", measure: str, low: float, high: float
) -> None:
    """Compare the measure 20 s after the event with its value before."""
    text = SHORT.replace("= 3", "= 35") + event_table(at_s=15, do=f'"{fault}"', value=value)
    run = VirtualRun(parse(text, "x"), 1)
    samples: list[float] = []
    run.run(lambda _second: samples.append(run.sample(measure) or 0.0))
    assert low <= samples[34] - samples[13] <= high


def test_case_of_a_scenario_runs_by_its_name() -> None:
    suite = resolve("h1-pumps-seized/30kw")
    assert [run.name for run in suite.scenarios] == ["h1-pumps-seized/30kw"]
    assert suite.scenarios[0].settings.it_kw == 30
    with pytest.raises(ScenarioError, match="there are h1-pumps-seized/90kw"):
        resolve("h1-pumps-seized/31kw")
    with pytest.raises(ScenarioError, match="has no cases"):
        resolve("smoke/90kw")
