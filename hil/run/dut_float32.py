"""The controller under test with a board's 32-bit floats: lock-step with another interpreter.

Its control loops round otherwise than those of 64 bits, so that in a closed loop the two drift
apart. Judge it by replay (`coldloop hil replay --dut unix-f32 --counts 1`) or by a scenario's
expectations, never by a digest.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.shells.lockstep import LockStepDut

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def build_interpreter() -> str:
    """Build the interpreter, or find the one in the cache. Raises BenchError."""
    command = [sys.executable, str(ROOT / "coldloop.py"), "firmware", "build", "--json"]
    command += ["--board", "unix-f32"]
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
