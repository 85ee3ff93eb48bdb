# SPDX-License-Identifier: Apache-2.0
"""A serial port that hangs up ends `sniff` and `serve` with the reason, not as a normal end."""

from __future__ import annotations

import os
import pty
import threading
import tty

import pytest

from drivers.commands import modbus
from protocols.modbus.crc import with_crc

REASON = "hung up: unplugged, or the other end was closed"


def run(words: list[str], frame: bytes) -> int:
    """Run a command on a terminal whose other end sends `frame` and closes."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)

    def close() -> None:
        os.write(master, frame)
        threading.Event().wait(0.2)
        os.close(master)

    timer = threading.Timer(0.3, close)
    timer.start()
    try:
        return modbus([word.replace("PORT", path) for word in words])
    finally:
        timer.join()


@pytest.mark.parametrize("frame", [with_crc(bytes.fromhex("010300000001")), b"\xff"])
def test_sniff_says_that_the_port_hung_up(frame: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sniff", "PORT", "--seconds", "20"], frame) == 1
    printed = capsys.readouterr()
    assert printed.err.endswith(REASON + "\n")
    assert ("1 frames" in printed.out) == (len(frame) > 1)


def test_serve_says_that_the_port_hung_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "belimo_valve", "PORT", "--seconds", "20"], b"\xff") == 2
    assert capsys.readouterr().err.endswith(REASON + "\n")
