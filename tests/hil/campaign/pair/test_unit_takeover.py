# SPDX-License-Identifier: Apache-2.0
"""The acceptance of a unit with a pair: a takeover in both directions, with emulated twins."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.redundancy.pair_table import timers_of
from hil.commands import hil
from hil.run.unit.record_unit import record_twin
from hil.run.unit.unit_file import load_unit
from hil.run.unit.unit_suite import TAKEOVER, build_suite
from tests.hil.unit.test_unit import write_site
from tests.portable.agent.config.test_roles import all_roles, cdu_profile

KEY = "5a" * 32
LINK = {
    "port": "store:/var/lib/coldloop/pair",
    "ports": {"a": "udp:10.0.0.1:5246", "b": "udp:10.0.0.2:5246"},
}


def write_pair(folder: Path, baud: int = 19200, **section: Any) -> Path:
    path = write_site(folder, all_roles(), cdu_profile())
    raw = json.loads(path.read_text())
    raw["buses"] = {"bus": f"serial:/dev/ttyUSB0?baud={baud}&parity=N"}
    raw["bus_timeout_ms"] = 200
    raw["redundancy"] = {"node": "file", "node_file": "/etc/node", "key": KEY, **section}
    path.write_text(json.dumps(raw))
    return path


def run_takeover(path: Path) -> tuple[str, ...]:
    unit = load_unit(path)
    found = [s for s in build_suite(unit, is_real=False).scenarios if s.name == TAKEOVER]
    assert len(found) == 1
    return record_twin(unit, found[0], 1, "cpython").run_result.failures


@pytest.mark.parametrize("section", [{}, LINK], ids=["line alone", "with a link"])
def test_a_pair_takes_over_in_both_directions(tmp_path: Path, section: dict[str, Any]) -> None:
    assert run_takeover(write_pair(tmp_path, **section)) == ()


def test_a_late_takeover_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "agent.redundancy.paired_agent.timers_of",
        lambda node: timers_of(node)._replace(read_ms=2000),
    )
    found = run_takeover(write_pair(tmp_path))
    assert any(failure.startswith("writer_gap_s: not <= 2") for failure in found)


def test_a_standby_that_does_not_take_over_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agent.redundancy.paired_agent.timers_of",
        lambda node: timers_of(node)._replace(silence_ms=600_000 if node == "b" else 500),
    )
    found = run_takeover(write_pair(tmp_path))
    assert any(failure.startswith("role:2: not 8") for failure in found)


def test_a_single_controller_has_no_such_scenario(tmp_path: Path) -> None:
    unit = load_unit(write_site(tmp_path, all_roles(), cdu_profile()))
    assert TAKEOVER not in [s.name for s in build_suite(unit, is_real=False).scenarios]


def test_the_command_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_pair(tmp_path)
    hil(["run", "acceptance", "--unit", str(path), "--json"])
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["verdict"] for run in runs if run["scenario"] == TAKEOVER] == ["pass"]
