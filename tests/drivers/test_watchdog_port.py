# SPDX-License-Identifier: Apache-2.0
"""Watchdogs of Linux: a byte services a device, a datagram services systemd; missing ones are
reported.
"""

import socket
from pathlib import Path

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import watchdog
from drivers.ports.micropython import watchdog as micropython_watchdog


def no_wake() -> None:
    pass


def test_device_is_kicked_by_non_disarming_byte(tmp_path: Path) -> None:
    path = tmp_path / "watchdog"
    for module in (watchdog, micropython_watchdog):
        path.write_bytes(b"")
        port = module.open_port(parse_address(f"watchdog:{path}"), no_wake)
        assert port.read() == b""
        assert port.write(b"11") == 2
        port.close()
        fed = path.read_bytes()
        assert len(fed) == 1
        assert b"V" not in fed


def test_systemd_is_notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        port = watchdog.open_port(parse_address("watchdog:systemd"), no_wake)
        port.write(b"1")
        port.close()
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"WATCHDOG=1"]


def test_missing_watchdog_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with pytest.raises(PortError, match="Type=notify"):
        watchdog.open_port(parse_address("watchdog:systemd"), no_wake)
    for module in (watchdog, micropython_watchdog):
        with pytest.raises(PortError, match="no such watchdog"):
            module.open_port(parse_address(f"watchdog:{tmp_path}/none"), no_wake)
    with pytest.raises(PortError, match="no watchdog of a board"):
        micropython_watchdog.open_port(parse_address("watchdog:board"), no_wake)
