# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` beside a device that becomes silent or restarts, and a disk that becomes full.

A value of an earlier read is never shown as one of now, and never proves a write. A repeated read
goes on. The devices are in this process, on TCP.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.commands import modbus
from drivers.errors import DriverError
from drivers.tools import modbus_poll, modbus_read
from drivers.tools.lib.exchange.pcapng import PcapngWriter
from drivers.tools.modbus_sniff import _capture_frame
from protocols.modbus.sniffer import NOISE, SniffedFrame


def run(*words: str) -> int:
    return modbus(list(words))


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


class FullFile(io.BytesIO):
    """A file on a disk that becomes full."""

    is_full = False

    def flush(self) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")


def test_a_capture_on_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = pty.openpty()
    words = ("sniff", f"serial:{os.ttyname(slave)}", "--seconds", "1", "--pcapng", "/dev/full")
    assert run(*words) == 2
    assert "/dev/full: No space left on device" in capsys.readouterr().err
    os.close(master)
    os.close(slave)
    file = FullFile()
    capture = PcapngWriter(file, "line")
    frame = SniffedFrame(NOISE, b"\x01", 0, 0)
    _capture_frame(capture, frame)
    file.is_full = True
    with pytest.raises(DriverError, match="No space left on device"):
        _capture_frame(capture, frame)


class FadingDevice:
    """A TCP device: each register has `value`, or the number of its request.

    It is silent after `limit` requests, and after a write.
    """

    def __init__(self) -> None:
        self.served, self.limit, self.value = 0, 1_000_000, 0
        self.counts: list[int] = []
        self.writes = 0
        self.raw = b""  # the reply to anything
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):  # the client can be gone
                while frame := connection.recv(300):
                    connection.sendall(self.answer(frame))

    def answer(self, frame: bytes) -> bytes:
        """Return the reply; empty: none."""
        if self.raw:
            return self.raw
        if self.served >= self.limit:
            return b""
        self.served += 1
        function, count = frame[7], frame[11]
        body = frame[6:12]
        if function in (6, 16):
            self.writes += 1
            self.limit = self.served  # it takes the write, and nothing after it
        else:
            self.counts.append(count)
            body = (
                frame[6:8]
                + bytes((2 * count,))
                + struct.pack(">H", self.value or self.served) * count
            )
        return frame[:4] + struct.pack(">H", len(body)) + body


@pytest.fixture
def device() -> Iterator[FadingDevice]:
    found = FadingDevice()
    yield found
    found.listener.close()


def test_a_wide_value_is_read_in_one_request(
    device: FadingDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else its halves can be from different moments."""
    address = device.address
    for kind, size in (("u32", 2), ("u64", 4), ("u16", 1)):
        device.counts.clear()
        count = str(300 // size)
        assert run("read", address, "1", "0", count, "--type", kind, "--json") == 0
        del device.counts[1]  # the different read that confirms the first one
        assert sum(device.counts) == 300
        assert max(device.counts) == 125 // size * size
        raw = shown(capsys)["raw"]
        assert all(len({*raw[at : at + size]}) == 1 for at in range(0, 300, size))


def test_a_round_shows_no_value_of_an_earlier_one(
    device: FadingDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    words: tuple[str, ...] = ("read", device.address, "20", "ValvePositionPercent")
    words = (*words, "--profile", "belimo_valve", "--timeout-ms", "60", "--json")
    assert run(*words) == 0
    device.limit = 2 * device.served + 1
    assert run(*words, "--every", "10", "--rounds", "4") == 0
    rounds = [json.loads(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["value" in each for each in rounds] == [True, True, False, False]
    assert "no reply" in rounds[2]["error"]


class RestartingDevice:
    """A TCP device that serves some requests, is away, and serves again."""

    def __init__(self, served: int) -> None:
        self._served = served
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_away = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with self.listener, self.listener.accept()[0] as connection:
            for _ in range(self._served):
                connection.sendall(self._answer(connection.recv(300)))
            self.listener.close()
        self.is_away.wait(20)
        with (
            socket.create_server(("127.0.0.1", self.port)) as listener,
            listener.accept()[0] as connection,
            contextlib.suppress(ConnectionError),
        ):
            while request := connection.recv(300):
                connection.sendall(self._answer(request))

    @staticmethod
    def _answer(frame: bytes) -> bytes:
        body = frame[6:8] + bytes((2 * frame[11],)) + b"\0\7" * frame[11]
        return frame[:4] + struct.pack(">H", len(body)) + body


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("read", "1", "100", "--every", "50"), 1),
        (("poll", "--profile", "belimo_valve", "--unit", "1", "--period-ms", "50"), 2),
    ],
)
def test_a_repeated_read_goes_on_after_a_restart_of_the_device(
    words: tuple[str, ...], before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round while it is away is a line with the error. `before`: requests for the model
    and the read that confirms the first reply.
    """
    device = RestartingDevice(before + 3)
    lines: list[dict[str, Any]] = []

    def note(record: dict[str, Any]) -> None:
        lines.append(record)
        if "refused" in json.dumps(record):
            device.is_away.set()
        elif device.is_away.is_set():
            raise KeyboardInterrupt

    for module in (modbus_read, modbus_poll):
        monkeypatch.setattr(module, "print_json", note)
    command, *rest = words
    assert run(command, f"tcp:127.0.0.1:{device.port}", *rest, "--json") == 0
    faults = [str(line.get("error") or line.get("faults") or "") for line in lines]
    assert faults[:3] == faults[-1:] * 3 == [""] * 3
    assert all("refused: nothing listens there" in fault for fault in faults[3:-1])
    device.thread.join(10)


def test_poll_knows_no_bit_of_a_block_without_a_reply(
    device: FadingDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    words: tuple[str, ...] = ("poll", device.address, "--profile", "orv3_rpu", "--unit", "12")
    words = (*words, "--timeout-ms", "60", "--period-ms", "50")
    assert run(*words, "--rounds", "1") == 0
    assert "not read" not in capsys.readouterr().out
    device.limit = 2 * device.served
    assert run(*words, "--rounds", "2", "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert None not in [bit["on"] for bit in first["bits"]]
    assert {bit["on"] for bit in second["bits"]} == {None}
    assert second["alarms"] == []
    assert all(point["age_s"] is not None for point in second["points"])


def test_a_readback_is_no_value_of_an_earlier_read(
    device: FadingDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    """The device had the value before the write and is silent after it."""
    device.value = 1
    words: tuple[str, ...] = ("write", device.address, "20", "ValvePositionControlPercent")
    words = (*words, "0.01", "--profile", "belimo_valve", "--yes", "--json", "--timeout-ms", "60")
    assert run(*words) == 1
    report = shown(capsys)
    assert device.writes == 1
    assert (report["before"], report["readback"], report["state"]) == (0.01, None, "accepted")


def test_too_many_values_are_refused_before_the_first_request(
    device: FadingDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    address = device.address
    for function, most in ((15, 1968), (16, 123), (23, 121)):
        values = ",".join("1" for _ in range(most + 1))
        assert run("write", address, "1", "0", values, "--function", str(function), "--yes") == 2
        assert f"1 to {most}" in capsys.readouterr().err
    assert device.served == 0


def test_a_port_without_tls_is_named(
    device: FadingDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device.raw = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-subj", "/CN=x", "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    address = device.address.replace("tcp:", "tls:")
    assert run("read", f"{address}?ca={tmp_path}/ca.pem", "1", "0") == 2
    assert "this port of the peer does not speak TLS" in capsys.readouterr().err
