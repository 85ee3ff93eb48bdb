# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus write` with a profile: what changes while it asks, and prerequisites."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.commands import modbus
from tests.drivers.modbus.scripted_peer import Script, ScriptedPeer, Step, exception

SPEED, MODE, SWITCHES = 10, 11, 101
AUTO, ON = 1, 2  # bits of the register SWITCHES
PROFILE: dict[str, Any] = {
    "model": "drive",
    "title": "drive",
    "source": "test",
    "met_hardware": False,
    "points": [
        {
            "name": "Speed",
            "address": SPEED,
            "type": "u16",
            "unit": "1",
            "write": True,
            "limits": [0, 10000],
            "needs": [["Mode", 1]],
        },
        {"name": "Mode", "address": MODE, "type": "u16", "write": True, "limits": [0, 3]},
    ],
    "bits": [
        {"name": "Auto", "address": SWITCHES, "bit": 0, "write": "register"},
        {"name": "On", "address": SWITCHES, "bit": 1, "write": "register"},
    ],
}


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "drive.json"
    path.write_text(json.dumps(PROFILE))
    return path


@pytest.fixture
def peers() -> Iterator[list[ScriptedPeer]]:
    found: list[ScriptedPeer] = []
    yield found
    for peer in found:
        peer.close()


def serve(peers: list[ScriptedPeer], script: Script, registers: dict[int, int]) -> ScriptedPeer:
    peers.append(ScriptedPeer(script))
    peers[-1].registers.update(registers)
    return peers[-1]


def answers(_request: bytes, _number: int) -> list[Step] | None:
    return None


def test_a_bit_that_changes_while_the_command_asks_stays_as_it_is(
    profile: Path, peers: list[ScriptedPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another master stops the drive; the answer to the question must not start it."""
    peer = serve(peers, answers, {SWITCHES: ON})

    class AskedTechnician:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            peer.registers[SWITCHES] = 0
            return "y\n"

    monkeypatch.setattr(sys, "stdin", AskedTechnician())
    assert modbus(["write", peer.address, "1", "Auto", "on", "--profile", str(profile)]) == 0
    assert peer.registers[SWITCHES] == AUTO


@pytest.mark.parametrize("fault", [4, 3, None])
def test_a_point_whose_prerequisite_fails_is_not_done(
    fault: int | None,
    profile: Path,
    peers: list[ScriptedPeer],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The device holds the value already, but not the mode. `fault`: its exception; None: none."""

    def script(request: bytes, _number: int) -> list[Step] | None:
        if request[0] in (6, 16) and request[2] == MODE:
            return [] if fault is None else exception(request, fault)
        return None

    peer = serve(peers, script, {SPEED: 77})
    words = ["write", peer.address, "1", "Speed", "77", "--profile", str(profile), "--yes"]
    assert modbus([*words, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["state"] == ("refused" if fault == 3 else "unknown")
    assert "Speed was not sent: its prerequisite at address 11" in record["error"]


def test_a_refused_point_names_its_prerequisites_that_were_written(
    profile: Path, peers: list[ScriptedPeer], capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: bytes, _number: int) -> list[Step] | None:
        is_speed = request[0] in (6, 16) and request[2] == SPEED
        return exception(request, 3) if is_speed else None

    peer = serve(peers, script, {})
    words = ["write", peer.address, "1", "Speed", "77", "--profile", str(profile), "--yes"]
    assert modbus(words) == 1
    assert capsys.readouterr().err.rstrip().endswith("; written before: address 11")
    assert peer.registers[MODE] == 1
