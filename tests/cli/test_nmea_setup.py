# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea setup` with a receiver on a pseudo-terminal; errors are one line."""

import json
import os
import select
import subprocess
import sys
import threading
import time

import pytest

from tests.portable.support.receiver_model import ReceiverModel
from tests.support.repository import ROOT
from tests.support.runtime_rig import TIMEOUT_S, open_pty


def run_receiver(fake: ReceiverModel, master: int, stop: threading.Event) -> None:
    """Run the receiver five times faster than a real one, and pass it the received commands."""
    due = time.monotonic()
    while not stop.is_set():
        due += 0.3
        while (left := due - time.monotonic()) > 0 and not stop.is_set():
            if select.select([master], [], [], min(left, 0.05))[0]:
                fake.receive(os.read(master, 4096))
        os.write(master, fake.next_epoch())


def run_setup(fake: ReceiverModel, *words: str) -> tuple[int, list[dict[str, str]], str]:
    with open_pty() as line:
        stop = threading.Event()
        voice = threading.Thread(target=run_receiver, args=(fake, line.master, stop))
        voice.start()
        try:
            done = subprocess.run(
                [sys.executable, "coldloop.py", "nmea", "setup", line.path, "--json", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=10 * TIMEOUT_S,
            )
        finally:
            stop.set()
            voice.join()
    return done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr


def test_setup_is_applied_and_observed() -> None:
    fake = ReceiverModel("casic")
    words = ["--maker", "casic", "--constellations", "bds,gps", "--sentences", "RMC,GGA,GSA,GSV"]
    code, steps, errors = run_setup(fake, *words, "--save")
    assert (code, errors) == (0, "")
    assert [(s["step"], s["verdict"]) for s in steps] == [
        ("constellations", "done"),
        ("sentences", "done"),
        ("save", "unproven"),
    ]
    assert (fake.systems, fake.saved) == (["GPS", "BDS"], 1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["/dev/null", "--maker", "casic", "--save"], "not a port"),
        (["serial:/dev/none", "--maker", "casic", "--save"], "no such port"),
        (["serial:/dev/none", "--maker", "casic"], "no setting requested"),
        (["serial:/dev/none", "--maker", "casic", "--constellations", "GAL"], "no GAL"),
        (["serial:/dev/none", "--maker", "casic", "--sentences", "XYZ"], "not one of RMC"),
        (["serial:/dev/none", "--maker", "casic", "--pulse-ms", "100"], "pulse: no command"),
        (["serial:/dev/none", "--maker", "ublox", "--pulse-ms", "900"], "outside 1 to 500"),
        (["serial:/dev/none", "--maker", "ublox", "--survey", "1h"], "is not seconds[, acc"),
        (["serial:/dev/none", "--maker", "ublox", "--fixed", "25.2,55.2"], "is not latitude, l"),
        (["serial:/dev/none", "--maker", "ublox", "--fixed", "95,55,3"], "latitude: 95.0 is out"),
    ],
)
def test_usage_error_is_one_line(words: list[str], error: str) -> None:
    done = subprocess.run(
        [sys.executable, "coldloop.py", "nmea", "setup", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=10 * TIMEOUT_S,
    )
    assert done.returncode == 2
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
