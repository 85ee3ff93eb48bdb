# SPDX-License-Identifier: Apache-2.0
"""ProgressLine lines with a remaining time, and interrupts that keep the results."""

import contextlib
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from drivers.tools.terminal import activity_line
from drivers.tools.terminal.activity_line import ActivityLine
from hil.commands import hil
from hil.io.progress import ProgressLine, format_remaining
from hil.record.record import RECORD_FILE, find_problems, read
from hil.scenario.channels import Series
from tests.support.cli_tools import running_command, wait_for_exit, wait_until


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def estimates(durations: list[float], capsys: pytest.CaptureFixture[str]) -> list[float]:
    """Run items of these durations; give the estimates that were shown, in s."""
    clock, found = Clock(), []
    with (
        patch("hil.io.progress.time", clock),
        patch.object(sys.stderr, "isatty", return_value=True),
        ProgressLine(len(durations), "items") as progress,
    ):
        for done, duration in enumerate(durations, 1):
            clock.now += duration
            progress.update(done)
            text = capsys.readouterr().err
            match = re.search(r"about ([\d.]+) (s|min|h) left", text)
            if match is not None:
                found.append(float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]])
    return found


def test_a_slow_start_does_not_spoil_the_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    """The first item takes 60 s, each of the other 199 takes 1 s."""
    shown = estimates([60.0] + [1.0] * 199, capsys)
    assert len(shown) > 100
    assert max(shown[3:]) < 2 * 199
    assert abs(shown[50] - 147) < 30


def test_an_even_rate_gives_a_true_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    shown = estimates([1.0] * 100, capsys)
    remaining = [100 - done for done in range(100 - len(shown), 100)]
    assert all(abs(a - b) <= 31 for a, b in zip(shown, remaining, strict=True))


def test_a_short_command_and_a_log_show_little(capsys: pytest.CaptureFixture[str]) -> None:
    assert estimates([0.01] * 100, capsys) == []
    with ProgressLine(100, "items") as progress:
        for done in range(100):
            progress.update(done)
    assert capsys.readouterr().err == ""


def test_the_text_is_as_exact_as_an_estimate() -> None:
    assert format_remaining(0.2) == "about 1 s left"
    assert format_remaining(89) == "about 89 s left"
    assert format_remaining(600) == "about 10 min left"
    assert format_remaining(9000) == "about 2.5 h left"


def list_children(pid: int) -> list[int]:
    """List the processes that a process has started."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def count_busy_workers(pid: int) -> int:
    """Count the workers with 0.2 s of user time (proc(5)); their parent is the fork server."""
    workers = [worker for server in list_children(pid) for worker in list_children(server)]
    busy = 0
    for worker in workers:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
            busy += int(fields[11]) >= 20
    return busy


@pytest.mark.parametrize("tool", ["campaign", "hazard"])
def test_an_interrupt_ends_soon_and_keeps_the_results(tool: str) -> None:
    """Each run takes tens of seconds; the command ends without waiting for it."""
    options = {"campaign": ("--seconds", "200000"), "hazard": ("--pairs", "500")}[tool]
    fixed = ("--workers", "2", "--interpreter", "cpython", "--json")  # PyPy runs one process below
    with running_command("hil", tool, *options, *fixed) as process:
        wait_until("two workers at work", lambda: count_busy_workers(process.pid) == 2, 60)
        started_s = time.monotonic()
        code, out, err = wait_for_exit(process, signal.SIGINT)
        took_s = time.monotonic() - started_s
    assert code == 130, err
    assert json.loads(out)["interrupted"] is True
    assert "Traceback" not in err
    assert took_s < 5  # 1 s on a machine that is not busy


FAILING = """
name = "failing"
title = "two faults, one of them is needed"
seconds = 5
[[event]]
at_s = 1
do = "bus_silent"
[[event]]
at_s = 2
do = "it_load"
value = 20
[[expect]]
measure = "modbus_errors"
max = 0
"""


@pytest.mark.parametrize(
    ("words", "done"),
    [
        (("hall", "--rows", "5"), {"rows": 2}),
        (("takeover", "--runs", "5"), {"runs": 2}),
        (("year", "--weather", "dubai", "--hours", "5"), {"hours": 2}),
        (("year", "--weather", "dubai", "--hours", "5", "--policy", "optimum"), {"hours": 2}),
        (("shrink", "FILE"), {"before": 2, "after": 2}),
    ],
    ids=lambda value: "-".join(value).replace("--", "") if isinstance(value, tuple) else "",
)
def test_an_interrupt_after_two_items_keeps_them(
    words: tuple[str, ...],
    done: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "failing.toml").write_text(FAILING)
    calls = []

    def update(_line: ProgressLine, *values: object) -> None:
        calls.append(values)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "update", update)
    arguments = [str(tmp_path / "failing.toml") if word == "FILE" else word for word in words]
    assert hil([*arguments, "--json"]) == 130
    record = json.loads(capsys.readouterr().out)
    assert record["interrupted"] is True
    assert {name: record[name] for name in done} == done


def test_an_interrupted_run_is_a_failed_record_with_its_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scenarios before it are complete, those after it do not run; the capture can be read."""
    sample, seconds = Series.sample, list[int]()

    def interrupt_later(series: Series, second: int, value: Callable[[str], float | None]) -> None:
        sample(series, second, value)
        seconds.append(second)
        if len(seconds) == 40 + 50:
            raise KeyboardInterrupt

    monkeypatch.setattr(Series, "sample", interrupt_later)
    report, key = tmp_path / "report", tmp_path / "key"
    words = ["--report", str(report), "--key", str(key), "--json"]
    assert hil(["run", "acceptance", *words]) == 130
    out, err = capsys.readouterr()
    assert [run["verdict"] for run in json.loads(out)["runs"]] == ["incomplete", "fail"]
    assert "interrupted after 1 of 7 scenarios" in err
    record = read(report / RECORD_FILE)
    assert find_problems(record) == []
    assert record["verdict"] == "fail"
    assert record["runs"][1]["failures"] == ["interrupted after 49 of 120 s"]
    assert not (report / "report.pdf").exists()
    assert hil(["verify", str(report), "--key", str(record["key"])]) == 0
    seconds.clear()
    seconds.extend(range(40))
    capture = tmp_path / "run.jsonl"
    assert hil(["run", "smoke", "--capture", str(capture)]) == 130
    assert "interrupted after 49 of 120 s" in capsys.readouterr().out
    assert hil(["replay", str(capture)]) == 0


def test_a_step_without_a_known_end_says_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_line, "_LOG_S", 0.01)
    with ActivityLine("builds the image"):
        wait_until("a line", lambda: "builds the image, 0 s\n" in capsys.readouterr().err)
    with pytest.raises(KeyboardInterrupt), ActivityLine("builds the image"):
        raise KeyboardInterrupt
    assert "activity" not in {thread.name for thread in threading.enumerate()}
