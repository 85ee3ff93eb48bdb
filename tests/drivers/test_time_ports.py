"""Pulses in and samples of time out: the ports one by one, and chronyd as the judge."""

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
from agent.clock.utc_clock import Clock
from agent.core.tick_scheduler import Ticks
from agent.runtime import cpython
from drivers.errors import PortError
from drivers.ports.address import parse
from drivers.ports.cpython import chrony, clock, pps
from drivers.ports.cpython.clock import monotonic, system_ns
from drivers.ports.micropython import pps as micropython_pps
from tests.portable.support.reference_time import TrueFix
from tests.support.peers import need
from tests.support.runtime_rig import PATIENCE_S

TICK = 100_000
AHEAD_US = 5_000  # what the system's clock is told to be behind


def nothing() -> None:
    """A wake that wakes nobody."""


def until(found: Callable[[], Any]) -> Any:
    """Ask until the answer is true; fail after a long time."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.005)
    return pytest.fail("nothing came")


# --- Pulses ---------------------------------------------------------------------------------------


class Kernel:
    """PPS_FETCH as the kernel does it: waits for an edge, writes struct pps_fdata."""

    def __init__(self) -> None:
        self.edges: list[tuple[int, int]] = []  # (sequence, system's nanoseconds)
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
def device(tmp_path: Path) -> Iterator[tuple[Kernel, Any]]:
    path = tmp_path / "pps0"
    path.write_bytes(b"")
    kernel = Kernel()
    port = pps.open_port(parse(f"pps:{path}"), nothing, kernel.ioctl)
    yield kernel, port
    port.close()


def test_the_request_is_linux_own() -> None:
    if struct.calcsize("P") == 8:
        assert pps._FETCH == 0xC00870A4


def test_an_edge_keeps_its_microsecond(device: tuple[Kernel, Any]) -> None:
    kernel, port = device
    before = monotonic()
    kernel.edges.append((1, time.time_ns() - 20_000_000))
    edge = int.from_bytes(until(port.read), "big")
    assert before - 21_000 <= edge <= monotonic() - 19_000
    assert port.read() == b""
    assert port.write(b"x") == 1


def test_an_edge_is_told_once_and_an_old_one_not_at_all(device: tuple[Kernel, Any]) -> None:
    kernel, port = device
    now = time.time_ns()
    kernel.edges += [(1, now - 5_000_000_000), (2, now), (2, now)]
    until(lambda: not kernel.edges)
    assert len(until(port.read)) == 8
    time.sleep(0.05)
    assert port.read() == b""


def test_a_device_that_breaks_is_a_failed_port(device: tuple[Kernel, Any]) -> None:
    kernel, port = device
    kernel.error = errno.ENODEV

    def broken() -> str:
        try:
            port.read()
        except PortError as error:
            return str(error)
        return ""

    assert "pps0" in until(broken)


def test_what_is_no_pps_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="no such device"):
        pps.open_port(parse(f"pps:{tmp_path}/none"), nothing)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PortError, match="not a PPS device"):
        pps.open_port(parse(f"pps:{tmp_path}/file"), nothing)


class Listener:
    """An agent that opens one port and remembers its pulses."""

    def __init__(self, address: str) -> None:
        self.todo = [(3, "open", address.encode())]
        self.seen: list[tuple[str, int]] = []

    def receive(self, port: int, data: bytes, now: int) -> None:
        self.seen.append(("data", now))

    def event(self, port: int, kind: str, now: int) -> None:
        self.seen.append((kind, now))

    def wake(self, now: int) -> None:
        """Nothing is due."""

    def deadline(self) -> int:
        return 1 << 62

    def outbox(self) -> list[tuple[int, str, bytes]]:
        todo, self.todo = self.todo, []
        return todo


def test_the_shell_makes_pulses_of_the_benchs_pipe(tmp_path: Path) -> None:
    path = str(tmp_path / "bench.pps")
    os.mkfifo(path)
    agent = Listener(f"pps:{path}")

    def write() -> None:
        with open(path, "wb", buffering=0) as pipe:
            for edge in (123_456, 1_123_456):
                pipe.write(edge.to_bytes(8, "big"))

    writer = threading.Thread(target=write)
    writer.start()
    end = time.monotonic() + PATIENCE_S

    def done() -> bool:
        return ("pulse", 1_123_456) in agent.seen or time.monotonic() > end

    assert cpython.run(agent, done) == 0
    writer.join()
    assert agent.seen[0][0] == "opened"
    assert [seen for seen in agent.seen if seen[0] == "pulse"] == [
        ("pulse", 123_456),
        ("pulse", 1_123_456),
    ]
    assert not [seen for seen in agent.seen if seen[0] == "data"]


class StandInPin:
    """As much of machine.Pin as the port uses."""

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


def test_a_boards_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortError, match="this machine has no pins"):
        micropython_pps.open_port(parse("pps:15"), nothing)
    monkeypatch.setitem(sys.modules, "machine", types.SimpleNamespace(Pin=StandInPin))
    ticks = [1_073_741_800]  # shortly before a 30-bit counter wraps
    monkeypatch.setattr(micropython_pps.time, "ticks_us", lambda: ticks[0], raising=False)
    monkeypatch.setattr(
        micropython_pps.time, "ticks_diff", lambda a, b: (a - b) % (1 << 30), raising=False
    )
    with pytest.raises(PortError, match="no such port"):
        micropython_pps.open_port(parse("pps:99"), nothing)
    port = micropython_pps.open_port(parse("pps:15?edge=fall"), nothing, lambda: 7_000_000)
    pin: Any = port._pin
    assert (pin.name, pin.trigger) == (15, StandInPin.IRQ_FALLING)
    assert port.read() == b""
    pin.handler(pin)
    ticks[0] = 176  # 200 us later
    assert port.read() == (7_000_000 - 200).to_bytes(8, "big")
    assert port.read() == b""
    port.close()
    assert pin.handler is None


# --- Samples for chronyd --------------------------------------------------------------------------


def test_a_sample_is_chronys_struct() -> None:
    data = chrony.sample(1_795_500_000_123_456_789, 1_795_500_000_128_456, 1)
    assert len(data) == 40
    seconds, rest, offset, pulse, leap, _, magic = struct.unpack("@qqdiiii", data)
    assert (seconds, rest, pulse, leap, magic) == (1_795_500_000, 123_456, 0, 1, 0x534F434B)
    assert offset == pytest.approx(0.004999211, abs=1e-9)


def test_a_sample_says_how_far_the_system_is_off(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as chronyd:
        chronyd.bind(path)
        port = chrony.open_port(parse(f"chrony:{path}"), nothing)
        mono = monotonic()
        utc = mono + system_ns() // 1000 + AHEAD_US
        assert port.write(chrony.SAMPLE.pack(mono, utc, 0)) == 17
        _, _, offset, *_ = struct.unpack("@qqdiiii", chronyd.recv(64))
        assert offset == pytest.approx(AHEAD_US / 1e6, abs=1e-3)
        assert (port.read(), port.settled()) == (b"", True)
        port.close()
    with pytest.raises(PortError, match="chronyd has gone"):
        chrony.open_port(parse(f"chrony:{path}"), nothing)
    with pytest.raises(PortError, match="no such socket"):
        chrony.open_port(parse(f"chrony:{tmp_path}/none"), nothing)
    with pytest.raises(PortError, match="not a socket"):
        chrony.open_port(parse(f"chrony:{__file__}"), nothing)


def test_the_raw_clock_is_the_same_clock_unsteered() -> None:
    try:
        steered = monotonic()
        clock.use_raw()
        first = monotonic()
        assert 0 <= monotonic() - first < 10_000_000
        assert abs(time.time_ns() - system_ns() - monotonic() * 1000) < 1_000_000_000
    finally:
        clock._clocks[0] = time.CLOCK_MONOTONIC
    assert monotonic() >= steered


class TimeAgent:
    """A clock that is fed with the system's time and AHEAD_US, and what tells chronyd of it."""

    def __init__(self, address: str) -> None:
        self.clock = Clock(50_000, leap_known=True)
        self.ticks = Ticks(TICK, 0, 10)
        self.part = RefClock(self, {"bound_ms": 100}, 0)  # type: ignore[arg-type]
        self.todo = [(0, "open", address.encode())]
        self.due = monotonic()

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Nothing comes."""

    def event(self, port: int, kind: str, now: int) -> None:
        self.part.event(kind, now)

    def wake(self, now: int) -> None:
        self.due = now + TICK
        self.clock.sample(TrueFix(now + system_ns() // 1000 + AHEAD_US, now))
        self.clock.slew(TICK, now)
        self.part.tick(now)

    def deadline(self) -> int:
        return self.due

    def outbox(self) -> list[tuple[int, str, bytes]]:
        todo, self.todo = self.todo, []
        return todo + self.part.outbox()


CHRONYD = """refclock SOCK {folder}/bds.sock refid BDS delay 0.001 poll 0 filter 2
port 0
cmdport 0
bindcmdaddress {folder}/chronyd.sock
pidfile {folder}/chronyd.pid
"""


def tracking(folder: Path) -> list[str]:
    """What chronyd says of the system's clock: reference, …, correction (s) in field 4."""
    told = subprocess.run(
        [need("chronyc"), "-h", f"{folder}/chronyd.sock", "-c", "tracking"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return told.stdout.strip().split(",")


def test_chronyd_agrees_within_a_millisecond(tmp_path: Path) -> None:
    folder = tmp_path / "chrony"
    folder.mkdir(mode=0o750)
    (folder / "conf").write_text(CHRONYD.format(folder=folder), encoding="utf-8")
    user = ["-u", "root"] if os.geteuid() == 0 else ["-U"]
    command = [need("chronyd"), "-x", "-d", *user, "-f", str(folder / "conf")]
    chronyc = need("chronyc")
    assert chronyc
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stderr=log) as chronyd:
        try:
            until((folder / "bds.sock").exists)
            agent = TimeAgent(f"chrony:{folder}/bds.sock")
            looks = [time.monotonic() + 1]
            end = time.monotonic() + 60
            told: list[str] = [""]

            def selected() -> bool:
                if time.monotonic() >= looks[0]:
                    looks[0] = time.monotonic() + 1
                    told[:] = tracking(folder)
                return told[1:2] == ["BDS"] or time.monotonic() > end

            cpython.run(agent, selected, out=lambda _: None)
            assert told[1:2] == ["BDS"], (folder / "log").read_text(encoding="utf-8")
            assert float(told[4]) == pytest.approx(AHEAD_US / 1e6, abs=1e-3)
            assert agent.part.sent >= 4
        finally:
            chronyd.terminate()
            chronyd.wait(PATIENCE_S)
