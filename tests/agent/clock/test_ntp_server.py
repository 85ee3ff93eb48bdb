# SPDX-License-Identifier: Apache-2.0
"""Component `ntp` and its ports against real chronyd servers on the loopback."""

import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agent.clock.ntp.component import NtpComponent
from agent.core.port_link import PortLink
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
FALSE_S = 7


class RecordingClock:
    """A clock with the time of the system; records the cross-checks."""

    drift_ppb = 20_000

    def __init__(self) -> None:
        self.checks: list[tuple[int, int]] = []

    def utc(self, now: int) -> int:
        return now + system_offset_ns() // 1000

    def cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> bool:
        self.checks.append((utc_us - self.utc(now), uncertainty_us))
        return True

    def limit_drag(self, utc_us: int, uncertainty_us: int, now: int, agrees: bool) -> None:
        """Do nothing: the time of the system is no receiver."""


def is_answering(port: int) -> bool:
    """Return whether a server replies to a request of a client. Its PID file is there before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(b"\x23" + bytes(47))
            return len(probe.recv(512)) >= 48
        except OSError:
            return False


@contextmanager
def chronyd_server(folder: Path) -> Iterator[int]:
    """Run a chronyd that serves the time of the system; give its port."""
    chronyd = require_program("chronyd")
    port = free_port()
    folder.mkdir(mode=0o700)
    (folder / "chrony.conf").write_text(SERVER.format(port=port, folder=folder))
    with (folder / "log").open("wb") as log:
        argv = [chronyd, "-x", "-d", "-f", str(folder / "chrony.conf")]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 20
        while not is_answering(port):  # until then the host refuses the datagrams
            assert time.monotonic() < end
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def delayed_by(reply: bytes, seconds: int) -> bytes:
    """Return a reply of a server whose clock is `seconds` ahead."""
    fields = list(struct.unpack(">IIII", reply[32:48]))
    fields[0] += seconds
    fields[2] += seconds
    return reply[:32] + struct.pack(">IIII", *fields)


def open_socket(port: int) -> Any:
    socket_port = tcp.open_port(parse_address(f"ntp:127.0.0.1:{port}"), lambda: None)
    end = time.monotonic() + 20
    while not socket_port.continue_open():
        assert time.monotonic() < end
    return socket_port


def run_rounds(ntp: NtpComponent, sockets: list[Any], rounds: int, false: int = -1) -> None:
    """Run rounds of requests. The replies of the server `false` are `FALSE_S` wrong."""
    end = time.monotonic() + 20
    while min(s.exchange.replies for s in ntp.servers) < rounds and time.monotonic() < end:
        ntp._due = 0  # each turn is a new request: chronyd starts late
        ntp.tick(monotonic())
        for port, _, data in ntp.outbox():
            sockets[port].write(data)
        time.sleep(0.05)
        for i, socket_port in enumerate(sockets):
            reply = socket_port.read()
            if not reply:
                continue
            reply = delayed_by(reply, FALSE_S) if i == false else reply
            if i:
                ntp.link_receive(i - 1, reply, monotonic())
            else:
                ntp.receive(reply, monotonic())
        if ntp._compare_at is not None:
            ntp._compare_at = 0  # all replies are there
        ntp.tick(monotonic())


def component(clock: RecordingClock, servers: int) -> NtpComponent:
    holder: Any = type("Holder", (), {"clock": clock})()
    ntp = NtpComponent(holder, {"every_s": 16, "error_ms": 0}, 0)
    for i in range(1, servers):
        ntp.add_link(PortLink(i, f"ntp.s{i}", ""))
    ntp.start(0)
    ntp.event("opened", 0)
    for i in range(1, servers):
        ntp.link_event(i - 1, "opened", 0)
    return ntp


def test_chronyd_replies(tmp_path: Path) -> None:
    clock = RecordingClock()
    ntp = component(clock, 1)
    with chronyd_server(tmp_path / "run") as port:
        socket_port = open_socket(port)
        run_rounds(ntp, [socket_port], 1)
        socket_port.close()
    difference, uncertainty = clock.checks[-1]
    assert abs(difference) <= uncertainty
    assert uncertainty < 100_000


def test_one_false_server_of_three_is_named(tmp_path: Path) -> None:
    clock = RecordingClock()
    ntp = component(clock, 3)
    with ExitStack() as servers:
        ports = [servers.enter_context(chronyd_server(tmp_path / str(i))) for i in range(3)]
        sockets = [open_socket(port) for port in ports]
        run_rounds(ntp, sockets, 5, false=1)
        for socket_port in sockets:
            socket_port.close()
    assert clock.checks
    for difference, uncertainty in clock.checks:
        assert abs(difference) <= uncertainty < 100_000
    assert [source for _, source, _ in ntp.active_conditions(0)] == ["ntp.s1"]
