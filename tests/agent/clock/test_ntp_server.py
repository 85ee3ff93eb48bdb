# SPDX-License-Identifier: Apache-2.0
"""Component `ntp` and its port against a real chronyd on the loopback."""

import subprocess
import time
from pathlib import Path
from typing import Any

from agent.clock.ntp_peer import NtpPeer
from drivers.ports.address import parse_address
from drivers.ports.cpython import tcp
from drivers.ports.cpython.clock import monotonic, system_offset_ns
from tests.support.programs import free_port, require_program

SERVER = """local stratum 8
port {port}
allow 127.0.0.1
bindaddress 127.0.0.1
cmdport 0
bindcmdaddress {folder}/command.sock
pidfile {folder}/pid
user root
"""


class RecordingClock:
    """A clock with the time of the system; records the cross-checks."""

    def __init__(self) -> None:
        self.checks: list[tuple[int, int]] = []

    def utc(self, now: int) -> int:
        return now + system_offset_ns() // 1000

    def cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> bool:
        self.checks.append((utc_us - self.utc(now), uncertainty_us))
        return True


def test_chronyd_replies(tmp_path: Path) -> None:
    chronyd = require_program("chronyd")
    port, folder = free_port(), tmp_path / "run"
    folder.mkdir(mode=0o700)
    (tmp_path / "chrony.conf").write_text(SERVER.format(port=port, folder=folder))
    log = (tmp_path / "log").open("wb")
    argv = [chronyd, "-x", "-d", "-f", str(tmp_path / "chrony.conf")]
    process = subprocess.Popen(argv, stdout=log, stderr=log)
    log.close()
    holder: Any = type("Holder", (), {"clock": RecordingClock()})()
    peer = NtpPeer(holder, {"every_s": 16, "error_ms": 0}, 0)
    try:
        end = time.monotonic() + 20
        while not (folder / "pid").exists():  # until then the host refuses the datagrams
            assert time.monotonic() < end
            time.sleep(0.02)
        socket_port = tcp.open_port(parse_address(f"ntp:127.0.0.1:{port}"), lambda: None)
        while not socket_port.continue_open():
            assert time.monotonic() < end
        peer.event("opened", 0)
        while not peer.replies and time.monotonic() < end:
            peer._due = 0  # each turn is a new request: chronyd starts late
            peer.tick(monotonic())
            for _, _, data in peer.outbox():
                socket_port.write(data)
            for _ in range(50):
                reply = socket_port.read()
                if reply:
                    peer.receive(reply, monotonic())
                    break
                time.sleep(0.005)
        socket_port.close()
    finally:
        process.terminate()
        process.wait(10)
    difference, uncertainty = holder.clock.checks[-1]
    assert abs(difference) <= uncertainty
    assert uncertainty < 100_000
