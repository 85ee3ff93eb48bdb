# SPDX-License-Identifier: Apache-2.0
"""Each alarm has one record, each record is raised, and the catalogue describes each."""

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.alarms.catalogue import catalogue, compare
from agent.clock.evidence import CHECKS
from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.gnss.detectors import ADVISORIES, DETECTORS
from agent.safety.interlock_input import INTERLOCKS, REACTIONS
from agent.safety.schema import KINDS
from agent.tools.alarm_list import MODULES, all_records
from agent.tools.clock.clock_text import UNITS
from hil.measure.registry import ALARM_CODES
from tests.support.repository import ROOT

PER = {
    *("", "bus", "device", "device.bit", "input", "load", "loop", "mode", "module", "part"),
    *("port", "signal"),
}


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Parse the agent once, and not when the tests are collected, which each process does."""
    return {
        path: ast.parse(path.read_bytes())
        for path in sorted((ROOT / "agent").rglob("*.py"))
        if path.parent.name not in ("alarms", "tools")
    }


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def calls(name: str, *folders: str) -> Iterator[tuple[Path, ast.Call]]:
    """Find the calls of a function or method `name` in some packages of the agent, or in all."""
    for path, tree in trees().items():
        if folders and path.parent.name not in folders:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name in (
                getattr(node.func, "id", ""),
                getattr(node.func, "attr", ""),
            ):
                yield path, node


def texts(name: str, *folders: str) -> set[str]:
    """The literal texts that are the first argument of the calls of `name`."""
    first = [call.args[0] for _, call in calls(name, *folders) if call.args]
    return {node.value for node in first if isinstance(node, ast.Constant)}


def test_every_record_in_the_code_is_listed() -> None:
    places = {
        (module_name(path), call.args[0].value)
        for path, call in calls("AlarmRecord")
        if isinstance(call.args[0], ast.Constant)
    }
    assert {module for module, _ in places} == set(MODULES)
    assert {code for _, code in places} == set(all_records())
    assert len(places) == len(all_records()), "an alarm has two records"


def test_an_alarm_is_raised_by_its_record_alone() -> None:
    """Not by a text: mypy refuses one as well."""
    raised = []
    for path, call in calls("update"):
        if "alarms" in ast.unparse(call.func):
            raised.append(path)
            assert isinstance(call.args[0], (ast.Name, ast.Call)), ast.unparse(call)
    assert len(raised) > 10
    assert texts("clear", "gnss") <= set(all_records())


def test_every_record_is_raised() -> None:
    loaded = {
        node.id
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    for module in MODULES:
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, AlarmRecord):
                assert name in loaded, f"{module}.{name} is never raised"


def test_records_have_known_fields() -> None:
    for code, record in all_records().items():
        assert record.per in PER, code
        assert record.text, code
        assert type(record.ends_trial) is bool, code
    assert set(ALARM_CODES) == set(all_records())


def test_a_trial_ends_by_the_alarms_that_a_changed_configuration_can_cause() -> None:
    """Not by ports, a restart, a store, or the sky: jamming must not block each change."""
    codes = {code for code, record in all_records().items() if not record.ends_trial}
    assert codes == {
        "caps_restored",
        "standby_lost",
        "pair_link_lost",
        "pair_flapping",
        "pair_stale",
        "group_link",
        "group_rules",
        "group_pressure",
        "group_lead",
        "port",
        "time_store",
        "time_server",
        "receiver_apart",
        "time_step",
        "time_floor",
        "time_witness",
        "time_bound",
        "gnss_suspect",
        "gnss_drop",
        "gnss_uniform",
        "gnss_strong",
        "gnss_antenna_open",
        "gnss_antenna_short",
        "gnss_jamming",
        "gnss_spoofing",
        "gnss_gain",
        "gnss_desense",
    }


def test_only_interlocks_loops_and_buses_change_the_unit_state() -> None:
    packages = {
        module.split(".")[1]
        for module in MODULES
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, AlarmRecord) and value.state != NORMAL
    }
    assert packages == {"safety", "control", "core"}


def test_each_check_of_the_clock_has_an_alarm_and_a_unit() -> None:
    checks = [name for name, _ in CHECKS]
    detectors = [name for name, _ in DETECTORS + ADVISORIES]
    assert texts("reject", "clock") | texts("_record", "clock") == set(checks)
    assert texts("report", "gnss") == set(detectors)
    assert sorted(UNITS) == sorted(checks + detectors)


def test_each_kind_of_safety_input_has_an_alarm_with_the_state_of_its_reaction() -> None:
    states = {name: state for name, state, *_ in REACTIONS}
    assert {record.code for _, record in INTERLOCKS} == {*KINDS, "overheat", "dry_run"}
    assert [record.state for _, record in INTERLOCKS] == [states[name] for name, _ in INTERLOCKS]


def test_the_catalogue_has_an_entry_for_each_record() -> None:
    assert not compare(catalogue(), all_records())


def test_a_planned_code_has_an_entry() -> None:
    assert catalogue().planned <= set(catalogue().entries)
    landed = catalogue().planned & set(all_records())
    assert not landed, "in the code: delete them from `planned` in agent/alarms/alarms.toml"


def test_the_gate_names_the_code_and_the_place() -> None:
    records = dict.fromkeys(catalogue().entries, 0)
    del records["port"], records["filter_trend"]
    records["new_alarm"] = 0
    missing, unused = compare(catalogue(), records)
    assert missing.startswith("new_alarm: no entry in agent/alarms/alarms.toml")
    assert unused.startswith("port: entry in agent/alarms/alarms.toml, not in the code")


def test_the_page_needs_an_entry_for_each_record(monkeypatch: pytest.MonkeyPatch) -> None:
    records = {**all_records(), "new_alarm": AlarmRecord("new_alarm", NORMAL, "text", "", True)}
    monkeypatch.syspath_prepend(ROOT / "docs" / "tools")
    reference = importlib.import_module("reference")
    monkeypatch.setattr("agent.tools.alarm_list.all_records", lambda: records)
    with pytest.raises(SystemExit, match="new_alarm: no entry"):
        reference.alarms()


def test_a_number_of_an_alarm_never_changes() -> None:
    """Append a line when an alarm is new. Never change or delete a line."""
    known = {entry.number: entry.code for entry in catalogue().entries.values()}
    known |= {number: code for code, number in catalogue().retired.items()}
    text = (ROOT / "tests/repository/alarm_numbers.txt").read_text(encoding="utf-8")
    frozen = dict(line.split() for line in text.splitlines())
    changed = [f"{n} {code}" for n, code in frozen.items() if known.get(int(n)) != code]
    assert not changed, "a number belongs to one code for ever; a removed code goes to [retired]"
    new = [f"{n} {code}" for n, code in sorted(known.items()) if str(n) not in frozen]
    assert not new, f"append to alarm_numbers.txt: {new}"
