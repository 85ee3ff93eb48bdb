"""systemd hears READY=1 once, and WATCHDOG=1 only when the loops have been stepped since."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import read_config
from agent.runtime.cpython_preflight import preflight
from agent.runtime.cpython_systemd import Heart, heart_for
from deploy.debian import tree
from tests.support.cli_tools import ended, started


class Stepped:
    """An agent whose steps the test makes."""

    last_step: int | None = None


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end of $NOTIFY_SOCKET that systemd reads."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(path))
        end.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield end


def heard(end: socket.socket) -> list[bytes]:
    """All that waits to be read."""
    found = []
    end.setblocking(False)
    try:
        while True:
            found.append(end.recv(64))
    except BlockingIOError:
        return found


def test_only_steps_feed(systemd: socket.socket) -> None:
    agent = Stepped()
    heart = Heart(agent, os.environ["NOTIFY_SOCKET"])
    assert [heart.look() for _ in range(3)] == [False] * 3
    assert heard(systemd) == [b"READY=1"]
    agent.last_step = 5
    for _ in range(3):
        heart.look()
    assert heard(systemd) == [b"WATCHDOG=1"], "turning without stepping feeds nothing"
    agent.last_step = 6
    heart.look()
    assert heard(systemd) == [b"WATCHDOG=1"]
    heart.close()


def test_what_was_not_heard_is_told_again(tmp_path: Path) -> None:
    path = tmp_path / "late"
    agent = Stepped()
    agent.last_step = 1
    heart = Heart(agent, str(path))
    heart.look()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(path))
        heart.look()
        heart.look()
        assert heard(end) == [b"READY=1", b"WATCHDOG=1"]
    heart.close()


def sample(folder: Path, **sections: object) -> str:
    """The package's sample, with ports that are not there."""
    raw = json.loads((tree.FILES / "unit.json").read_text())
    raw |= {"broker": {"address": "tcp:127.0.0.1:1"}, "state": f"store:{folder}"}
    raw["log"]["port"] = f"store:{folder}/log"
    raw |= sections
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    return str(path)


def test_a_watchdog_of_its_own_needs_no_heart(
    tmp_path: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = read_config(sample(tmp_path))
    assert heart_for(Stepped(), own) is None
    other = read_config(sample(tmp_path, safety={}))
    heart = heart_for(Stepped(), other)
    assert heart is not None
    heart.close()
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert heart_for(Stepped(), other) is None


def test_a_missing_watchdog_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    said: list[str] = []
    assert preflight(["watchdog:systemd", "watchdog:/dev/none"], said.append) == []
    assert ["Type=notify" in said[0], "no such port" in said[1]] == [True, True]


@pytest.mark.parametrize("safety", [{}, {"port": "watchdog:systemd"}])
def test_an_agent_without_its_ports_is_ready_and_fed(
    safety: dict[str, str], tmp_path: Path, systemd: socket.socket
) -> None:
    path = sample(tmp_path, safety=safety)
    quiet = {"stdout": -3, "stderr": -3}
    with started("agent", "--config", path, **quiet) as process:
        assert [systemd.recv(64) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        assert ended(process, 15)[0] == 0
