# SPDX-License-Identifier: Apache-2.0
"""Two controllers on one emulated line: one takes over, both never write in one cycle."""

import json

import pytest

from agent.commands import profiles
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.port_numbers import FIRST_BUS
from agent.redundancy.beacon import UNITS, Word, build_request
from agent.redundancy.pair_table import ACTIVE, STANDBY, timers_of
from hil.bench.operator_messages import write_section
from hil.bench.testbed import RPU_UNIT
from hil.bench.testbed_settings import TestbedSettings
from hil.campaign.pair.pair_cases import (
    DOUBLE_KINDS,
    KINDS,
    Fault,
    FaultKind,
    PairCase,
    all_cases,
    draw_cases,
    draw_doubles,
    one_fault,
    run_case,
    run_cases,
)
from hil.campaign.pair.snapshot import run_in_copy
from hil.commands import hil
from hil.errors import BenchError
from hil.run.several.pair_run import PairRun
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.fault}-{kind.seconds}")
def test_one_fault_of_the_active_controller(kind) -> None:
    verdict = run_case(one_fault(kind, 0, 43.7))
    assert verdict.problems == ()


def test_a_fault_of_the_standby_changes_nothing() -> None:
    run = PairRun(TestbedSettings())
    run.at(20, run.begin_fault, "power", 1)
    run.at(25, run.end_fault, "power", 1)
    run.start()
    run.run(40)
    assert [agent.role for agent in run.agents] == ["active", "standby"]
    assert run.agents[0].takeovers == 1
    assert {write.node for write in run.writes} == {0}


def test_the_standby_sends_only_replies_to_beacons() -> None:
    run = PairRun(TestbedSettings())
    sent: list[bytes] = []
    run.line.set_observer(lambda node, frame, _now: sent.append(frame) if node else None)
    run.start()
    run.run(30)
    assert {frame[:2] for frame in sent} == {bytes((UNITS["b"], 23))}
    assert 40 <= len(sent) <= 60  # two in a second
    assert run.agents[0].beacons.peer_role == STANDBY


def test_a_lost_standby_is_an_alarm_of_the_active_controller() -> None:
    run = PairRun(TestbedSettings())
    run.at(20, run.begin_fault, "power", 1)
    run.at(40, run.end_fault, "power", 1)
    run.start()
    run.run(60)
    alarms = [line.split(" ", 1) for line in run.console if "standby_lost" in line]
    assert [text.split(":")[0] for _, text in alarms] == [
        "a alarm raised standby_lost",
        "a alarm cleared standby_lost",
    ]
    assert 23 <= float(alarms[0][0]) <= 25
    assert 40 <= float(alarms[1][0]) <= 48


def test_both_active_by_an_error_of_the_code_one_gives_up() -> None:
    run = PairRun(TestbedSettings())
    run.start()
    run.run(20)
    standby = run.agents[1]
    standby.state = standby.state._replace(role=ACTIVE)
    standby._enter(STANDBY, run.world.now)
    run.run(40)
    assert [agent.role for agent in run.agents].count("active") == 1


def test_a_beacon_with_another_key_changes_nothing() -> None:
    run = PairRun(TestbedSettings())
    run.start()
    run.run(10)
    pdu = build_request(b"x" * 32, UNITS["a"], Word(ACTIVE, 99, 1))
    for number in range(9):
        run.at(11 + 0.37 * number, run.line.send, 1, build_frame(UNITS["a"], pdu))
    run.run(20)
    assert [agent.role for agent in run.agents] == ["active", "standby"]
    assert run.agents[0].beacons.rejected > 0


@pytest.mark.parametrize("frames", [1, 400], ids=["in_each_call", "in_one_call"])
def test_a_controller_that_sends_without_end_is_out(frames: int) -> None:
    """An error of the code, that gives frames in each call, or more than a port takes in one."""
    run = PairRun(TestbedSettings(), is_linked=True)
    run.start()
    run.run(20)
    pair, sent = run.agents[0], [0]
    assert pair.agent is not None
    frame = build_frame(RPU_UNIT, read_holding(0, 1))
    before = pair.agent.outbox

    def outbox() -> list[tuple[int, str, bytes]]:
        return [*before(), *[(FIRST_BUS, "write", frame)] * frames]

    pair.agent.outbox = outbox  # type: ignore[method-assign]
    run.line.set_observer(lambda node, frame, _now: sent.append(0 if node else len(frame)))
    run.run(24)
    assert (pair.role, run.agents[1].role) == ("out", "active")
    assert sum(sent) <= 0.6 * 2 * 1745 + 300  # 19,200 bit/s with 11 bits a character
    assert any("a pair a: out: it sent without end" in line for line in run.console)
    run.command(0, "in")
    run.run(30)
    assert pair.role == "standby"


def test_the_old_controller_returns_as_standby() -> None:
    run = PairRun(TestbedSettings())
    run.at(20, run.begin_fault, "power", 0)
    run.at(30, run.end_fault, "power", 0)
    run.start()
    run.run(60)
    assert [agent.role for agent in run.agents] == ["standby", "active"]


def test_takeover_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["takeover", "--runs", "3", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["runs"], record["broken"]) == (3, [])
    assert hil(["takeover", "--runs", "0"]) == 2
    assert hil(["takeover", "--all", "--double"]) == 2
    assert hil(["takeover", "--runs", "2", "--double", "--json"]) == 0
    captured = capsys.readouterr()
    assert "--double is for --runs" in captured.err
    assert json.loads(captured.out)["faults"] == 2


REMOTE = write_section(TestbedSettings())


def config_of_pair(**changes):
    run = PairRun(TestbedSettings())
    return {**run.config, "redundancy": {"node": "a", "key": "5a" * 32}, **changes}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"buses": {"bus": "tcp:192.0.2.1:502"}},
            "buses.bus is tcp:192.0.2.1:502; over a network .* Use a line that both share, serial:",
        ),
        ({"buses": {"bus": "rtu+tcp:192.0.2.1:502"}}, "buses.bus is rtu.tcp:192.0.2.1:502; over"),
        (
            {"buses": {"bus": "serial:/dev/a?baud=19200", "hall": "tcp:192.0.2.1:502"}},
            "buses has bus, hall; a pair shares one RS-485 line: move the devices to one bus",
        ),
        ({"remote": REMOTE}, "remote needs redundancy.ports: without a link"),
        ({"remote": REMOTE}, "redundancy.node: with remote it is file"),
        ({"bus_timeout_ms": 300}, "bus_timeout_ms is 300, at most 200"),
        ({"redundancy": {"node": "file", "key": "5a" * 32}}, "node_file is missing"),
        ({"redundancy": {"node": "c", "key": "5a" * 32}}, "redundancy.node"),
    ],
)
def test_what_a_pair_cannot_do_is_refused(changes, text: str) -> None:
    load(config_of_pair(), profiles())
    with pytest.raises(ConfigError, match=text):
        load(config_of_pair(**changes), profiles())


@pytest.mark.parametrize("kind", KINDS[-8::3], ids=lambda kind: f"{kind.fault}-{kind.seconds}")
def test_a_copy_of_a_warm_pair_gives_the_verdict_of_a_run_from_the_start(kind: FaultKind) -> None:
    case = one_fault(kind, 1, 42.3)
    assert list(run_cases([case])) == [run_case(case)]


def test_cases_come_in_the_order_of_their_times_and_do_not_change_each_other() -> None:
    cases = list(draw_cases(6, 3))
    together = list(run_cases(cases))
    assert len({verdict.case for verdict in together}) == 6
    assert [verdict.case.at_s for verdict in together if not verdict.case.is_linked] == sorted(
        case.at_s for case in cases if not case.is_linked
    )
    last = together[-1]
    assert next(run_cases([last.case])) == last


def test_two_faults_keep_the_limits() -> None:
    verdicts = list(run_cases(list(draw_doubles(24, 5))))
    assert [verdict for verdict in verdicts if verdict.problems] == []


def test_two_faults_that_leave_two_writers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule that an active controller without replies gives up."""
    true_timers = timers_of
    monkeypatch.setattr(
        "agent.redundancy.paired_agent.timers_of",
        lambda node: true_timers(node)._replace(resign_ms=60_000),
    )
    kinds = [kind for kind in DOUBLE_KINDS if kind.fault == "pause"]
    cases = [
        PairCase((Fault(kinds[0]._replace(seconds=seconds), 0, at_s), Fault(kinds[0], 1, at_s + 9)))
        for seconds in (1.5, 1.6)
        for at_s in (40.2, 41.0, 42.1, 43.3)
    ]
    problems = [text for verdict in run_cases(cases) for text in verdict.problems]
    assert "both controllers wrote in one cycle" in problems


def test_an_error_in_a_copy_is_an_error_here() -> None:
    with pytest.raises(BenchError, match="a copy of the run failed: ZeroDivisionError"):
        run_in_copy(lambda: 1 // 0)
    assert run_in_copy(lambda: [1, "a"]) == [1, "a"]


@pytest.mark.soak
def test_every_kind_at_every_tick() -> None:
    broken = [v for v in run_cases(list(all_cases())) if v.problems]
    assert broken == []
