# SPDX-License-Identifier: Apache-2.0
"""A file that is nested too deeply is an error of one line, in each command that reads it."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from coldloop import main
from drivers.ports.address import parse_address
from drivers.tools.lib.scan_records import FoundUnit
from hil.tools.commission.outputs.pending_index import read_notes

_DEEP = "[" * 100_000 + "]" * 100_000


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with suppress(SystemExit):
        assert main(words) in (1, 2)
    shown = "".join(capsys.readouterr())
    assert "Traceback" not in shown
    assert len(shown) < 2000
    return shown


def test_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLDLOOP_PROFILES", "")
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "profiles" / "acme.json"
    path.write_text(_DEEP)
    unit = tmp_path / "unit.json"
    raw = json.loads(Path("deploy/examples/unit.json").read_text(encoding="utf-8"))
    raw["devices"][0]["profile"] = "acme"
    unit.write_text(json.dumps(raw))
    assert "not JSON" in refused(["modbus", "profile", "check", str(path)], capsys)
    assert "not JSON" in refused(["agent", "--config", str(unit), "--check"], capsys)
    assert "not JSON" in refused(["hil", "run", "acceptance", "--unit", str(unit)], capsys)


def test_the_journals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLDLOOP_PENDING", str(tmp_path / "pending"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words = ["commission", "tcp:127.0.0.1:1", "--yes", "--dir", str(tmp_path)]
    (tmp_path / "commission.json").write_text(_DEEP)
    assert "not a journal of a commissioning" in refused(words, capsys)
    (tmp_path / "commission.json").unlink()
    (tmp_path / "unit.json.outputs").write_text(_DEEP)
    assert "not a journal of outputs" in refused(words, capsys)
    (tmp_path / "unit.json.outputs").unlink()
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "note").write_text(_DEEP)
    assert read_notes() == []


def test_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(f"name = {_DEEP}\n")
    assert "nested too deeply" in refused(["hil", "check", str(path)], capsys)
    assert "nested too deeply" in refused(["hil", "run", str(path)], capsys)


def test_the_name_of_a_device_moves_no_cursor() -> None:
    found = FoundUnit(7, parse_address("tcp:127.0.0.1:1"), 3, "a value")
    found.identification.update(maker="ACME\x1b[2J", product="<b>\u202e", revision="1\n2\0")
    assert found.describe() == r"ACME\x1b[2J <b>\u202e 1\n2\x00"
    assert found.record()["identification"]["maker"] == "ACME\x1b[2J"
