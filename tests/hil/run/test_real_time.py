"""Scenarios in real time: real ports, the agent as a process on each interpreter, all at once."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hil.errors import ScenarioError
from hil.scenario.loader import find, shipped
from hil.scenario.model import parse
from tests.support.cli_tools import (
    PATIENCE_S,
    SHORT,
    coldloop,
    ended,
    one_line,
    scenario_file,
    started,
    until,
)
from tests.support.peers import need
from tests.support.repository import ROOT

OUTAGE = """
name = "outage"
title = "the bus falls silent for 5 s"
seconds = 18
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
from_s = 16
[[expect]]
measure = "state"
max = 0
from_s = 16
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Processes]]:
    """The outage on both interpreters, one that fails, one to be interrupted, side by side."""
    folder = tmp_path_factory.mktemp("realtime")
    outage = scenario_file(folder, OUTAGE, "outage.toml")
    failing = scenario_file(folder, FAILING, "failing.toml")
    wanted = {
        "micropython": (outage, "--json", "--dut", "micropython"),
        "cpython": (outage, "--json", "--log", str(folder / "log")),
        "failing": (failing, "--seed", "4"),
        "interrupted": (outage,),
    }
    with ExitStack() as stack:
        yield (
            folder,
            {
                name: stack.enter_context(started("hil", "run", "--real-time", *words))
                for name, words in wanted.items()
            },
        )


def test_one_that_fails_is_exit_1_with_a_replay_line_in_real_time(
    runs: tuple[Path, Processes],
) -> None:
    folder, processes = runs
    code, out, err = ended(processes["failing"])
    assert (code, err) == (1, "")
    first, failure, again = out.splitlines()
    assert re.match(r"FAIL  short  seed 4  cpython  3 s in \d+\.\d\d s", first)
    assert failure.startswith("  ticks: not <= 5; worst ")
    path = folder / "failing.toml"
    assert again == f"  again: coldloop hil run {path} --seed 4 --dut cpython --real-time"


def test_sigterm_ends_one_in_order(runs: tuple[Path, Processes]) -> None:
    process = runs[1]["interrupted"]
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    children = until("there is an agent", lambda: listed.read_text().split())
    assert len(children) == 1
    assert ended(process, signal.SIGTERM) == (2, "", "coldloop hil run: interrupted\n")
    assert not Path("/proc", children[0]).exists()


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_an_outage_passes_in_real_time(runs: tuple[Path, Processes], dut: str) -> None:
    need(dut) if dut == "micropython" else None
    code, out, err = ended(runs[1][dut])
    record: dict[str, Any] = json.loads(one_line(out))
    assert (code, record["failures"], err) == (0, [], "")
    assert record == {
        "scenario": "outage",
        "seed": 1,
        "dut": dut,
        "verdict": "pass",
        "digest": None,
        "virtual_s": 18.0,
        "wall_s": record["wall_s"],
        "speed": record["speed"],
        "failures": [],
    }
    assert 18 < record["wall_s"] < PATIENCE_S


def test_the_log_holds_what_the_agent_said(runs: tuple[Path, Processes]) -> None:
    """After the run above has ended."""
    said = (runs[0] / "log").read_text()
    assert "alarm raised bus_lost:bus" in said
    assert "alarm cleared bus_lost:bus" in said


def test_a_log_that_cannot_be_written_is_one_line_and_exit_2() -> None:
    done = coldloop("hil", "run", "smoke", "--real-time", "--log", "/nowhere/log")
    assert done.returncode == 2
    said = one_line(done.stderr)
    assert said.startswith("coldloop hil run: /nowhere/log: No such file or directory; name a log")


def test_an_agent_that_ends_by_itself_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hil.commands import hil  # noqa: PLC0415
    from hil.run import real_bench  # noqa: PLC0415 - only here

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setitem(real_bench.AGENT, "cpython", ["false"])
    assert hil(["run", "--real-time", scenario_file(tmp_path, FAILING)]) == 2
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
        signal.signal(number, handler)
    said = one_line(capsys.readouterr().err)
    assert said == "coldloop hil run: the agent ended with 1 after 1 s"


# The same verdict as in virtual time, for every scenario that is tagged `realtime`.

TAGGED = [name for name in shipped() if find(name).realtime]
AT_ONCE = 4


def verdicts(name: str, done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    record: dict[str, Any] = json.loads(one_line(done.stdout))
    return {"name": name, "verdict": record["verdict"], "failures": record["failures"]}


def in_real_time(name: str, tries: int = 1) -> dict[str, Any]:
    """A machine that is busy with other things misses ticks: then once more."""
    found: dict[str, Any] = {}
    for _ in range(tries):
        done = coldloop("hil", "run", name, "--real-time", "--json", timeout_s=400)
        found = verdicts(name, done)
        if not found["failures"]:
            break
    return found


def test_tagged_are_those_that_real_time_can_bear() -> None:
    """Power cuts, stores' faults and a start in another year are virtual only."""
    assert len(TAGGED) >= 15
    text = (ROOT / "hil" / "scenarios" / "power-cuts.toml").read_text()
    wrong = re.sub(r"(?m)^seconds = .*$", "seconds = 100\nrealtime = true", text)
    wrong = re.sub(r"(?m)^(from_s|until_s) = .*$", r"\1 = 99", wrong)
    wrong = re.sub(r"(?m)^at_s = .*$", "at_s = 50", wrong)
    with pytest.raises(ScenarioError, match="power_cut is there in virtual time alone"):
        parse(wrong, "x.toml")


def test_a_short_scenario_has_the_same_verdict_in_real_time() -> None:
    """The technician's look, which has prompts: `make soak` runs all."""
    assert in_real_time("look", 3) == {"name": "look", "verdict": "pass", "failures": []}


@pytest.mark.soak
def test_every_tagged_scenario_has_the_same_verdict_in_real_time() -> None:
    """A few beside each other: a busy machine is late, and that is not what is judged."""
    virtual = [verdicts(name, coldloop("hil", "run", name, "--json")) for name in TAGGED]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        real = list(pool.map(lambda name: in_real_time(name, 3), TAGGED))
    assert real == virtual
