# SPDX-License-Identifier: Apache-2.0
"""The servers as `coldloop northbound serve` starts them: Modbus, BACnet, SNMP, read-only.

The commands of the guides (docs/operator) run here, too.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.northbound.fake_source import FakeSource
from tests.deploy.northbound.bacnet.wire import READ, confirmed, dissect, object_id
from tests.deploy.northbound.record_writer import write_record
from tests.support.programs import free_port, require_program
from tests.support.repository import ROOT

PASSPHRASES = ("authentication-1", "privacy-secret-2")
GUIDE = ROOT / "docs" / "operator" / "northbound_bms.md"


class ServedSite:
    """A configuration, a record that stays fresh, and a process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, FakeSource(3)
        (folder / "record").mkdir()
        keys = folder / "snmp.keys"
        keys.write_text("authentication: {}\nprivacy: {}\n".format(*PASSPHRASES))
        keys.chmod(0o600)
        self.ports = {"modbus": free_port(), "bacnet": free_port(), "snmp": free_port()}
        section = {
            "port": f"local:{folder / 'record'}",
            "state": str(folder / "state"),
            "modbus": {"address": "127.0.0.1", "port": self.ports["modbus"]},
            "bacnet": {"address": "127.0.0.1/24", "port": self.ports["bacnet"], "device": 1},
            "snmp": {
                "address": "127.0.0.1",
                "port": self.ports["snmp"],
                "user": "reader",
                "keys": "snmp.keys",
            },
        }
        config = {"site": "demo", "unit": "row1-cdu1", "northbound": section}
        (folder / "unit.json").write_text(json.dumps(config))
        self.source.set_point("supply_temperature", 31_250)
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._keep_fresh)
        self._writer.start()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coldloop", "northbound", "serve",
             "--config", str(folder / "unit.json")],
            cwd=ROOT,
        )  # fmt: skip

    def _keep_fresh(self) -> None:
        while True:
            write_record(self.folder / "record", self.source.snapshot)
            if self._ended.wait(0.5):
                return

    def close(self) -> None:
        """End the process and the writer."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self._ended.set()
        self._writer.join(5)

    def command(self, text: str) -> str:
        """Run a command of the guide with the addresses of the test; return its output."""
        for name, port in (("1502", "modbus"), ("1161", "snmp")):
            text = re.sub(rf"\b{name}\b", str(self.ports[port]), text)
        text = text.replace("10.0.0.5", "127.0.0.1")
        for name, value in zip(("AUTHENTICATION", "PRIVACY"), PASSPHRASES, strict=True):
            text = text.replace(name, value)
        words = text.split()
        done = subprocess.run(
            [require_program(words[0]), *(word.strip("'\"") for word in words[1:])],
            capture_output=True, text=True, check=False, timeout=30,
            env={"PATH": os.environ["PATH"], "MIBS": "", "HOME": str(self.folder)},
        )  # fmt: skip
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedSite]:
    for program in ("mbpoll", "snmpd", "snmpget"):
        require_program(program)
    result = ServedSite(tmp_path_factory.mktemp("site"))
    try:
        yield result
    finally:
        result.close()


def wait_for(site: ServedSite, command: str, wanted: str) -> str:
    """Run a command until its output has a text."""
    end = time.monotonic() + 40
    while wanted not in (text := site.command(command)):
        assert site.process.poll() is None
        assert time.monotonic() < end, text
        time.sleep(0.2)
    return text


def guide_commands(program: str) -> list[str]:
    """Return the commands of the guide that use a program."""
    lines = (line.strip() for line in GUIDE.read_text().splitlines() if line.startswith("    "))
    return [line for line in lines if line.startswith(program)]


def test_modbus_guide(site: ServedSite) -> None:
    status, supply = guide_commands("mbpoll")
    assert "31.25" in str(
        int(re.findall(r"\[134\]:\s+(\d+)", wait_for(site, supply, "[134]"))[0]) / 100
    )
    assert "[74]" in site.command(status)


def test_snmp_guide(site: ServedSite) -> None:
    walk, get = guide_commands("snmp")
    assert "31250" in wait_for(site, get, "31250")
    assert "demo/row1-cdu1" in site.command(walk)


def test_bacnet_reads(site: ServedSite) -> None:
    end = time.monotonic() + 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        while True:
            sock.sendto(
                confirmed(READ, object_id(0, 1) + b"\x19\x55"), ("127.0.0.1", site.ports["bacnet"])
            )
            try:
                data = sock.recv(2000)
            except (TimeoutError, ConnectionRefusedError):
                assert time.monotonic() < end
            else:
                break
    assert "31.25" in dissect(data)
