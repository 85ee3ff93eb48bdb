# SPDX-License-Identifier: Apache-2.0
"""Scenarios in real time: real ports, and the agent as a process on each interpreter."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hil.bench.agent_factory import AgentBench
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import ScenarioError
from hil.run.real_bench import RealBench
from hil.scenario.loader import find, parse
from tests.hil.digests.shared_runs import shipped_models
from tests.support.cli_tools import (
    SHORT,
    TIMEOUT_S,
    check_one_line,
    run_coldloop,
    running_command,
    scenario_file,
    wait_for_exit,
    wait_until,
)
from tests.support.programs import require_program

OUTAGE = """
name = "outage"
title = "the bus falls silent for 5 s"
seconds = 24
[[event]]
at_s = 5
do = "bus_silent"
for_s = 5
[[expect]]
measure = "alarm:bus_lost"
min = 1
from_s = 6
until_s = 12
ever = true
[[expect]]
measure = "alarms"
max = 0
from_s = 22
[[expect]]
measure = "state"
max = 0
from_s = 22
[[expect]]
measure = "clock"
min = 1
max = 1
from_s = 10
[[expect]]
measure = "utc_error_ms"
unit = "ms"
max = 50
from_s = 10
[[expect]]
measure = "supply_c"
unit = "Cel"
min = 30
max = 34
from_s = 4
[[expect]]
measure = "acknowledged_pct"
unit = "%"
min = 80
from_s = 12
[[expect]]
measure = "ticks"
min = 120
from_s = 18
[[expect]]
measure = "missed_ticks"
max = 0
from_s = 4
"""
FAILING = SHORT + '[[expect]]\nmeasure = "ticks"\nmax = 5\nfrom_s = 3\n'
Processes = dict[str, "subprocess.Popen[str]"]


def outage_options(folder: Path, dut: str) -> tuple[str, ...]:
    if dut == "micropython":
        return "--json", "--dut", "micropython"
    return "--json", "--log", str(folder / "log")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Processes]]:
    """Run at the same time: the outage on both interpreters, a failing run, an interrupted run."""
    folder = tmp_path_factory.mktemp("realtime")
    outage = scenario_file(folder, OUTAGE, "outage.toml")
    failing = scenario_file(folder, FAILING, "failing.toml")
    commands = {
        "micropython": (outage, *outage_options(folder, "micropython")),
        "cpython": (outage, *outage_options(folder, "cpython")),
        "failing": (failing, "--seed", "4"),
        "interrupted": (outage,),
    }
    with ExitStack() as stack:
        yield (
            folder,
            {
                name: stack.enter_context(running_command("hil", "run", "--real-time", *arguments))
                for name, arguments in commands.items()
            },
        )


def test_failing_run_exits_1_with_repeat_line(
    runs: tuple[Path, Processes],
) -> None:
    folder, processes = runs
    code, out, err = wait_for_exit(processes["failing"])
    assert (code, err) == (1, "")
    first, failure, repeat_line = out.splitlines()
    assert re.match(r"FAIL  short  seed 4  cpython  3 s in \d+\.\d\d s", first)
    assert failure.startswith("  ticks: not <= 5; worst ")
    path = folder / "failing.toml"
    assert repeat_line == f"  again: coldloop hil run {path} --seed 4 --dut cpython --real-time"


def test_sigterm_ends_run_in_order(runs: tuple[Path, Processes]) -> None:
    process = runs[1]["interrupted"]
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    children = wait_until("the agent has started", lambda: listed.read_text().split())
    assert len(children) == 1
    code, out, err = wait_for_exit(process, signal.SIGTERM)
    assert code == 130
    if out:  # the first second had ended: what was run is a result
        assert re.search(r"  interrupted after \d+ of \d+ s\n", out)
        assert err == "interrupted after 0 of 1 scenarios\n"
    else:
        assert err == ""
    assert not Path("/proc", children[0]).exists()


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_outage_passes_in_real_time(runs: tuple[Path, Processes], dut: str) -> None:
    require_program(dut) if dut == "micropython" else None
    folder, processes = runs
    code, out, err = wait_for_exit(processes[dut])
    if code == 1:  # a machine that stands still for seconds misses ticks: once more, alone
        options = (str(folder / "outage.toml"), *outage_options(folder, dut))
        with running_command("hil", "run", "--real-time", *options) as process:
            code, out, err = wait_for_exit(process)
    record: dict[str, Any] = json.loads(check_one_line(out))
    assert (code, record["failures"]) == (0, []), err  # a long run shows its progress there
    assert record == {
        "scenario": "outage",
        "seed": 1,
        "dut": dut,
        "verdict": "pass",
        "digest": None,
        "virtual_s": 24.0,
        "wall_s": record["wall_s"],
        "speed": record["speed"],
        "failures": [],
    }
    assert 24 < record["wall_s"] < TIMEOUT_S


def test_log_contains_agent_output(runs: tuple[Path, Processes]) -> None:
    """Uses the log of the run above."""
    output = (runs[0] / "log").read_text()
    assert "alarm raised bus_lost:bus" in output
    assert "alarm cleared bus_lost:bus" in output


def test_unwritable_log_prints_one_line_and_exits_2() -> None:
    process = run_coldloop("hil", "run", "smoke", "--real-time", "--log", "/nowhere/log")
    assert process.returncode == 2
    output = check_one_line(process.stderr)
    assert output.startswith(
        "coldloop hil run: /nowhere/log: No such file or directory; name a writable log"
    )


def test_agent_exit_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hil.commands import hil  # noqa: PLC0415
    from hil.run import agent_process  # noqa: PLC0415 - only here

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setitem(agent_process.AGENT_COMMANDS, "cpython", ["false"])
    assert hil(["run", "--real-time", scenario_file(tmp_path, FAILING)]) == 2
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
        signal.signal(number, handler)
    output = check_one_line(capsys.readouterr().err)
    assert output == "coldloop hil run: the agent ended with exit code 1 after 1 s"


# Each scenario with `realtime` has the same verdict as in virtual time.

REAL_TIME_NAMES = [name for name, model in shipped_models().items() if model.realtime]
PARALLEL_RUNS = 4


def read_verdict(name: str, process: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    record: dict[str, Any] = json.loads(check_one_line(process.stdout))
    return {"name": name, "verdict": record["verdict"], "failures": record["failures"]}


def run_in_real_time(name: str, tries: int = 1) -> dict[str, Any]:
    """Run a scenario; try again if a busy machine has missed ticks."""
    verdict: dict[str, Any] = {}
    for _ in range(tries):
        process = run_coldloop("hil", "run", name, "--real-time", "--json", timeout_s=400)
        verdict = read_verdict(name, process)
        if not verdict["failures"]:
            break
    return verdict


def test_virtual_only_faults_are_refused_in_real_time() -> None:
    """Power cuts, faults of stores and another start time need virtual time."""
    assert len(REAL_TIME_NAMES) >= 15
    text = find("power-cuts").text
    invalid = re.sub(r"(?m)^seconds = .*$", "seconds = 100\nrealtime = true", text)
    invalid = re.sub(r"(?m)^(from_s|until_s) = .*$", r"\1 = 99", invalid)
    invalid = re.sub(r"(?m)^at_s = .*$", "at_s = 50", invalid)
    with pytest.raises(ScenarioError, match="power_cut is available in virtual time only"):
        parse(invalid, "x.toml")


def test_short_scenario_has_the_same_verdict_in_real_time() -> None:
    """The scenario `look` has questions without answers; `make soak` runs all."""
    expected = {"name": "look", "verdict": "incomplete", "failures": []}
    assert run_in_real_time("look", 3) == expected


@pytest.mark.soak
def test_all_real_time_scenarios_have_the_same_verdict() -> None:
    """At most four runs at a time: a busy machine would be late."""
    virtual = [
        read_verdict(name, run_coldloop("hil", "run", name, "--json")) for name in REAL_TIME_NAMES
    ]
    with ThreadPoolExecutor(PARALLEL_RUNS) as pool:
        real = list(pool.map(lambda name: run_in_real_time(name, 3), REAL_TIME_NAMES))
    assert real == virtual


class QuietBoard:
    """A board that sends nothing."""

    status: dict[str, Any] | None = None

    def __init__(self) -> None:
        self.is_open = True

    def config(self) -> dict[str, Any]:
        return {}

    def command(self) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    def close(self) -> None:
        self.is_open = False


def test_a_power_cut_of_a_board_closes_its_ports() -> None:
    boards: list[QuietBoard] = []

    def make(_: AgentBench) -> QuietBoard:
        boards.append(QuietBoard())
        return boards[-1]

    with RealBench(TestbedSettings(), 1, make_board_agent=make) as bench:
        for started in (1, 2):
            bench.start_agent("qemu")
            assert [board.is_open for board in boards] == [False] * (started - 1) + [True]
            bench.stop_agent()
            assert not boards[-1].is_open
            assert bench.status() is None
