# SPDX-License-Identifier: Apache-2.0
"""Writes off: each way of writing of each protocol changes nothing and sends nothing to the agent.

Writes on: one change in each protocol is bounded, audited, and can be taken back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
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
    """`has_key`: the servers have the site key, but the unit grants nothing."""
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
        for number, user in enumerate(("", *USERS)):
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


def _by_redfish(ports: list[int], value: float) -> bool:
    client = HttpsClient(ports[0], "127.0.3.2", "otto")
    path = "/redfish/v1/Chassis/1/Controls/SupplyTemperature"
    status = client.call("PATCH", path, {"SetPoint": value})[0]
    client.close()
    return status == 202


def _by_panel(ports: list[int], value: float) -> bool:
    client = HttpsClient(ports[0], "127.0.3.3", "otto")
    body = {"action": "setpoint", "arguments": {"key": "supply_setpoint", "value": value}}
    status, _, content = client.call("POST", "/panel/api/prepare", body)
    if status != 200:
        client.close()
        return False
    assert client.call("POST", "/panel/api/act", body)[0] == 409, "a second step is needed"
    status = client.call("POST", "/panel/api/act", {"code": json.loads(content)["code"]})[0]
    client.close()
    return status == 202


def _by_modbus(ports: list[int], value: float) -> bool:
    import socket  # noqa: PLC0415

    with socket.create_connection(("127.0.0.1", ports[1]), 20) as sock:
        replies = []
        number = int(value * 10)
        for at, word in (
            (layout.KEEP_ALIVE, number),
            (layout.slot_address(0, "wanted"), round(value * 100)),
        ):
            sock.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, at, word))
            replies.append(sock.recv(300)[7])
    assert replies[0] == 6
    return replies[1] == 6


def _by_bacnet(ports: list[int], value: float) -> bool:
    data = object_id(2, 11) + b"\x19\x55\x3e\x44" + struct.pack(">f", value) + b"\x3f\x49\x08"
    return ask(ports[2], confirmed(WRITE, data))[6] == 0x20


WAYS = {"redfish": _by_redfish, "panel": _by_panel, "modbus": _by_modbus, "bacnet": _by_bacnet}


def test_a_change_is_bounded_audited_and_can_be_taken_back(tmp_path: Path) -> None:
    """The unit lives 40 times as fast: a trial takes 0.5 s, the least interval 1.5 s."""

    def on(section: dict[str, Any]) -> None:
        section["writes"] = {**WRITES, "key": "site.key"}
        section["modbus"]["writers"] = ["127.0.0.0/8"]
        section["bacnet"]["networks"] = ["127.0.0.0/8"]

    with SiteUnit(tmp_path, WRITES, speed=40) as unit, serving(tmp_path, on) as servers:
        for name, write in WAYS.items():
            before, count = unit.hash(), unit.received
            for wrong in (24.9, 35.1, 34.5):  # below, above, too big a step from 32
                assert not write(servers.ports, wrong), (name, wrong)
            assert (unit.hash(), unit.received) == (before, count), name
            for value in (33.0, 32.0):
                wait_until(
                    f"{name} {value} is accepted",
                    lambda value=value, write=write: write(servers.ports, value),  # type: ignore[misc]
                    90,
                )
                wait_until(f"{name} {value}", lambda value=value: unit.setpoint() == value, 60)  # type: ignore[misc]
                wait_until("the end of the trial", lambda: unit.rig.slot_state()[1] is None, 60)
                assert (unit.hash() == before) == (value == 32.0), name
        log = audit_text(tmp_path)
    for name in WAYS:
        entries = [line for line in log.splitlines() if f'"{name}"' in line and "33000" in line]
        assert any("sent" in line for line in entries), (name, log[-3000:])
        assert any("confirmed" in line for line in entries), name
