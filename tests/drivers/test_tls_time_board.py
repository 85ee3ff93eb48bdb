# SPDX-License-Identifier: Apache-2.0
"""Dates of certificates with MicroPython's TLS port, on a board whose clock is not set.

The unix port has no clock of its own. A file replaces `time` of the C library; the test and an
emulated `machine.RTC` write it, and mbedTLS reads it.
"""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.ops.pki import authority as pki
from deploy.ops.pki import certificates
from tests.drivers.test_tls_time import NOW, YEAR, server
from tests.support.programs import require_program
from tests.support.repository import ROOT, micropython_environment

CLOCK = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
time_t time(time_t *out) {
    long seconds = 0;
    FILE *file = fopen(getenv("BOARD_CLOCK"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    if (out) *out = seconds;
    return seconds;
}
int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    now->tv_sec = time(NULL);
    now->tv_usec = 0;
    return 0;
}
"""
BOARD = """
import sys, time
from drivers.ports.address import parse_address
from drivers.errors import PortError
from drivers.ports.micropython.tcp import open_port
from protocols.calendar import days_from_civil

class RTC:
    def datetime(self, at):
        seconds = days_from_civil(at[0], at[1], at[2]) * 86400 + at[4] * 3600 + at[5] * 60 + at[6]
        with open(sys.argv[1], "w") as file:
            file.write(str(seconds))

class Machine:
    pass

if sys.argv[2] == "rtc":
    Machine.RTC = RTC
sys.modules["machine"] = Machine

def opened(address):
    port = open_port(parse_address(address), lambda: None)
    try:
        for _ in range(4000):
            if port.continue_open():
                return "opened"
            time.sleep_ms(5)
    except PortError as error:
        return str(error)
    finally:
        port.close()
    return "no answer"

for address in sys.argv[3:]:
    print(opened(address))
"""


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An authority that is older than every certificate it issues here."""
    folder = tmp_path / "pki"
    folder.mkdir()
    monkeypatch.setattr(certificates, "_BACKDATING", 4 * YEAR)
    pki.create(folder, "test")
    return folder


class BoardModel:
    """A board with a clock that starts at `now`."""

    def __init__(self, folder: Path, rtc: str = "rtc", now: int = 0) -> None:
        self.folder, self.rtc = folder, rtc
        self.clock = folder / "clock"
        self.clock.write_text(str(now))
        (folder / "clock.c").write_text(CLOCK)
        (folder / "board.py").write_text(BOARD)
        command = [require_program("gcc"), "-shared", "-fPIC", "-o", "clock.so", "clock.c"]
        subprocess.run(command, cwd=folder, check=True)

    def try_addresses(self, *addresses: str) -> list[str]:
        """Open the addresses one after the other; return the results."""
        variables = {"BOARD_CLOCK": str(self.clock), "LD_PRELOAD": str(self.folder / "clock.so")}
        done = subprocess.run(
            [
                require_program("micropython"),
                self.folder / "board.py",
                self.clock,
                self.rtc,
                *addresses,
            ],
            cwd=ROOT,
            env={**os.environ, **micropython_environment(), **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout.splitlines()

    def clock_s(self) -> int:
        return int(self.clock.read_text())


def test_unset_clock_accepts_certificate(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = BoardModel(tmp_path)
    with server(authority, monkeypatch, YEAR, 3) as echo_server:
        address = f"tls:localhost:{echo_server.port}?ca={authority}/ca.pem&utc=0"
        first, second = board.try_addresses(address, address)
    assert "certificate refused" in first
    assert second == "opened"
    assert abs(board.clock_s() - (NOW - YEAR.total_seconds())) < 2 * 86_400


def test_known_utc_sets_clock_and_opens(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = BoardModel(tmp_path)
    with server(authority, monkeypatch, YEAR, 3) as echo_server:
        address = f"tls:localhost:{echo_server.port}?ca={authority}/ca.pem"
        assert "certificate refused" in board.try_addresses(address)[0]  # UTC is unknown
        assert board.clock_s() == 0
        assert board.try_addresses(f"{address}&utc={NOW}") == ["opened"]
    assert board.clock_s() == NOW


def test_expired_certificate_is_rejected_when_utc_known(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = BoardModel(tmp_path)
    with server(authority, monkeypatch, 3 * YEAR, -2) as echo_server:
        address = f"tls:localhost:{echo_server.port}?ca={authority}/ca.pem"
        unknown, known = f"{address}&utc=0", f"{address}&utc={NOW}"
        results = board.try_addresses(unknown, unknown, known, known)
    assert results[1] == "opened"
    assert ["certificate refused" in text for text in results] == [True, False, True, True]


def test_chain_and_host_are_always_checked(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = BoardModel(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    pki.create(other, "other")
    with server(authority, monkeypatch, YEAR, 3) as echo_server:
        for ca, host in ((other, "localhost"), (authority, "127.0.0.1")):
            address = f"tls:{host}:{echo_server.port}?ca={ca}/ca.pem&utc="
            results = board.try_addresses(*[address + "0"] * 3, f"{address}{NOW}")
            assert ["certificate refused" in text for text in results] == [True] * 4, results


def test_system_clock_is_not_set(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = BoardModel(tmp_path, "none", NOW)
    with server(authority, monkeypatch, YEAR, 3) as echo_server:
        address = f"tls:localhost:{echo_server.port}?ca={authority}/ca.pem&utc="
        earlier = NOW - int(timedelta(days=90).total_seconds())
        assert board.try_addresses(f"{address}0", f"{address}{earlier}") == ["opened"] * 2
    assert board.clock_s() == NOW
