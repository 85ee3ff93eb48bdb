# SPDX-License-Identifier: Apache-2.0
"""The statement of a time server and its files: never better than the bound of the agent."""

import json
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from agent.commands import clock
from agent.core.errors import ConfigError
from agent.tools.clock.clock_serve import TimeSupervisor, check, make_settings, write_files
from agent.tools.clock.site_time import Hysteresis, Statement, accuracy_code, make_statement
from agent.tools.clock.time_programs import Chronyd
from agent.tools.clock.time_server_files import (
    ServerSettings,
    check_certificate,
    chrony_text,
    client_text,
    grandmaster_command,
    ptp_text,
)
from tests.support.programs import require_program
from tests.support.repository import ROOT

SETTINGS = ServerSettings("/run/coldloop.sock", 100, 20.0, ("10.0.0.0/8", "fd00::/8"))


def snapshot(
    state: str = "sync", bound_us: int | None = 40, source: str = "pulses", flags: Any = ()
) -> dict[str, Any]:
    clock = {"state": state, "bound_us": bound_us, "source": source, "flags": list(flags)}
    return {"clock": {**clock, "leap_s": 18}}


@pytest.mark.parametrize(
    ("status", "clock_class", "accuracy", "traceable"),
    [
        (snapshot(), 6, 0x27, True),
        (snapshot(bound_us=100), 6, 0x27, True),
        (snapshot(bound_us=101), 7, 0x28, True),
        (snapshot(source="sentences"), 7, 0x27, True),
        (snapshot("holdover", 1000), 7, 0x29, True),
        (snapshot("holdover", 1001), 52, 0x2A, False),
        (snapshot(bound_us=99_000, source="sentences"), 52, 0x2D, False),
        (snapshot("holdover", 1_000_000), 52, 0x2F, False),
    ],
)
def test_served_statement(
    status: dict[str, Any], clock_class: int, accuracy: int, traceable: bool
) -> None:
    assert make_statement(status, 1.0) == Statement(True, clock_class, accuracy, traceable, 37, "")


@pytest.mark.parametrize(
    ("status", "age_s", "reason"),
    [
        (snapshot("untrusted"), 1.0, "untrusted"),
        (snapshot("free", None), 1.0, "free"),
        (snapshot(bound_us=None), 1.0, "above 1 s"),
        (snapshot(bound_us=1_000_001), 1.0, "above 1 s"),
        (snapshot(flags=["leap_uncertain"]), 1.0, "leap seconds"),
        (snapshot(), 5.1, "old"),
        (snapshot(), -0.1, "old"),
    ],
)
def test_withheld_statement(status: dict[str, Any], age_s: float, reason: str) -> None:
    found = make_statement(status, age_s)
    assert (found.may_serve, found.clock_class, found.accuracy) == (False, 248, 0xFE)
    assert reason in found.reason


def test_error_of_the_system_clock_is_added() -> None:
    assert make_statement(snapshot(), 1.0, 100).clock_class == 7
    assert not make_statement(snapshot(bound_us=999_999), 1.0, 2).may_serve


def test_accuracy_covers_the_bound() -> None:
    for bound_us, code in ((0, 0x20), (1, 0x23), (2, 0x24), (10, 0x25), (1_000_001, 0xFE)):
        assert accuracy_code(bound_us) == code


def test_worse_immediately_better_after_a_minute() -> None:
    hysteresis = Hysteresis()
    good, bad = make_statement(snapshot(), 1.0), make_statement(snapshot("untrusted"), 1.0)
    assert hysteresis.update(good, 0.0) == good
    assert hysteresis.update(bad, 1.0) == bad
    assert hysteresis.update(good, 2.0) == bad
    assert hysteresis.update(bad, 50.0) == bad
    assert hysteresis.update(good, 61.0) == bad
    assert hysteresis.update(good, 120.9) == bad
    assert hysteresis.update(good, 121.0) == good


def test_chronyd_never_states_less_than_the_bound() -> None:
    """Half of `delay` is in the root distance; a sample can have a bound of `bound_ms`."""
    for bound_ms in (1, 7, 100, 10_000):
        text = chrony_text(ServerSettings("/s", bound_ms, 20.0, ()))
        words = text.split()
        assert float(words[words.index("delay") + 1]) / 2 * 1000 >= bound_ms
        assert words[words.index("maxclockerror") + 1] == "20"
        assert "allow" not in words


def test_files() -> None:
    text = chrony_text(SETTINGS)
    assert "allow 10.0.0.0/8\nallow fd00::/8\n" in text
    assert "nts" not in text
    secure = ServerSettings("/s", 1, 20.0, (), "/etc/c.pem", "/etc/k.pem", "eth0")
    assert "ntsservercert /etc/c.pem\nntsserverkey /etc/k.pem\n" in chrony_text(secure)
    assert ptp_text(secure).endswith("[eth0]\n")
    assert "clockClass 248\n" in ptp_text(secure)


def test_time_scale_of_software_timestamps_is_not_ptp() -> None:
    good, bad = make_statement(snapshot(), 1.0), make_statement(snapshot("untrusted"), 1.0)
    assert "clockClass 6 clockAccuracy 0x27" in grandmaster_command(good, hardware_timestamps=False)
    assert "ptpTimescale 0 timeTraceable 1" in grandmaster_command(good, hardware_timestamps=False)
    hardware = grandmaster_command(good, hardware_timestamps=True)
    assert "currentUtcOffset 37 " in hardware
    assert "currentUtcOffsetValid 1 ptpTimescale 1 " in hardware
    assert "clockClass 248 clockAccuracy 0xFE" in grandmaster_command(bad, hardware_timestamps=True)


@pytest.mark.parametrize(
    "change",
    [
        {"clients": ("10.0.0.1/8",)},
        {"certificate": "/c"},
        {"interface": "eth0\nallow all"},
        {"socket": "/run/a b"},
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any]) -> None:
    settings = ServerSettings(**{**SETTINGS.__dict__, **change})
    with pytest.raises(ConfigError):
        settings.check()


def test_the_check_lists_all_problems_as_json(tmp_path: Path, capsys: Any) -> None:
    chronyd = Chronyd(str(tmp_path / "none.sock"))
    assert check(SETTINGS, tmp_path, chronyd, tmp_path / "status.json", as_json=True) == 1
    record = json.loads(capsys.readouterr().out)
    assert not record["served"]
    assert any("coldloop.conf: missing" in problem for problem in record["problems"])
    assert any("chronyd: no answer" in problem for problem in record["problems"])


def test_certificate_and_key_must_fit(tmp_path: Path) -> None:
    """chronyd starts without NTS if they do not, and its clients see no reason."""
    made = []
    for name in ("a", "b"):
        certificate, private = str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key")
        argv = [require_program("openssl"), "req", "-x509", "-newkey", "ec", "-nodes"]
        argv += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=x"]
        argv += ["-keyout", private, "-out", certificate]
        subprocess.run(argv, check=True, capture_output=True)
        made.append((certificate, private))
    (first, key), (_, other) = made
    check_certificate(first, key)
    for pair in ((first, other), (first, f"{tmp_path}/none"), (key, key)):
        with pytest.raises(ConfigError, match="--nts-cert"):
            check_certificate(*pair)
    with_nts = ServerSettings("/s", 1, 20.0, (), first, key)
    assert client_text("h", with_nts).startswith("server h nts iburst minpoll -1 maxpoll -1\n")
    assert "nts" not in client_text("h", SETTINGS)


def test_settings_come_from_the_configuration(tmp_path: Path, capsys: Any) -> None:
    raw = {"receiver": {"drift_ppm": 2.5}, "chrony": {"port": "chrony:/run/x.sock", "bound_ms": 5}}
    arguments = Namespace(config="u.json", allow=["10.1.0.0/16"], nts_cert="", nts_key="",
                          ptp="eth1", hardware=False, run_folder="/run/t")  # fmt: skip
    settings = make_settings(raw, arguments)
    assert (settings.socket, settings.bound_ms, settings.drift_ppm) == ("/run/x.sock", 5, 2.5)
    assert write_files(settings, tmp_path / "new") == 0
    assert {p.name for p in (tmp_path / "new").iterdir()} == {
        "coldloop.conf", "client.conf", "ptp4l.conf"}  # fmt: skip
    assert "conf.d" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="chrony: missing"):
        make_settings({"receiver": {}}, arguments)


class Programs:
    """Chronyd and ptp4l as the supervisor sees them; records what it does."""

    def __init__(self, serving: bool = True) -> None:
        self.log: list[str] = []
        self.serving, self.running, self.answers = serving, False, True

    def is_synchronized(self) -> bool:
        return self.serving

    def withdraw(self) -> bool:
        self.log.append("withdraw")
        return True

    def start(self) -> bool:
        self.log.append("start")
        self.running = True
        return True

    def stop(self) -> None:
        self.log.append("stop")
        self.running = False

    def send_settings(self, command: str) -> bool:
        self.log.append(" ".join(command.split()[2:4]))
        return self.answers


def test_supervisor_withdraws_and_returns() -> None:
    programs: Any = Programs()
    supervisor = TimeSupervisor(SETTINGS, programs, programs)
    good, bad = make_statement(snapshot(), 1.0), make_statement(snapshot("untrusted"), 1.0)
    supervisor.step(good, 0.0)
    supervisor.step(good, 1.0)
    assert programs.log == ["start", "clockClass 6"]
    supervisor.step(bad, 2.0)
    assert programs.log[2:] == ["stop", "withdraw"]
    supervisor.step(bad, 3.0)
    assert len(programs.log) == 4
    supervisor.step(bad, 12.0)  # chronyd still serves, for example after its restart
    assert programs.log[4:] == ["withdraw"]
    programs.serving = False
    supervisor.step(bad, 22.0)
    assert len(programs.log) == 5
    supervisor.step(good, 23.0)
    supervisor.step(good, 83.0)
    assert programs.log[5] == "start"


def test_unconfirmed_statement_is_repeated() -> None:
    programs: Any = Programs()
    programs.answers = False
    supervisor = TimeSupervisor(SETTINGS, programs, programs)
    good = make_statement(snapshot(), 1.0)
    for second in range(3):
        supervisor.step(good, float(second))
    assert programs.log.count("start") == 1
    assert len(programs.log) == 4


def test_missing_file_of_ptp4l_is_named(tmp_path: Path, capsys: Any) -> None:
    raw = json.loads((ROOT / "deploy" / "examples" / "unit.json").read_text())
    raw["chrony"], raw["state"] = {"port": "chrony:/run/x.sock"}, f"store:{tmp_path}"
    (tmp_path / "unit.json").write_text(json.dumps(raw), encoding="utf-8")
    argv = ["--config", f"{tmp_path}/unit.json", "--folder", str(tmp_path), "--ptp", "eth0"]
    assert clock(["serve", *argv]) == 2
    assert capsys.readouterr().err.count("coldloop clock serve: ") == 1
    assert clock(["calibrate", "serial:/dev/none", "--reference", "ntp:"]) == 2
    assert "name of the server" in capsys.readouterr().err
