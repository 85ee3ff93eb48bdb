# SPDX-License-Identifier: Apache-2.0
"""A log on real files whose process is killed repeatedly: each durable record is still there.

A kill does not lose pages of the system cache. So this tests the order of writes, flushes and
renames of the process. The tests of the virtual flash cover the losses of a power cut.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.log import segment
from tests.support.programs import require_program
from tests.support.repository import ROOT, micropython_environment
from tests.support.runtime_rig import INTERPRETERS


def run_until_killed(interpreter: str, folder: Path, seconds: float) -> list[tuple[int, int]]:
    """Run the writer for some time, then kill it; return its durable records."""
    program = [sys.executable] if interpreter == "cpython" else [require_program("micropython")]
    with subprocess.Popen(
        [*program, "-m", "tests.agent.log.log_writer", str(folder)],
        cwd=ROOT,
        env={**os.environ, **micropython_environment()},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
    whole = [line.split() for line in lines]
    return [(int(words[1]), int(words[2])) for words in whole if len(words) == 3]


def on_disk(folder: Path) -> dict[tuple[int, int], bytes]:
    """Read the log with the scanner alone."""
    found: dict[tuple[int, int], bytes] = {}
    for file in sorted(folder.iterdir()):
        name = segment.parse_name(file.name)
        if name is not None:
            for record in segment.scan(file.read_bytes(), name[0], name[1]).records:
                key = (name[1], record.ident)
                assert found.get(key, record.payload) == record.payload, key
                found[key] = record.payload
    return found


def campaign(interpreter: str, folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    durable: set[tuple[int, int]] = set()
    for _ in range(kills):
        reported = run_until_killed(interpreter, folder, rng.random() * 0.05)
        assert reported
        assert not durable & set(reported), "a number was given twice"
        durable |= set(reported)
        found = on_disk(folder)
        oldest = {group: min(i for g, i in found if g == group) for group in {g for g, _ in found}}
        missing = [key for key in durable if key not in found and key[1] >= oldest.get(key[0], 0)]
        assert missing == []


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_kills_lose_no_durable_record(interpreter: str, tmp_path: Path) -> None:
    campaign(interpreter, tmp_path, 5, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_thousand_kills_lose_no_durable_record(
    interpreter: str, seed: int, tmp_path: Path
) -> None:
    campaign(interpreter, tmp_path, 100, seed)


@pytest.mark.soak
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_thousand_power_cuts_of_the_flash_model(interpreter: str) -> None:
    """Cut at each time of each write, append and delete, truncated at any byte."""
    code = (
        "from tests.portable.agent.log.test_record_store import campaign\n"
        "for i in range(100, 190): campaign(i, 12)"
    )
    program = [sys.executable] if interpreter == "cpython" else [require_program("micropython")]
    subprocess.run(
        [*program, "-c", code],
        cwd=ROOT,
        env={**os.environ, **micropython_environment()},
        check=True,
    )
