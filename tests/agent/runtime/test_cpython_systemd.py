# SPDX-License-Identifier: Apache-2.0
"""systemd gets READY=1 once, and WATCHDOG=1 only after steps of the loops."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import read_config
from agent.runtime.cpython_port_check import check_addresses
from agent.runtime.cpython_systemd import SystemdNotifier, notifier_for
from deploy.debian import tree
from tests.support.cli_tools import running_command, wait_for_exit


class FakeLoopStatus:
    """An agent whose steps the test sets."""

    watched_step: int | None = None


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end of $NOTIFY_SOCKET that systemd reads."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(path))
        end.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield end


def read_all(end: socket.socket) -> list[bytes]:
    """Read all waiting messages."""
    messages = []
    end.setblocking(False)
    try:
        while True:
            messages.append(end.recv(64))
    except BlockingIOError:
        return messages


def test_watchdog_is_kicked_by_loop_steps_only(systemd: socket.socket) -> None:
    agent = FakeLoopStatus()
    notifier = SystemdNotifier(agent, os.environ["NOTIFY_SOCKET"])
    assert [notifier.update() for _ in range(3)] == [False] * 3
    assert read_all(systemd) == [b"READY=1"]
    agent.watched_step = 5
    for _ in range(3):
        notifier.update()
    assert read_all(systemd) == [b"WATCHDOG=1"], "turning without stepping feeds nothing"
    agent.watched_step = 6
    notifier.update()
    assert read_all(systemd) == [b"WATCHDOG=1"]
    notifier.close()


def test_failed_message_is_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "late"
    agent = FakeLoopStatus()
    agent.watched_step = 1
    notifier = SystemdNotifier(agent, str(path))
    notifier.update()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(path))
        notifier.update()
        notifier.update()
        assert read_all(end) == [b"READY=1", b"WATCHDOG=1"]
    notifier.close()


def write_config(folder: Path, **sections: object) -> str:
    """Write the sample of the package, with ports that do not exist."""
    raw = json.loads((tree.FILES / "unit.json").read_text())
    raw |= {"broker": {"address": "tcp:127.0.0.1:1"}, "state": f"store:{folder}"}
    raw["log"]["port"] = f"store:{folder}/log"
    raw |= sections
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    return str(path)


def test_own_watchdog_needs_no_notifier(
    tmp_path: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = read_config(write_config(tmp_path))
    assert notifier_for(FakeLoopStatus(), own) is None
    other = read_config(write_config(tmp_path, safety={}))
    notifier = notifier_for(FakeLoopStatus(), other)
    assert notifier is not None
    notifier.close()
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert notifier_for(FakeLoopStatus(), other) is None


def test_a_missing_watchdog_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    warnings: list[str] = []
    assert check_addresses(["watchdog:systemd", "watchdog:/dev/none"], warnings.append) == []
    assert ["Type=notify" in warnings[0], "no such port" in warnings[1]] == [True, True]


@pytest.mark.parametrize("safety", [{}, {"port": "watchdog:systemd"}])
def test_agent_without_ports_notifies_systemd(
    safety: dict[str, str], tmp_path: Path, systemd: socket.socket
) -> None:
    path = write_config(tmp_path, safety=safety)
    quiet = {"stdout": -3, "stderr": -3}
    with running_command("agent", "--config", path, **quiet) as process:
        assert [systemd.recv(64) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        assert wait_for_exit(process, 15)[0] == 0
