# SPDX-License-Identifier: Apache-2.0
"""The process `web` with a record of a real agent: the commands of docs/operator/redfish.md."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.types import FakeAudit
from tests.deploy.northbound.process.test_process import write_config
from tests.deploy.northbound.test_record import write_record
from tests.portable.agent.northbound.test_component import WRITES, started
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "operator" / "redfish.md"


class WebProcess:
    """`coldloop northbound serve web` and an agent whose record is renewed."""

    def __init__(self, folder: Path, room: str = "metrics") -> None:
        self.folder = folder
        self.port = free_port()
        http = {"address": "127.0.0.1", "port": self.port, "serves": ["redfish", room]}
        self.config = write_config(folder, http=http)
        self.state = folder / "state"
        self._rig = started(WRITES, identity={"serial_number": "SN-1", "model": "CDU-100"})
        self._stop = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._writer.start()
        command = [sys.executable, "-m", "coldloop", "northbound", "serve", "web"]
        self._child = subprocess.Popen([*command, "--config", str(self.config)], cwd=ROOT)
        wait_until_open(self.port, 60)
        with urllib.request.urlopen(  # the answer comes when all routes are there
            f"https://127.0.0.1:{self.port}/redfish", context=ssl._create_unverified_context()
        ) as answer:
            assert answer.status == 200
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._child is not None
        self._child.terminate()
        assert self._child.wait(20) == 0
        self._stop.set()
        self._writer.join(10)

    def memory_mib(self) -> float:
        """Return the memory of the process in use."""
        assert self._child is not None
        status = Path(f"/proc/{self._child.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024

    def _write(self) -> None:
        while not self._stop.is_set():
            self._rig.run(1)
            write_record(self._rig, self.folder)
            self._stop.wait(0.5)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    with WebProcess(tmp_path_factory.mktemp("web")) as found:
        yield found


def page_script() -> str:
    """Return the commands of the page from the assignment of CDU on, as a script of the shell."""
    text = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.S)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("    CDU="))
    found = [line[4:] for line in lines[start:] if line.startswith("    ")]
    return "\n".join(found)


def test_the_commands_of_the_page_work(web: WebProcess) -> None:
    for program in ("curl", "promtool"):
        require_program(program)
    work = web.folder / "work"
    work.mkdir()
    for name in ("initial_password", "metrics_token", "https/certificate.pem"):
        shutil.copy(web.state / name, work / Path(name).name)
    script = page_script().replace("CDU=https://10.0.0.5:8443", "", 1)
    script = re.sub(r"^timeout 2 (curl .*)$", r"timeout 2 \1 || test $? = 124", script, flags=re.M)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "CDU": f"https://127.0.0.1:{web.port}",
        "CA": "certificate.pem",
        "REQUESTS_CA_BUNDLE": str(work / "certificate.pem"),
    }
    environment.pop("CURL_CA_BUNDLE", None)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=work, env=environment, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    text = done.stdout
    assert '"SerialNumber":"SN-1"' in text
    assert '"EquipmentType":"CDU"' in text
    assert "SupplyTemperature" in text
    assert "SN-1\n" in text  # sushy
    assert "northbound.writes has no key" in text  # the set-point


def test_a_stream_ends_with_its_account(web: WebProcess) -> None:
    accounts = Accounts(web.state, FakeAudit())
    assert accounts.add("otto", "horse-battery-9", "Operator") is None
    curl = [require_program("curl"), "-skN", "-u", "otto:horse-battery-9"]
    url = f"https://127.0.0.1:{web.port}/redfish/v1/EventService/SSE"
    stream = subprocess.Popen([*curl, url], stdout=subprocess.PIPE, text=True)
    try:
        assert stream.stdout is not None
        assert stream.stdout.readline() == ": connected\n"
        assert accounts.remove("otto") is None
        stream.communicate(timeout=10)
        assert stream.returncode == 0
    finally:
        stream.kill()


def test_hostile_bytes_and_a_restart_leave_the_process_alive(web: WebProcess) -> None:
    curl = require_program("curl")
    base = f"https://127.0.0.1:{web.port}"
    for arguments in (["-X", "PATCH"], ["-H", "Content-Length: 5"], ["-u", "admin:wrong"]):
        subprocess.run([curl, "-sk", "-m", "5", *arguments, f"{base}/redfish/v1/Chassis"],
                       capture_output=True, timeout=20, check=False)  # fmt: skip
    done = subprocess.run(
        [curl, "-sk", f"{base}/redfish"], capture_output=True, timeout=20, check=True
    )
    assert json.loads(done.stdout) == {"v1": "/redfish/v1/"}


def test_memory_is_bounded_in_a_flood_of_slow_clients(web: WebProcess) -> None:
    context = ssl._create_unverified_context()
    slow = []
    try:
        for _number in range(150):
            plain = socket.create_connection(("127.0.0.1", web.port), 10)
            slow.append(context.wrap_socket(plain))
            slow[-1].sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\nA: ")
        assert web.memory_mib() < 64
    finally:
        for entry in slow:
            entry.close()
