# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus serve`: every shipped profile, read by the agent's tools and by mbpoll."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from drivers.commands import modbus
from drivers.tools.lib.arguments import profile_names, raw_profile
from hil.devices.modbus.profile_server import ProfileServer
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT


@contextlib.contextmanager
def serve(profile: str, *words: str) -> Iterator[str]:
    """Run the command; yield the address of its server."""
    port = free_port()
    address = f"tcp:127.0.0.1:{port}"
    command = [sys.executable, str(ROOT / "coldloop.py"), "modbus", "serve", profile, address]
    process = subprocess.Popen([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        wait_until_open(port)
        yield address
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("name", profile_names())
def test_tables_of_every_profile(name: str) -> None:
    """Every entry of every shipped profile has its registers, and its identity is complete."""
    server = ProfileServer(raw_profile(name), 5)
    assert server.names
    for function, address, count in server.names.values():
        if function in (1, 2):
            assert server.read_bits(address, count, function == 1) == [False] or server.read_bits(
                address, count, function == 1
            ) == [True]
        else:
            assert isinstance(server.read(address, count, function), list)


@pytest.mark.parametrize("name", ["belimo_valve", "abb_acs580", "sunspec_203", "orv3_rpu"])
def test_poll_identifies_and_reads_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(name, "--unit", "7") as address:
        words = ("--profile", name, "--unit", "7", "--rounds", "2", "--period-ms", "50", "--json")
        assert modbus(["poll", address, *words]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["identity"] != "mismatch"
    assert last["faults"] == []


def test_write_and_mbpoll(capsys: pytest.CaptureFixture[str]) -> None:
    mbpoll = require_program("mbpoll")
    with serve("belimo_valve", "--unit", "20", "--value", "ValvePositionPercent=4321") as address:
        point = "ValvePositionControlPercent"
        words = ("--profile", "belimo_valve", "--yes", "--json")
        modbus(["write", address, "20", point, "40", *words])
        assert json.loads(capsys.readouterr().out)["written"] == 40.0
        assert modbus(["write", address, "20", point, "400", *words]) == 2
        port = address.rpartition(":")[2]
        command = [mbpoll, "-1", "-0", "-a", "20", "-t", "4", "-p", port, "-r"]
        for register, shown in (("0", "4000"), ("4", "4321")):
            text = subprocess.run(
                [*command, register, "-c", "1", "127.0.0.1"],
                check=True,
                capture_output=True,
                text=True,
                timeout=30,
            ).stdout
            assert f"[{register}]: \t{shown}" in text
    assert modbus(["serve", "nothing", "tcp:127.0.0.1:1"]) == 2
    assert modbus(["serve", "belimo_valve", address, "--value", "x=1"]) == 2
    for value in ("ValvePositionPercent=1,2,3", "ValvePositionPercent=65536"):
        assert modbus(["serve", "belimo_valve", address, "--value", value]) == 2
