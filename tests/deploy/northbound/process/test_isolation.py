# SPDX-License-Identifier: Apache-2.0
"""The agent does not notice its servers: a flood, a stopped or killed server, a broken folder."""

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from agent.northbound.point_record import KEY
from drivers.ports.cpython.local import SOCKET
from hil.bench.testbed_settings import TestbedSettings
from hil.run.real_bench import RealBench
from hil.run.site_servers import PARTS, are_installed
from tests.hil.test_demo import late_ticks

_SECOND = 1_000_000


def flood(path: Path, seconds: float) -> int:
    """Send random datagrams without end; return their number."""
    count, end = 0, time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(0.01)
        while time.monotonic() < end:
            try:
                client.sendto(os.urandom(300), str(path))
                count += 1
            except (BlockingIOError, TimeoutError, FileNotFoundError):
                time.sleep(0.001)
    return count


def sequence(folder: Path) -> int:
    found: int = json.loads((folder / KEY).read_bytes())["sequence"]
    return found


@pytest.mark.realtime
def test_the_agent_does_not_notice_its_servers() -> None:
    if not are_installed():
        pytest.skip("needs the extra northbound")
    sent: list[int] = []
    with RealBench(TestbedSettings(parts=PARTS), seed=1) as bench:
        servers = bench.add_site_servers()
        bench.start_agent(log=bench.folder / "agent.log")
        folder = bench.folder / "northbound"
        bench.shell.run(3 * _SECOND)
        servers.start()
        bench.shell.run(6 * _SECOND)
        assert servers.is_running(), (bench.folder / "site.log").read_text()
        thread = threading.Thread(target=lambda: sent.append(flood(folder / SOCKET, 3)))
        thread.start()
        bench.shell.run(10 * _SECOND)
        thread.join()
        assert sent[0] > 1000
        servers.send_signal(signal.SIGSTOP)
        bench.shell.run(12 * _SECOND)
        servers.send_signal(signal.SIGKILL)
        before = sequence(folder)
        bench.shell.run(14 * _SECOND)
        assert sequence(folder) > before
        (folder / KEY).unlink()
        (folder / KEY).mkdir()  # each write fails: the port is opened again and again
        bench.shell.run(17 * _SECOND)
        (folder / KEY).rmdir()
        bench.shell.run(24 * _SECOND)
        assert (folder / KEY).is_file()
        status = bench.status()
        assert bench.agent_exit_code() is None
        servers.stop()
    assert status is not None
    assert status["ticks"]["missed"] <= late_ticks()
    assert status["northbound"]["received"] > 1000
    assert status["northbound"]["dropped"] >= status["northbound"]["received"] - 60
    assert status["state"] == "normal"
    assert status["alarms"] == []
