"""`coldloop nmea setup` against a receiver on a pseudo-terminal; wrong use is one line."""

import json
import os
import select
import subprocess
import sys
import threading
import time

import pytest

from tests.portable.support.receiver_model import FakeReceiver
from tests.support.repository import ROOT
from tests.support.runtime_rig import PATIENCE_S, pty


def speak(fake: FakeReceiver, master: int, stop: threading.Event) -> None:
    """Let the receiver speak five times faster than real ones, and hear what it is told."""
    due = time.monotonic()
    while not stop.is_set():
        due += 0.3
        while (left := due - time.monotonic()) > 0 and not stop.is_set():
            if select.select([master], [], [], min(left, 0.05))[0]:
                fake.take(os.read(master, 4096))
        os.write(master, fake.epoch())


def told(fake: FakeReceiver, *words: str) -> tuple[int, list[dict[str, str]], str]:
    with pty() as line:
        stop = threading.Event()
        voice = threading.Thread(target=speak, args=(fake, line.master, stop))
        voice.start()
        try:
            done = subprocess.run(
                [sys.executable, "coldloop.py", "nmea", "setup", line.path, "--json", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=10 * PATIENCE_S,
            )
        finally:
            stop.set()
            voice.join()
    return done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr


def test_a_receiver_is_told_and_seen_to_do_it() -> None:
    fake = FakeReceiver("casic")
    words = ["--maker", "casic", "--constellations", "bds,gps", "--sentences", "RMC,GGA,GSA,GSV"]
    code, steps, errors = told(fake, *words, "--save")
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
        (["/dev/null", "--maker", "casic", "--save"], "no port"),
        (["serial:/dev/none", "--maker", "casic", "--save"], "no such port"),
        (["serial:/dev/none", "--maker", "casic"], "nothing is wished"),
        (["serial:/dev/none", "--maker", "casic", "--constellations", "GAL"], "no GAL"),
        (["serial:/dev/none", "--maker", "casic", "--sentences", "XYZ"], "none of RMC"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], error: str) -> None:
    done = subprocess.run(
        [sys.executable, "coldloop.py", "nmea", "setup", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=10 * PATIENCE_S,
    )
    assert done.returncode == 2
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
