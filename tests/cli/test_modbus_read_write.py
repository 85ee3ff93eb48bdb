# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` read, write, raw and poll with a served profile: names, CSV, lists, masks."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.commands import modbus
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
