# SPDX-License-Identifier: Apache-2.0
"""`coldloop alarms history` reads the records that the agent writes."""

import json
from pathlib import Path

import pytest

from agent.commands import alarms
from agent.retain.alarm_history import LINES, SEGMENTS, AlarmHistory

START = 1_795_500_000


def write(folder: Path, count: int, history: AlarmHistory | None = None) -> AlarmHistory:
    """Write `count` changes as a store does."""
    history = history or AlarmHistory(9)
    for i in range(count):
        history.add(
            START + i if i % 5 else 0, "raised", f"device_lost:d{i}", f"no answer\nfrom {i}", i
        )
        for port, op, data in history.outbox():
            assert port == 9
            key, _, payload = data.partition(b"\0")
            path = folder / key.decode()
            before = path.read_bytes() if op == "append" and path.exists() else b""
            path.write_bytes(before + payload)
    return history


def show(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert alarms(["history", "--store", str(folder), *more]) == 0
    return capsys.readouterr().out


def test_the_last_thousand_changes_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, 2_345)
    found = json.loads(show(tmp_path, capsys, "--json"))
    numbers = [change["number"] for change in found]
    assert numbers == list(range(numbers[0], 2_345))
    assert LINES * (SEGMENTS - 1) < len(numbers) <= LINES * SEGMENTS == 1_000
    assert found[-1]["code"] == "device_lost:d2344"
    assert found[-1]["text"] == "no answer from 2344"


def test_text_and_filters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = write(tmp_path, 7)
    history.add(START, "cleared", "pump_trip:p1", "", 0)
    write(tmp_path, 0, history)
    lines = show(tmp_path, capsys, "--last", "2").splitlines()
    assert lines == [
        "UTC unknown           P3  raised   device_lost:d5  no answer from 5",
        "2026-11-24T06:00:06Z  P3  raised   device_lost:d6  no answer from 6",
    ]
    assert show(tmp_path, capsys, "--code", "device_lost:d6").count("\n") == 1
    assert show(tmp_path, capsys, "--code", "device_lost").count("\n") == 7


def test_damaged_lines_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, 2)
    damaged = b"\xff\xfe\nx\n1 2\n1 2 raised\n\xc2\xb2 1 raised a b\n9 9 lost a b\n" + b"9" * 5000
    (tmp_path / "alarms.3").write_bytes(damaged + b" 1 raised a b\n")
    assert len(json.loads(show(tmp_path, capsys, "--json"))) == 2


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert alarms(["history", "--store", str(tmp_path / "no")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_waiting_changes_are_bounded() -> None:
    history = AlarmHistory(9)
    for i in range(100):
        history.add(0, "raised", f"a{i}", "x" * 1000, 0)
    assert history.dropped == 68
    out = history.outbox()
    assert len(out) == 32
    assert max(len(data) for _, _, data in out) < 250


def chatter(history: AlarmHistory, seconds: int, since_s: int = 0) -> list[str]:
    """Return the lines of an alarm that comes and goes each second."""
    lines = []
    for second in range(since_s, since_s + seconds):
        change = "cleared" if second % 2 else "raised"
        history.add(START + second, change, "sensor_lie:supply", "a loose wire", second * 1_000_000)
        if second % 100 == 0:
            history.add(START + second, "raised", f"leak:l{second}", "", second * 1_000_000)
        lines += [data.partition(b"\0")[2].decode() for _, _, data in history.outbox()]
    return [line.partition(" ")[2] for line in lines]


def test_an_alarm_that_chatters_is_kept_some_times_and_hides_no_other() -> None:
    history = AlarmHistory(9)
    lines = chatter(history, 86_400)
    kept = [line for line in lines if "sensor_lie" in line]
    assert len(lines) - len(kept) == 864
    assert 2 * (20 + 140) <= len(kept) <= 2 * (20 + 144)
    changes = [line.split()[1] for line in kept]
    assert changes == ["raised", "cleared"] * (len(kept) // 2)  # each end follows its raise
    missing = sum(int(line.split("(")[1].split()[0]) for line in kept if "not kept)" in line)
    assert len(kept) + missing <= 86_400 < len(kept) + missing + 1_200
    assert len(chatter(history, 2, 2 * 86_400)) == 3  # a day later it is kept again


def test_calm_codes_need_no_memory() -> None:
    history = AlarmHistory(9)
    for second in range(0, 100_000, 700):
        history.add(0, "raised", f"leak:l{second}", "", second * 1_000_000)
        history.outbox()
        assert len(history._budgets) <= 3
