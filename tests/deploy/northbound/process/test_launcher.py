# SPDX-License-Identifier: Apache-2.0
"""The launcher: forks serve, one that dies comes back alone, none stays, little memory."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.northbound.process.test_process import write_config
from tests.deploy.northbound.test_record import write_record
from tests.portable.agent.northbound.test_component import WRITES, started
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT

MEMORY_MIB = 64
_SHORT = (
    "import sys, coldloop; from deploy.northbound.process import launcher; "
    "launcher._HUNG_S = %g; sys.exit(coldloop.main())"
)
_UNIT_NAME = ".1.3.6.1.4.1.8072.9999.9999.4710.1.1.1.0"


class ForkedServers:
    """`coldloop northbound serve all` with each server. `hung_s`: instead of the 15 s.

    `change` edits the section `northbound` of the configuration.
    """

    def __init__(
        self,
        folder: Path,
        receivers: tuple[str, ...] = (),
        hung_s: float | None = None,
        change: Callable[[dict[str, Any]], object] = dict,
    ) -> None:
        require_program("snmpd")
        self.ports = [free_port(), free_port(), free_port(), free_port()]
        http, modbus, bacnet, snmp = self.ports
        keys = folder / "snmp.keys"
        keys.write_text("authentication: authentication-1\nprivacy: privacy-secret-2\n")
        keys.chmod(0o600)
        self.config = write_config(
            folder,
            http={"address": "127.0.0.1", "port": http},
            modbus={"address": "127.0.0.1", "port": modbus},
            bacnet={"address": "127.0.0.1/8", "port": bacnet, "device": 7},
            snmp={
                "address": "127.0.0.1",
                "port": snmp,
                "user": "reader",
                "keys": keys.name,
                "receivers": list(receivers),
            },
        )
        raw = json.loads(self.config.read_text())
        change(raw["northbound"])
        self.config.write_text(json.dumps(raw))
        write_record(started(WRITES), folder)
        command = [sys.executable, "-m", "coldloop"]
        if hung_s is not None:
            command = [sys.executable, "-c", _SHORT % hung_s]
        command += ["northbound", "serve", "all"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(folder / "notify"))
            systemd.settimeout(60)
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config)],
                cwd=ROOT,
                env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            )
            while (word := systemd.recv(64)) != b"READY=1":
                assert word == b"WATCHDOG=1"
            assert systemd.recv(64) == b"WATCHDOG=1"
        wait_until_open(modbus, 60)

    def children(self) -> list[int]:
        """Return the forks, in the order of their start."""
        return sorted(children_of(self.process.pid))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def share_kib(pid: int) -> int:
    """Return the proportional set size of a process and of those that it started, without snmpd.

    The size counts a page that n processes share as 1/n of a page in each.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    assert found is not None
    own = 0 if name == "snmpd" else int(found[1])
    return own + sum(share_kib(child) for child in children_of(pid))


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/smaps").exists()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ForkedServers]:
    found = ForkedServers(tmp_path)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
            found.process.wait(20)


def test_forks_share_memory_and_one_comes_back_alone(servers: ForkedServers) -> None:
    before = servers.children()
    assert len(before) == 3  # web, bacnet and snmpd
    assert share_kib(servers.process.pid) / 1024 <= MEMORY_MIB
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(servers.children()) - set(before)) == 1)
    wait_until_open(servers.ports[1], 60)
    assert set(before[1:]) <= set(servers.children())
    forks = servers.children()
    assert servers.stop() == 0
    assert not any(is_alive(pid) for pid in forks)


def test_a_thousand_half_open_connections_at_each_server(servers: ForkedServers) -> None:
    """Clients from 100 addresses that send half a request. Others are served; memory is bounded."""
    context = ssl._create_unverified_context()
    with contextlib.ExitStack() as stack:
        for port, half in zip(servers.ports[:2], (b"\x16\x03\x01", b"\x00\x01\x00"), strict=True):
            for number in range(1000):
                source = (f"127.0.4.{1 + number % 100}", 0)
                sock = stack.enter_context(
                    socket.create_connection(("127.0.0.1", port), 20, source)
                )
                with contextlib.suppress(ConnectionError):  # the server has closed it
                    sock.sendall(half)
                if number >= 400:
                    sock.close()  # few descriptors in this process; the server sees both kinds
            url = f"https://127.0.0.1:{servers.ports[0]}/redfish"
            with urllib.request.urlopen(url, context=context, timeout=30) as reply:
                assert reply.status == 200
        assert share_kib(servers.process.pid) / 1024 <= MEMORY_MIB + 8  # of the 1,000 clients
        assert "STRING" in _ask_snmp(servers)
    request = b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x02"

    def reads() -> bool:
        sock = socket.create_connection(("127.0.0.1", servers.ports[1]), 20)
        with sock, contextlib.suppress(ConnectionError):
            sock.sendall(request)
            return sock.recv(100)[9:13] == b"SunS"
        return False

    wait_for(reads)


def _ask_snmp(servers: ForkedServers) -> str:
    """Read the name of the unit by SNMPv3; at most 3 s."""
    user = ["-u", "reader", "-a", "SHA-256", "-A", "authentication-1"]
    address = f"127.0.0.1:{servers.ports[3]}"
    done = subprocess.run(
        [require_program("snmpget"), "-v3", "-l", "authPriv", *user, "-x", "AES",
         "-X", "privacy-secret-2", "-t", "3", "-r", "0", address, _UNIT_NAME],
        capture_output=True, text=True, check=False, env={"PATH": os.defpath, "MIBS": ""},
        timeout=30,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.realtime
def test_a_hung_server_delays_no_other_and_comes_back(tmp_path: Path) -> None:
    servers = ForkedServers(tmp_path, hung_s=3)
    try:
        wait_for(lambda: "STRING" in _ask_snmp(servers))
        web = servers.children()[0]
        os.kill(web, signal.SIGSTOP)
        assert "STRING" in _ask_snmp(servers)
        wait_for(lambda: not is_alive(web))
        wait_until_open(servers.ports[1], 60)
        assert "STRING" in _ask_snmp(servers)
        assert servers.process.poll() is None
        assert servers.stop() == 0
    finally:
        servers.process.kill()
        servers.process.wait(20)


def test_forks_end_with_a_killed_launcher(servers: ForkedServers) -> None:
    forks = servers.children()
    servers.process.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in forks))


def test_a_server_that_cannot_begin_ends_all(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = write_config(
            tmp_path,
            modbus={"address": "127.0.0.1", "port": port},
            bacnet={"address": "127.0.0.1/8", "port": free_port(), "device": 7},
        )
        done = subprocess.run(
            [sys.executable, "-m", "coldloop", "northbound", "serve", "--config", str(config)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
