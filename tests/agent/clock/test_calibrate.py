# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock calibrate`: the measured latency is that of the emulated receiver."""

import json
import os
import pty
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coldloop
from agent.core.errors import ConfigError
from agent.tools.clock import clock_calibrate
from agent.tools.clock.latency import LatencyMeter
from agent.tools.clock.reference_clock import NtpReference, PulseReference, SystemReference
from drivers.gnss.receiver import ReceiverDriver
from drivers.ports.cpython import clock
from drivers.ports.cpython.clock import system_offset_ns
from drivers.ports.cpython.pps import EDGE
from drivers.tools.lib.open_port import monotonic_us
from tests.portable.support.nmeatext import line

UTC_S = 1_795_564_800


def epoch(second: int) -> bytes:
    stamp = time.strftime("%H%M%S.00", time.gmtime(second))
    date = time.strftime("%d%m%y", time.gmtime(second))
    position = "2512.5,N,05516.5,E"
    return line(f"GNRMC,{stamp},A,{position},0.0,0.0,{date},,,A,V") + line(
        f"GNGGA,{stamp},{position},1,16,0.7,12.3,M,-33.1,M,,"
    )


class FixedReference:
    """A reference that knows UTC; `modulo` as the real ones."""

    error_us = 200

    def __init__(self, modulo: bool) -> None:
        self.modulo = modulo

    def poll(self, _now: int) -> None:
        pass

    def close(self) -> None:
        pass

    def sample(self, utc_us: int, mono_us: int) -> int:
        latency = mono_us + UTC_S * 1_000_000 - utc_us
        return latency % 1_000_000 if self.modulo else latency


def stream(latency_ms: float, jitter_ms: float, count: int = 300) -> Iterator[tuple[bytes, int]]:
    """Yield epochs whose first byte arrives `latency_ms` after their second."""
    rng = random.Random(4)
    for second in range(count):
        data = epoch(UTC_S + second)
        first = second * 1e6 + 1000 * (latency_ms + rng.gauss(0.0, jitter_ms))
        yield data, round(first + (len(data) - 1) * 10e6 / 115_200)


@pytest.mark.parametrize("modulo", [False, True])
@pytest.mark.parametrize(("latency_ms", "jitter_ms"), [(63.4, 2.0), (1.5, 3.0), (995.0, 4.0)])
def test_latency_and_its_error(modulo: bool, latency_ms: float, jitter_ms: float) -> None:
    receiver = ReceiverDriver(0, 115_200)
    reference: Any = FixedReference(modulo)
    meter = clock_calibrate.measure(receiver, reference, stream(latency_ms, jitter_ms))
    found = meter.result(reference.error_us)
    assert found is not None
    assert abs(found.latency_ms - latency_ms) <= found.error_ms <= 0.4 + jitter_ms / 2
    assert abs(found.deviation_ms - jitter_ms) < 0.3


def test_drift_is_in_the_error() -> None:
    meter = LatencyMeter(modulo=False)
    for k in range(300):
        meter.add(60_000 + 40 * k)
    found = meter.result(0)
    assert found is not None
    assert 7.5 < found.drift_ms < 8.5
    assert found.error_ms >= 8.0
    assert abs(found.latency_ms - 72.0) <= found.error_ms  # the latest one


def test_too_few_samples_give_no_result() -> None:
    meter = LatencyMeter(modulo=True)
    for _ in range(59):
        meter.add(60_000)
    assert meter.result(0) is None


def test_pulse_reference(tmp_path: Path) -> None:
    pipe = tmp_path / "bench.pps"
    os.mkfifo(pipe)
    reference = PulseReference(f"pps:{pipe}")
    assert reference.sample(UTC_S * 1_000_000, 5_000_000) is None
    with pipe.open("wb", buffering=0) as file:
        file.write(EDGE.pack(4_000_123) + EDGE.pack(5_000_123))
        reference.poll(0)
    assert reference.sample(UTC_S * 1_000_000, 5_060_000) == 59_877
    assert reference.sample(UTC_S * 1_000_000 + 200_000, 5_260_000) == 59_877
    assert reference.sample(UTC_S * 1_000_000, 6_600_000) is None
    reference.close()


class NtpServer(threading.Thread):
    """An NTP server that is `ahead_s` ahead of the system clock."""

    def __init__(self, ahead_s: float, flags: int = 0x24) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.ahead_s, self.flags = ahead_s, flags
        self.start()

    def run(self) -> None:
        while True:
            data, peer = self.socket.recvfrom(512)
            if not data:
                self.socket.close()
                return
            now = int((time.time() + self.ahead_s + 2_208_988_800) * 2**32)
            head = struct.pack(">BBbbII4sQ", self.flags, 1, 4, -20, 0, 66, b"GPS\0", now)
            self.socket.sendto(head + data[40:48] + struct.pack(">QQ", now, now), peer)


@pytest.mark.parametrize(("flags", "usable"), [(0x24, True), (0xE4, False)])
def test_ntp_reference(flags: int, usable: bool) -> None:
    server = NtpServer(2.5, flags)
    reference = NtpReference(f"127.0.0.1:{server.socket.getsockname()[1]}")
    sample = None
    for _ in range(200):
        now = time.monotonic_ns() // 1000
        reference.poll(now)
        sample = reference.sample(now + system_offset_ns() // 1000, now)
        if sample is not None:
            break
        time.sleep(0.005)
    reference.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
        stopper.sendto(b"", server.socket.getsockname())
    server.join()
    assert (sample is not None) == usable
    if sample is not None:
        assert abs(sample - 2_500_000) <= reference.error_us + 200
        assert reference.error_us >= 1_000  # the dispersion of the server


def test_system_clock_without_a_time_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.tools.clock.reference_clock.kernel_error_us", lambda: None)
    with pytest.raises(ConfigError, match="not synchronized"):
        SystemReference(None)
    assert SystemReference(500).error_us == 500
    with pytest.raises(ConfigError, match="not pps"):
        clock_calibrate.open_reference("modem", None)


def test_ports_and_references_have_one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time service slews CLOCK_MONOTONIC: after a day it can be a second off the raw one."""
    monkeypatch.setattr(clock, "_CLOCK_ID", time.CLOCK_REALTIME)
    assert abs(monotonic_us() * 1000 + system_offset_ns() - time.time_ns()) < 100_000_000


@pytest.mark.realtime
def test_command_on_a_port(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of the system clock, 30 ms after their tenth of a second."""
    monkeypatch.setattr("agent.tools.clock.latency.MIN_SAMPLES", 20)
    near, far = pty.openpty()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            tenth = int(time.time() * 10) + 1
            time.sleep(max(0.0, tenth / 10 + 0.030 - time.time()))
            text = epoch(tenth // 10).replace(b".00,A", b".%02d,A" % (tenth % 10 * 10))
            rmc = text.split(b"*")[0][1:].decode()
            os.write(near, line(rmc))

    thread = threading.Thread(target=write)
    thread.start()
    argv = [f"serial:{os.ttyname(far)}?baud=115200", "--seconds", "4", "--json"]
    code = coldloop.main(["clock", "calibrate", *argv, "--system-error-ms", "0.1"])
    stop.set()
    thread.join()
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert 20.0 <= found["earliest_ms"] < 120.0
    assert found["usable"]
