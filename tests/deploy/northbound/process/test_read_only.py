# SPDX-License-Identifier: Apache-2.0
"""Writes off: each way of writing of each protocol changes nothing and sends nothing to the agent.

Writes on: one change in each protocol is bounded, audited, and can be taken back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.types import FakeAudit
from deploy.northbound.modbus import layout
from tests.deploy.northbound.bacnet.wire import WRITE, ask, confirmed, object_id
from tests.deploy.northbound.process.site_unit import SiteUnit
from tests.deploy.northbound.process.test_launcher import ForkedServers
from tests.deploy.northbound.process.write_attempts import (
    PASSWORD,
    HttpsClient,
    redfish_paths,
    write_bacnet,
    write_modbus,
    write_panel,
    write_redfish,
    write_snmp,
)
from tests.portable.agent.northbound.test_component import WRITES
from tests.support.cli_tools import wait_until
from tests.support.programs import require_program

USERS = {"reader": "ReadOnly", "otto": "Operator", "chief": "Administrator"}
_CHANGING = (".log", "session", "lock", "https", "snmp", "event")
"""Files of the servers that requests may change: logs, sessions, boots of SNMP."""


def state_files(folder: Path) -> dict[str, str]:
    """Return the hash of each file of the servers that no request may change."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(word in str(path.relative_to(folder)) for word in _CHANGING)
    }


def add_users(state: Path) -> None:
    accounts = Accounts(state, FakeAudit())
    for name, role in USERS.items():
        assert accounts.add(name, PASSWORD, role) is None


@contextlib.contextmanager
def serving(folder: Path, change: Callable[[dict[str, Any]], object]) -> Any:
    """Give the running servers, with three users."""
    servers = ForkedServers(folder, change=change)
    try:
        add_users(folder / "state")
        yield servers
    finally:
        if servers.process.poll() is None:
            servers.stop()


def audit_text(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted((folder / "state").glob("*.log*")))


@pytest.mark.parametrize("has_key", [False, True])
def test_nothing_is_written_while_writes_are_off(tmp_path: Path, has_key: bool) -> None:
    """`has_key`: the servers have the site key, but the unit grants nothing.

    Without a key the administrator tries alone: the servers have nothing to sign with.
    """
    if not has_key:
        for program in ("snmpd", "snmpset", "snmpwalk"):
            require_program(program)

    def off(section: dict[str, Any]) -> None:
        section["writes"] = {"key": "site.key"}
        if not has_key:
            del section["writes"]
        section["modbus"]["writers"] = ["127.0.0.0/8"]
        section["bacnet"]["networks"] = ["127.0.0.0/8"]

    with SiteUnit(tmp_path) as unit, serving(tmp_path, off) as servers:
        http, modbus, bacnet, snmp = servers.ports
        client = HttpsClient(http, "127.0.3.1", "chief")
        paths = redfish_paths(client)
        client.close()
        assert len(paths) > 100
        before, files = unit.fingerprint(), state_files(tmp_path / "state")
        assert "accounts.json" in files
        counts = {"panel": 0, "redfish": 0}
        for number, user in enumerate(("", *USERS) if has_key else ("chief",)):
            source = f"127.0.3.{10 + number}"
            counts["panel"] += write_panel(http, source, user)
            counts["redfish"] += write_redfish(http, paths, source, user)
        counts["modbus"] = write_modbus(modbus, has_key)
        counts["bacnet"] = write_bacnet(bacnet, 7)
        if not has_key:
            counts["snmp"] = write_snmp(snmp)
        print(counts)
        assert unit.fingerprint() == before
        assert state_files(tmp_path / "state") == files
        log = audit_text(tmp_path)
        assert all(f'"{name}"' in log for name in ("redfish", "modbus", "bacnet")), log[-2000:]


class SiteClients:
    """One client of each protocol that changes the set-point; each returns whether it may."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._https = HttpsClient(ports[0], "127.0.3.2", "otto")
        self.ways = {
            "redfish": self._redfish,
            "panel": self._panel,
            "modbus": self._modbus,
            "bacnet": self._bacnet,
        }
        self._keep_alive = 0

    def close(self) -> None:
        self._https.close()

    def _redfish(self, value: float) -> bool:
        path = "/redfish/v1/Chassis/1/Controls/SupplyTemperature"
        return self._https.call("PATCH", path, {"SetPoint": value})[0] == 202

    def _panel(self, value: float) -> bool:
        body = {"action": "setpoint", "arguments": {"key": "supply_setpoint", "value": value}}
        status, _, content = self._https.call("POST", "/panel/api/prepare", body)
        if status != 200:
            return False
        act, code = "/panel/api/act", json.loads(content)["code"]
        assert self._https.call("POST", act, body)[0] == 409, "a second step is needed"
        return self._https.call("POST", act, {"code": code})[0] == 202

    def _modbus(self, value: float) -> bool:
        self._keep_alive += 1
        wanted = layout.slot_address(0, "wanted")
        with socket.create_connection(("127.0.0.1", self._ports[1]), 20) as sock:
            for at, word in ((layout.KEEP_ALIVE, self._keep_alive), (wanted, round(value * 100))):
                sock.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, at, word))
                reply = sock.recv(300)[7]
        return reply == 6

    def _bacnet(self, value: float) -> bool:
        data = object_id(2, 11) + b"\x19\x55\x3e\x44" + struct.pack(">f", value) + b"\x3f\x49\x08"
        return ask(self._ports[2], confirmed(WRITE, data))[6] == 0x20


def _change(unit: SiteUnit, write: Callable[[float], bool], value: float) -> None:
    """Write until the value is in force. The unit may refuse a change that is too soon."""

    def attempt() -> bool:
        if not write(value):
            return False
        end = time.monotonic() + 3
        while unit.setpoint() != value and time.monotonic() < end:
            time.sleep(0.05)
        return unit.setpoint() == value

    wait_until(f"{write.__name__} {value}", attempt, 120)


def test_a_change_is_bounded_audited_and_can_be_taken_back(tmp_path: Path) -> None:
    """The unit lives 20 times as fast: a trial takes 1 s."""
    writes = {**WRITES, "every_s": 10}

    def on(section: dict[str, Any]) -> None:
        section["writes"] = {**writes, "key": "site.key"}
        section["modbus"]["writers"] = ["127.0.0.0/8"]
        section["bacnet"]["networks"] = ["127.0.0.0/8"]

    with SiteUnit(tmp_path, writes, speed=20) as unit, serving(tmp_path, on) as servers:
        clients = SiteClients(servers.ports)
        for name, write in clients.ways.items():
            before, count = unit.hash(), unit.received
            for wrong in (24.9, 35.1, 34.5):  # below, above, too big a step from 32
                assert not write(wrong), (name, wrong)
            assert (unit.hash(), unit.received) == (before, count), name
            for value in (33.0, 32.0):
                _change(unit, write, value)
                wait_until("the end of the trial", lambda: unit.rig.slot_state()[1] is None, 60)
                assert (unit.hash() == before) == (value == 32.0), name
        clients.close()
        log = audit_text(tmp_path)
    for name in clients.ways:
        entries = [line for line in log.splitlines() if f'"{name}"' in line and "33000" in line]
        assert any("sent" in line for line in entries), (name, log[-3000:])
        assert any("confirmed" in line for line in entries), name
