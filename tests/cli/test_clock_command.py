# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock`: report and watch, on the status of an agent with a false time source."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from agent.commands import clock
from agent.telemetry.status import STATUS_FILE
from agent.tools.clock import clock_watch
from agent.tools.clock.clock_text import evidence_lines, render_report, status_line
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from tests.support.cli_tools import SHORT, run_coldloop

Snapshot = dict[str, Any]

PARTS: Snapshot = {
    "timekeeping": {
        "found": True,
        "bad": "",
        "saved": 2,
        "floor_us": 1_795_400_000_000_000,
        "leap_s": 18,
        "rate_ppt": 1,
        "skew_ppt": 1,
        "tempco_ppt": -800_000,
        "centi_c": 3150,
    },
    "integrity": {
        "epochs": 900,
        "votes": [],
        "notices": [],
        "antenna": "ok",
        "cn0_centi": 4520,
        "derating_milli_db_per_c": -21,
        "tagged": 12,
        "desense_centi_db": 240,
    },
    "pps": {"pulses": 100, "used": 98},
    "chrony": {"sent": 60, "withheld": 3},
    "receiver_setup": {
        "runs": 1,
        "steps": [{"step": "rate", "verdict": "already", "seen": "1000 ms"}],
    },
}
EVIDENCE: Snapshot = {
    "check": "step",
    "since_us": 10_000_000,
    "last_us": 12_000_000,
    "count": 3,
    "first": 4_001_000,
    "figure": 3_999_000,
    "limit": 200_000,
}


@pytest.fixture(scope="module")
def real_snapshot() -> Snapshot:
    """Return the status of an agent after 20 s."""
    run = VirtualRun(parse(SHORT.replace("= 3", "= 20"), "x"), 1)
    run.run()
    assert run.status is not None
    return run.status


def write_status(folder: Path, snapshot: Snapshot, age_s: float = 0.2) -> str:
    """Write a status as if the agent had written it `age_s` ago; return its folder."""
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) // 1000
    changed = {**snapshot, "mono_us": now_us - int(age_s * 1e6)}
    (folder / STATUS_FILE).write_text(json.dumps(changed), encoding="utf-8")
    return str(folder)


def test_report_of_a_real_status(
    real_snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clock(["report", "--state", write_status(tmp_path, real_snapshot)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = dict(text.split(None, 1) for text in out.splitlines() if not text.startswith("leap"))
    assert rows["site"] == "bench/cdu1"
    assert "sync, within 19." in rows["UTC"]
    assert rows["source"] == "none yet"
    assert "GPS is 18 s ahead of UTC, not yet confirmed" in out
    assert "0 rejected" in rows["fixes"]
    assert "finding" not in out


def test_old_or_untrusted_status_exits_1(real_snapshot: Snapshot, tmp_path: Path) -> None:
    assert clock(["report", "--state", write_status(tmp_path, real_snapshot, age_s=60)]) == 1
    for state, code in (("untrusted", 1), ("free", 1), ("holdover", 0)):
        changed = {**real_snapshot, "clock": {**real_snapshot["clock"], "state": state}}
        assert clock(["report", "--state", write_status(tmp_path, changed)]) == code


def test_age_is_by_the_raw_clock_if_the_agent_has_chrony(
    real_snapshot: Snapshot, tmp_path: Path
) -> None:
    folder = write_status(tmp_path, {**real_snapshot, "chrony": PARTS["chrony"]})
    assert clock(["report", "--state", folder]) == 0


def test_report_has_all_components_and_evidence(real_snapshot: Snapshot) -> None:
    clock_status = {
        **real_snapshot["clock"],
        "evidence": [EVIDENCE],
        "rate_ppt": 2_013_000,
        "skew_ppt": 900,
    }
    snapshot = {**real_snapshot, **PARTS, "clock": clock_status, "alarms": []}
    snapshot["alarms"] = [{"code": "time_step", "text": "it jumped"}, {"code": "x", "text": "no"}]
    out = render_report(snapshot)
    for words in (
        "+2.0130 ppm +- 0.0009 ppm",
        "31.5 C at the oscillator, -0.800 ppm/C",
        "strength 45.2 dBHz, -0.021 dB/C, antenna ok",
        "C/N0 loss 2.4 dB, 12 epochs",
        "100, 98 with their UTC second",
        "60 samples sent, 3 withheld",
        "rate already",
        "time_step  it jumped",
        "step 3 times",
        "4001000 to 3999000 us, limit 200000",
        "(probably BDT)",
    ):
        assert words in out, words
    assert "x  no" not in out
    assert "2026-11-24T06:00:1" in evidence_lines(snapshot)[0]
    assert " s ago to " in evidence_lines({**snapshot, "utc_us": None})[0]
    assert status_line(snapshot).startswith("2026-11-24T06:00:")


def test_report_as_json(real_snapshot: Snapshot, tmp_path: Path) -> None:
    done = run_coldloop(
        "clock", "report", "--state", write_status(tmp_path, real_snapshot), "--json"
    )
    record = json.loads(done.stdout)
    assert record["clock"]["state"] == "sync"
    assert record["alarms"] == []
    assert "supply" not in record


def test_watch_prints_changes(
    real_snapshot: Snapshot,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write_status(tmp_path, real_snapshot)
    assert clock(["watch", "--state", folder, "--seconds", "0.5"]) == 1
    assert capsys.readouterr().out == ""
    changed = {
        **real_snapshot,
        "clock": {**real_snapshot["clock"], "evidence": [EVIDENCE], "state": "untrusted"},
    }
    monkeypatch.setattr(clock_watch.time, "sleep", lambda _: write_status(tmp_path, changed))
    assert clock(["watch", "--state", folder, "--seconds", "0.3"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "untrusted" in out[0]
    assert "step 3 times" in out[1]
    assert "step 3 times" not in "".join(out[2:])  # printed once


def test_missing_status_is_one_line(tmp_path: Path) -> None:
    done = run_coldloop("clock", "report", "--state", str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
