# SPDX-License-Identifier: Apache-2.0
"""`coldloop commission --tune`: gains from step responses, guards, and the old words."""

import json
import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.control.law.pi import PiController
from coldloop import main
from hil.record.record import read
from hil.tools.commission.tuning import loop_tuning
from hil.tools.commission.tuning.step_response import (
    Process,
    TuningError,
    find_gains,
    find_refresh_s,
    fit_process,
    is_settled,
    mean_process,
)
from tests.hil.unit.test_commission import cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures


def respond(process: Process, step: float, end_s: float, noise: float = 0.0) -> list[Any]:
    rng = random.Random(1)
    times = [0.2 * i for i in range(round(5 * end_s))]
    shares = [1.0 - math.exp(-max(0.0, t - process.delay_s) / process.lag_s) for t in times]
    return [
        (t, 30.0 + process.gain * step * share + rng.gauss(0.0, noise))
        for t, share in zip(times, shares, strict=True)
    ]


@pytest.mark.parametrize("process", [Process(-0.4, 8.0, 2.0), Process(1.7, 3.0, 0.5)])
def test_a_process_is_found_from_its_response(process: Process) -> None:
    for noise, tolerance in ((0.0, 0.05), (0.02, 0.3)):
        found = fit_process(30.0, respond(process, 5.0, 60.0, noise), 5.0, 0.4, noise)
        assert found.gain == pytest.approx(process.gain, rel=tolerance)
        assert found.lag_s == pytest.approx(process.lag_s, rel=tolerance)
        assert found.delay_s == pytest.approx(process.delay_s, abs=0.2 + 3 * tolerance)


@pytest.mark.parametrize("lag_s", [0.1, 1.0, 8.0, 40.0])
@pytest.mark.parametrize("delay_s", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("error", [0.6, 1.0, 1.6])
def test_the_gains_are_stable_with_a_plant_that_differs(
    lag_s: float, delay_s: float, error: float
) -> None:
    """The controller of the agent holds a process whose gain is not the found one."""
    gains = find_gains(Process(2.0, lag_s, delay_s))
    pi = PiController(gains.gain, gains.integral_s, 0.0, 100.0, 100.0)
    pi.track(50.0)
    value, peak, tail = 0.0, 0.0, 0.0
    outputs = [50.0] * (round(delay_s) + 1)
    for second in range(600):
        outputs.append(pi.step(10.0 - value, 1.0))
        target = 2.0 * error * (outputs[-1 - round(delay_s)] - 50.0)
        value += (target - value) * (1.0 - math.exp(-1.0 / lag_s))
        peak = max(peak, value)
        tail = max(tail, abs(10.0 - value)) if second > 500 else tail
    assert tail < 0.05
    assert peak < 10.0 * 1.3


@pytest.mark.parametrize(
    ("lag_s", "delay_s", "phase"),
    [
        *((8.0, 2.0, phase) for phase in range(20)),
        *(
            (lag_s, delay_s, p)
            for lag_s, delay_s in ((3.0, 0.5), (20.0, 1.0))
            for p in range(0, 20, 4)
        ),
    ],
)
def test_a_slow_sensor_gives_gains_that_are_stable(
    lag_s: float, delay_s: float, phase: int
) -> None:
    """The sensor shows a new value each 10 s; the step comes at any time between two of them."""
    true, offset = Process(-0.4, lag_s, delay_s), phase / 2.0

    def see(at_s: float) -> float:
        seen_s = 10.0 * math.floor((at_s + offset) / 10.0) - offset
        return 30.0 - 2.0 * (1.0 - math.exp(-max(0.0, seen_s - delay_s) / lag_s))

    samples = [(0.2 * i, round(see(0.2 * i), 2)) for i in range(600)]
    gains = find_gains(fit_process(30.0, samples, 5.0, 0.4, 0.0))
    pi = PiController(gains.gain, gains.integral_s, 0.0, 100.0, 100.0)
    pi.track(50.0)
    value, seen, tail, peak = 0.0, 0.0, 0.0, 0.0
    outputs = [50.0] * (math.ceil(delay_s) + 1)
    for second in range(900):
        seen = value if second % 10 == 0 else seen
        outputs.append(pi.step(2.0 - seen, 1.0))
        target = -true.gain * (outputs[-1 - math.ceil(delay_s)] - 50.0)
        value += (target - value) * (1.0 - math.exp(-1.0 / lag_s))
        peak = max(peak, value)
        tail = max(tail, abs(2.0 - value)) if second > 700 else tail
    assert tail < 0.05
    assert peak < 2.0 * 1.3


def test_only_a_held_value_is_a_slow_sensor() -> None:
    for process in (Process(-0.4, 8.0, 2.0), Process(1.7, 0.3, 8.0), Process(-0.4, 40.0, 0.0)):
        samples = [(at_s, round(value, 1)) for at_s, value in respond(process, 5.0, 160.0)]
        assert find_refresh_s(samples, process.gain * 5.0) == 0.0


def test_a_response_that_says_nothing_gives_no_gains() -> None:
    flat = [(0.2 * i, 30.0) for i in range(100)]
    with pytest.raises(TuningError, match=r"changed by 0\.00, and 0\.40 is needed"):
        fit_process(30.0, flat, 5.0, 0.4, 0.0)
    with pytest.raises(TuningError, match="the way back differs"):
        mean_process(Process(1.0, 1, 1), Process(-0.2, 1, 1))
    assert is_settled(30.0, flat, 0.0)
    assert not is_settled(30.0, respond(Process(1.0, 20.0, 0.0), 5.0, 20.0), 0.0)


def tune(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str], code: int = 0
) -> list[dict[str, Any]]:
    """Run to the step `tune`; return its results."""
    words = command(cdu, site, "--write-test", "--tune", "--to", "tune", "--json")
    assert main(words) == code
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    return found


@pytest.mark.parametrize("cdu", ["quick"], indirect=True)
def test_both_loops_are_tuned_and_the_report_has_the_curves(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supply, dp = tune(cdu, site, capsys)
    assert (supply["state"], dp["state"]) == ("done", "done")
    assert supply["process"]["gain"] == pytest.approx(-0.4, rel=0.1)
    assert dp["process"]["gain"] == pytest.approx(1.7, rel=0.15)  # 2 * 140 * 0.6 / 100
    control = json.loads((site / "unit.json").read_text())["control"]
    assert control["supply"]["gain_pct_per_k"] == supply["gains"]["gain_pct_per_k"]
    assert 0.05 < control["dp"]["gain_pct_per_kpa"] < 0.6
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
    assert main([*command(cdu, site, "--write-test", "--tune")]) == 0
    assert "5 of 6 gauges read, loops tuned: supply, dp" in capsys.readouterr().out
    run = read(site / "report" / "record.json")["runs"][1]
    assert (run["scenario"], run["verdict"]) == ("tuning", "pass")
    assert len(run["series"]["at_s"]) > 60
    assert main(["agent", "--config", str(site / "unit.json"), "--check"]) == 0


@pytest.mark.parametrize("cdu", ["quick busier"], indirect=True)
def test_a_test_that_the_load_disturbs_is_repeated(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_tuning, "_PAUSE_S", 0.0)
    monkeypatch.setattr(loop_tuning, "_OUTPUTS", {"supply": ("valve", "valve")})
    (supply,) = tune(cdu, site, capsys)
    assert (supply["state"], supply["tries"]) == ("done", 2)
    assert supply["process"]["gain"] == pytest.approx(-0.4, rel=0.1)


@pytest.mark.parametrize(
    ("cdu", "reason"),
    [
        ("idle", "the value changed by 0.00, and 0.40 is needed"),
        ("trips", "alarm Leak"),
        ("runaway", "°C, and 40 is the limit"),
        ("plunge", "K from its start"),
    ],
    indirect=["cdu"],
)
def test_a_test_ends_at_its_limits_and_the_old_words_are_back(
    cdu: str,
    site: Path,
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = loop_tuning._LIMITS
    shorter = {**limits, "supply": limits["supply"]._replace(answer_s=6.0)}
    monkeypatch.setattr(loop_tuning, "_LIMITS", shorter)
    monkeypatch.setattr(loop_tuning, "_OUTPUTS", {"supply": ("valve", "valve")})
    is_alarm = reason == "alarm Leak"
    results = tune(cdu, site, capsys, code=int(is_alarm))
    assert results[0]["state"] == ("failed" if is_alarm else "refused")
    assert reason in results[0]["reason"]
    assert "gain_pct_per_k" not in json.loads((site / "unit.json").read_text())["control"]["supply"]
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
    assert "pending-write" not in (site / "commission.json").read_text()


def run_tune(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    """Run the step `tune` without a write test; return the exit code and its results."""
    code = main([*command(cdu, site, "--tune", "--to", "tune", "--json")])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])["result"]


@pytest.mark.parametrize("cdu", ["quick backward reversed"], indirect=True)
def test_a_reversed_actuator_is_not_tuned(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, results = run_tune(cdu, site, capsys)
    assert code == 1
    assert [result["state"] for result in results] == ["failed", "failed"]
    assert all("is reversed" in result["reason"] for result in results)
    control = json.loads((site / "unit.json").read_text())["control"]
    assert "gain_pct_per_k" not in control["supply"]
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


@pytest.mark.parametrize("cdu", ["quick jammed"], indirect=True)
def test_no_second_loop_is_tested_while_an_output_is_not_back(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, results = run_tune(cdu, site, capsys)
    assert code == 1
    assert [result["state"] for result in results] == ["left", "not tested"]
    assert "pending-write" in (site / "commission.json").read_text()


def test_a_loop_without_a_permission_keeps_its_gains(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--write-test")]) == 0
    text = capsys.readouterr().out
    assert "supply loop, cdu.ValvePositionControlPercent: not tested, keeps its gains" in text
    assert "loops tuned: none" in text
    with pytest.raises(SystemExit):
        main([*command(cdu, site, "--write-test", "--tune")])
    assert "repeat it with `--from tune`" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_step_test_gives_the_old_words_back(
    cdu: str, site: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--write-test", "--to", "twin-acceptance")]) == 0
    words = command(cdu, site, "--write-test", "--tune", "--to", "tune")
    code = "import sys, coldloop; sys.exit(coldloop.main(sys.argv[1:]))"
    journal = site / "commission.json"
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE) as it:
        while "pending-write" not in journal.read_text():
            assert it.poll() is None
            time.sleep(0.01)
        while words_of(cdu, capsys, 5, 1) != [450]:
            time.sleep(0.05)
        it.send_signal(number)
        assert it.wait(20) == (-number if number == signal.SIGKILL else 130)
    is_killed = number == signal.SIGKILL
    assert words_of(cdu, capsys, 4, 2) == ([600, 450] if is_killed else [600, 400])
    if is_killed:
        assert main([*command(cdu, site, "--write-test", "--to", "check")]) == 0
        assert "old words [400] are back" in capsys.readouterr().out
        assert words_of(cdu, capsys, 4, 2) == [600, 400]
