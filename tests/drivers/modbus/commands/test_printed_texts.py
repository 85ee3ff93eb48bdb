# SPDX-License-Identifier: Apache-2.0
"""No text of a device or of a profile file reaches the terminal as control characters."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.commands import modbus
from drivers.tools.lib import arguments
from protocols.modbus.crc import with_crc
from tests.drivers.modbus.scripted_peer import ScriptedPeer
from tests.support import cli_tools
from tests.support.repository import ROOT

EVIL = "\x1b[2J\x1b]0;x\x07\x9b\x7f\u202e\ud800A"


def entry(**changes: Any) -> dict[str, Any]:
    point = {"name": "A", "address": 0, "type": "u16", "write": True, "limits": [0, 9]}
    return {**point, **changes}


PROFILES: dict[str, dict[str, Any]] = {
    "title": {"title": EVIL},
    "source": {"source": EVIL},
    "model": {"model": EVIL},
    "name": {"points": [entry(name=EVIL)]},
    "unit": {"points": [entry(unit=EVIL)]},
    "bit": {"bits": [{"name": EVIL, "address": 3, "bit": 1, "alarm": True}]},
    "text": {"texts": [{"name": EVIL, "address": 8, "registers": 4}]},
    "wrong type": {"points": [entry(type=EVIL)]},
    "wrong key": {EVIL: 1},
    "wrong name": {"points": [entry(name=EVIL, type="u17"), entry(name=EVIL)]},
}


@pytest.fixture
def peer() -> Iterator[ScriptedPeer]:
    found = ScriptedPeer(lambda _request, _number: None)
    yield found
    found.close()


@pytest.mark.parametrize("case", PROFILES)
def test_texts_of_a_profile(
    case: str, peer: ScriptedPeer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = {"model": "m", "title": "t", "source": "s", "met_hardware": False, "points": [entry()]}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({**raw, **PROFILES[case]}))
    name = str(path)
    poll = ["poll", peer.address, "--profile", name, "--unit", "1", "--rounds", "1"]
    for words in (
        ["profile", "check", name],
        ["profile", "check", name, "--json"],
        ["profile", "show", name],
        ["profile", "show", name, "--json"],
        poll,
        [*poll, "--json"],
        ["read", peer.address, "1", "A", "--profile", name],
        ["read", peer.address, "1", "A", "--profile", name, "--csv"],
        ["write", peer.address, "1", "A", "5", "--profile", name, "--yes"],
    ):
        modbus(words)
        shown = "".join(capsys.readouterr())
        assert shown
        assert all(line.isprintable() for line in shown.split("\n")), (words, shown)


def test_the_table_on_a_terminal(
    tmp_path: Path,
    peer: ScriptedPeer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = {"model": EVIL, "title": "t", "source": "s", "met_hardware": False}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({**raw, "points": [entry(name=EVIL, unit=EVIL)]}))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    modbus(["poll", peer.address, "--profile", str(path), "--unit", "1", "--rounds", "1"])
    shown = capsys.readouterr().out
    assert "\\x1b]0;x" in shown
    assert "\x1b]" not in shown
    assert "\x07" not in shown


def test_sniff_shows_the_objects_of_a_device_as_escapes() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    words = ["sniff", f"serial:{os.ttyname(slave)}?baud=115200", "--frames", "2", "--seconds", "9"]
    command = [sys.executable, str(ROOT / "coldloop.py"), "modbus", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        cli_tools.wait_until("it listens", lambda: tty.tcgetattr(slave)[5] == tty.B115200)
        content = b"\x1b[2J\x07evil\r\n"
        reply = b"\x01\x2b\x0e\x01\x01\0\0\x01\0" + bytes([len(content)]) + content
        for frame in (b"\x01\x2b\x0e\x01\0", reply):
            os.write(master, with_crc(frame))
            time.sleep(0.05)
        shown, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    assert "\\x1b[2J\\x07evil\\r\\n" in shown
    assert all(line.isprintable() for line in shown.split("\n"))


def test_every_print_of_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    arguments.print_line(EVIL)
    arguments.print_error("read", "one\n" + EVIL)
    arguments.print_json({"text": EVIL})
    shown = capsys.readouterr()
    assert json.loads(shown.out.splitlines()[-1]) == {"text": EVIL}
    lines = [*shown.out.split("\n"), *shown.err.split("\n"), *arguments.format_table([(EVIL,)])]
    assert all(line.isprintable() for line in lines)
