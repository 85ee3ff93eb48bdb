# SPDX-License-Identifier: Apache-2.0
"""Processes of the servers: settings, sockets of systemd, start, end, the commands."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from deploy.commands import northbound
from deploy.errors import OpsError
from deploy.northbound.access.accounts import INITIAL, Accounts
from deploy.northbound.access.counter_lock import FILE, LOCK, shared_counters
from deploy.northbound.access.state_lock import state_lock
from deploy.northbound.command import serve
from deploy.northbound.command.serve import list_addresses
from deploy.northbound.process import listener, run
from deploy.northbound.process.run import run_process
from deploy.northbound.process.settings import read_settings
from tests.portable.agent.northbound.test_component import WRITES, site_config
from tests.support.repository import ROOT


def write_config(folder: Path, **sections: Any) -> Path:
    raw = site_config(WRITES)
    raw["northbound"]["port"] = f"local:{folder}"
    raw["northbound"]["state"] = str(folder / "state")
    raw["northbound"].update(sections)
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    return path


def test_settings_have_defaults_and_relative_keys(tmp_path: Path) -> None:
    writes = {**WRITES, "key": "site.key"}
    path = write_config(tmp_path, http={"address": "127.0.0.1"}, writes=writes)
    settings = read_settings(str(path))
    assert settings.section["http"]["port"] == 8443
    assert settings.key_file() == tmp_path / "site.key"
    assert settings.processes() == ["web"]
    assert list_addresses(settings) == [
        "panel     https://127.0.0.1:8443/panel",
        "redfish   https://127.0.0.1:8443/redfish/v1",
        "metrics   https://127.0.0.1:8443/metrics",
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"http": {}}, "address: missing"),
        ({"http": {"address": "127.0.0.1", "port": 0}}, "outside 1 to"),
        ({"modbus": {"address": "::1", "speed": 1}}, "unknown key"),
        ({"port": "tls:x:1"}, ""),
        ({"port": "x"}, "northbound.port"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    path = write_config(tmp_path, **change)
    if not text:
        return
    with pytest.raises(OpsError, match=text):
        read_settings(str(path))


def test_without_the_section_the_servers_are_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unit.json"
    for content in ("{}", "[]", "{", '{"northbound": 3}'):
        path.write_text(content)
        assert northbound(["web", "--config", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    path = write_config(tmp_path)
    assert northbound(["web", "--config", str(path)]) == 2
    assert "this process is off" in capsys.readouterr().err
    assert northbound(["--config", str(path)]) == 2
    assert northbound(["--config", str(tmp_path / "none.json")]) == 2


def test_several_processes_are_children_and_a_wrong_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(
        tmp_path, http={"address": "127.0.0.1"}, bacnet={"address": "127.0.0.1", "device": 7}
    )
    started: list[str] = []

    def note(names: list[str], _settings: Any) -> int:
        started.extend(names)
        return 1

    monkeypatch.setattr(serve, "run_processes", note)
    options = ["--config", str(path)]
    assert northbound(["web", "bacnet", "web", *options]) == 1
    assert northbound(["serve", *options]) == 1
    assert northbound(["serve", "all", *options]) == 1
    assert started == ["web", "bacnet"] * 3
    assert northbound(["serve", "web", "snmp", *options]) == 2
    assert "no section for snmp" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        northbound(["serve", "web", "opcua", *options])
    assert "no process opcua; there are web, bacnet, snmp, all" in capsys.readouterr().err


def test_sockets_of_systemd_are_used_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        monkeypatch.setattr(listener, "_FIRST", first.fileno())
        names = ["http"] + [""] * (second.fileno() - first.fileno() - 1) + ["bacnet"]
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", str(len(names)))
        monkeypatch.setenv("LISTEN_FDNAMES", ":".join(names))
        http = listener.listen("http", "127.0.0.1", 1)
        bacnet = listener.listen("bacnet", "127.0.0.1", 1, socket.SOCK_DGRAM)
        assert http.getsockname() == first.getsockname()
        assert bacnet.getsockname() == second.getsockname()
        http.detach()
        bacnet.detach()
        monkeypatch.setenv("LISTEN_PID", "1")
        assert listener.activated() == {}
    monkeypatch.delenv("LISTEN_PID")
    with listener.listen("http", "127.0.0.1", 0) as own:
        port = own.getsockname()[1]
        with pytest.raises(OpsError, match="in use"):
            listener.listen("http", "127.0.0.1", port)
    for host in ("example.invalid", "", "10.0.0.0/24", "203.0.113.7"):
        with pytest.raises(OpsError, match=r"northbound\.http"):
            listener.listen("http", host or "x", 0)


def service(serve: Any) -> types.ModuleType:
    module = types.ModuleType("deploy.northbound.modbus.service")
    module.serve = serve  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(("fails", "code"), [(True, 1), (False, 0)])
def test_a_process_ends_with_its_service_or_by_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool, code: int
) -> None:
    cleaned: list[str] = []

    async def serve(context: Any) -> None:
        assert context.section("modbus")["address"] == "127.0.0.1"
        assert context.accounts is None
        if fails:
            raise ValueError("broken")
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("done")

    monkeypatch.setitem(sys.modules, "deploy.northbound.modbus.service", service(serve))
    path = write_config(tmp_path, modbus={"address": "127.0.0.1"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0 if fails else 5)  # a service that cannot begin is not ready
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert run_process("web", read_settings(str(path))) == code
        with pytest.raises(BlockingIOError) if fails else contextlib.nullcontext():
            assert systemd.recv(64) == b"READY=1"
    assert cleaned == ([] if fails else ["done"])
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_process_of_a_name_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would roll the change on trial of the first one back, and then find the port taken."""
    begun: list[str] = []

    async def serve(_context: Any) -> None:
        begun.append("served")

    monkeypatch.setattr(run, "_OLD_ENDS_S", 0.05)
    monkeypatch.setitem(sys.modules, "deploy.northbound.modbus.service", service(serve))
    settings = read_settings(str(write_config(tmp_path, modbus={"address": "127.0.0.1"})))
    settings.state.mkdir()
    with state_lock(settings.state / "web.lock", 0, "busy"):
        with pytest.raises(OpsError, match="another process web runs with this state"):
            run_process("web", settings)
        assert begun == []
    run_process("web", settings)
    (settings.state / "web.lock").unlink()
    (settings.state / "web.lock").mkdir()  # as without room: it serves
    run_process("web", settings)
    assert begun == ["served", "served"]


def test_counters_are_shared_and_a_stopped_process_does_not_block(tmp_path: Path) -> None:
    with shared_counters(tmp_path) as counters:
        counters.store({"1": 7})
    with shared_counters(tmp_path) as counters:
        assert counters.values == {"1": 7}
    for content in ("", "{", "[1]", '{"1": "x"}', '{"1": -1}', '{"1": 1e9}'):
        (tmp_path / FILE).write_text(content)
        with shared_counters(tmp_path) as counters:
            assert counters.values == {}
    with (tmp_path / LOCK).open("r+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process"), shared_counters(tmp_path):
            pass
    with pytest.raises(FileNotFoundError), shared_counters(tmp_path / "none"):
        pass
    with shared_counters(None) as counters:
        counters.store({"1": 7})
        assert counters.values == {"1": 7}


def test_account_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path, http={"address": "127.0.0.1"})
    options = ["--config", str(path)]
    assert northbound(["account", "list", *options]) == 2
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("COLDLOOP_PASSWORD", "horse-battery-9")
    assert northbound(["account", "add", "rita", *options]) == 0
    assert northbound(["account", "add", "rita", *options]) == 1
    assert northbound(["account", "role", "rita", "--role", "Operator", *options]) == 0
    assert northbound(["account", "remove", "admin", *options]) == 1
    assert northbound(["account", "remove", *options]) == 2
    assert (tmp_path / "state" / INITIAL).exists()
    capsys.readouterr()
    assert northbound(["account", "list", *options]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["rita", "Operator", "initial"]
    assert northbound(["audit", *options]) == 0
    assert "account add" in capsys.readouterr().out
    log = tmp_path / "state" / "account.log"
    log.write_text(log.read_text().replace("rita", "rota", 1))
    assert northbound(["audit", "--json", *options]) == 1
    assert "changed" in capsys.readouterr().err


def test_the_commands_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path, http={"address": "127.0.0.1"})
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("COLDLOOP_PASSWORD", "horse-battery-9")
    options = ["--config", str(path)]
    assert northbound(["account", "add", "otto", *options]) == 0
    page = (ROOT / "docs/operator/northbound.md").read_text(encoding="utf-8")
    lines = [line.strip().partition("#")[0] for line in page.splitlines()]
    commands = [line.split()[2:] for line in lines if line.startswith("coldloop northbound ")]
    commands = [words for words in commands if words[0] in ("account", "audit")]
    assert len(commands) == 5
    for words in commands:
        assert northbound([*words, *options]) == 0, words
    capsys.readouterr()
    assert northbound(["account", "list", *options]) == 0
    assert "otto" in capsys.readouterr().out


def test_names_of_the_folder_are_private(tmp_path: Path) -> None:
    class NoAudit:
        def record(self, *_: str) -> None:
            pass

    umask = os.umask(0)
    try:
        Accounts(tmp_path, NoAudit())
    finally:
        os.umask(umask)
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o600}
