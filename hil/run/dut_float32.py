# SPDX-License-Identifier: Apache-2.0
"""The controller under test with 32-bit floats, as on a board: lock-step with another interpreter.

Does not give the digest of 64-bit floats: the loops round differently, and closed loops diverge.
Judge it by replay (`coldloop hil replay --dut unix-f32 --counts 1`) or by expectations.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from drivers.tools.terminal.activity_line import ActivityLine
from hil.errors import BenchError
from hil.shells.lockstep import LockStepDut

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def build_interpreter() -> str:
    """Build the interpreter, or find it in the cache. Raises BenchError."""
    command = [sys.executable, str(ROOT / "coldloop.py"), "firmware", "build", "--json"]
    command += ["--board", "unix-f32"]
    with ActivityLine("builds the interpreter with 32-bit floats"):
        process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if process.returncode:
        raise BenchError(f"unix-f32: {process.stderr.strip()}")
    return str(json.loads(process.stdout)["interpreter"])


class UnixF32(LockStepDut):
    """The agent in that interpreter. Raises BenchError."""

    def __init__(
        self,
        config: dict[str, Any],
        profiles: dict[str, dict[str, Any]],
        records: dict[str, bytes] | None = None,
    ) -> None:
        super().__init__(config, profiles, records, interpreter=build_interpreter())
