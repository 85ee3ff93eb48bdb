# SPDX-License-Identifier: Apache-2.0
"""The first change of a new user: the commands of the page, as they are written there."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import free_port, require_program

PAGE = Path(__file__).parents[3] / "docs" / "operator" / "roll_out.md"
_HEADING = "## The first change, without hardware"
_PORT = "18932"
_LIMIT_S = 300


def commands_of_the_page() -> str:
    """Return the first block of commands below the heading."""
    section = PAGE.read_text().partition(_HEADING)[2]
    block = re.search(r"((?:^    .*\n)+)", section, re.MULTILINE)
    assert block is not None
    return block[1]


@pytest.mark.realtime
def test_the_commands_of_the_page_confirm_a_change(tmp_path: Path) -> None:
    """Only the port of the broker differs: tests run at the same time."""
    require_program("mosquitto")
    text = commands_of_the_page()
    assert text.count(_PORT) == 4
    script = "set -e\n" + text.replace(_PORT, str(free_port()))
    path = f"{Path(sys.executable).parent}:/usr/sbin:{os.environ['PATH']}"
    began = time.monotonic()
    with (
        (tmp_path / "out").open("wb") as out,
        subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait(_LIMIT_S)
            seconds = time.monotonic() - began
        finally:
            os.killpg(process.pid, signal.SIGTERM)
    text = (tmp_path / "out").read_text()
    assert code == 0, text
    assert "1 units: {'confirmed': 1}" in text
    assert "confirmed" in text.partition("1 units: ")[2].partition("\n")[2], "config show"
    assert seconds <= _LIMIT_S
    print(f"{seconds:.0f} s")
