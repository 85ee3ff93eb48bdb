# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` read, write, raw and poll with a served profile: names, CSV, lists, masks.

Then with a peer that follows a script: what came instead of a reply, and the state of each write.
"""

import csv
import io
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.commands import modbus
from drivers.errors import PortError
from drivers.tools import modbus_write
from protocols.modbus import ascii_mode
from protocols.modbus.crc import with_crc
from tests.support.programs import free_port, wait_until_open
from tests.support.repository import ROOT

UNIT = "31"


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """An ABB drive by its profile, on TCP."""
    number = free_port()
    address = f"tcp:127.0.0.1:{number}"
    command = [sys.executable, str(ROOT / "coldloop.py"), "modbus", "serve", "abb_acs580", address]
    process = subprocess.Popen([*command, "--unit", UNIT], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until_open(number)
    yield address
    process.terminate()
    process.wait(10)


def run(*words: str) -> int:
    try:
        return modbus(list(words))
    except SystemExit as error:
        return int(error.code or 0)


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_read_by_name(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--profile", "abb_acs580")
    assert run("read", port, UNIT, "SpeedControlPercent", *words, "--json") == 0
    assert shown(capsys) == {
        "unit": 31, "name": "SpeedControlPercent", "value": 0.0, "measure": "%"
    }  # fmt: skip
    assert run("read", port, UNIT, "Tripped", *words) == 0
    assert capsys.readouterr().out == "Tripped  off\n"
    assert run("read", port, UNIT, "Nothing", *words) == 2
    assert "no point or bit is named Nothing" in capsys.readouterr().err
    assert run("read", port, UNIT, "SpeedControlPercent") == 2


def test_read_is_repeated_as_csv_and_json(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--every", "20", "--rounds", "3")
    assert run("read", port, UNIT, "1", "2", "--csv", *words) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["time", "1", "2", "error"]
    assert [row[1:] for row in rows[1:]] == [["0", "0", ""]] * 3
    assert rows[1][0].endswith("Z")
    assert run("read", port, UNIT, "60000", "--csv", *words) == 1
    assert list(csv.reader(io.StringIO(capsys.readouterr().out)))[1][1:] == [
        "", "function 3, address 60000: exception 2 (illegal data address)"
    ]  # fmt: skip
    assert run("read", port, UNIT, "1", "--json", *words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["values"] for line in lines] == [[0]] * 3


def test_write_lists_and_masks(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    tail = ("--yes", "--json")
    assert run("write", port, UNIT, "0", "3,400", *tail) == 0
    assert shown(capsys)["readback"] == [3, 400]
    assert run("write", port, UNIT, "0", "5,500", "--function", "23", *tail) == 0
    assert shown(capsys)["readback"] == [5, 500]
    assert run("write", port, UNIT, "0", "0xFFF0:0x0002", "--function", "22", *tail) == 0
    assert shown(capsys)["written"] == 2
    assert run("write", port, UNIT, "0", "3", "--function", "22", *tail) == 2
    assert run("write", port, UNIT, "0", "1,0,1", "--function", "15", *tail) == 1
    assert shown(capsys)["state"] == "refused"
    assert run("write", port, UNIT, "0", "1,2", "--function", "6", *tail) == 2


def test_raw(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("raw", port, UNIT, "08 00 00 12 34", "--json") == 0
    assert shown(capsys)["reply"] == "0800001234"
    assert run("raw", port, UNIT, "11", "--json") == 0
    assert bytes.fromhex(shown(capsys)["reply"])[2:-1] == b"abb_acs580"
    assert run("raw", port, UNIT, "0300000002", "--json") == 0
    assert shown(capsys)["reply"].startswith("0304")
    assert run("raw", port, UNIT, "41", "--yes", "--json") == 1
    assert shown(capsys)["reply"] == "c101"
    assert run("raw", port, UNIT, "0600000001") == 2  # it would ask
    for wrong in ("", "zz", "83", "03", "00"):
        assert run("raw", port, UNIT, wrong) == 2


def test_poll_shows_bits_by_name(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--profile", "abb_acs580", "--unit", UNIT, "--rounds", "1")
    assert run("poll", port, *words, "--json") == 0
    bits = {bit["name"]: bit["on"] for bit in shown(capsys)["bits"]}
    assert bits["Tripped"] is False
    assert run("poll", port, *words) == 0
    assert "bits: " in capsys.readouterr().out


def test_poll_of_a_silent_device_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    """Two requests without a reply end a round: the rest is not asked."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    reader = threading.Thread(target=lambda: os.read(master, 4096))
    reader.start()
    words = ("--profile", "orv3_rpu", "--unit", "12", "--rounds", "2", "--period-ms", "50")
    began = time.monotonic()
    code = run("poll", f"{os.ttyname(slave)}?baud=19200", *words, "--json", "--timeout-ms", "60")
    assert code == 1
    assert time.monotonic() - began < 15
    assert "blocks not asked" in shown(capsys)["faults"][-1]
    reader.join(5)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (with_crc(b"\x05\x03\x82\x00\x01"), "no reply: 14 bytes came that are no frame"),
        (with_crc(b"\x07\x03\x02\x00\x01"), "no reply: 2 frames of other units came"),
        (b"", "no reply; `coldloop modbus scan` finds the units that reply"),
    ],
)
def test_read_names_what_came_instead_of_a_reply(
    answer: bytes, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)

    def answer_all() -> None:
        for _ in range(2):  # two attempts
            if len(os.read(master, 256)) and answer:
                os.write(master, answer)

    thread = threading.Thread(target=answer_all, daemon=True)
    thread.start()
    assert run("read", f"serial:{os.ttyname(slave)}", "5", "0", "--timeout-ms", "300") == 1
    thread.join(10)
    os.close(master)
    os.close(slave)
    assert cause in capsys.readouterr().err


Answer = Callable[[bytes], bytes]


@pytest.fixture
def peer() -> Iterator[Callable[[Answer], str]]:
    """Serve connections, each request by a function; return host and port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(answer: Answer) -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(answer(data))

    def start(answer: Answer) -> str:
        threading.Thread(target=serve, args=(answer,), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.close()


class WrittenRegister:
    """A TCP device with one register; a write takes effect or not, and gets an exception."""

    def __init__(self, code: int, takes_effect: bool) -> None:
        self.value, self.writes = 0, 0
        self._code, self._takes_effect = code, takes_effect

    def __call__(self, frame: bytes) -> bytes:
        unit, function = frame[6], frame[7]
        if function == 6:
            self.writes += 1
            if self._takes_effect:
                self.value = frame[11]
        good = struct.pack(">BBBH", unit, function, 2, self.value)
        body = bytes((unit, 0x86, self._code)) if function == 6 else good
        return frame[:4] + struct.pack(">H", len(body)) + body


@pytest.mark.parametrize("takes_effect", [True, False])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 10, 11])
def test_an_exception_is_a_refusal_only_if_the_device_cannot_hold_the_value(
    code: int,
    takes_effect: bool,
    peer: Callable[[Answer], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    device = WrittenRegister(code, takes_effect and code in (4, 5, 11))
    exit_code = run("write", f"tcp:{peer(device)}", "7", "100", "9", "--yes", "--json")
    state = shown(capsys)["state"]
    expected = ("done" if takes_effect else "failed") if code in (4, 5, 11) else "refused"
    assert (state, exit_code) == (expected, int(state != "done"))


@pytest.mark.parametrize(
    ("error", "exit_code"), [(KeyboardInterrupt(), 130), (PortError("port lost"), 1)]
)
def test_a_write_that_ends_after_its_request_is_unknown(
    error: BaseException,
    exit_code: int,
    peer: Callable[[Answer], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(plan: Any) -> None:
        raise error

    monkeypatch.setattr(modbus_write, "_read_back", interrupt)
    device = WrittenRegister(5, True)
    words = ("write", f"tcp:{peer(device)}", "7", "100", "9", "--yes", "--json")
    assert run(*words) == exit_code
    assert device.writes >= 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["state"] == "unknown"
    assert "after the request was sent" in captured.err


@pytest.mark.parametrize("ending", [b"\n", b"\r\r\n", b" \r\n"])
def test_ascii_names_a_wrong_line_end(
    ending: bytes, peer: Callable[[Answer], str], capsys: pytest.CaptureFixture[str]
) -> None:
    reply = ascii_mode.build_frame(7, b"\x03\x02\x00\x01")[:-2] + ending
    address = f"ascii+tcp:{peer(lambda _: reply)}"
    assert run("read", address, "7", "100", "--timeout-ms", "100") == 1
    assert "mismatch: line end is not CR LF" in capsys.readouterr().err


def test_scan_names_a_gateway_that_answers_itself(
    peer: Callable[[Answer], str], capsys: pytest.CaptureFixture[str]
) -> None:
    address = peer(lambda frame: with_crc(bytes((frame[0], frame[1] | 0x80, 11))))
    assert run("scan", f"rtu+tcp:{address}", "--units", "1-2", "--functions", "3") == 1
    text = capsys.readouterr().out
    assert "a gateway answered 2 requests itself" in text
    assert "check --units" not in text


def test_scan_names_another_master(
    peer: Callable[[Answer], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The other master asks unit 7 the same function: it can get the reply to our request."""
    address = peer(lambda _: with_crc(b"\x07\x03\x02\x00\x00\x01"))
    words = ("--units", "7", "--functions", "3", "--one-pass", "--timeout-ms", "60")
    assert run("scan", f"rtu+tcp:{address}", *words) == 1
    text = capsys.readouterr().out
    assert "hint: another master is on the line" in text
    assert "garbled: 7 (another master is on the line)" in text
    assert "two devices" not in text


def test_sniff_of_another_port_names_what_it_decodes(capsys: pytest.CaptureFixture[str]) -> None:
    for port_text in ("tcp:127.0.0.1:502", "ascii:/dev/ttyUSB0"):
        assert run("sniff", port_text) == 2
        assert "sniff decodes RTU on a serial line" in capsys.readouterr().err
