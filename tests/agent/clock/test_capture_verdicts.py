# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea decode --verdicts`: the agent's checks over captures of emulated receivers."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

import coldloop
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.receiver import GnssReceiver

START_US = 1_795_500_000_000_000
Change = Callable[[GnssReceiver], None]


def record_capture(
    change: Change, name: str = "unicore", before: int = 60, after: int = 20
) -> bytes:
    """Return the bytes of a receiver that changes after `before` s."""
    device = GnssReceiver(
        (252_048_000, 552_708_000), lambda now: START_US + now, Random(1), DIALECTS[name]
    )
    stream = b""
    for second in range(before + after):
        if second == before:
            change(device)
        for _, data in device.wake(device.deadline()):
            stream += data
    return stream


def step_s(seconds: float) -> Change:
    """Return a step of the time in the sentences."""
    return lambda device: setattr(device, "time_offset_us", round(seconds * 1e6))


def judge_capture(stream: bytes, path: Path, capsys: Any, *options: str) -> tuple[int, Any, Any]:
    """Return the exit code, the verdicts of each epoch, and the summary."""
    log = path / "log.nmea"
    log.write_bytes(stream)
    code = coldloop.main(["nmea", "decode", str(log), "--verdicts", "--json", *options])
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    return code, [row["verdicts"] for row in rows[:-1]], rows[-1]["summary"]


@pytest.mark.parametrize("name", ["unicore", "casic", "quectel"])
def test_capture_without_fault_has_no_verdict(name: str, tmp_path: Path, capsys: Any) -> None:
    code, verdicts, summary = judge_capture(record_capture(lambda _: None, name), tmp_path, capsys)
    assert (code, summary["verdicts"], summary["clock"]) == (0, {}, "sync")
    assert not any(verdicts)


@pytest.mark.parametrize(
    ("change", "check", "text"),
    [
        (step_s(4.0), "step", "step +4.000 s (probably BDT)"),
        (step_s(0.7), "step", "step +0.700 s"),
        (step_s(-3.0), "step", "step -3.000 s"),
        (lambda r: setattr(r, "position_error_m", (500_000.0, 0.0)), "position", "position 5"),
        (lambda r: setattr(r, "uniform_cn0", 49.0), "uniform", "uniform 100 %"),
        (lambda r: r.jam(7.0, 0.0, 0), "drop", "drop 7"),
    ],
)
def test_attack_has_a_verdict(
    change: Change, check: str, text: str, tmp_path: Path, capsys: Any
) -> None:
    stream = record_capture(change)
    code, verdicts, summary = judge_capture(stream, tmp_path, capsys)
    assert code == 1
    assert set(summary["verdicts"]) == {check}
    assert not any(verdicts[:59])
    assert any(verdict.startswith(text) for row in verdicts for verdict in row)


def test_jump_in_the_first_fixes(tmp_path: Path, capsys: Any) -> None:
    stream = record_capture(lambda r: setattr(r, "position_error_m", (500_000.0, 0.0)), before=5)
    _, verdicts, summary = judge_capture(stream, tmp_path, capsys)
    assert set(summary["verdicts"]) == {"position"}
    assert next(at for at, row in enumerate(verdicts) if row) in (4, 5)


def test_lost_epochs_are_no_step(tmp_path: Path, capsys: Any) -> None:
    stream = record_capture(lambda _: None, "casic")
    lines = stream.splitlines(keepends=True)
    hole = len(lines) // 2
    damaged = b"".join(lines[:hole]) + lines[hole][:20] + b"\xff\r\n" + b"".join(lines[hole + 40 :])
    code, _, summary = judge_capture(damaged, tmp_path, capsys)
    assert (code, summary["verdicts"]) == (0, {})


def test_text_and_exit_code(tmp_path: Path, capsys: Any) -> None:
    log = tmp_path / "log.nmea"
    log.write_bytes(record_capture(step_s(18.0)))
    assert coldloop.main(["nmea", "decode", str(log)]) == 0
    assert "VERDICT" not in capsys.readouterr().out
    assert coldloop.main(["nmea", "decode", str(log), "--verdicts"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert any(text.endswith("VERDICT step +18.000 s (probably GPST)") for text in out)
    assert out[-1].startswith("verdicts: step ")
