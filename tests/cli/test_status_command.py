# SPDX-License-Identifier: Apache-2.0
"""`coldloop status`: exit codes, JSON, and one line without a status."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from agent.commands import STALE_AFTER_S, status
from agent.telemetry.status import STATUS_FILE
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, parse
from tests.support.cli_tools import SHORT, check_one_line, run_coldloop

Snapshot = dict[str, Any]


@pytest.fixture(scope="module")
def real() -> str:
    """Return the status of an agent after 20 s."""
    run = VirtualRun(parse(SHORT.replace("= 3", "= 20"), "x"), 1)
    run.run()
    return json.dumps(run.status)


def write_status(folder: Path, text: str, age_s: float = 0.2, **change: object) -> str:
    """Write a status as if the agent had written it `age_s` ago; return its folder."""
    snapshot = json.loads(text)
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) // 1000
    snapshot.update({"mono_us": now_us - int(age_s * 1e6), **change})
    (folder / STATUS_FILE).write_text(json.dumps(snapshot), encoding="utf-8")
    return str(folder)


def test_recent_normal_status_is_exit_0(
    real: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["--state", write_status(tmp_path, real)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "bench/cdu1 is NORMAL"
    first = [line.split()[0] for line in lines[1:]]
    assert first[:4] == ["UTC", "supply", "valve", "dP"]
    assert {"pumps", "ticks", "modbus", "telemetry", "age", "alarm"} < set(first)
    assert lines[1].startswith("UTC        2026-11-24T06:00:")
    assert "sync, within 19.0 s, leap uncertain" in lines[1]
    assert "connected, published " in out
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("state", ["degraded", "safe"])
def test_abnormal_status_is_exit_1(
    state: str, real: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["--state", write_status(tmp_path, real, state=state)]) == 1
    assert capsys.readouterr().out.startswith(f"bench/cdu1 is {state.upper()}\n")


@pytest.mark.parametrize(
    ("age_s", "code"),
    [(STALE_AFTER_S - 1, 0), (STALE_AFTER_S + 1, 1), (1e6, 1), (-3.0, 1)],  # -3: before a reboot
)
def test_stale_status_is_exit_1_with_its_age(
    age_s: float, code: int, real: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["--state", write_status(tmp_path, real, age_s)]) == code
    age = next(s for s in capsys.readouterr().out.splitlines() if s.startswith("age"))
    assert float(age.split()[1]) == pytest.approx(age_s, abs=0.5)


def test_json_is_the_snapshot_with_its_age(
    real: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["--state", write_status(tmp_path, real), "--json"]) == 0
    record: Snapshot = json.loads(check_one_line(capsys.readouterr().out))
    assert 0 <= record.pop("age_s") < STALE_AFTER_S
    assert set(record) == set(json.loads(real))
    assert status(["--state", write_status(tmp_path, real, age_s=60), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["age_s"] >= 60


def test_unknown_values_are_shown_as_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without any reply, with a silent receiver from the start."""
    events = "".join(
        f'[[event]]\nat_s = 0\ndo = "{word}"\n'
        for word in ("bus_silent", "receiver_outage", "broker_down")
    )
    run = VirtualRun(parse(SHORT.replace("= 3", "= 20") + events, "x"), 1)
    run.run()
    assert status(["--state", write_status(tmp_path, json.dumps(run.status))]) == 1
    out = capsys.readouterr().out
    assert "UTC        --  free" in out
    assert "supply     -- C" in out
    assert "no link, published 0" in out
    assert "alarm      P1 301 bus_lost:bus  no device answers on bus bus  (first)  (+" in out
    assert "within 5 min: Examine the adapter" in out
    assert "device_lost" not in out.split("age ")[1]


def test_status_of_every_shipped_scenario_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = VirtualRun(find("bus-loss"), 1)
    shown: set[int] = set()

    def show(_second: int) -> None:
        shown.add(status(["--state", write_status(tmp_path, json.dumps(run.status))]))

    run.run(show)
    assert shown == {0, 1}
    assert "None" not in capsys.readouterr().out


def test_missing_broker_is_shown(
    real: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["--state", write_status(tmp_path, real, telemetry=None)]) == 0
    assert "telemetry  broker not configured\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory; check that the agent runs and uses this state folder"),
        ("", "not a status of this version; restart the agent"),
        ("[]", "not a status of this version; restart the agent"),
        ("\0\xff", "not a status of this version; restart the agent"),
        ('{"version": 99}', "not a status of this version; restart the agent"),
    ],
)
def test_missing_status_is_one_line_and_exit_2(
    text: "str | None", message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / STATUS_FILE).write_bytes(text.encode("latin-1"))
    for more in ([], ["--json"]):
        assert status(["--state", str(tmp_path), *more]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert check_one_line(err).startswith(
            f"coldloop status: {tmp_path / STATUS_FILE}: {message}"
        )


def test_wrong_use_is_one_line_and_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    path.write_text("{}", encoding="utf-8")
    for words, message in (
        (("--config", str(tmp_path / "none.json")), "No such file or directory; name the agent's"),
        (("--config", "x", "--state", "y"), "not allowed with argument --config"),
        (("--frobnicate",), "unrecognized arguments: --frobnicate"),
    ):
        done = run_coldloop("status", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in check_one_line(done.stderr)


def test_configuration_without_state_folder_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.cli.test_agent_command import REMOVED, changed, example  # noqa: PLC0415 - only here

    path = tmp_path / "unit.json"
    path.write_text(json.dumps(changed(example(), "state", REMOVED)), encoding="utf-8")
    assert status(["--config", str(path)]) == 2
    message = check_one_line(capsys.readouterr().err)
    assert message == f"{path}: state: missing; the agent writes no status"
