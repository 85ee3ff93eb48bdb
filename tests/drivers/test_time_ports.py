# SPDX-License-Identifier: Apache-2.0
"""PPS input and time samples: the ports one by one, and chronyd as the reference."""

import errno
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.clock.chrony import RefClock
from agent.clock.utc_clock import UtcClock
from agent.core.tick_scheduler import TickScheduler
from agent.runtime import cpython
from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import chrony, pps
from drivers.ports.cpython.clock import monotonic, system_offset_ns
from drivers.ports.micropython import pps as micropython_pps
from tests.portable.support.reference_time import ReferenceFix
from tests.support.programs import require_program
from tests.support.runtime_rig import TIMEOUT_S

TICK = 100_000
AHEAD_US = 5_000  # the simulated error of the system clock


def no_wake() -> None:
    """A wake callback without effect."""


def wait_for(condition: Callable[[], Any]) -> Any:
    """Call until the result is true; fail after a long time."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.005)
    return pytest.fail("nothing came")


# --- PPS ------------------------------------------------------------------------------------------


class FakePpsKernel:
    """PPS_FETCH as in the kernel: waits for an edge, writes struct pps_fdata."""

    def __init__(self) -> None:
        self.edges: list[tuple[int, int]] = []  # (sequence, system time in nanoseconds)
        self.requests: list[int] = []
        self.error = errno.ETIMEDOUT

    def ioctl(self, _descriptor: int, request: int, data: bytearray) -> None:
        assert len(data) == 64
        assert struct.unpack_from("@qi", data, 48) == (2, 0)
        self.requests.append(request)
        if not self.edges:
            time.sleep(0.01)
            raise OSError(self.error, "no edge")
        sequence, at = self.edges.pop(0)
        seconds, rest = divmod(at, 1_000_000_000)
        struct.pack_into("@II", data, 0, sequence, sequence + 100)
        struct.pack_into("@qi", data, 8, seconds, rest)
        struct.pack_into("@qi", data, 24, seconds, rest + 7)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[FakePpsKernel, Any]]:
    path = tmp_path / "pps0"
    path.write_bytes(b"")
    kernel = FakePpsKernel()
    port = pps.open_port(parse_address(f"pps:{path}"), no_wake, kernel.ioctl)
    yield kernel, port
    port.close()


def test_ioctl_request_matches_linux() -> None:
    if struct.calcsize("P") == 8:
        assert pps._FETCH == 0xC00870A4


def test_edge_time_is_exact(device: tuple[FakePpsKernel, Any]) -> None:
    kernel, port = device
    before = monotonic()
    kernel.edges.append((1, time.time_ns() - 20_000_000))
    edge = int.from_bytes(wait_for(port.read), "big")
    assert before - 21_000 <= edge <= monotonic() - 19_000
    assert port.read() == b""
    assert port.write(b"x") == 1


def test_edge_is_reported_once_and_old_edge_never(device: tuple[FakePpsKernel, Any]) -> None:
    kernel, port = device
    now = time.time_ns()
    kernel.edges += [(1, now - 5_000_000_000), (2, now), (2, now)]
    wait_for(lambda: not kernel.edges)
    assert len(wait_for(port.read)) == 8
    time.sleep(0.05)
    assert port.read() == b""


def test_device_error_fails_the_port(device: tuple[FakePpsKernel, Any]) -> None:
    kernel, port = device
    kernel.error = errno.ENODEV

    def broken() -> str:
        try:
            port.read()
        except PortError as error:
            return str(error)
        return ""

    assert "pps0" in wait_for(broken)


def test_non_pps_device_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="no such device"):
        pps.open_port(parse_address(f"pps:{tmp_path}/none"), no_wake)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PortError, match="not a PPS device"):
        pps.open_port(parse_address(f"pps:{tmp_path}/file"), no_wake)


class PulseAgent:
    """An agent that opens one port and stores its pulses."""

    def __init__(self, address: str) -> None:
        self.requests = [(3, "open", address.encode())]
        self.calls: list[tuple[str, int]] = []

    def receive(self, port: int, data: bytes, now: int) -> None:
        self.calls.append(("data", now))

    def event(self, port: int, kind: str, now: int) -> None:
        self.calls.append((kind, now))

    def wake(self, now: int) -> None:
        """Nothing is due."""

    def deadline(self) -> int:
        return 1 << 62

    def outbox(self) -> list[tuple[int, str, bytes]]:
        requests, self.requests = self.requests, []
        return requests


def test_runtime_reads_pulses_from_a_pipe(tmp_path: Path) -> None:
    path = str(tmp_path / "bench.pps")
    os.mkfifo(path)
    agent = PulseAgent(f"pps:{path}")

    def write() -> None:
        with open(path, "wb", buffering=0) as pipe:
            for edge in (123_456, 1_123_456):
                pipe.write(edge.to_bytes(8, "big"))

    writer = threading.Thread(target=write)
    writer.start()
    end = time.monotonic() + TIMEOUT_S

    def done() -> bool:
        return ("pulse", 1_123_456) in agent.calls or time.monotonic() > end

    assert cpython.run(agent, done) == 0
    writer.join()
    assert agent.calls[0][0] == "opened"
    assert [call for call in agent.calls if call[0] == "pulse"] == [
        ("pulse", 123_456),
        ("pulse", 1_123_456),
    ]
    assert not [call for call in agent.calls if call[0] == "data"]


class PinModel:
    """The part of machine.Pin that the port uses."""

    IN, IRQ_RISING, IRQ_FALLING = 0, 1, 2

    def __init__(self, name: object, mode: int) -> None:
        if name == 99:
            raise ValueError("invalid pin")
        self.name, self.mode = name, mode
        self.trigger = 0
        self.handler: Callable[[object], None] | None = None

    def irq(self, handler: Any, trigger: int = 0, hard: bool = False) -> None:
        self.handler, self.trigger = handler, trigger
        assert hard or handler is None


def test_pps_on_a_board_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortError, match="this machine has no pins"):
        micropython_pps.open_port(parse_address("pps:15"), no_wake)
    monkeypatch.setitem(sys.modules, "machine", types.SimpleNamespace(Pin=PinModel))
    ticks = [1_073_741_800]  # shortly before a 30-bit counter wraps
    monkeypatch.setattr(micropython_pps.time, "ticks_us", lambda: ticks[0], raising=False)
    monkeypatch.setattr(
        micropython_pps.time, "ticks_diff", lambda a, b: (a - b) % (1 << 30), raising=False
    )
    with pytest.raises(PortError, match="no such port"):
        micropython_pps.open_port(parse_address("pps:99"), no_wake)
    port = micropython_pps.open_port(parse_address("pps:15?edge=fall"), no_wake, lambda: 7_000_000)
    pin: Any = port._pin
    assert (pin.name, pin.trigger) == (15, PinModel.IRQ_FALLING)
    assert port.read() == b""
    pin.handler(pin)
    ticks[0] = 176  # 200 us later
    assert port.read() == (7_000_000 - 200).to_bytes(8, "big")
    assert port.read() == b""
    port.close()
    assert pin.handler is None


# --- Samples for chronyd --------------------------------------------------------------------------


def test_sample_has_the_format_of_chrony() -> None:
    data = chrony.pack_sample(1_795_500_000_123_456_789, 1_795_500_000_128_456, 1)
    assert len(data) == 40
    seconds, rest, offset, pulse, leap, _, magic = struct.unpack("@qqdiiii", data)
    assert (seconds, rest, pulse, leap, magic) == (1_795_500_000, 123_456, 0, 1, 0x534F434B)
    assert offset == pytest.approx(0.004999211, abs=1e-9)


def test_sample_holds_the_system_clock_offset(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as chronyd:
        chronyd.bind(path)
        port = chrony.open_port(parse_address(f"chrony:{path}"), no_wake)
        mono = monotonic()
        utc = mono + system_offset_ns() // 1000 + AHEAD_US
        assert port.write(chrony.AGENT_SAMPLE.pack(mono, utc, 0)) == 17
        _, _, offset, *_ = struct.unpack("@qqdiiii", chronyd.recv(64))
        assert offset == pytest.approx(AHEAD_US / 1e6, abs=1e-3)
        assert (port.read(), port.is_drained()) == (b"", True)
        port.close()
    with pytest.raises(PortError, match="chronyd does not run"):
        chrony.open_port(parse_address(f"chrony:{path}"), no_wake)
    with pytest.raises(PortError, match="no such socket"):
        chrony.open_port(parse_address(f"chrony:{tmp_path}/none"), no_wake)
    with pytest.raises(PortError, match="not a socket"):
        chrony.open_port(parse_address(f"chrony:{__file__}"), no_wake)


def test_raw_clock_is_not_slewed() -> None:
    first = monotonic()
    raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) // 1000
    assert first <= raw <= monotonic() < first + 10_000_000
    assert abs(time.time_ns() - system_offset_ns() - monotonic() * 1000) < 1_000_000_000


class ChronyAgent:
    """A clock with the system time plus AHEAD_US, and the component that feeds chronyd."""

    def __init__(self, address: str) -> None:
        self.clock = UtcClock(50_000, leap_known=True)
        self.ticks = TickScheduler(TICK, 0, 10)
        self.component = RefClock(self, {"bound_ms": 100}, 0)  # type: ignore[arg-type]
        self.requests = [(0, "open", address.encode())]
        self.due = monotonic()

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Ignore received bytes."""

    def event(self, port: int, kind: str, now: int) -> None:
        self.component.event(kind, now)

    def wake(self, now: int) -> None:
        self.due = now + TICK
        self.clock.add_fix(ReferenceFix(now + system_offset_ns() // 1000 + AHEAD_US, now))
        self.clock.slew(TICK, now)
        self.component.tick(now)

    def deadline(self) -> int:
        return self.due

    def outbox(self) -> list[tuple[int, str, bytes]]:
        requests, self.requests = self.requests, []
        return requests + self.component.outbox()


CHRONYD = """refclock SOCK {folder}/bds.sock refid BDS delay 0.001 poll 0 filter 2
port 0
cmdport 0
bindcmdaddress {folder}/chronyd.sock
pidfile {folder}/chronyd.pid
"""


def read_tracking(folder: Path) -> list[str]:
    """Return chronyd's tracking report: reference, …, correction (s) in field 4."""
    done = subprocess.run(
        [require_program("chronyc"), "-h", f"{folder}/chronyd.sock", "-c", "tracking"],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    return done.stdout.strip().split(",")


def test_chronyd_agrees_within_a_millisecond(tmp_path: Path) -> None:
    folder = tmp_path / "chrony"
    folder.mkdir(mode=0o750)
    (folder / "conf").write_text(CHRONYD.format(folder=folder), encoding="utf-8")
    user = ["-u", "root"] if os.geteuid() == 0 else ["-U"]
    command = [require_program("chronyd"), "-x", "-d", *user, "-f", str(folder / "conf")]
    chronyc = require_program("chronyc")
    assert chronyc
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stderr=log) as chronyd:
        try:
            wait_for((folder / "bds.sock").exists)
            agent = ChronyAgent(f"chrony:{folder}/bds.sock")
            looks = [time.monotonic() + 1]
            end = time.monotonic() + 60
            report: list[str] = [""]

            def selected() -> bool:
                if time.monotonic() >= looks[0]:
                    looks[0] = time.monotonic() + 1
                    report[:] = read_tracking(folder)
                return report[1:2] == ["BDS"] or time.monotonic() > end

            cpython.run(agent, selected, out=lambda _: None)
            assert report[1:2] == ["BDS"], (folder / "log").read_text(encoding="utf-8")
            assert float(report[4]) == pytest.approx(AHEAD_US / 1e6, abs=1e-3)
            assert agent.component.sent >= 4
        finally:
            chronyd.terminate()
            chronyd.wait(TIMEOUT_S)
