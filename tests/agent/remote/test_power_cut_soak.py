# SPDX-License-Identifier: Apache-2.0
"""Long tests of remote changes: a power cut at each step, on both interpreters."""

import subprocess
import sys

import pytest

from tests.support.programs import require_program
from tests.support.repository import compiled_flash, micropython_environment

SEEN = {
    "confirm": "[(31.0, 1, False), (33.0, 1, True), (33.0, 2, False)]",
    "rollback": "[(31.0, 1, False), (33.0, 1, True)]",
}
SEEN_OF_A_BOARD = {"update": "[(1, False), (2, False), (2, True)]"}


def run_sweep(command: list[str], seen: dict[str, str] = SEEN, **rest: object) -> None:
    """Run the sweep in a process; return its lines."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True, **rest)  # type: ignore[call-overload]
    lines = done.stdout.splitlines()
    assert len(lines) == len(seen)
    for line in lines:
        order, _, found = line.partition(" ")
        assert seen[order] in found


@pytest.mark.soak
def test_power_cut_at_every_step_on_cpython() -> None:
    run_sweep([sys.executable, "-m", "tests.portable.support.power_cut.power_sweep"])


@pytest.mark.soak
def test_power_cut_at_every_step_on_micropython() -> None:
    command = [
        require_program("micropython"),
        "-X",
        "heapsize=512wK",
        "-m",
        "tests.portable.support.power_cut.power_sweep",
    ]
    run_sweep(command, cwd=compiled_flash(), env=micropython_environment(compiled_flash()))


@pytest.mark.soak
def test_power_cut_at_every_step_of_a_boards_update_on_micropython() -> None:
    command = [
        require_program("micropython"),
        "-X",
        "heapsize=768wK",
        "-m",
        "tests.portable.support.power_cut.board_sweep",
    ]
    run_sweep(
        command,
        SEEN_OF_A_BOARD,
        cwd=compiled_flash(),
        env=micropython_environment(compiled_flash()),
    )
