# SPDX-License-Identifier: Apache-2.0
"""Runs in virtual time: a seed gives one digest on every interpreter; verdicts, exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.bench.testbed_settings import several_setting
from hil.errors import BenchError
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, parse
from hil.shells.lockstep import LockStepDut
from tests.hil.digests.shared_runs import (
    board_lock_step,
    on_both,
    quick_lock_step,
    run_scenario,
    shared_result,
    shipped_models,
)
from tests.support.cli_tools import (
    SHORT,
    call_coldloop,
    check_one_line,
    run_coldloop,
    running_command,
    scenario_file,
    wait_for_exit,
    wait_until,
)
from tests.support.programs import require_program
from tests.support.repository import ROOT

FAILING = SHORT + '[[expect]]\nmeasure = "ticks"\nmax = 5\n'


def test_seed_gives_one_digest_in_five_runs() -> None:
    digests = {shared_result("smoke").digest, *(run_scenario("smoke").digest for _ in range(4))}
    assert len(digests) == 1
    assert re.fullmatch("[0-9a-f]{64}", digests.pop() or "")


def test_other_seed_gives_other_digest_and_same_verdict() -> None:
    results = [shared_result("smoke", seed) for seed in (1, 2, 3)]
    assert len({result.digest for result in results}) == 3
    assert {result.failures for result in results} == {()}


def test_other_event_gives_other_digest() -> None:
    event = '[[event]]\nat_s = 1\ndo = "it_load"\nvalue = 60\n'
    minute = SHORT.replace("= 3", "= 60")
    runs = [VirtualRun(parse(text, "x"), 1) for text in (minute, minute + event)]
    results = [run.make_result("any", run.run()) for run in runs]
    assert results[0].digest != results[1].digest


SOAK_S = 2000
"""A longer scenario runs in `make soak` only."""
_LAW, _CLOCK = "tests/portable/agent/control/law", "tests/portable/agent/clock"
QUICKER = {
    "autotune": "tests/portable/agent/control/operation/test_tuning.py"
    "::test_a_test_proposes_gains_and_ends_bumpless",
    "dew-frozen": f"{_LAW}/test_dew_point.py::test_frozen_humidity_is_found_and_two_changes_end_it",
    "fan-lost": "tests/portable/agent/control/test_fan_group.py"
    "::test_lost_fan_is_compensated_by_the_other",
    "group-sensors": "tests/agent/group/test_group_rules.py"
    "::test_no_unit_stops_while_a_heat_is_not_known",
    "group-stage": "tests/agent/group/test_group_rules.py"
    "::test_a_changing_load_gives_at_most_one_change_in_300_s",
    "heat-rejection-lost": "heat-rejection-back",
    "humidity-sensors-dead": f"{_LAW}/test_dew_point.py"
    "::test_one_lost_sensor_adds_margin_and_two_give_the_fallback",
    "lie-drift": f"{_LAW}/row/test_plausibility.py::test_slow_drift_is_found_by_two_relations",
    "lie-return": f"{_LAW}/row/test_plausibility.py::test_lies_of_the_return_are_replaced",
    "lie-supply": f"{_LAW}/row/test_plausibility.py"
    "::test_lies_of_the_supply_are_replaced_immediately",
    "link-budget": "tests/portable/agent/satcom/test_component.py"
    "::test_a_budget_survives_any_number_of_restarts",
    "link-outage": "link-half-open",
    "load-swing": "load-swing-late",
    "load-swing-worn": "load-swing-more-ua",
    "room-dry": f"{_LAW}/test_dew_point.py::test_sensors_that_fall_together_and_agree_are_valid",
    "time-drag-fast": f"{_CLOCK}/test_utc_clock_pulses.py"
    "::test_1_us_per_s_drag_is_detected_within_a_minute",
    "time-drag-slow": f"{_CLOCK}/test_utc_clock_pulses.py"
    "::test_100_ns_per_s_drag_is_detected_with_a_tcxo",
    "time-leap-second": f"{_CLOCK}/test_clock_traces.py::test_leap_second",
    "time-restart": f"{_CLOCK}/test_persistence.py::test_stored_min_utc_and_rate_are_used",
    "time-wrong": f"{_CLOCK}/test_wrong_date.py::test_synced_clock_rejects_wrong_times",
}
"""Long scenarios that run in `make soak` only, and what is quicker and has the same subject in each
`make test`: a test, or another scenario. They took a quarter of the time of all on CPython."""
HAZARDS = sorted(path.stem for path in (ROOT / "hil/scenarios/hazard").glob("*.toml"))
USUAL = [name for name in shipped_models() if name not in HAZARDS]
BOARD_HEAP = {
    "config-push": "296wK",
    "power-cuts": "304wK",
}
"""Scenarios that run on MicroPython with the heap of a board. 304 KiB of heap, of which 288 are
needed: the names lie in this heap; a board has them frozen in flash."""
SEVERAL = [name for name in USUAL if several_setting(shipped_models()[name].settings)]
"""Scenarios of several controllers; these run on CPython."""
ON_BOTH = (
    *BOARD_HEAP,
    *("air-in-loop-loads", "all-at-once", "bmc-troubles", "bus-noise"),
    *("dew-hand-valve", "drive-local", "grid-staged", "leak-brief"),
    *("link-alarm", "link-log", "meter-rollover", "mode-change", "optimiser", "outlet-ignores"),
    *("pair-lie-restart", "pair-supply-noise", "proofs-kept"),
    *("receiver-antenna-open", "receiver-antenna-short", "receiver-corrupt", "receiver-deaf"),
    *("receiver-desense", "receiver-late", "reload", "restart-caps", "smoke"),
)
"""Scenarios that run on MicroPython in each `make test`, the others in `make soak`. With the
portable tests they execute at least 98.9 % of the lines of portable code that all scenarios of up
to 600 s execute (16,097 lines)."""


def soak_if(condition: bool, name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.soak) if condition else name


@pytest.mark.parametrize(
    "name",
    [soak_if(shipped_models()[n].seconds > SOAK_S or n in QUICKER, n) for n in USUAL],
)
def test_scenario_passes(name: str) -> None:
    """On CPython; those of ON_BOTH run in the next test."""
    if name not in ON_BOTH:
        assert shared_result(name).failures == ()


@pytest.mark.parametrize("name", [soak_if(n not in ON_BOTH, n) for n in USUAL if n not in SEVERAL])
def test_both_interpreters_give_the_same_digest(name: str) -> None:
    """In one world, but `smoke` in two: from its sources, as `hil run --dut micropython` does."""
    require_program("micropython")
    if name == "smoke":
        on_micropython = run_scenario(name, make_dut=LockStepDut)
        on_cpython = shared_result(name)
        assert (on_micropython.digest, on_micropython.failures) == on_cpython
    else:
        heap = BOARD_HEAP.get(name)
        make = board_lock_step(heap) if heap else quick_lock_step
        on_cpython = shared_result(name, make_dut=on_both(make))
    assert on_cpython.failures == ()


@pytest.mark.parametrize("name", QUICKER)
def test_each_scenario_of_the_soak_tests_has_a_quicker_test(name: str) -> None:
    file, separator, test = QUICKER[name].partition("::")
    assert name in USUAL
    if separator:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")
    else:
        assert find(file).seconds < find(name).seconds
        assert file not in QUICKER


def test_a_bus_of_ten_devices_fits_the_heap_of_the_sources() -> None:
    require_program("micropython")
    short = replace(find("full-bench"), seconds=1, events=(), expectations=())
    assert run_scenario(short, make_dut=LockStepDut).failures == ()


@pytest.mark.soak
@pytest.mark.parametrize("name", HAZARDS)
def test_hazard_scenario_passes_on_both_interpreters(name: str) -> None:
    require_program("micropython")
    for case in find(name).expand_cases():
        assert run_scenario(case, make_dut=on_both(quick_lock_step)).failures == ()


def find_other_pythons() -> list[str]:
    """Find other versions of CPython from 3.11 on, one path for each version."""
    own_version = sys.version_info[:2]
    paths: dict[str, str] = {}
    for folder in os.environ["PATH"].split(":"):
        for minor in range(11, 20):
            path = Path(folder, f"python3.{minor}")
            if (3, minor) != own_version and path.is_file() and path.name not in paths:
                paths[path.name] = str(path)
    return list(paths.values())


def run_with(python: str, hash_seed: str) -> "dict[str, Any] | None":
    """Run `smoke` with another interpreter and the (pure Python) libraries of this one."""
    variables = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": hash_seed,
    }
    command = [python, str(ROOT / "coldloop.py"), "hil", "run", "smoke", "--json"]
    process = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return json.loads(process.stdout) if process.returncode == 0 else None


def test_other_cpython_and_hash_seed_give_the_same_digest() -> None:
    digest = shared_result("smoke").digest
    for hash_seed in ("0", "1"):
        record = run_with(sys.executable, hash_seed)
        assert record is not None
        assert record["digest"] == digest
    others = [record for p in find_other_pythons() if (record := run_with(p, "2")) is not None]
    if not others:
        pytest.skip("no other CPython >= 3.11 that can use these libraries")
    assert {record["digest"] for record in others} == {digest}


def test_json_record_is_complete() -> None:
    process = call_coldloop("hil", "run", "smoke", "--seed", "7", "--json")
    assert process.returncode == 0
    record = json.loads(check_one_line(process.stdout))
    assert record == {
        "scenario": "smoke",
        "seed": 7,
        "dut": "cpython",
        "verdict": "pass",
        "digest": shared_result("smoke", 7).digest,
        "virtual_s": 120.0,
        "wall_s": record["wall_s"],
        "speed": record["speed"],
        "failures": [],
    }
    assert record["speed"] == pytest.approx(120 / record["wall_s"], rel=0.01)


def test_failing_scenario_exits_1_and_is_repeatable(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, FAILING, "it's mine.toml")
    process = run_coldloop("hil", "run", path, "--seed", "3")
    assert (process.returncode, process.stderr) == (1, "")
    first, failure, repeat_line = process.stdout.splitlines()
    assert first.startswith("FAIL  short  seed 3  cpython  3 s in ")
    assert re.fullmatch(r"  ticks: not <= 5; worst \d+  at 3 s", failure)
    assert repeat_line.startswith("  again: coldloop hil run ")
    arguments = repeat_line.removeprefix("  again: ")
    shell = subprocess.run(
        f'coldloop() {{ "{sys.executable}" "{ROOT}/coldloop.py" "$@"; }}; {arguments}',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shell.returncode == 1
    assert shell.stdout.splitlines()[1:] == [failure, repeat_line]


def test_failure_is_in_the_record(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, FAILING)
    process = call_coldloop("hil", "run", path, "--json", "--dut", "cpython")
    record = json.loads(check_one_line(process.stdout))
    assert (process.returncode, record["verdict"]) == (1, "fail")
    assert len(record["failures"]) == 1


def test_killed_micropython_is_a_bench_error() -> None:
    require_program("micropython")
    cores = os.sched_getaffinity(0)
    run = VirtualRun(parse(SHORT, "x"), 1, LockStepDut)
    assert isinstance(run.dut, LockStepDut)
    os.kill(run.dut._process.pid, signal.SIGKILL)
    with pytest.raises(BenchError, match="MicroPython process ended with -9"):
        run.run()
    assert os.sched_getaffinity(0) == cores
    run.dut.close()  # the command closes it in any case


def test_failed_agent_start_is_a_bench_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    require_program("micropython")
    cores = os.sched_getaffinity(0)
    with pytest.raises(BenchError, match="MicroPython process ended with 1"):
        LockStepDut({"version": 2}, {})
    assert "ConfigError" in capfd.readouterr().err
    assert os.sched_getaffinity(0) == cores


def test_too_small_heap_is_a_bench_error(capfd: pytest.CaptureFixture[str]) -> None:
    require_program("micropython")
    with pytest.raises(BenchError, match="MicroPython process ended with 1"):
        VirtualRun(parse(SHORT, "x"), 1, lambda c, p: LockStepDut(c, p, heap="40wK"))
    assert "MemoryError" in capfd.readouterr().err


def test_missing_micropython_names_the_package() -> None:
    with pytest.raises(BenchError, match="install Debian's package micropython"):
        LockStepDut({}, {}, interpreter="no-such-micropython")


def test_missing_micropython_prints_one_line_and_exits_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for arguments in (("smoke",), ("smoke", "--real-time")):
        process = call_coldloop("hil", "run", *arguments, "--dut", "micropython")
        assert process.returncode == 2
        assert "micropython: not installed" in check_one_line(process.stderr)


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_signals_end_a_long_run(dut: str, tmp_path: Path) -> None:
    if dut == "micropython":
        require_program("micropython")
    text = SHORT.replace("= 3", "= 1000000") + '[[expect]]\nmeasure = "ticks"\nmin = 0\n'
    arguments = ("hil", "run", scenario_file(tmp_path, text), "--dut", dut)
    numbers = [signal.SIGTERM, signal.SIGINT]
    # nohup ignores SIGHUP; its handler is that of the others, and MicroPython starts slowly
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and dut == "cpython":
        numbers.append(signal.SIGHUP)
    for number in numbers:
        with running_command(*arguments) as process:
            wait_until_busy(process.pid)
            code, out, err = wait_for_exit(process, number)
        assert code == 130
        assert "Traceback" not in err
        if out:  # the first second had ended: what was run is a result
            assert out.startswith("FAIL  short")
            assert re.search(r"interrupted after \d+ of 1000000 s", out)
            assert err == "interrupted after 0 of 1 scenarios\n"


def wait_until_busy(pid: int) -> None:
    """Wait until a process handles signals and has used CPU time since."""
    wait_until("it handles signals", lambda: handles_signal(pid, signal.SIGTERM))
    start_s = cpu_s(pid)
    wait_until("it uses CPU time", lambda: cpu_s(pid) > start_s + 0.3)


def handles_signal(pid: int, number: int) -> bool:
    """Return whether a process handles a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> number - 1 & 1)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_peak_heap_is_measured_on_request() -> None:
    require_program("micropython")
    run = VirtualRun(parse(SHORT, "x"), 1, lambda c, p: LockStepDut(c, p, watch_memory=True))
    run.run()
    assert isinstance(run.dut, LockStepDut)
    assert 50_000 < run.dut.peak_heap() < 2 * 256 * 1024
    run.dut.close()


def test_console_shows_alarm_lines() -> None:
    run = VirtualRun(find("bus-loss"), 1)
    run.run()
    raised = [line for line in run.console if "alarm raised bus_lost" in line]
    cleared = [line for line in run.console if "alarm cleared bus_lost" in line]
    assert len(raised) == len(cleared) == 1
    assert 30 < float(raised[0].split()[0]) < 38
    assert 60 < float(cleared[0].split()[0]) < 66
