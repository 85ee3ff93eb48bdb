# SPDX-License-Identifier: Apache-2.0
"""docs/technician/add_device_model.md: its steps work, on a device with the table of the page."""

import json
import re
import shlex
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.commands import profiles
from agent.config.load import load
from drivers.commands import modbus
from tests.cli.test_agent_command import example
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "technician" / "add_device_model.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    coldloop (modbus .+)$", PAGE, re.M)
# The registers of the page, for a pump at 81.25 % and 45.5 degC.
REGISTERS = {0: 20, 10: 8125, 11: 1, 12: 455, 20: 3, 21: 8125}


class PumpHandler(socketserver.StreamRequestHandler):
    """Modbus TCP, functions 3, 6 and 16, over REGISTERS; independent of the code under test."""

    registers: dict[int, int]

    def handle(self) -> None:
        while True:
            head = self.rfile.read(7)
            if len(head) < 7:
                return
            ident, _, length, unit = struct.unpack(">HHHB", head)
            pdu = self._answer(self.rfile.read(length - 1))
            self.wfile.write(struct.pack(">HHHB", ident, 0, len(pdu) + 1, unit) + pdu)

    def _answer(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", pdu[:5])
        if function == 3:
            requested = range(address, address + count)
            if not set(requested) <= set(self.registers):
                return bytes((0x83, 2))
            return struct.pack(
                f">BB{count}H", 3, 2 * count, *(self.registers[at] for at in requested)
            )
        if function == 6:
            self.registers[address] = count
            return pdu
        for at in range(count):
            self.registers[address + at] = struct.unpack_from(">H", pdu, 6 + 2 * at)[0]
        return pdu[:5]


@pytest.fixture
def device_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, dict[int, int]]]:
    """Port and registers of the pump, beside the file that the page describes."""
    result = re.search(r"```json\n(.*?)```", PAGE, re.S)
    assert result
    (tmp_path / "acme_p20.json").write_text(result.group(1), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    registers = dict(REGISTERS)
    handler = type("Handler", (PumpHandler,), {"registers": registers})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"tcp:127.0.0.1:{server.server_address[1]}", registers
        server.shutdown()
        thread.join()


def run_command(command: str, port: str) -> int:
    arguments = [port if word == "PORT" else word for word in shlex.split(command)]
    assert arguments.pop(0) == "modbus"
    return modbus(arguments)


def test_the_documented_file_meets_the_schema(device_port: tuple[str, dict[int, int]]) -> None:
    """A profile of the repository must do so; see `tests/drivers/test_profiles.py`."""
    folder = ROOT / "drivers" / "profiles"
    schema = json.loads((folder / "profile.schema.json").read_text(encoding="utf-8"))
    raw = json.loads(Path("acme_p20.json").read_text(encoding="utf-8"))
    jsonschema.validate(raw, schema, cls=jsonschema.Draft202012Validator)


def test_documented_commands_work(
    device_port: tuple[str, dict[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    port, registers = device_port
    reported: dict[str, str] = {}
    for command in COMMANDS:
        assert run_command(command, port) == 0, (command, capsys.readouterr())
        reported[command.split()[1] + command.split()[2]] = capsys.readouterr().out
    assert list(reported) == ["profilecheck", "profileshow", "pollPORT", "writePORT"]
    polled = reported["pollPORT"]
    for value in ("81.25", "45.5"):
        assert value in polled
    assert registers == {**REGISTERS, 21: 3500}


def test_a_documented_limit_is_enforced(
    device_port: tuple[str, dict[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    port, registers = device_port
    (write,) = (command for command in COMMANDS if command.startswith("modbus write"))
    assert run_command(write.replace(" 35 ", " 101 "), port) != 0
    assert registers == REGISTERS


def test_the_agent_accepts_the_profile(device_port: tuple[str, dict[int, int]]) -> None:
    raw: Any = example()
    raw["devices"][2] |= {"profile": "acme_p20"}
    profile_files = {**profiles(), "acme_p20": json.loads(Path("acme_p20.json").read_text())}
    assert len(load(raw, profile_files).devices) == 4
