"""Runs in virtual time: one seed is one run, on every interpreter; verdicts, exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from hil.errors import BenchError
from hil.kernel.dut import InProcess, MakeDut
from hil.run.virtual import Outcome, VirtualRun
from hil.scenario.loader import find, shipped
from hil.scenario.model import parse
from hil.shells.lockstep import LockStep
from tests.support.cli_tools import SHORT, coldloop, ended, one_line, scenario_file, started, until
from tests.support.peers import need
from tests.support.repository import ROOT, flash

FAILING = SHORT + '[[expect]]\nmeasure = "ticks"\nmax = 5\n'


def outcome(name: str, seed: int = 1, make: MakeDut = InProcess) -> Outcome:
    run = VirtualRun(find(name), seed, make)
    try:
        return run.outcome("any", run.run())
    finally:
        run.dut.close()


def test_one_seed_is_one_run_twenty_times() -> None:
    digests = {outcome("smoke").digest for _ in range(20)}
    assert len(digests) == 1
    assert re.fullmatch("[0-9a-f]{64}", digests.pop() or "")


def test_another_seed_is_another_run_with_the_same_verdict() -> None:
    outcomes = [outcome("smoke", seed) for seed in (1, 2, 3)]
    assert len({o.digest for o in outcomes}) == 3
    assert {o.failures for o in outcomes} == {()}


def test_another_event_is_another_run() -> None:
    event = '[[event]]\nat_s = 1\ndo = "it_load"\nvalue = 60\n'
    minute = SHORT.replace("= 3", "= 60")
    runs = [VirtualRun(parse(text, "x"), 1) for text in (minute, minute + event)]
    outcomes = [run.outcome("any", run.run()) for run in runs]
    assert outcomes[0].digest != outcomes[1].digest


LONG_S = 600
LONG = [name for name in shipped() if find(name).seconds > LONG_S]


@pytest.mark.parametrize("name", LONG)
def test_a_long_scenario_passes(name: str) -> None:
    """Beside MicroPython these are run by `make soak`."""
    assert outcome(name).failures == ()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.soak) if n in LONG else n for n in shipped()],
)
def test_both_interpreters_make_the_same_run(name: str) -> None:
    need("micropython")
    here, there = outcome(name), outcome(name, make=LockStep)
    assert here.failures == ()
    assert (there.digest, there.failures) == (here.digest, here.failures)


def other_pythons() -> list[str]:
    """Other CPythons of 3.11 or newer on this machine, one for each version."""
    here = sys.version_info[:2]
    found: dict[str, str] = {}
    for folder in os.environ["PATH"].split(":"):
        for minor in range(11, 20):
            path = Path(folder, f"python3.{minor}")
            if (3, minor) != here and path.is_file() and path.name not in found:
                found[path.name] = str(path)
    return list(found.values())


def by_another(python: str, hash_seed: str) -> "dict[str, Any] | None":
    """A smoke run by another interpreter with this one's (pure Python) libraries."""
    variables = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": hash_seed,
    }
    command = [python, str(ROOT / "coldloop.py"), "hil", "run", "smoke", "--json"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_another_cpython_and_another_hash_seed_make_the_same_run() -> None:
    digest = outcome("smoke").digest
    for hash_seed in ("0", "1"):
        record = by_another(sys.executable, hash_seed)
        assert record is not None
        assert record["digest"] == digest
    others = [record for p in other_pythons() if (record := by_another(p, "2")) is not None]
    if not others:
        pytest.skip("no other CPython >= 3.11 that can use these libraries")
    assert {record["digest"] for record in others} == {digest}


def test_the_record_has_what_is_promised() -> None:
    done = coldloop("hil", "run", "smoke", "--seed", "7", "--json")
    assert done.returncode == 0
    record = json.loads(one_line(done.stdout))
    assert record == {
        "scenario": "smoke",
        "seed": 7,
        "dut": "cpython",
        "verdict": "pass",
        "digest": outcome("smoke", 7).digest,
        "virtual_s": 120.0,
        "wall_s": record["wall_s"],
        "speed": record["speed"],
        "failures": [],
    }
    assert record["speed"] == pytest.approx(120 / record["wall_s"], rel=0.01)


def test_a_scenario_that_fails_is_exit_1_and_its_replay_line_fails_alike(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, FAILING, "it's mine.toml")
    done = coldloop("hil", "run", path, "--seed", "3")
    assert (done.returncode, done.stderr) == (1, "")
    first, failure, again = done.stdout.splitlines()
    assert first.startswith("FAIL  short  seed 3  cpython  3 s in ")
    assert re.fullmatch(r"  ticks: not <= 5; worst \d+  at 3 s", failure)
    assert again.startswith("  again: coldloop hil run ")
    words = again.removeprefix("  again: ")
    shell = subprocess.run(
        f'coldloop() {{ "{sys.executable}" "{ROOT}/coldloop.py" "$@"; }}; {words}',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shell.returncode == 1
    assert shell.stdout.splitlines()[1:] == [failure, again]


def test_a_failure_is_in_the_record_too(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, FAILING)
    done = coldloop("hil", "run", path, "--json", "--dut", "cpython")
    record = json.loads(one_line(done.stdout))
    assert (done.returncode, record["verdict"]) == (1, "fail")
    assert len(record["failures"]) == 1


def test_a_dead_micropython_is_a_bench_error_and_leaves_nothing_behind() -> None:
    need("micropython")
    cores = os.sched_getaffinity(0)
    run = VirtualRun(parse(SHORT, "x"), 1, LockStep)
    assert isinstance(run.dut, LockStep)
    os.kill(run.dut._process.pid, signal.SIGKILL)
    with pytest.raises(BenchError, match="MicroPython process ended with -9"):
        run.run()
    assert os.sched_getaffinity(0) == cores
    run.dut.close()  # as the command does in any case


def test_a_micropython_that_cannot_start_the_agent_is_a_bench_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    need("micropython")
    cores = os.sched_getaffinity(0)
    with pytest.raises(BenchError, match="MicroPython process ended with 1"):
        LockStep({"version": 2}, {})
    assert "ConfigError" in capfd.readouterr().err
    assert os.sched_getaffinity(0) == cores


def test_a_heap_that_is_too_small_is_a_bench_error(capfd: pytest.CaptureFixture[str]) -> None:
    need("micropython")
    with pytest.raises(BenchError, match="MicroPython process ended with 1"):
        VirtualRun(parse(SHORT, "x"), 1, lambda c, p: LockStep(c, p, heap="40wK"))
    assert "MemoryError" in capfd.readouterr().err


def test_a_missing_micropython_names_the_package() -> None:
    with pytest.raises(BenchError, match="install Debian's package micropython"):
        LockStep({}, {}, interpreter="no-such-micropython")


def test_a_missing_micropython_is_one_line_and_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for words in (("smoke",), ("smoke", "--real-time")):
        done = coldloop("hil", "run", *words, "--dut", "micropython")
        assert done.returncode == 2
        assert "micropython: not installed" in one_line(done.stderr)


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_a_long_run_ends_when_asked(dut: str, tmp_path: Path) -> None:
    if dut == "micropython":
        need("micropython")
    text = SHORT.replace("= 3", "= 1000000") + '[[expect]]\nmeasure = "ticks"\nmin = 0\n'
    words = ("hil", "run", scenario_file(tmp_path, text), "--dut", dut)
    with started(*words) as one, started(*words) as two:
        for process in (one, two):
            until("it minds signals", lambda p=process: catches(p.pid, signal.SIGTERM))
            begun = cpu_s(process.pid)
            until("it works hard", lambda p=process, b=begun: cpu_s(p.pid) > b + 0.3)
        assert ended(one, signal.SIGTERM) == (2, "", "coldloop hil run: interrupted\n")
        assert ended(two, signal.SIGINT) == (130, "", "")


def catches(pid: int, number: int) -> bool:
    """Say whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> number - 1 & 1)


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_peak_heap_is_told_when_asked_for() -> None:
    need("micropython")
    run = VirtualRun(parse(SHORT, "x"), 1, lambda c, p: LockStep(c, p, watch_memory=True))
    run.run()
    assert isinstance(run.dut, LockStep)
    assert 50_000 < run.dut.peak_heap() < 2 * 256 * 1024
    run.dut.close()


def test_the_console_says_what_an_operator_would_read() -> None:
    run = VirtualRun(find("bus-loss"), 1)
    run.run()
    raised = [line for line in run.console if "alarm raised bus_lost" in line]
    cleared = [line for line in run.console if "alarm cleared bus_lost" in line]
    assert len(raised) == len(cleared) == 1
    assert 30 < float(raised[0].split()[0]) < 38
    assert 60 < float(cleared[0].split()[0]) < 66


def test_a_unit_that_takes_changes_fits_a_board() -> None:
    need("micropython")

    def board(*given: Any) -> LockStep:
        return LockStep(*given, path=flash(), heap="256wK")

    here, there = outcome("config-push"), outcome("config-push", make=board)
    assert (there.digest, there.failures) == (here.digest, ())
